"""Calls of two sites of invoices whose statements are counted."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import settings
from api.http.endpoint import timer_function
from api.invoices import service
from tests.support.account_calls import Prepare
from tests.support.invoices import ASHA
from tests.support.peers import SECRET, encoded, message, peer_site, signed
from tests.support.serving import serving_service

_FOLDER: Final = Path(os.environ["SETTINGS_FOLDER"])


class _Context:
    """The context that the host passes to a function."""

    invocation_id = str(uuid.UUID(int=1))


class _Tick:
    """The request that the host passes to a timer."""

    past_due = False


def _post(route: str, content: Any) -> None:
    """Calls a site that has a peer."""
    body = encoded(content)
    with serving_service(service, _FOLDER, PEER_SITE_SECRET=SECRET, PEER_SITE_URL="https://other.example") as client:
        response = client.post(f"/api/{route}", content=body, headers=signed(body))
    assert response.status_code in (200, 201), response.text


def _create_customer(_: Any) -> Callable[[], None]:
    return lambda: _post("customers/", ASHA)


def _receive(*, is_repeat: bool = False) -> Prepare:
    def prepare(_: Any) -> Callable[[], None]:
        sent = message()
        if is_repeat:
            _post("peer-customers", sent)
        return lambda: _post("peer-customers", sent)

    return prepare


def _tick() -> None:
    """Runs the timer once, with a stand-in of the other site."""
    with peer_site() as peer:
        given = {"PEER_SITE_URL": peer.url, "PEER_SITE_SECRET": SECRET}
        timers = {timer.name: timer for timer in service.build(settings.load(given, _FOLDER)).timers}
        timer_function(timers["invoices_outbox"])(timer=_Tick(), context=_Context())


def _deliver(customers: int) -> Prepare:
    def prepare(_: Any) -> Callable[[], None]:
        _tick()  # what other calls queued
        for _number in range(customers):
            _post("customers/", ASHA)
        return _tick

    return prepare


CALLS: Final[dict[str, Prepare]] = {
    "`POST customer` of a site with a peer": _create_customer,
    "`POST peer-customers`": _receive(),
    "`POST peer-customers` of a customer that is known": _receive(is_repeat=True),
    "a delivery tick with nothing due": _deliver(0),
    "a delivery tick with one customer": _deliver(1),
    "a delivery tick with three customers": _deliver(3),
}
