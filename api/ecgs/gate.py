"""How many large uploads a process works on at once: parsing one takes up to 20 times the memory of its body."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

from persistence.database.errors import UnavailableError
from settings import number, thread_count

LARGE_BODY: Final = 2 * 1024 * 1024
"""Bodies above this size, in bytes, are limited. Of smaller ones, which the number of threads limits, 16 are 32 MiB."""

MAX_WAITING: Final = 2
"""Maximum number of requests with a large body that wait in a process."""

WAIT_SECONDS: Final = 10


@dataclass(frozen=True)
class EcgsSettings:
    """The settings of the ecgs service."""

    large_bodies_at_once: int = number("LARGE_BODIES_AT_ONCE", default=2, least=1, most=1000)
    threads: int = thread_count()


class UploadsBusyError(UnavailableError):
    """As many large uploads are worked on, and as many wait for that, as the process permits."""

    code = "uploads-busy"
    detail = "Too many large ECGs are being uploaded at the moment. Nothing was stored; retry."


class _Gate(NamedTuple):
    """`requests` admits those that are worked on or wait, `work` those that are worked on."""

    requests: threading.Semaphore
    work: threading.Semaphore


_creating = threading.Lock()  # functools.cache may call its function twice at once


def places(settings: EcgsSettings) -> tuple[int, int]:
    """Returns how many large bodies are worked on at once, and how many wait.

    One thread of several is left over for other requests, whatever the settings are.
    """
    at_once = max(1, min(settings.large_bodies_at_once, settings.threads - 1))
    return at_once, max(0, min(MAX_WAITING, settings.threads - 1 - at_once))


@functools.cache
def _create_gate(at_once: int, waiting: int) -> _Gate:
    return _Gate(threading.Semaphore(at_once + waiting), threading.Semaphore(at_once))


@contextmanager
def admit_upload(body_size: int, settings: EcgsSettings) -> Iterator[None]:
    """Admits a body of so many bytes to the block, a large one as soon as it may be worked on.

    Raises `UploadsBusyError` if too many wait, or after `WAIT_SECONDS`.
    """
    if body_size <= LARGE_BODY:
        yield
        return
    with _creating:
        gate = _create_gate(*places(settings))
    if not gate.requests.acquire(blocking=False):
        raise UploadsBusyError
    try:
        if not gate.work.acquire(timeout=WAIT_SECONDS):
            raise UploadsBusyError
        try:
            yield
        finally:
            gate.work.release()
    finally:
        gate.requests.release()
