"""The rows of a CSV file of users: read with their lines, normalised, checked for repeated numbers. No HTTP.

Memory does not grow with the file: a row has at most `ROW_CHARACTERS`, a batch `BATCH_ROWS`, and the numbers seen so
far are in a temporary file of SQLite's, which no name leads to.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple, TextIO

COLUMNS: Final = ("full_name", "mob_num", "pan_num", "manager_id")
"""The columns of a file: the keys of create_user's body."""

BATCH_ROWS: Final = 1_000
ROW_CHARACTERS: Final = 16_384
_BATCH_BYTES: Final = 1_800_000  # of at most 2 MiB that create_users reads
_CHARACTER_BYTES: Final = 6  # of a control character in JSON, as \u0000
_KEYS_BYTES: Final = 80  # of the keys and the quotes of a row
_CACHE_KIB: Final = 8_192

# domain/users/fields.py has these rules; the service checks them, here they only find equal users.
_MOB_NUM = re.compile(r"(?:\+91|0)?([6-9][0-9]{9})")

User = dict[str, str]
"""The body of create_user for a row."""


class FileError(Exception):
    """No row of the file can be read; the text says why."""


class RowError(NamedTuple):
    """An entry of the error file. `line` is the row's first physical line; `field` is empty for the whole row."""

    line: int
    field: str
    code: str
    detail: str


class Row(NamedTuple):
    """A row of the file: its first and last physical line, and the user; or the error of a row without one."""

    line: int
    last_line: int
    user: User
    error: RowError | None = None

    def fail(self, field: str, code: str, detail: str) -> RowError:
        """Returns an error of this row."""
        lines = f" (lines {self.line} to {self.last_line})" if self.last_line > self.line else ""
        return RowError(self.line, field, code, detail + lines)


class _RowTooLongError(csv.Error):
    """The row has more than `ROW_CHARACTERS`."""


