"""The feed on SQL Server: positions are taken before they are committed, and no reader misses a change by that."""

from __future__ import annotations

from typing import Any

from api.http.cursors import encode_cursor
from tests.support.counting_driver import Server


def _read(api: Any, after: str | None) -> tuple[list[str], str]:
    """The users of the changes after a place, and the next place."""
    response = api.post("get_changes", {} if after is None else {"after": after}).json()
    return [change["user_id"] for change in response["changes"]], response["next"]


def test_a_change_that_is_committed_later_than_its_successors_is_not_missed(server: Server, api: Any) -> None:
    before = api.create()["user_id"]
    slow = server.rowversions.hold()
    fast = [api.create()["user_id"] for _ in range(2)]
    delivered, place = _read(api, None)
    assert delivered == [before], "those that are committed above an open transaction wait for it"
    assert _read(api, place) == ([], place)
    server.rowversions.release(slow)
    late = api.create()["user_id"]
    delivered, place = _read(api, place)
    assert delivered == [late, *fast], "in the order of positions, which is not that of ids"
    assert _read(api, place) == ([], place)
    after = api.create()["user_id"]
    assert _read(api, place)[0] == [after]


def test_changes_of_two_open_transactions_are_delivered_as_they_end(server: Server, api: Any) -> None:
    first, second = server.rowversions.hold(), server.rowversions.hold()
    third = api.create()["user_id"]
    server.rowversions.release(second)
    ended = api.create()["user_id"]
    delivered, place = _read(api, None)
    assert delivered == []
    server.rowversions.release(first)
    last = api.create()["user_id"]
    assert _read(api, place)[0] == [last, ended, third]


def test_the_bound_is_read_in_a_statement_before_the_rows(server: Server, api: Any) -> None:
    api.create()
    _, place = _read(api, None)
    server.sent_by(lambda: _read(api, place))
    bound, rows = (execution.text for execution in server.executions)
    assert bound.startswith("SELECT MIN_ACTIVE_ROWVERSION() AS ")
    assert "(SELECT user_changes.feed_position \nFROM user_changes \nWHERE user_changes.change_id = ?" in bound
    assert "MIN_ACTIVE_ROWVERSION" not in rows
    condition = "WHERE user_changes.feed_position > ? AND user_changes.feed_position < ? ORDER BY "
    assert rows.rstrip().endswith(f"{condition}user_changes.feed_position OFFSET 0 ROWS FETCH NEXT ? ROWS ONLY")
    assert [execution.declared for execution in server.executions] == [
        ("bigint", "datetime2(6)"),
        ("binary(8)", "binary(8)", "int"),
    ]


def test_a_place_of_no_change_is_rejected_before_rows_are_read(server: Server, api: Any) -> None:
    api.create()
    place = encode_cursor(2, "2026-01-01T00:00:00.000000Z")
    requests = server.sent_by(lambda: api.post("get_changes", {"after": place}))
    assert [request.kind for request in requests if request.kind != "sp_datatype_info"] == ["prepexec"]
    assert api.post("get_changes", {"after": place}).json()["type"] == "/problems/after-invalid"
