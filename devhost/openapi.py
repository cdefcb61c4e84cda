"""`python -m devhost.openapi [FILE]`: writes the description of every service."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import orjson

from api import BLUEPRINTS
from api.description import describe

PROJECT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Writes `docs/openapi.json`, or another file."""
    parser = argparse.ArgumentParser(prog="python -m devhost.openapi", description="Writes the API's description.")
    parser.add_argument("file", nargs="?", type=Path, default=PROJECT / "docs" / "openapi.json")
    file: Path = parser.parse_args().file
    document = describe([importlib.import_module(module).blueprint for module in BLUEPRINTS.values()])
    file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(f"{file}: {len(document['paths'])} paths")


if __name__ == "__main__":
    main()
