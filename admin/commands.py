"""What the commands of all services share: how they are found, added to the parser, fail and print records."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
"""What `add_subparsers` returns; its type has no public name, and no parameters at run time."""


class CommandFailedError(Exception):
    """A command that cannot be carried out; the message says why, on one line."""


def load_modules(services: Iterable[str]) -> list[ModuleType]:
    """Returns the modules of this package that have the names of these services; a service may have none."""
    names = [f"admin.{service}" for service in services]
    return [importlib.import_module(name) for name in names if importlib.util.find_spec(name) is not None]


def print_records(records: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Prints records with the same keys, as a JSON array or as a table with aligned columns."""
    if as_json:
        print(json.dumps(records, indent=2, ensure_ascii=False))
    else:
        _print_table(records)


def _print_table(records: Sequence[Mapping[str, object]]) -> None:
    rows = [[*records[0]], *([_cell(value) for value in record.values()] for record in records)] if records else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
