"""A person with ECGs, over HTTP."""

from __future__ import annotations

from typing import Any, Final

import httpx
import orjson

from tests.support.accounts import Added, bearer

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
