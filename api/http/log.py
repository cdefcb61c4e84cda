"""The log lines of calls: never names, numbers, PANs, or the texts of exceptions, which contain values."""

from __future__ import annotations

import logging
import time
import traceback
from functools import cache
from typing import Final

from persistence.database.errors import error_code
from persistence.database.retries import take_retry_cause

logger = logging.getLogger("rollbook")

MAX_FRAMES: Final = 50
"""Maximum number of logged frames of an unexpected error, innermost first: an endless recursion has a thousand."""


def log_call(function: str, status: int, code: str, started: int, invocation_id: str) -> None:
    """Logs one call of an endpoint or a timer; `started` is a value of `time.perf_counter_ns`."""
    milliseconds = (time.perf_counter_ns() - started) / 1e6
    outcome = "ok" if status < 400 else "refused" if status < 500 else "failed"
    cause = take_retry_cause()
    level = logging.ERROR if status >= 500 else logging.WARNING if cause else logging.INFO
    if cause and cause != code:
        code = f"{code} {cause}".lstrip()
    logger.log(level, "%s %s %d %.1f ms %s %s", function, outcome, status, milliseconds, invocation_id, code)


def log_unexpected(error: BaseException, function: str, invocation_id: str) -> None:
    """Logs the type, the database's code and the frames of an unexpected error."""
    frames = traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES)
    where = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    logger.error("%s error %s %s %s %s", function, type(error).__name__, error_code(error) or "-", where, invocation_id)


@cache
def log_observer_error(kind: str) -> None:
    """Logs an observer's error once per type, because an observer that fails usually fails at every call."""
    logger.error("observer error %s", kind)
