"""One tick of the timer: what it sends, in which order, and what follows each response."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import orjson
import pytest

import settings
from api.http.endpoint import timer_function
from api.invoices import delivery, service
from domain.timestamps import format_timestamp, shift_timestamp
from persistence.invoices import outbox
from tests.support.outbox import change, entries, new_customer, next_entry, queued_names
from tests.support.peers import SECRET, PeerSite, peer_site

pytestmark = pytest.mark.usefixtures("app_database")

Tick = Callable[..., None]


class Context:
    """The context that the host passes to a function."""

    invocation_id = "0b5a7f0e-4c6d-4f1e-9b1a-2d3c4b5a6f70"


class Request:
    """The request that the host passes to a timer."""

    past_due = False


@pytest.fixture
def peer() -> Iterator[PeerSite]:
    """A stand-in of the other site."""
    with peer_site() as site:
        yield site


@pytest.fixture
def tick(peer: PeerSite, tmp_path: Path) -> Tick:
    """A function that runs the timer once."""

    def run(**variables: str) -> None:
        given = {"PEER_SITE_URL": peer.url, "PEER_SITE_SECRET": SECRET, **variables}
        timers = {timer.name: timer for timer in service.build(settings.load(given, tmp_path)).timers}
        timer_function(timers["invoices_outbox"])(timer=Request(), context=Context())

    return run


def now() -> str:
    """The present."""
    return format_timestamp(datetime.now(UTC))


def queue(*names: str, waited: int = 0) -> None:
    """Stores customers that were queued so many seconds ago, in this order."""
    for name in names:
        new_customer(name, queued_at=shift_timestamp(now(), -waited))


def test_a_customer_is_sent_signed_and_leaves_the_outbox(tick: Tick, peer: PeerSite) -> None:
    queue("Asha Rao")
    entry = next_entry(now())
    assert entry is not None
    tick()
    ((path, headers, body),) = peer.received
    assert path == "/api/peer-customers"
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity", "the response is read as it is"
    assert abs(int(headers["x-rollbook-time"]) - time.time()) < 60
    expected = {"id": entry.customer_uid, "name": "Asha Rao", "phone": "+919876543210", "address": "1 Street"}
    assert orjson.loads(body) == expected
    text = headers["x-rollbook-time"].encode() + b"." + body
    assert headers["x-rollbook-signature"] == hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()
    assert entries() == []


def test_keys_and_the_path_of_the_site_are_those_of_the_settings(tick: Tick, peer: PeerSite) -> None:
    queue("Asha")
    tick(PEER_SITE_URL=f"{peer.url}/shop/", PEER_FIELDS='{"name":"full_name","phone":"mobile","address":"addr"}')
    ((path, _, body),) = peer.received
    assert path == "/shop/api/peer-customers"
    assert sorted(orjson.loads(body)) == ["addr", "full_name", "id", "mobile"]


def test_a_tick_delivers_everything_in_order_on_one_connection(tick: Tick, peer: PeerSite) -> None:
    names = [f"customer {number}" for number in range(30)]
    queue(*names)
    tick()
    assert peer.names == names
    assert entries() == []
    assert len(peer.clients) == 1


def test_an_idle_tick_is_one_statement(tick: Tick, count_statements: Callable[[], int]) -> None:
    queue("Asha", waited=-3600)
    count_statements()
    tick()
    assert count_statements() == 1


def test_a_rejected_customer_is_set_aside_and_the_others_are_sent(
    tick: Tick, peer: PeerSite, caplog: pytest.LogCaptureFixture
) -> None:
    queue("a", "b", "c", "d", "e")
    peer.statuses = [400, 409, 413, 422]
    with caplog.at_level(logging.INFO, logger="rollbook"):
        tick()
    assert peer.names == ["a", "b", "c", "d", "e"]
    reasons = [(row["set_aside_reason"], row["attempts"], row["claim"]) for row in entries()]
    assert reasons == [(f"status {status}", 1, None) for status in (400, 409, 413, 422)]
    tick()
    assert len(peer.received) == 5
    first, second, *_ = caplog.messages
    assert first.startswith("The other site: 1 delivered, 1 set aside (status 400), 1 set aside (status 409), ")
    assert second.startswith("invoices_outbox ok 200 ")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"<h1>Log in</h1>", b'{"id":null}', b'{"id":"1c6dbe1a-2f0e-4a35-b9f2-3c1d5a0f8e77"}'],
)
def test_a_success_without_the_id_is_a_failure(tick: Tick, peer: PeerSite, content: bytes) -> None:
    queue("a", "b")
    peer.content = content
    tick()
    waiting = [(row["last_error"], row["set_aside_reason"]) for row in entries()]
    assert waiting == [("status 200 without the customer's id", None)] * 2


@pytest.mark.parametrize("status", [200, 201, 299])
def test_any_success_with_the_id_in_any_case_delivers(tick: Tick, peer: PeerSite, status: int) -> None:
    queue("Asha")
    entry = next_entry(now())
    assert entry is not None
    peer.statuses, peer.content = [status], orjson.dumps({"id": entry.customer_uid.upper(), "name": "Asha"})
    tick()
    assert entries() == []


def test_of_the_conflicts_a_lost_race_alone_waits(tick: Tick, peer: PeerSite) -> None:
    codes = ["lost-race", "name-taken"]
    for code in codes:
        queue(code)
        peer.statuses, peer.content = [409], orjson.dumps({"type": f"/problems/{code}"})
        tick()
    assert [row["last_error"] for row in entries()] == ["status 409", "status 409"]
    assert [bool(row["set_aside_reason"]) for row in entries()] == [False, True]


def test_a_proxy_of_the_environment_is_for_https_alone(
    tick: Tick, peer: PeerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with peer_site() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        queue("Asha")
        tick()
        assert (len(peer.received), proxy.received) == (1, [])
        queue("Ravi")
        tick(PEER_SITE_URL="https://other.invalid")
    assert [row["last_error"] for row in entries()] == ["ProxyError"], "the stand-in has no CONNECT"


def test_other_failures_wait_and_do_not_hold_up_the_rest(tick: Tick, peer: PeerSite) -> None:
    statuses = [302, 401, 403, 404, 405, 408, 411, 429, 500, 503]
    names = [f"customer {status}" for status in statuses]
    queue(*names)
    peer.statuses = [*statuses]
    tick()
    assert peer.names == names, "a redirect is not followed"
    assert [row["last_error"] for row in entries()] == [f"status {status}" for status in statuses]
    assert not any(row["set_aside_reason"] for row in entries())
    tick()
    assert len(peer.received) == len(names), "they wait"
    change(outbox.requeue, None, now=now())
    tick()
    assert peer.names == names * 2
    assert entries() == []


def test_a_site_without_a_response_ends_the_tick(tick: Tick, peer: PeerSite) -> None:
    queue("a", "b")
    tick(PEER_SITE_URL="http://127.0.0.1:9")
    errors = [row["last_error"] for row in entries()]
    assert errors == ["ConnectError", None]

    def cut(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.close_connection = True

    peer.respond = cut
    tick()
    assert entries()[1]["last_error"] == "RemoteProtocolError"


def test_a_slow_site_is_given_up_after_the_deadline(
    tick: Tick, peer: PeerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def drip(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        while not released.wait(0.05):  # each read gets something, so that no limit of a read applies
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: 1" if not handler.close_connection else b"1")
            handler.close_connection = True

    monkeypatch.setattr(delivery, "DEADLINE_SECONDS", 0.5)
    peer.respond = drip
    queue("Asha")
    started = time.monotonic()
    tick()
    assert time.monotonic() - started < 5
    released.set()
    assert entries()[0]["last_error"] == "TimeoutError"


@pytest.mark.parametrize(
    ("status", "error", "is_set_aside"),
    [
        (200, "status 200 without the customer's id", False),  # repeated, which is harmless
        (409, "status 409", False),  # may be a lost race
        (413, "status 413", True),
        (503, "status 503", False),
    ],
)
@pytest.mark.parametrize("stalls", [False, True])
def test_of_a_response_that_is_not_whole_the_status_counts(
    tick: Tick,
    peer: PeerSite,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    error: str,
    is_set_aside: bool,
    stalls: bool,
) -> None:
    released = threading.Event()

    def cut(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        content = b'{"id": "%b"' % orjson.loads(body)["id"].encode()
        handler.wfile.write(b"HTTP/1.1 %d X\r\nContent-Length: 100\r\n\r\n%b" % (status, content))
        handler.wfile.flush()
        released.wait(30 if stalls else 0)
        handler.close_connection = True

    monkeypatch.setattr(delivery, "DEADLINE_SECONDS", 0.5)
    peer.respond = cut
    queue("a", "b")
    started = time.monotonic()
    tick()
    released.set()
    assert time.monotonic() - started < 5
    first, second = entries()
    assert (first["last_error"], bool(first["set_aside_reason"])) == (error, is_set_aside)
    assert second["last_error"] is None, "the tick ends"


def test_a_response_without_end_is_not_read(tick: Tick, peer: PeerSite) -> None:
    def flood(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\n")
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            handler.close_connection = True

    peer.respond = flood
    queue("Asha")
    tick()
    assert entries()[0]["last_error"] == "status 200 without the customer's id"


def test_a_tick_is_limited_in_time(tick: Tick, peer: PeerSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TICK_SECONDS", 0)
    queue("a", "b")
    tick()
    assert peer.names == ["a"]
    assert queued_names() == ["b"]


def test_a_claimed_entry_is_left_to_its_sender(tick: Tick, peer: PeerSite) -> None:
    queue("a", "b")
    until = shift_timestamp(now(), 30)
    assert change(outbox.claim, entries()[0]["id"], str(uuid.uuid4()), now=now(), until=until)
    tick()
    assert peer.received == []


def test_two_senders_at_once_send_each_customer_once(tick: Tick, peer: PeerSite) -> None:
    names = [f"customer {number}" for number in range(20)]
    queue(*names)

    def both() -> None:
        while next_entry(now()) is not None:
            tick()

    threads = [threading.Thread(target=both) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert peer.names == names
    assert entries() == []


def test_after_14_days_a_customer_is_set_aside(tick: Tick, peer: PeerSite) -> None:
    peer.statuses = [503, 503]
    days = 14 * 24 * 3600
    queue("old", waited=days)
    queue("young", waited=days - 3600)
    tick()
    assert [row["set_aside_reason"] for row in entries()] == ["status 503, for 14 days", None]
