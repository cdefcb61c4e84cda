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
from typing import Any, Final, NamedTuple

import orjson

from api.http.client import tls_context
from api.invoices.endpoints import service
from api.invoices.peer_settings import PeerSettings
from api.invoices.peers import SIGNATURE_HEADER, TIME_HEADER, sign
from domain.invoices.peers import (
    CLAIM_SECONDS,
    UID_KEY,
    Attempt,
    Delivered,
    Result,
    Retry,
    SetAside,
    decide,
    to_message,
)
from domain.timestamps import format_timestamp, shift_timestamp
from persistence.database.connections import reading, transaction
from persistence.database.errors import LostRaceError
from persistence.database.retries import run_with_retries
from persistence.invoices import outbox
from persistence.invoices.outbox import Entry

DEADLINE_SECONDS: Final = 10
"""The time limit of one delivery: connect, send and read together."""

TICK_SECONDS: Final = 15
"""A tick begins no delivery after so many seconds: then the retry budget of its statements ends."""

ROUTE: Final = "api/peer-customers"
_READ_BYTES: Final = 64 * 1024

_REJECTIONS: Final = frozenset({400, 413, 422})
"""The statuses with which the peer rejects a customer, whatever their body; 409 is another one, see `_result`."""

_LOST_RACE: Final = f"/problems/{LostRaceError.code}"

logger = logging.getLogger("rollbook")


class PeerResponse(NamedTuple):
    """A response of the peer. `content` is None if it did not arrive whole, or has more than `_READ_BYTES`.

    `status` is None without a response. `error` is the kind of the error that ended the response or its body.
    """

    status: int | None
    content: bytes | None
    error: str = ""


Send = Callable[[bytes, Mapping[str, str]], PeerResponse]
"""Sends a body with headers."""


@service.timer(
    lambda settings: settings.outbox_schedule,
    name="invoices_outbox",
    enabled=lambda settings: bool(settings.peer_site_url),
)
def invoices_outbox(settings: PeerSettings) -> None:
    """Delivers what is due, the oldest first, for up to `TICK_SECONDS`.

    Ends earlier where another sender is at work, and after a response that did not arrive whole: the next delivery
    would wait for the same site. An idle tick is one statement.
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
    response = _send_customer(entry, settings, send)
    result, error = _result(response, entry.customer_uid)
    outcome = decide(Attempt(result, error, entry.attempts, entry.first_queued_at), now=_now())
    run_with_retries(partial(_store, entry, claim, outcome))
    outcomes[_describe(outcome)] += 1
    return not response.error


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


def _result(response: PeerResponse, uid: str) -> tuple[Result, str]:
    """Returns how the delivery of the customer `uid` ended, and the error unless the peer accepted it.

    A success without the id is one of another server, such as a login page, or its body is missing: the customer is
    sent again. A 409 is transient if its body says so, or is missing.
    """
    status = response.status
    if status is None:
        return Result.FAILED, response.error
    if 200 <= status < 300:
        if str(_members(response).get(UID_KEY)).lower() == uid:
            return Result.ACCEPTED, ""
        return Result.FAILED, f"status {status} without the customer's id"
    is_conflict = status == 409 and response.content is not None and _members(response).get("type") != _LOST_RACE
    return Result.REJECTED if status in _REJECTIONS or is_conflict else Result.FAILED, f"status {status}"


def _members(response: PeerResponse) -> Mapping[str, object]:
    try:
        content = orjson.loads(response.content or b"")
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _send_customer(entry: Entry, settings: PeerSettings, send: Send) -> PeerResponse:
    body = orjson.dumps(to_message(entry.customer_uid, entry._asdict(), settings.peer_fields))
    sent_at = str(int(time.time()))
    signature = sign(settings.peer_site_secret, sent_at, body)
    headers = {"Content-Type": "application/json", TIME_HEADER: sent_at, SIGNATURE_HEADER: signature}
    return send(body, {**headers, "Accept-Encoding": "identity"})  # the body is read as it is, up to a limit


@contextmanager
def _sender(url: str) -> Iterator[Send]:
    """Yields a function that sends to `url`; its connection is kept between calls."""
    import httpx  # noqa: PLC0415 - see above

    # Over https the proxy of a company, HTTPS_PROXY, learns the host alone. Over http, which is for loopback only, a
    # proxy would read the customers. No .netrc adds credentials: httpx reads one only where NetRCAuth is given.
    # www.python-httpx.org/environment_variables, www.python-httpx.org/advanced/authentication
    trust_env = url.lower().startswith("https:")
    with asyncio.Runner() as runner:
        client = httpx.AsyncClient(
            verify=tls_context(), timeout=DEADLINE_SECONDS, follow_redirects=False, trust_env=trust_env
        )
        try:
            yield lambda body, headers: runner.run(_post(client, url, body, headers))
        finally:
            runner.run(client.aclose())


async def _post(client: Any, url: str, body: bytes, headers: Mapping[str, str]) -> PeerResponse:
    import httpx  # noqa: PLC0415 - see above

    status, content = None, b""
    try:
        # httpx limits each read, not their sum (encode/httpx#1450): asyncio does.
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            status = response.status_code
            async for part in response.aiter_raw():
                content += part
                if len(content) > _READ_BYTES:
                    return PeerResponse(status, None)
    # OSError includes TimeoutError; UnicodeError is a host name that IDNA rejects.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        return PeerResponse(status, None, type(error).__name__)
    return PeerResponse(status, content)
