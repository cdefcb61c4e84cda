"""Delivers customers to the other site, from the outbox. peers.py has the signature.

Each step on the database is a transaction of its own, and none is open while the other site is awaited: so the boundary
of the timer has none. httpx is imported when the first customer is sent, because its import takes 70 ms.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import orjson

from api.http.client import tls_context
from api.invoices.endpoints import service
from api.invoices.peer_settings import PeerSettings
from api.invoices.peers import SIGNATURE_HEADER, TIME_HEADER, sign
from domain.invoices.peers import CLAIM_SECONDS, Attempt, Delivered, Retry, SetAside, decide, to_message
from domain.timestamps import format_timestamp, shift_timestamp
from persistence.database.connections import reading, transaction
from persistence.database.retries import run_with_retries
from persistence.invoices import outbox
from persistence.invoices.outbox import Entry

DEADLINE_SECONDS: Final = 10
"""The time limit of one delivery: connect, send and read together."""

TICK_SECONDS: Final = 15
"""A tick begins no delivery after so many seconds: then the retry budget of its statements ends."""

ROUTE: Final = "api/peer-customers"
_DRAINED_BYTES: Final = 64 * 1024

logger = logging.getLogger("rollbook")

Send = Callable[[bytes, Mapping[str, str]], tuple[int | None, str]]
"""Sends a body with headers. Returns the status of the response; None and the kind of the error without a response."""


@service.timer(
    lambda settings: settings.outbox_schedule,
    name="invoices_outbox",
    enabled=lambda settings: bool(settings.peer_site_url),
)
def invoices_outbox(settings: PeerSettings) -> None:
    """Delivers what is due, the oldest first, for up to `TICK_SECONDS`.

    Ends earlier where another sender is at work, and after a delivery without a response: the next one would wait for
    the same site. An idle tick is one statement.
    """
    stop_at = time.monotonic() + TICK_SECONDS
    entry = _find_next()
    if entry is None:
        return
    outcomes: Counter[str] = Counter()
    with _sender(f"{settings.peer_site_url.rstrip('/')}/{ROUTE}") as send:
        while entry is not None and _deliver(entry, settings, send, outcomes) and time.monotonic() < stop_at:
            entry = _find_next()
    if failed := ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items() if outcome):
        logger.warning("The other site: %s delivered, %s.", outcomes[""], failed)


def _deliver(entry: Entry, settings: PeerSettings, send: Send, outcomes: Counter[str]) -> bool:
    """Delivers an entry unless another sender has it. Returns whether to go on."""
    claim = str(uuid.uuid4())
    if not run_with_retries(partial(_claim, entry, claim)):
        return False
    status, error = _send_customer(entry, settings, send)
    outcome = decide(Attempt(status, error, entry.attempts, entry.first_queued_at), now=_now())
    run_with_retries(partial(_store, entry, claim, outcome))
    outcomes[_describe(outcome)] += 1
    return status is not None


def _describe(outcome: Delivered | Retry | SetAside) -> str:
    match outcome:
        case Retry(error=error):
            return f"failed ({error})"
        case SetAside(reason=reason):
            return f"set aside ({reason})"
    return ""


# ---- database


def _find_next() -> Entry | None:
    def find() -> Entry | None:
        with reading() as connection:
            return outbox.find_next(connection, now=_now())

    return run_with_retries(find)


def _claim(entry: Entry, claim: str) -> bool:
    now = _now()
    with transaction() as connection:
        return outbox.claim(connection, entry.id, claim, now=now, until=shift_timestamp(now, CLAIM_SECONDS))


def _store(entry: Entry, claim: str, outcome: Delivered | Retry | SetAside) -> None:
    with transaction() as connection:
        match outcome:
            case Delivered():
                outbox.delete_delivered(connection, entry.id, claim)
            case Retry(at, error):
                outbox.release(connection, entry.id, claim, next_at=at, error=error)
            case SetAside(reason):
                outbox.release(connection, entry.id, claim, next_at=_now(), error=reason, reason=reason)


def _now() -> str:
    return format_timestamp(datetime.now(UTC))


# ---- HTTP


def _send_customer(entry: Entry, settings: PeerSettings, send: Send) -> tuple[int | None, str]:
    body = orjson.dumps(to_message(entry.customer_uid, entry._asdict(), settings.peer_fields))
    sent_at = str(int(time.time()))
    signature = sign(settings.peer_site_secret, sent_at, body)
    return send(body, {"Content-Type": "application/json", TIME_HEADER: sent_at, SIGNATURE_HEADER: signature})


@contextmanager
def _sender(url: str) -> Iterator[Send]:
    """Yields a function that sends to `url`; its connection is kept between calls."""
    import httpx  # noqa: PLC0415 - see above

    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(verify=tls_context(), timeout=DEADLINE_SECONDS, follow_redirects=False)
        try:
            yield partial(_send, runner, client, url)
        finally:
            runner.run(client.aclose())


def _send(
    runner: asyncio.Runner, client: Any, url: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int | None, str]:
    import httpx  # noqa: PLC0415 - see above

    try:
        return runner.run(_post(client, url, body, headers)), ""
    # OSError includes TimeoutError; UnicodeError is a host name that IDNA rejects.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        return None, type(error).__name__


async def _post(client: Any, url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Returns the status of the response, whose body is read, up to limits, only to keep the connection."""
    import httpx  # noqa: PLC0415 - see above

    status = 0
    try:
        # httpx limits each read, not their sum (encode/httpx#1450): asyncio does.
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            status = response.status_code
            async for _ in response.aiter_raw():
                if response.num_bytes_downloaded > _DRAINED_BYTES:
                    break
    except (httpx.HTTPError, TimeoutError):
        if not status:
            raise
    return status
