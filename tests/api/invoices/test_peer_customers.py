"""Customers of the other site: signatures that are accepted and rejected, and what a message changes."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from api.invoices import service
from persistence.database.connections import reading
from persistence.invoices.tables import CUSTOMERS
from tests.support.outbox import entries
from tests.support.peers import SECRET, encoded, message, signed
from tests.support.serving import serving_service
from tests.support.threads import at_once

ROUTE = "/api/peer-customers"
CUSTOMER = {"name": "Asha Rao", "phone": "9876543210", "address": "1 Street"}


@pytest.fixture(scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder, url = tmp_path_factory.mktemp("site"), "https://other.example"
    with serving_service(service, folder, PEER_SITE_SECRET=SECRET, PEER_SITE_URL=url) as client:
        yield client


@pytest.fixture
def site(app_database: None, _site: httpx.Client) -> httpx.Client:
    """A client of a site that has another one, with a separate database."""
    return _site


def send(site: httpx.Client, content: Any, **headers: str) -> httpx.Response:
    """Sends a signed message."""
    body = encoded(content)
    return site.post(ROUTE, content=body, headers={**signed(body), **headers})


def customers() -> list[dict[str, Any]]:
    """All stored customers without their times, in order."""
    columns = [column for column in CUSTOMERS.c if column.name not in ("id", "created_at")]
    with reading() as connection:
        return [dict(row) for row in connection.execute(select(*columns).order_by(CUSTOMERS.c.id)).mappings()]


# ---- signatures


def test_a_signed_message_is_accepted(site: httpx.Client) -> None:
    sent = message()
    response = send(site, sent)
    assert (response.status_code, response.json()) == (200, {"id": sent["id"]})


BODY = encoded(message())
VALID = "X-Rollbook-Signature"
TIME = "X-Rollbook-Time"


def changed(header: str, change: Callable[[str], str | None]) -> dict[str, str]:
    """Valid headers of `BODY`, one of them changed, or removed by None."""
    headers = signed(BODY)
    new = change(headers.pop(header))
    return headers if new is None else {**headers, header: new}


@pytest.mark.parametrize(
    "headers",
    [
        dict,
        lambda: changed(VALID, lambda _: None),
        lambda: changed(TIME, lambda _: None),
        lambda: changed(VALID, lambda _: ""),
        lambda: changed(VALID, lambda value: value[:-1]),
        lambda: changed(VALID, lambda value: value + "0"),
        lambda: changed(VALID, lambda value: value[:-1] + "g"),
        lambda: changed(VALID, lambda value: value[:-1] + "é"),
        lambda: changed(VALID, lambda value: value[:32] + " " + value[32:]),
        lambda: changed(VALID, lambda value: f"sha256={value}"),
        lambda: changed(VALID, lambda value: ("0" if value[0] != "0" else "1") + value[1:]),
        lambda: changed(VALID, lambda value: f"{value}, {value}"),
        lambda: changed(VALID, lambda value: f"{value},{'0' * 64}"),
        lambda: changed(TIME, lambda value: f"{value},{value}"),
        lambda: changed(TIME, lambda value: str(int(value) + 1)),
        lambda: changed(TIME, lambda value: f"0{value}"),
        lambda: changed(TIME, lambda value: f"+{value}"),
        lambda: changed(TIME, lambda value: f"{value}.0"),
        lambda: changed(TIME, lambda value: f"{value[:-1]}²"),
        lambda: changed(TIME, lambda _: "9" * 5000),
        lambda: changed(TIME, lambda _: "soon"),
        lambda: signed(BODY, skew=303),
        lambda: signed(BODY, skew=-303),
        lambda: signed(BODY, secret=SECRET + "0"),
        lambda: signed(BODY, secret=""),
        lambda: signed(BODY + b" "),
        lambda: signed(BODY.replace(b"Asha", b"Usha")),
        lambda: signed(b""),
    ],
)
def test_any_other_signature_is_rejected(site: httpx.Client, headers: Callable[[], dict[str, str]]) -> None:
    given = [(name.encode(), value.encode()) for name, value in headers().items()]
    response = site.post(ROUTE, content=BODY, headers=given)
    assert (response.status_code, response.json()["type"]) == (401, "/problems/signature-invalid")
    assert response.headers["www-authenticate"] == "Rollbook-Signature"
    assert customers() == []


def test_the_clocks_of_the_sites_may_differ_by_five_minutes(site: httpx.Client) -> None:
    for skew in (-295, 295):
        body = encoded(message())
        assert site.post(ROUTE, content=body, headers=signed(body, skew=skew)).status_code == 200


def test_two_headers_are_not_one_of_them(site: httpx.Client) -> None:
    headers = signed(BODY)
    for name in headers:
        other = [(name, headers[name])]
        assert site.post(ROUTE, content=BODY, headers=[*headers.items(), *other]).status_code == 401
    assert customers() == []


def test_a_body_that_is_too_large_is_rejected_unread(site: httpx.Client) -> None:
    assert site.post(ROUTE, content=b" " * (1024 * 1024 + 1), headers={}).status_code == 413


def test_the_signature_is_checked_before_the_body(site: httpx.Client) -> None:
    response = site.post(ROUTE, content=b"{", headers={})
    assert response.status_code == 401


@pytest.mark.usefixtures("app_database")
def test_without_a_secret_there_is_no_other_site(tmp_path: Path) -> None:
    with serving_service(service, tmp_path) as client:
        response = client.post(ROUTE, content=BODY, headers=signed(BODY, secret=""))
    assert (response.status_code, response.json()["type"]) == (404, "/problems/peer-not-configured")


# ---- customers


def test_a_customer_is_stored_as_if_it_was_created_here(site: httpx.Client) -> None:
    sent = message(name="  Asha  ", phone="+91 98765-43210", id=str(uuid.uuid4()).upper())
    assert send(site, sent).json() == {"id": sent["id"].lower()}
    assert customers() == [
        {
            "customer_uid": sent["id"].lower(),
            "name": "Asha",
            "phone": "+919876543210",
            "address": "1 Street",
            "is_from_peer": True,
        }
    ]
    assert entries() == [], "it is not sent back"


def test_a_repeat_changes_nothing_also_with_other_values(site: httpx.Client) -> None:
    sent = message()
    body = encoded(sent)
    headers = signed(body)
    assert [site.post(ROUTE, content=body, headers=headers).status_code for _ in range(3)] == [200] * 3
    stored = customers()
    assert len(stored) == 1
    assert send(site, {**sent, "name": "Another"}).status_code == 200
    assert customers() == stored


def test_a_repeat_that_the_rules_of_today_reject_is_a_success(site: httpx.Client) -> None:
    sent = message()
    assert send(site, sent).status_code == 200
    stored = customers()
    for changes in ({"name": ""}, {"phone": ..., "address": 7}, {"id": sent["id"].upper(), "name": None}):
        repeat = message(**{"id": sent["id"], **changes})
        for headers in ({}, {"Idempotency-Key": str(changes)}):
            response = send(site, repeat, **headers)
            assert (response.status_code, response.json()) == (200, {"id": sent["id"]})
    assert customers() == stored


def test_a_message_that_arrives_many_times_at_once_is_stored_once(site: httpx.Client) -> None:
    sent = message()
    assert at_once(12, lambda _: send(site, sent).status_code) == [200] * 12
    assert len(customers()) == 1


def test_ones_own_customer_coming_back_changes_nothing(site: httpx.Client) -> None:
    assert site.post("/api/customers", json=CUSTOMER).status_code == 201
    own = customers()
    queued = entries()
    assert send(site, message(id=own[0]["customer_uid"], name="Changed")).status_code == 200
    assert customers() == own
    assert entries() == queued
    assert len(queued) == 1


def test_a_repeated_creation_is_queued_once(site: httpx.Client) -> None:
    for _ in range(2):
        assert site.post("/api/customers", json=CUSTOMER, headers={"Idempotency-Key": "one"}).status_code == 201
    assert len(entries()) == 1


@pytest.mark.usefixtures("app_database")
def test_without_another_site_nothing_is_queued(tmp_path: Path) -> None:
    with serving_service(service, tmp_path, PEER_SITE_SECRET=SECRET) as client:
        assert client.post("/api/customers", json=CUSTOMER).status_code == 201
    assert entries() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": ...}, [("/id", "missing-key")]),
        ({"id": 7}, [("/id", "wrong-type")]),
        ({"id": "7"}, [("/id", "customer-id-invalid")]),
        ({"name": ...}, [("/name", "missing-key")]),
        ({"name": " "}, [("/name", "name-invalid")]),
        ({"name": "a" * 201}, [("/name", "name-invalid")]),
        ({"phone": "123"}, [("/phone", "phone-invalid")]),
        ({"phone": None}, [("/phone", "wrong-type")]),
        ({"address": "a\u0000"}, [("/address", "address-invalid")]),
        ({"phone": 7, "name": ""}, [("/name", "name-invalid"), ("/phone", "wrong-type")]),
        ({"id": "", "name": ""}, [("/id", "customer-id-invalid"), ("/name", "name-invalid")]),
    ],
)
def test_a_customer_that_the_rules_reject_is_400(
    site: httpx.Client,
    changes: dict[str, Any],
    expected: list[tuple[str, str]],
    errors_of: Callable[[httpx.Response], list[tuple[str, str]]],
) -> None:
    response = send(site, message(**changes))
    assert response.status_code == 400
    assert errors_of(response) == expected
    assert customers() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"id":"\\ud800"}', b"\xff"])
def test_a_body_that_is_no_message_is_400(site: httpx.Client, body: bytes) -> None:
    assert site.post(ROUTE, content=body, headers=signed(body)).status_code == 400


def test_other_keys_are_left_out(site: httpx.Client) -> None:
    assert send(site, message(email="a@example.org", customer_uid="x", is_from_peer=False)).status_code == 200
    assert customers()[0]["is_from_peer"] is True


@pytest.mark.usefixtures("app_database")
def test_keys_are_mapped_by_the_setting(
    tmp_path: Path, errors_of: Callable[[httpx.Response], list[tuple[str, str]]]
) -> None:
    mapping = '{"name": "full name", "phone": "mobile/1", "address": "name"}'
    with serving_service(service, tmp_path, PEER_SITE_SECRET=SECRET, PEER_FIELDS=mapping) as client:
        sent = {"id": str(uuid.uuid4()), "full name": "Asha", "mobile/1": "9876543210", "name": "1 Street"}
        assert send(client, {**sent, "address": "ignored", "phone": 1}).status_code == 200
        rejected = send(client, {**sent, "id": str(uuid.uuid4()), "mobile/1": "1", "name": ""})
    assert errors_of(rejected) == [("/mobile~11", "phone-invalid"), ("/name", "address-invalid")]
    assert [(row["name"], row["phone"], row["address"]) for row in customers()] == [("Asha", "9876543210", "1 Street")]


def test_a_key_repeats_the_response_of_the_first_call(site: httpx.Client) -> None:
    sent = message()
    first, second = (send(site, sent, **{"Idempotency-Key": "one"}) for _ in range(2))
    assert first.content == second.content
    assert send(site, message(), **{"Idempotency-Key": "one"}).status_code == 409


def test_raw_bytes_that_are_no_header_value_change_nothing(site: httpx.Client) -> None:
    with socket.create_connection((site.base_url.host, site.base_url.port or 0), 10) as connection:
        lines = [b"POST /api/peer-customers HTTP/1.1", b"Host: localhost", b"Content-Length: 2", b"Connection: close"]
        lines += [b"X-Rollbook-Time: \xff\xfe", b"X-Rollbook-Signature: " + b"\xff" * 64, b"", b"{}"]
        connection.sendall(b"\r\n".join(lines))
        assert connection.recv(1000).split()[1] in (b"400", b"401")
