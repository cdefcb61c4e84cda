"""The development host as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
PATIENCE: Final = 60
"""Seconds after which something that should have happened is taken for lost."""


def refused_start(environment: Mapping[str, str], *arguments: str, project: Path = PROJECT) -> str:
    """The one line with which `python -m devhost` declines to start."""
    done = subprocess.run(
        [sys.executable, "-m", "devhost", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in lines[0]
    return lines[0]
