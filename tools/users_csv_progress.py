"""The progress of a file: a bar with rate and time left at a terminal, else a line from time to time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tools.terminal import print_line, printable

LINE_SECONDS: Final = 5
"""Between two lines."""

Advance = Callable[[int, int], None]
"""Gets the rows and the bytes of the file that are done; the bytes are 0 where the total is unknown."""


@contextmanager
def show_progress(console: Console, title: str, total: int | None) -> Iterator[Advance]:
    """Shows how many rows and bytes are done; `total` is the number of bytes, None if it is unknown."""
    started = time.monotonic()
    if not console.is_terminal:
        yield _line_printer(console, title, total, started)
        return
    columns = (BarColumn(), TextColumn("{task.fields[text]}"), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}", markup=False), *columns, console=console, transient=True) as bar:
        task = bar.add_task(printable(title), total=total, text="")

        def advance(rows: int, done: int) -> None:
            bar.update(task, completed=done, text=_rate(rows, time.monotonic() - started))

        yield advance


def _line_printer(console: Console, title: str, total: int | None, started: float) -> Advance:
    printed = started

    def advance(rows: int, done: int) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed < LINE_SECONDS:
            return
        printed = now
        left = f", {timedelta(seconds=round((now - started) * (total - done) / done))} left" if total and done else ""
        print_line(console, f"{title}: {_rate(rows, now - started)}{left}")

    return advance


def _rate(rows: int, seconds: float) -> str:
    return f"{rows:,} rows, {rows / seconds if seconds else 0:,.0f}/s"
