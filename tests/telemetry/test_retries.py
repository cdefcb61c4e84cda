"""The counter of retries."""

from __future__ import annotations

from typing import Any

import pytest

from persistence.database import connections, retries
from persistence.database.errors import LostRaceError
from tests.support.telemetry import NUMBER, Observed, attributes_of, id_of, observing, parent_of


def test_retries_are_counted_by_the_code_of_their_cause(warm: Any, api: Any) -> None:
    with observing() as observed:
        warm.waiting["execute"] = ["40613", "40613"]
        api.create(mob_num=NUMBER)
        assert observed.counted("rollbook.retries") == {("40613",): 2}
        assert observed.counted("rollbook.refusals") == {}
        assert {parent_of(span) for span in observed.statements()} == {id_of(observed.request())}
        codes = [attributes_of(span).get("rollbook.code") for span in observed.statements()]
        assert codes[:2] == ["40613", "40613"]
        assert {*codes[2:]} == {None}
        assert attributes_of(observed.request())["rollbook.status"] == 201
        assert NUMBER not in observed.text()


@pytest.mark.parametrize("place", ["connect", "execute", "fetch"])
def test_a_fault_anywhere_is_one_retry_and_no_span_is_left_open(warm: Any, api: Any, place: str) -> None:
    users = api.get()
    if place == "connect":
        connections.engines()[0].dispose()
    with observing() as observed:
        warm.waiting[place] = ["08S01"]
        assert api.get() == users
        assert observed.counted("rollbook.retries") == {("08S01",): 1}
        assert attributes_of(observed.request())["rollbook.status"] == 200
        codes = [attributes_of(span).get("rollbook.code") for span in observed.statements()]
        assert codes == {"connect": [None], "execute": ["08S01", None], "fetch": [None, None]}[place]


def test_a_race_lost_for_good_is_counted_once_per_retry(warm: Any, api: Any) -> None:
    with observing() as observed:
        warm.waiting["execute"] = ["1205"] * 100
        assert api.post("create_user", api.new_user()).status_code == 409
        assert observed.counted("rollbook.retries") == {("1205",): retries.MAX_RACE_ATTEMPTS - 1}
        assert observed.counted("rollbook.refusals") == {("lost-race:1205", "create_user"): 1}
        assert len(observed.statements()) == retries.MAX_RACE_ATTEMPTS


def test_faults_are_counted_by_their_codes(warm: Any, api: Any) -> None:
    with observing() as observed:
        warm.waiting["execute"] = ["40613", "1205", "40613"]
        api.create()
        assert observed.counted("rollbook.retries") == {("40613",): 2, ("1205",): 1}


def test_a_race_without_a_drivers_code_is_counted_by_its_own_code(observed: Observed) -> None:
    left = [LostRaceError(), LostRaceError(), LostRaceError()]

    def work() -> str:
        if left:
            raise left.pop()
        return "won"

    assert retries.run_with_retries(work) == "won"
    assert observed.counted("rollbook.retries") == {("lost-race",): 3}


def test_an_error_that_is_not_retried_is_no_retry(warm: Any, api: Any) -> None:
    with observing() as observed:
        warm.waiting["commit"] = ["40613"]
        assert api.post("create_user", api.new_user()).status_code == 503
        assert observed.counted("rollbook.retries") == {}
