"""A ledger over HTTP, and a check that errors change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.ledger import Ledger


@pytest.fixture
def ledger(api: Any) -> Ledger:
    return Ledger(api)


@pytest.fixture
def unchanged(ledger: Ledger) -> Callable[[Any, int, str], None]:
    """A function that makes a call and checks that it fails with this status and code and changes no row."""

    def check(call: Callable[[], Any], status: int, code: str) -> None:
        before = ledger.tables()
        response = call()
        assert (response.status_code, response.json()["type"]) == (status, f"/problems/{code}"), response.text
        assert ledger.tables() == before

    return check