class _Lines:
    """The physical lines of a file, for `csv.reader`, which takes as many as a row has.

    The lines of an invalid row after its first one are read again, so that a quote without its end takes one line and
    not the rest of the file.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._again: list[str] = []
        self._row: list[str] = []
        self._characters = 0
        self.first = 1

    @property
    def last(self) -> int:
        """The number of the last line of the current row; `first` is that of its first line."""
        return self.first + len(self._row) - 1

    def begin_row(self) -> None:
        """Begins the row after the current one."""
        self.first += len(self._row)
        self._row, self._characters = [], 0

    def end_invalid_row(self) -> None:
        """Ends the current row at its first line."""
        self._again += self._row[:0:-1]
        del self._row[1:]

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        is_new = not self._again
        line = self._file.readline(ROW_CHARACTERS) if is_new else self._again.pop()
        if not line:
            raise StopIteration
        self._row.append(line)
        self._characters += len(line)
        if is_new and len(line) == ROW_CHARACTERS:
            self._skip_line(line)
        if self._characters >= ROW_CHARACTERS:
            raise _RowTooLongError(f"A row must have less than {ROW_CHARACTERS:,} characters.")
        return line

    def _skip_line(self, text: str) -> None:
        while text and not text.endswith("\n"):
            text = self._file.readline(ROW_CHARACTERS)


def open_users(path: Path) -> TextIO:
    """Opens a file of users: UTF-8 with or without BOM; any other byte becomes a lone surrogate. Raises `FileError`."""
    try:
        if path.exists() and not path.is_file():
            raise FileError(f"{path}: not a regular file")
        return path.open(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None


def read_rows(file: TextIO) -> Iterator[Row]:
    """Yields the rows of a file from its beginning; blank ones, also those of delimiters alone, are left out.

    Raises `FileError` if the header is not one of these columns, in any order, delimited by commas or semicolons.
    """
    file.seek(0)
    first = file.readline(ROW_CHARACTERS)
    file.seek(0)
    delimiter = ";" if first.count(";") > first.count(",") else ","
    records = _read_records(file, delimiter)
    names = _read_header(next(records, None))
    for line, last_line, cells in records:
        if isinstance(cells, str):
            yield Row(line, last_line, {}, RowError(line, "", "csv-invalid", cells))
        elif any(cells):
            yield _parse_row(Row(line, last_line, {}), cells, names)


def _read_records(file: TextIO, delimiter: str) -> Iterator[tuple[int, int, list[str] | str]]:
    """Yields the first and the last line of each row, and its cells or why it is invalid."""
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.end_invalid_row()
            yield lines.first, lines.last, str(error) if isinstance(error, _RowTooLongError) else f"Not CSV: {error}."
        else:
            yield lines.first, lines.last, cells


def _read_header(record: tuple[int, int, list[str] | str] | None) -> list[str]:
    if record is None:
        raise FileError("the file is empty; its first line must name the columns")
    cells = record[2]
    if isinstance(cells, str) or not all(text.isprintable() for text in cells):
        raise FileError("the first line is not a header in UTF-8")
    names = [text.strip(" ") for text in cells]
    columns = ", ".join(COLUMNS)
    if unknown := [name for name in names if name not in COLUMNS]:
        raise FileError(f"unknown columns: {', '.join(map(repr, unknown))}; the columns are {columns}")
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise FileError(f"repeated columns: {', '.join(repeated)}")
    if missing := [name for name in COLUMNS[:3] if name not in names]:
        raise FileError(f"missing columns: {', '.join(missing)}; the columns are {columns}")
    return names


def _parse_row(row: Row, cells: list[str], names: list[str]) -> Row:
    if len(cells) != len(names):
        detail = f"The row has {len(cells)} columns, the header {len(names)}."
        return row._replace(error=row.fail("", "column-count", detail))
    user = dict(zip(names, cells, strict=True))
    for name, text in user.items():
        if not _is_utf8(text):
            return row._replace(error=row.fail(name, "utf-8-invalid", "Not UTF-8; save the file as UTF-8."))
    if not user.get("manager_id", "").strip(" "):
        user.pop("manager_id", None)
    return row._replace(user=user)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def normalize_mob_num(text: str) -> str | None:
    """Returns the ten digits of a mobile number as the service stores them; None if it is not valid."""
    trimmed = text.strip(" ")
    match = _MOB_NUM.fullmatch(trimmed.replace(" ", "").replace("-", ""))
    return match[1] if match and not trimmed.startswith("-") and not trimmed.endswith("-") else None


def normalize(user: User) -> tuple[str | None, ...]:
    """Returns the values of a valid user as the service stores them, in the order of `COLUMNS`."""
    manager_id = user.get("manager_id")
    return (
        user["full_name"].strip(),
        normalize_mob_num(user["mob_num"]),
        user["pan_num"].strip(" ").upper(),
        manager_id.lower() if manager_id else None,
    )


def reject_repeated(rows: Iterator[Row]) -> Iterator[Row]:
    """Yields the rows; a row whose number, in any spelling, an earlier row has is an error, even if that is one too."""
    with closing(sqlite3.connect("", isolation_level=None)) as seen:  # "": a temporary file, which SQLite deletes
        seen.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA cache_size = -{_CACHE_KIB};"
            "CREATE TABLE numbers (mob_num INTEGER PRIMARY KEY, line INTEGER); BEGIN"
        )
        for row in rows:
            mob_num = normalize_mob_num(row.user.get("mob_num", ""))
            line = None if mob_num is None else _find_or_add(seen, int(mob_num), row.line)
            if line is None:
                yield row
            else:
                detail = f"The row in line {line} has the same mob_num."
                yield row._replace(error=row.fail("mob_num", "mob-num-repeated", detail))


def _find_or_add(seen: sqlite3.Connection, mob_num: int, line: int) -> int | None:
    """Returns the line where the number is; None if it is new."""
    if seen.execute("INSERT INTO numbers VALUES (?, ?) ON CONFLICT DO NOTHING", [mob_num, line]).rowcount:
        return None
    (found,) = seen.execute("SELECT line FROM numbers WHERE mob_num = ?", [mob_num]).fetchone()
    return int(found)


def split_batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yields the rows in batches of `BATCH_ROWS`, or of as many as fit into a body.

    Invalid rows count too, so that a row that is corrected in its place leaves the other batches as they were.
    """
    batch: list[Row] = []
    size = 0
    for row in rows:
        row_size = _KEYS_BYTES + _CHARACTER_BYTES * sum(map(len, row.user.values()))
        if batch and (len(batch) == BATCH_ROWS or size + row_size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row_size
    if batch:
        yield batch
