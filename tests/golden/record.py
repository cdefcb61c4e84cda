"""Records today's behaviour anew: `python -m tests.golden.record`, with options of pytest (`-k`) for a part of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    os.environ["GOLDEN"] = "record"
    sys.exit(pytest.main([str(Path(__file__).with_name("test_golden.py")), "-p", "no:cacheprovider", *sys.argv[1:]]))
