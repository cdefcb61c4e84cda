"""`python -m devhost.openapi [FILE]`: writes the OpenAPI document of every service."""

from __future__ import annotations

import argparse
from pathlib import Path

import orjson

import settings
from api import SERVICES, load_services
from api.http.openapi import build_document

PROJECT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Writes `docs/openapi.json`, or another file."""
    parser = argparse.ArgumentParser(prog="python -m devhost.openapi", description="Writes the OpenAPI document.")
    parser.add_argument("file", nargs="?", type=Path, default=PROJECT / "docs" / "openapi.json")
    file: Path = parser.parse_args().file
    configured = settings.current()
    endpoints = [endpoint for service in load_services(SERVICES) for endpoint in service.build(configured).endpoints]
    document = build_document(endpoints)
    file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(f"{file}: {len(document['paths'])} paths")


if __name__ == "__main__":
    main()
