"""A person with ECGs, over HTTP, and the calls whose statements are counted."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

import httpx
import orjson

from tests.support.account_calls import Prepare, replay, while_keys_expire
from tests.support.accounts import Added, add_account, bearer

SIGNAL: Final = [1, -2, 0, 3, -4, 0, 0, 5, 6, -7]
LEADS: Final = [{"name": "I", "signal": SIGNAL}, {"name": "aVR", "signal": [2, -5]}]
MIB: Final = 1024 * 1024


def body_of(size: int, sample: bytes = b"-123,", leads: int = 1) -> bytes:
    """A body of exactly so many bytes: equal samples, and blanks at the end."""
    begin = b'{"leads":['
    each = (size - len(begin) - 2) // leads
    parts = []
    for number in range(leads):
        head = b'{"name":"%d","signal":[' % number
        parts.append(head + (sample * ((each - len(head) - 3) // len(sample)))[:-1] + b"]}")
    return (begin + b",".join(parts) + b"]}").ljust(size)


class Person:
    """Calls with the token of one account."""

    def __init__(self, client: httpx.Client, account: Added) -> None:
        self.client = client
        self.account = account
        self.headers = bearer(account)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Returns the response to a call."""
        headers = {**self.headers, **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def post(self, body: Any, key: str | None = None) -> httpx.Response:
        """Sends a body to `POST /ecgs`: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.call("POST", "/ecgs", content=content, headers={"Idempotency-Key": key} if key else {})

    def upload(self, *signals: list[int], **fields: Any) -> str:
        """Uploads an ECG with these signals, or two leads, and returns its id."""
        leads = [{"name": str(number), "signal": signal} for number, signal in enumerate(signals)] or LEADS
        response = self.post({"leads": leads, **fields})
        assert response.status_code == 201, response.text
        ecg_id: str = response.json()["ecg_id"]
        return ecg_id

    def get(self, path: str, **query: str) -> Any:
        """Returns the JSON at a path below /ecgs."""
        response = self.call("GET", f"/ecgs{path}", params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def listed(self, limit: int = 100) -> list[str]:
        """Returns the ids of a first page."""
        return [ecg["ecg_id"] for ecg in self.get("", limit=str(limit))["ecgs"]]


# ---- calls whose statements are counted


def _new_person(api: Any) -> Person:
    return Person(api.client, add_account(f"u{uuid.uuid4().hex}"))


def _upload(key: str | None = None) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        person = _new_person(api)
        return lambda: person.post({"leads": LEADS}, key)

    return prepare


def _call(method: str, path: str) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        person = _new_person(api)
        ecg_id = person.upload()
        return lambda: person.call(method, path.format(ecg_id))

    return prepare


def _list_next_page(api: Any) -> Callable[[], Any]:
    person = _new_person(api)
    for _ in range(2):
        person.upload()
    cursor = person.get("", limit="1")["next_cursor"]
    return lambda: person.get("", cursor=cursor)


CALLS: Final[dict[str, Prepare]] = {
    "`POST ecgs`": _upload(),
    "`POST ecgs` with a new `Idempotency-Key`": _upload("k"),
    "`POST ecgs` with a new `Idempotency-Key`, while expired keys are purged": while_keys_expire(_upload("k")),
    "`POST ecgs` with a used `Idempotency-Key` (a replay)": replay(_upload("k")),
    "`GET ecgs`": _call("GET", "/ecgs"),
    "`GET ecgs`, a later page": _list_next_page,
    "`GET ecg`": _call("GET", "/ecgs/{}"),
    "`GET insights`": _call("GET", "/ecgs/{}/insights"),
    "`GET plot.svg`": _call("GET", "/ecgs/{}/plot.svg"),
    "`DELETE ecg`": _call("DELETE", "/ecgs/{}"),
    "`DELETE ecg` of an unknown ECG": _call("DELETE", f"/ecgs/{uuid.uuid4()}"),
}
