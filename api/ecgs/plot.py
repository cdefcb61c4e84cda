"""The picture of an ECG as SVG: the whole signal over sample numbers, or ten seconds on ECG paper. No I/O.

The picture consists of elements with presentation attributes: no style sheet, no script, no reference to anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from domain.ecgs import Lead


class PaperScale(NamedTuple):
    """What ECG paper needs: `rate` in samples a second, `gain` in units a millivolt, `begin` in seconds."""

    rate: float
    gain: float
    begin: float = 0.0


def render_plot(leads: Sequence[Lead], scale: PaperScale | None) -> bytes:
    """Returns the leads one below the other as SVG in UTF-8; on ECG paper if there is a scale."""
    raise NotImplementedError
