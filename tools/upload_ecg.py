"""`python -m tools.upload_ecg RECORD…`: uploads WFDB records, and prints their insights."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tools.api_client import Session, read_insights, signed_in, upload
from tools.http_calls import CallError
from tools.terminal import (
    FAILED,
    INTERRUPTED,
    add_url,
    check_url,
    escape_output,
    open_console,
    print_line,
    printable,
    read_secret,
)

PASSWORD_VARIABLE: Final = "ROLLBOOK_PASSWORD"  # noqa: S105 - the name of a variable
_NO_LIMIT: Final = 10_000
"""The width of the output in columns: a row is never broken or cut, also in a pipe."""

_Bar = Callable[..., None]
"""Shows the `total` and the `completed` bytes of a record."""


class Uploaded(NamedTuple):
    """A record that the service has, with one object of insights per lead."""

    record: str
    ecg_id: str
    leads: list[dict[str, Any]]


class Outcome(NamedTuple):
    """What was done so far. `failed` has the reason for each record that was not uploaded."""

    uploaded: list[Uploaded]
    failed: list[tuple[str, str]]


def main(arguments: list[str] | None = None) -> int:
    """Uploads the records of the command line and returns the exit code; wrong arguments raise `SystemExit`."""
    escape_output()
    options = _parse_arguments(arguments)
    outcome, interrupted = Outcome([], []), False
    try:
        _upload_records(options, read_secret(PASSWORD_VARIABLE, "password"), outcome)
    except KeyboardInterrupt:
        interrupted = True
    except CallError as error:
        print(f"Stopped: {printable(str(error)).rstrip('.')}. Nothing was uploaded.", file=sys.stderr)
        return FAILED
    _print_insights(outcome.uploaded)
    _print_summary(outcome, len(options.records), interrupted=interrupted)
    return INTERRUPTED if interrupted else FAILED if outcome.failed else 0


def _parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.upload_ecg",
        description="Uploads WFDB records to Rollbook, and prints their insights.",
        epilog=f"The password is typed at the terminal, or is the variable {PASSWORD_VARIABLE}.",
    )
    parser.add_argument("records", nargs="+", metavar="RECORD", help="path of a record, with or without .hea")
    add_url(parser)
    parser.add_argument("--username", required=True, help="of an account with role USER")
    parser.add_argument("--centre", action="store_true", help="subtract the baseline of the header")
    parser.add_argument("--zone", type=_zone, default=UTC, help="time zone of the headers' times (default UTC)")
    options = parser.parse_args(arguments)
    check_url(parser, options, "the password and the ECGs")
    return options


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # KeyError: ZoneInfoNotFoundError; OSError: a folder of zones
        raise argparse.ArgumentTypeError(f"unknown time zone {name!r}; a known one is Europe/Berlin") from None


def _upload_records(options: argparse.Namespace, password: str, outcome: Outcome) -> None:
    """Adds every record to the outcome. Raises `CallError` if the account cannot sign in."""
    console = open_console()
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )

    report = partial(print_line, console)
    with signed_in(str(options.url), options.username, password, report) as session, progress:
        for number, record in enumerate(options.records, 1):
            # The name alone: a long path would leave no room for the bar.
            description = printable(f"{number}/{len(options.records)} {Path(record).name}")
            task = progress.add_task(description, total=None)
            _upload_record(session, options, record, outcome, partial(progress.update, task))
            progress.remove_task(task)


def _upload_record(session: Session, options: argparse.Namespace, record: str, outcome: Outcome, bar: _Bar) -> None:
    from tools.wfdb_records import RecordError, read_body  # noqa: PLC0415 - a usage error should not take a second

    try:
        body = read_body(record, centre=options.centre, zone=options.zone)
        bar(total=len(body))
        ecg_id = upload(session, body, lambda sent: bar(completed=sent))
        outcome.uploaded.append(_read_uploaded(session, record, ecg_id))
    except (RecordError, CallError) as error:
        outcome.failed.append((record, str(error)))
    except KeyboardInterrupt:
        reason = "interrupted; the service may have stored it, and a new run does not store it again"
        outcome.failed.append((record, reason))
        raise


def _read_uploaded(session: Session, record: str, ecg_id: str) -> Uploaded:
    try:
        return Uploaded(record, ecg_id, read_insights(session, ecg_id))
    except CallError as error:
        raise CallError(f"uploaded as {ecg_id}, but its insights cannot be read: {error}") from None


def _print_insights(uploaded: list[Uploaded]) -> None:
    """Prints a row per record and lead, with a column for each insight that the service has."""
    names = list(dict.fromkeys(name for entry in uploaded for lead in entry.leads for name in lead if name != "name"))
    table = Table(box=None, pad_edge=False)
    for title in ("record", "ecg_id", "lead"):
        table.add_column(title, no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for record, ecg_id, leads in uploaded:
        for lead in leads:
            texts = [record, ecg_id, lead["name"], *(str(lead.get(name, "")) for name in names)]
            table.add_row(*(Text(printable(text)) for text in texts))
    if uploaded:
        Console(width=_NO_LIMIT, force_terminal=sys.stdout.isatty()).print(table, soft_wrap=True)


def _print_summary(outcome: Outcome, total: int, *, interrupted: bool) -> None:
    if interrupted:
        print("Stopped: interrupted.", file=sys.stderr)
    print(f"{len(outcome.uploaded)} of {total} records uploaded.", file=sys.stderr)
    for record, reason in outcome.failed:
        print(printable(f"  {record}: {reason}"), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
