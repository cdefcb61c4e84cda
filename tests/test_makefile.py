"""`make` without a target prints help."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent


def test_make_prints_a_line_for_every_target() -> None:
    targets = re.findall(r"^\.PHONY: (.+)$", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)[0].split()
    printed = subprocess.run(["make", "--silent"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make (\w+) +\S.+$", printed, re.MULTILINE) == targets
