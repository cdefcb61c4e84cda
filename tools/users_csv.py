"""`python -m tools.users_csv export|import FILE`: users as a CSV file."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tools.http_calls import CallError
from tools.terminal import (
    FAILED,
    INTERRUPTED,
    USAGE,
    add_url,
    check_url,
    escape_output,
    open_console,
    print_line,
    printable,
    read_secret,
)
from tools.users_csv_calls import Service, open_service
from tools.users_csv_export import export_users
from tools.users_csv_import import ERRORS_SUFFIX, Counts, import_users, open_error_file
from tools.users_csv_progress import show_progress
from tools.users_csv_rows import BATCH_ROWS, COLUMNS, FileError, open_users

KEY_VARIABLE: Final = "ROLLBOOK_KEY"

_KEY: Final = f"The function key is typed at the terminal, or is the variable {KEY_VARIABLE}; an empty one is not sent."
_IMPORT: Final = f"""\
FILE is CSV in UTF-8, delimited by commas or semicolons. Its header names the
columns, in any order: {", ".join(COLUMNS)}. manager_id may
be empty, or absent.

Users are created {BATCH_ROWS:,} rows at a time. A row with an error is written to
FILE{ERRORS_SUFFIX} (line, field, code, detail) and does not stop the others. An
import that was interrupted is simply run again: users who are there with the
same data are counted as unchanged.

Exit code: 0 all rows, 1 some rows, 2 cannot run, 130 interrupted.
"""
_EXPORT: Final = f"""\
The columns are those that import reads: {", ".join(COLUMNS)}.
FILE is replaced when the new one is complete.

Exit code: 0 written, 2 cannot run, 130 interrupted.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code; wrong arguments raise `SystemExit`."""
    escape_output()
    options = _parse_arguments(arguments)
    counts = Counts()
    code, stopped = 0, ""
    try:
        code = _run(options, counts)
    except KeyboardInterrupt:
        code, stopped = INTERRUPTED, "interrupted"
    except (FileError, CallError, OSError, sqlite3.Error) as error:  # the last two: a full disk
        code, stopped = FAILED if counts.rows else USAGE, str(error).rstrip(".")
    if stopped:
        print(printable(f"Stopped: {stopped}."), file=sys.stderr)
    if options.command == "import" and (code == 0 or (counts.sent and code != USAGE)):
        _print_counts(options, counts, stopped=bool(stopped))
    return code


def _parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.users_csv",
        description="Exports the users of Rollbook to a CSV file, or imports them.",
        epilog=_KEY,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="export|import")
    form: dict[str, Any] = {"epilog": _KEY, "formatter_class": argparse.RawDescriptionHelpFormatter}
    export = commands.add_parser("export", help="write the current users to FILE", description=_EXPORT, **form)
    export.add_argument("--masked", action="store_true", help="mask numbers and PANs; such a file is no import")
    export.add_argument("--as-of", metavar="TIME", help="the users at this time, as 2026-11-20T12:00:00Z")
    imports = commands.add_parser("import", help="create the users of FILE", description=_IMPORT, **form)
    imports.add_argument("--dry-run", action="store_true", help="check all rows, create nothing")
    imports.add_argument("--all-or-nothing", action="store_true", help="check all rows first; stop if one has an error")
    imports.add_argument("--changed-by", metavar="WHO", help="for the log of changes: who imports")
    imports.add_argument("--reason", metavar="WHY", help="for the log of changes: why; do not name users")
    for command in (export, imports):
        command.add_argument("file", metavar="FILE", type=Path)
        add_url(command)
    options = parser.parse_args(arguments)
    check_url(parser, options, "the key and the users")
    return options


def _run(options: argparse.Namespace, counts: Counts) -> int:
    """Runs the command and returns the exit code. Raises `FileError`, `CallError`."""
    key = read_secret(KEY_VARIABLE, "function key")
    console = open_console()
    service = open_service(str(options.url), key, partial(print_line, console))
    with service.http:
        if options.command == "export":
            return _export(service, options, console)
        return _import(service, options, console, counts)


def _export(service: Service, options: argparse.Namespace, console: Console) -> int:
    with show_progress(console, options.file.name, None) as advance:
        users, formulas = export_users(
            service, options.file, masked=options.masked, as_of=options.as_of, advance=advance
        )
    print(printable(f"Users written to {options.file}: {users:,}."), file=sys.stderr)
    if formulas:
        warning = "Names that a spreadsheet would evaluate, since they begin with =, +, - or @"
        print(f"{warning}: {formulas:,}. Import the columns there as text.", file=sys.stderr)
    return 0


def _import(service: Service, options: argparse.Namespace, console: Console, counts: Counts) -> int:
    body = {"changed_by": options.changed_by, "reason": options.reason, "dry_run": options.dry_run or None}
    body = {name: value for name, value in body.items() if value is not None}
    with open_users(options.file) as file, open_error_file(_errors_path(options)) as write:

        def run(title: str, body: dict[str, Any], counts: Counts) -> int:
            with show_progress(console, f"{title} {options.file.name}", options.file.stat().st_size) as advance:
                import_users(service, file, body, write, counts, advance)
            return FAILED if counts.failed else 0

        if options.all_or_nothing and not options.dry_run:
            checked = Counts()
            if run("Checking", {**body, "dry_run": True}, checked):
                text = f"Rows with errors: {checked.failed:,}, see {_errors_path(options)}. Nothing was imported."
                print(printable(text), file=sys.stderr)
                return FAILED
        return run("Checking" if options.dry_run else "Importing", body, counts)


def _errors_path(options: argparse.Namespace) -> Path:
    path: Path = options.file
    return path.with_name(path.name + ERRORS_SUFFIX)


def _print_counts(options: argparse.Namespace, counts: Counts, *, stopped: bool) -> None:
    created = "Would be created" if options.dry_run else "Created"
    errors = f", see {_errors_path(options)}" if counts.failed else ""
    text = (
        f"{created}: {counts.created:,}. Unchanged: {counts.unchanged:,}. Rows with errors: {counts.failed:,}{errors}."
    )
    print(printable(text), file=sys.stderr)
    if stopped and not options.dry_run:
        print("The next rows may have been created too: run the same command again.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
