"""The app returns the same responses under the worker runtime as under the development host, header by header."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any, Final, NamedTuple

import httpx
import pytest

from api.ecgs.uploads import BODY_LIMIT as ECG_LIMIT
from api.http.requests import BODY_LIMIT
from tests.runtime.process import Response, Runtime
from tests.support.programs import LOG_LINE, WAIT_SECONDS, Program

MANAGERS: Final = [f"11111111-1111-4111-8111-11111111111{digit}" for digit in range(1, 6)]
UNKNOWN: Final = "99999999-9999-4999-8999-999999999999"
NAMES: Final = ["Asha Unmistakable", "अशोक कुमार", "Zoë 李 🙂", "Meera Ravi"]
NUMBERS: Final = ["9876543210", "9876543211", "9876543212", "9876543213"]
PANS: Final = ["ABCPE1234F", "AAACB1234C", "ABCHE4321K", "ZZZTZ9999Z"]
PAYERS: Final = ["DANNON", "UNILEVER", "मिलर & Söhne"]

# Headers of the connection, not of the response.
_CONNECTION_HEADERS: Final = {"date", "server", "connection", "content-length", "transfer-encoding"}
# The ids of the seed and UNKNOWN stay: they are the same everywhere.
_RANDOM: Final = re.compile(
    r"(?P<uuid>(?!([0-9a-f])\2{7})[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|"
    r"(?P<timestamp>20(?!20-)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"
)


class Exchange(NamedTuple):
    """A request and its response, with random ids and timestamps replaced."""

    request: str
    status: int
    headers: dict[str, str]
    body: str


class Client:
    """Sends requests one way, and records the exchanges."""

    def __init__(self, request_for: Callable[..., httpx.Request], deliver: Callable[[httpx.Request], Response]) -> None:
        self.exchanges: list[Exchange] = []
        self._request_for = request_for
        self._deliver = deliver
        self._replaced: dict[str, str] = {}

    def send(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """The parsed body of the response; None where it is empty."""
        if body is not None:
            options["json"] = body
        request = self._request_for(method, path, **options)
        sent = f"{len(self.exchanges)}: {method} {path} {request.read().decode(errors='replace')}"
        response = self._deliver(request)
        kept = {name: value for name, value in response.headers.items() if name not in _CONNECTION_HEADERS}
        headers = {name: self._comparable(value) for name, value in kept.items()}  # Location has an id
        received = self._comparable(response.body.decode(errors="replace"))  # a PDF is the same in every process
        self.exchanges.append(Exchange(self._comparable(sent)[:300], response.status, headers, received))
        return json.loads(response.body) if response.body and "json" in headers.get("content-type", "") else None

    def post(self, endpoint: str, body: object = None, **options: Any) -> Any:
        """As `send`, to an endpoint."""
        return self.send("POST", f"/{endpoint}", body, **options)

    def sign_in(self, username: str, password: str) -> str:
        """The token of a new session. The exchange is not recorded: a token is random."""
        body = {"username": username, "password": password}
        response = self._deliver(self._request_for("POST", "/api/v1/sign-in", json=body))
        return str(json.loads(response.body)["token"])

    def _comparable(self, text: str) -> str:
        """The text with each random id and each timestamp replaced by a number, in order of first appearance."""
        text = re.sub(r'(?<=cursor":")[^"]+', lambda match: base64.urlsafe_b64decode(match[0]).decode(), text)
        return _RANDOM.sub(
            lambda match: self._replaced.setdefault(match[0], f"<{match.lastgroup} {len(self._replaced)}>"), text
        )


def _send(devhost: Program, request: httpx.Request) -> Response:
    response = devhost.client.send(request)
    return Response(response.status_code, dict(response.headers), response.content)


def _users(client: Client) -> None:
    for name, number, pan, manager in zip(NAMES, NUMBERS, PANS, [*MANAGERS[:2], None, None], strict=True):
        client.post("create_user", {"full_name": name, "mob_num": number, "pan_num": pan, "manager_id": manager})
    user = {"full_name": f"  {NAMES[0]} ", "mob_num": "+91 98765-43219", "pan_num": PANS[0].lower()}
    created = client.post("create_user", user)["user"]
    client.post("create_user", {**user, "mob_num": NUMBERS[0]})
    client.post("create_user", {**user, "manager_id": UNKNOWN})
    client.post("create_user", {**user, "manager_id": MANAGERS[4]})
    client.post("create_user", {"full_name": "", "mob_num": "12", "pan_num": 7, "manager_id": "x", "unknown": NAMES[2]})
    listed = client.post("get_users", {})["users"]
    client.post("get_users")
    client.post("get_users", {"manager_id": MANAGERS[0], "is_active": True})
    client.post("get_users", {"mob_num": NUMBERS[1]})
    page = client.post("get_users", {"limit": 2})
    while page["next_cursor"]:
        page = client.post("get_users", {"limit": 2, "cursor": page["next_cursor"]})
    client.post("get_users", {"limit": 2, "cursor": "bm8="})
    client.post("get_users", {"cursor": "bm8="})
    ids = [user["user_id"] for user in listed]
    client.post("update_user", {"user_ids": ids[:1], "update_data": {"full_name": NAMES[2]}})
    client.post("update_user", {"user_ids": ids[:1], "update_data": {"full_name": NAMES[2]}})
    client.post("update_user", {"user_ids": ids[:1], "update_data": {"mob_num": NUMBERS[1]}})
    client.post("update_user", {"user_ids": ids[:3], "update_data": {"manager_id": MANAGERS[3]}})
    client.post("update_user", {"user_ids": [UNKNOWN, *ids[1:5]], "update_data": {"manager_id": MANAGERS[1]}})
    client.post("update_user", {"user_ids": [UNKNOWN], "update_data": {"full_name": NAMES[1]}})
    client.post("update_user", {"user_ids": ids[:2], "update_data": {"pan_num": PANS[1]}})
    client.post("update_user", {"user_ids": ids[:2], "update_data": {}})
    client.post("get_users", {"user_id": ids[0]})
    client.post("get_users", {"is_active": False})
    client.post("delete_user", {"user_id": created["user_id"]})
    client.post("delete_user", {"user_id": created["user_id"]})
    client.post("delete_user", {"mob_num": f"0{NUMBERS[3]}"})
    client.post("delete_user", {"mob_num": NUMBERS[3], "user_id": UNKNOWN})
    client.post("get_users", {})


def _points(client: Client) -> None:
    for number, (payer, points) in enumerate(zip([*PAYERS, PAYERS[0]], [300, 200, 10_000, -200], strict=True)):
        added = {"payer": payer, "points": points, "timestamp": f"2020-10-31T1{number}:00:00+01:00"}
        for _ in range(2):
            client.post("addTransaction", added, headers={"Idempotency-Key": f"add {number}"})
    client.post("addTransaction", {**added, "points": 1}, headers={"Idempotency-Key": "add 1"})
    client.post("addTransaction", added, headers={"Idempotency-Key": "k" * 256})
    client.post("addTransaction", {**added, "points": -2000})
    client.post("addTransaction", {**added, "points": 2**63 - 1})
    client.post("addTransaction", {"payer": " ", "points": 0, "timestamp": "2020-02-30T00:00:00Z"})
    client.send("GET", "/balance")
    for _ in range(2):
        client.post("spend", {"points": 5000}, headers={"idempotency-key": "spend"})
    client.post("spend", {"points": 1})
    client.post("spend", {"points": 50_000})
    client.send("GET", "/balance?payer=&payer=%C3%A9&x&payer=2", headers={"Accept": "text/html"})
    client.send("HEAD", "/flushDB")
    client.send("DELETE", "/flushDB", content=b"ignored")
    client.post("spend", {"points": 5000}, headers={"idempotency-key": "spend"})
    client.send("GET", "/balance")


def _ecgs(client: Client) -> None:
    token = client.sign_in("testuser", "123qweasd")
    call = partial(client.send, headers={"Authorization": f"Bearer {token}"})
    client.send("GET", "/ecgs")
    lead = {"name": "aVR 🫀", "signal": [1, -2, 0, 3, 2**63 - 1]}
    for leads in ([lead], [lead, lead], [{**lead, "signal": [1] * 2_000_000}]):
        call("POST", "/ecgs", {"date": "2026-01-31T10:00:00Z", "leads": leads})
    call("POST", "/ecgs", content=b" " * (ECG_LIMIT + 1))
    page = call("GET", "/ecgs?limit=1")
    (ecg,) = call("GET", f"/ecgs?cursor={page['next_cursor']}")["ecgs"]
    for path in ("", "/insights", "/plot.svg?rate=1"):
        call("GET", f"/ecgs/{ecg['ecg_id']}{path}")
    for _ in range(2):
        call("DELETE", f"/ecgs/{ecg['ecg_id']}")


def _invoices(client: Client) -> None:
    for description, price in (("Kurta 🐟", 550), ("Saree", "1799.99"), ("Saree", "0.001")):
        client.send("POST", "/api/items/", {"description": description, "price": price, "quantity": 5})
    client.send("PATCH", "/api/items/1/", {"quantity_change": 5}, headers={"Idempotency-Key": "k"})
    client.send("PATCH", "/api/items/2", {"quantity_change": 5}, headers={"Idempotency-Key": "k"})
    client.send("POST", "/api/customers", {"name": NAMES[0], "phone": NUMBERS[0], "address": NAMES[1]})
    lines = [{"item": 1, "quantity": 3}, {"item": 2, "quantity": 1}]
    for customer in ("1", "1", "2", "x"):
        client.send("POST", f"/api/customer-purchase/{customer}", lines)
    client.send("PUT", "/api/customer-purchase/1/", [{"item": 1, "quantity": 9}, {"item": 2, "quantity": 0}])
    for accept in ("application/json", "*/*", "application/json;q=0.5, application/pdf;q=0.4"):
        client.send("GET", "/api/customer-purchase/1", headers={"Accept": accept})
    client.send("GET", "/api/items/?limit=1")
    client.send("GET", "/api/low-stock-items/")
    client.send("POST", "/api/peer-customers", {"name": NAMES[0]})


def _edges(client: Client) -> None:
    client.post("flushDB")
    client.send("GET", "/openapi.json", headers={"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01", "tracestate": "x=1"})
    for content in (b"", b"{", b"[]", b'"\xff"', b'\xef\xbb\xbf{"limit":1}', b'{"limit":1,"limit":2}'):
        client.post("get_users", content=content)
        client.post("create_user", content=content, headers={"Content-Type": "text/plain; charset=utf-16"})
    client.post("get_users", content=iter([b""]))
    client.post("get_users", content=b" " * (BODY_LIMIT + 1))
    client.post("get_users", content=b"{}" + b" " * (BODY_LIMIT - 2))
    client.post("CREATE_user/", {"full_name": NAMES[0]}, headers=[("X-Twice", "1"), ("X-Twice", "2")])
    client.send("GET", "/b%61lance/?%")
    for method, path in (
        *[(method, "/get_users") for method in ("GET", "HEAD", "PUT", "OPTIONS")],
        *[("HEAD", "/balance"), ("POST", "/balance"), ("HEAD", "/openapi.json"), ("PATCH", "/openapi.json")],
        *[
            ("GET", "/balance/x"),
            ("GET", "/nowhere"),
            ("POST", "/api/get_users"),
            ("GET", "/balance%2F"),
            ("GET", "/%E0%A4%85?y=%F0"),
        ],
    ):
        client.send(method, path)


@pytest.mark.parametrize("calls", [_users, _points, _ecgs, _invoices, _edges])
def test_responses_and_log_lines_are_those_of_devhost(
    calls: Callable[[Client], None], runtime: Runtime, devhost: Program, request_for: Callable[..., httpx.Request]
) -> None:
    ours = Client(request_for, lambda request: _send(devhost, request))
    theirs = Client(request_for, runtime.send)
    before, devhost_before = len(runtime.log), len(devhost.log)
    calls(theirs)
    calls(ours)
    assert theirs.exchanges == ours.exchanges
    logged = [line.split(" ", 2) for line in runtime.log[before:].splitlines() if line.startswith("rollbook ")]
    lines = [(invocation_id, LOG_LINE.fullmatch(line)) for _, invocation_id, line in logged]
    assert all(line and invocation_id == line[4] for invocation_id, line in lines), logged
    assert [line.group(1, 2, 3, 5) for _, line in lines if line] == [
        line.group(1, 2, 3, 5) for line in map(LOG_LINE.fullmatch, devhost.log[devhost_before:].splitlines()) if line
    ]
    assert not [text for text in (*NAMES, *NUMBERS, *PANS, *PAYERS) if text in runtime.log]


def test_the_instance_of_a_problem_is_the_invocation_id_of_the_host(
    runtime: Runtime, request_for: Callable[..., httpx.Request]
) -> None:
    invocation_id = str(uuid.uuid4())
    response = runtime.submit(request_for("POST", "/spend", json={"points": 0}), invocation_id).result(WAIT_SECONDS)
    assert (response.status, json.loads(response.body)["instance"]) == (400, invocation_id)


def test_a_chunked_body_is_rejected_there_and_read_by_devhost(
    runtime: Runtime, devhost: Program, request_for: Callable[..., httpx.Request]
) -> None:
    """The one intended difference: the host passes such a body on empty."""

    def chunked() -> httpx.Request:
        return request_for("POST", "/get_users", content=iter([b'{"limit":1}']))

    assert runtime.send(chunked()).status == 411
    assert _send(devhost, chunked()).status == 200


def test_an_unexpected_error_is_a_problem_and_not_an_exception(
    runtime: Runtime, devhost: Program, request_for: Callable[..., httpx.Request]
) -> None:
    clients = [Client(request_for, runtime.send), Client(request_for, lambda request: _send(devhost, request))]
    for client, folder in zip(clients, (runtime.folder, devhost.log_file.parent), strict=True):
        with closing(sqlite3.connect(folder / "x.db", isolation_level=None)) as database:
            database.execute("ALTER TABLE idempotency_keys RENAME TO elsewhere")
            try:
                problem = client.post("spend", {"points": 1}, headers={"Idempotency-Key": "1"})
            finally:
                database.execute("ALTER TABLE elsewhere RENAME TO idempotency_keys")
        assert problem["type"] == "/problems/internal-error"
    assert clients[0].exchanges == clients[1].exchanges
    (line,) = [line for line in runtime.log.splitlines() if line.startswith("rollbook ") and " error " in line]
    assert " spend error OperationalError " in line
