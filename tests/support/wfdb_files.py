"""WFDB records in files, as the tests of the tools need them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wfdb


def write_record(folder: Path, name: str, *signals: Sequence[int], fmt: str = "16", **options: Any) -> str:
    """Writes signals at 100 Hz with the names I, II, … and the baseline 0, and returns the path without `.hea`.

    `options` are those of `wfdb.wrsamp`; `names` replaces the lead names in the header, which wfdb wants distinct.
    """
    names: Sequence[str] = options.pop("names", ())
    count = len(signals)
    given: dict[str, Any] = {
        "units": ["mV"] * count,
        "sig_name": ["I" * number for number in range(1, count + 1)],
        "fmt": [fmt] * count,
        "adc_gain": [200.0] * count,
        "baseline": [0] * count,
    }
    if "samps_per_frame" in options:
        given["e_d_signal"] = [np.array(signal, np.int64) for signal in signals]
    else:
        given["d_signal"] = np.array(signals, np.int64).T
    wfdb.wrsamp(name, fs=100, write_dir=str(folder), **(given | options))
    path = folder / name
    if names:
        _rename_leads(path.with_suffix(".hea"), names)
    return str(path)


def _rename_leads(header: Path, names: Sequence[str]) -> None:
    first, *lines = header.read_text("ascii").splitlines()
    renamed = [" ".join([*line.split(" ")[:8], name]) for line, name in zip(lines, names, strict=True)]
    header.write_text("\n".join([first, *renamed, ""]), "ascii")


def write_header(folder: Path, name: str, *lines: str, samples: bytes = b"") -> str:
    """Writes a header with these lines and a signal file `<name>.dat`, and returns the path without `.hea`."""
    (folder / f"{name}.hea").write_text("\n".join([*lines, ""]), "ascii")
    (folder / f"{name}.dat").write_bytes(samples)
    return str(folder / name)
