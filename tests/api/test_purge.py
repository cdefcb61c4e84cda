"""The timer that purges idempotency keys."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

import settings
from api.http.endpoint import timer_function
from api.purge import service
from persistence.database import connections
from persistence.database.idempotency import STORED_USERS, SWEEP_LIMIT
from tests.support.keys import age_keys, store_aged_keys, stored_keys


def purge(*, past_due: bool = False) -> None:
    """Runs the timer once."""
    (timer,) = service.build(settings.current()).timers
    assert (timer.name, timer.schedule) == ("purge_idempotency_keys", "0 0 3 * * *")
    timer_function(timer)(timer=SimpleNamespace(past_due=past_due), context=SimpleNamespace(invocation_id="id"))


@pytest.mark.parametrize("past_due", [False, True])
@pytest.mark.parametrize("count", [0, 3, 2 * SWEEP_LIMIT, 2 * SWEEP_LIMIT + 5])
def test_every_expired_key_leaves_a_hundred_at_a_time(
    app_database: None, statements: list[str], caplog: pytest.LogCaptureFixture, count: int, past_due: bool
) -> None:
    if count:
        store_aged_keys(count, hours=30)
    unexpired = store_aged_keys(2, hours=23)
    statements.clear()
    with caplog.at_level(logging.INFO, logger="rollbook"):
        purge(past_due=past_due)
    deletions = [statement for statement in statements if statement.startswith("DELETE")]
    assert len(deletions) == -(-count // SWEEP_LIMIT)
    assert [key for _, key in stored_keys()] == unexpired[::-1]
    (line,) = caplog.messages
    assert line.startswith("purge_idempotency_keys ok 200 ")


def test_what_a_purged_key_had_of_users_goes_with_it(api: Any) -> None:
    user = api.post("create_user", api.new_user(), headers={"Idempotency-Key": "key-1"}).json()["user"]
    age_keys(hours=25)
    purge()
    with connections.reading() as connection:
        assert connection.execute(select(STORED_USERS)).all() == []
    assert stored_keys() == []
    assert api.get() == [user]
