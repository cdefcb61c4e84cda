"""`python -m tests.golden.record`: records the current behaviour; pytest's `-k` selects scenarios."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    os.environ["GOLDEN"] = "record"
    sys.exit(pytest.main([str(Path(__file__).with_name("test_golden.py")), "-p", "no:cacheprovider", *sys.argv[1:]]))
