"""`export`: the current users as a file that `import` reads."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from tools.users_csv_calls import Service, list_users
from tools.users_csv_progress import Advance
from tools.users_csv_rows import COLUMNS, FileError

_FORMULA: Final = ("=", "+", "-", "@")
"""The first characters that make a spreadsheet evaluate a text: https://owasp.org/www-community/attacks/CSV_Injection.
Tab and line breaks, which belong to them, are in no name."""


def export_users(service: Service, path: Path, *, masked: bool, as_of: str | None, advance: Advance) -> tuple[int, int]:
    """Writes the users of the service to a file, which has all of them or is as it was.

    Returns the number of users, and of those whose name a spreadsheet takes for a formula: the names are written as
    they are, so that they can be imported again. Raises `FileError`, `CallError`.
    """
    users = formulas = 0
    with _replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for records in list_users(service, masked=masked, as_of=as_of):
            writer.writerows([record[name] for name in COLUMNS] for record in records)
            users += len(records)
            formulas += sum(record["full_name"].startswith(_FORMULA) for record in records)
            advance(users, 0)
    return users, formulas


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """Yields a temporary file, readable by its owner alone, that replaces the one at `path` if all is written."""
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"{path}: not a regular file")
        number, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
        try:
            with open(number, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - the number of an open file
                yield file
                file.flush()
                os.fsync(number)
            Path(name).replace(path)
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
