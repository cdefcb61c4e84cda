"""`import`: the users of a file are created in batches, and the errors of rows go to the error file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from tools.users_csv_calls import Created, Erased, Service, Violation, create_users, find_users
from tools.users_csv_progress import Advance
from tools.users_csv_rows import (
    COLUMNS,
    FileError,
    Row,
    RowError,
    normalize,
    normalize_mob_num,
    read_rows,
    reject_repeated,
    split_batches,
)

ERRORS_SUFFIX: Final = ".errors.csv"

_BY_EARLIER_RUN: Final = {"mob-num-changed", "response-erased"}
_CHANGED: Final = "An earlier run created this user, whose mob_num is another one now. Nothing was created."
_TAKEN: Final = "An active user with other data has this mob_num."


@dataclass
class Counts:
    """What became of the rows of complete batches, and whether any batch was sent."""

    created: int = 0
    unchanged: int = 0
    failed: int = 0
    sent: bool = False

    @property
    def rows(self) -> int:
        """The number of all rows."""
        return self.created + self.unchanged + self.failed


WriteErrors = Callable[[Iterable[RowError]], object]


@contextmanager
def open_error_file(path: Path) -> Iterator[WriteErrors]:
    """Yields a function that adds errors to a new error file, which replaces that of an earlier run.

    Each call is one write, so that the file has whole lines however the program ends. A file without errors is
    removed at the end. Raises `FileError`.
    """
    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror}") from None
    with file:
        header = file.write(_csv_lines([RowError._fields]))
        try:
            yield lambda errors: file.write(_csv_lines(errors))
        finally:
            if file.tell() == header:
                path.unlink(missing_ok=True)


def _csv_lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def import_users(
    service: Service, file: TextIO, options: Mapping[str, object], write: WriteErrors, counts: Counts, advance: Advance
) -> None:
    """Creates the users of a file, and counts its rows. Raises `FileError`, `CallError`."""
    for batch in split_batches(reject_repeated(read_rows(file))):
        counts.sent = True
        done, errors = _import_batch(service, batch, options)
        write(sorted(errors))
        failed = len({error.line for error in errors})
        counts.created += len(batch) - failed - done
        counts.unchanged += done
        counts.failed += failed
        advance(counts.rows, file.buffer.tell())


def _import_batch(service: Service, batch: Sequence[Row], options: Mapping[str, object]) -> tuple[int, list[RowError]]:
    """Creates the users of a batch; invalid rows are left out and the others sent again.

    Returns the number of users who are there with the same data, and the errors of the others who were not created.
    """
    errors = [row.error for row in batch if row.error]
    rows = [row for row in batch if not row.error]
    unchanged = 0
    while rows:
        outcome = create_users(service, [row.user for row in rows], options)
        if isinstance(outcome, Created) and not outcome.earlier:
            break
        violations = _violations(outcome, len(rows))
        same, found = _settle(service, rows, violations)
        errors += found
        left_out = set(violations)
        if found and isinstance(outcome, list):
            # An earlier run may have created all but the invalid rows: its key shows who was deleted since.
            left_out -= same
        else:
            unchanged += len(same)
        rows = [row for position, row in enumerate(rows) if position not in left_out]
    return unchanged, errors


def _violations(outcome: Created | Erased | list[Violation], rows: int) -> dict[int, list[Violation]]:
    """Returns the violations by position: of every row where an earlier run has created all of them."""
    if isinstance(outcome, Created):
        outcome = [Violation(position, "mob_num", "mob-num-changed", _CHANGED) for position in range(rows)]
    elif isinstance(outcome, Erased):
        outcome = [Violation(position, "", "response-erased", outcome.detail) for position in range(rows)]
    violations: dict[int, list[Violation]] = {}
    for violation in outcome:
        violations.setdefault(violation.position, []).append(violation)
    return violations


def _settle(
    service: Service, rows: Sequence[Row], violations: Mapping[int, Sequence[Violation]]
) -> tuple[set[int], list[RowError]]:
    """Returns the positions of the rows whose users are there with the same data, and the errors of the others."""
    mob_nums = [normalize_mob_num(rows[position].user.get("mob_num", "")) for position in violations]
    records = find_users(service, [number for number in mob_nums if number])
    same: set[int] = set()
    errors: list[RowError] = []
    for (position, found), mob_num in zip(violations.items(), mob_nums, strict=True):
        row, record = rows[position], records.get(mob_num or "")
        if record and normalize(row.user) == tuple(record[name] for name in COLUMNS):
            same.add(position)
        elif record and found[0].code in _BY_EARLIER_RUN:
            errors.append(row.fail("mob_num", "mob-num-taken", _TAKEN))
        else:
            errors += [row.fail(field, code, detail) for _, field, code, detail in found]
    return same, errors
