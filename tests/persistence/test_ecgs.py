"""ECGs: stored, listed, found and deleted by their account alone, and insights that are newer than an ECG."""

from __future__ import annotations

import itertools
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pytest
from sqlalchemy import Engine, event, select, update

from domain.ecgs import INSIGHTS, Lead, Signal, compute_insights, parse_signal
from persistence import ecgs as store
from persistence.accounts import delete_account
from persistence.database import connections
from persistence.database.errors import LostRaceError
from persistence.ecgs import ECGS
from tests.support.counting_driver import URL, Server, counting_driver
from tests.support.credits import NOW, new_account, read, write

SIGNALS: Final = ([1, -2, 0, 3, -4, 0, 0, 5, 6, -7], [300], [0, 2**31, 5], [-(2**63), 2**63 - 1])
INSIGHT_VALUES: Final = [compute_insights(parse_signal([*samples])) for samples in SIGNALS]
"""Four signals, each of another width, and what is computed of them."""


def _leads() -> list[Lead]:
    return [Lead(f"lead é\U0001f600 {place}", parse_signal([*samples])) for place, samples in enumerate(SIGNALS)]


def _insert(account_id: int, *, recorded_at: str = NOW) -> str:
    ecg_id = str(uuid.uuid4())
    write(store.insert_ecg, account_id, ecg_id, recorded_at, store.encode_ecg(_leads()))
    return ecg_id


def _find(account_id: int, ecg_id: str) -> Any:
    return read(store.find_ecg, account_id, ecg_id)


def _insights(account_id: int, ecg_id: str) -> Any:
    return read(store.find_insights, account_id, ecg_id)


def _ids(account_id: int, before: int | None = None, limit: int = 100) -> list[str]:
    return [ecg.ecg_id for ecg in read(store.list_ecgs, account_id, before, limit)]


@pytest.fixture
def account_id(app_database: None) -> int:
    """The id of a new account."""
    return new_account()[0]


@pytest.fixture
def other_id(app_database: None) -> int:
    """The id of another account."""
    return new_account()[0]


# ---- one ECG


def test_an_ecg_is_found_as_it_was_stored(account_id: int) -> None:
    ecg_id = _insert(account_id, recorded_at="1999-12-31T23:59:59.999999Z")
    ecg = _find(account_id, ecg_id)
    assert (ecg.ecg_id, ecg.recorded_at) == (ecg_id, "1999-12-31T23:59:59.999999Z")
    assert [lead.name for lead in ecg.leads] == [lead.name for lead in _leads()]
    assert tuple(lead.signal.tolist() for lead in ecg.leads) == SIGNALS
    assert [lead.signal.itemsize for lead in ecg.leads] == [1, 2, 8, 8]
    dumped = orjson.dumps([lead.signal for lead in ecg.leads], option=orjson.OPT_SERIALIZE_NUMPY)
    assert tuple(orjson.loads(dumped)) == SIGNALS


def test_insights_are_those_of_the_upload_in_its_order(account_id: int) -> None:
    ecg_id = _insert(account_id)
    expected = [{"name": lead.name, **values} for lead, values in zip(_leads(), INSIGHT_VALUES, strict=True)]
    found = _insights(account_id, ecg_id)
    assert found == expected
    assert [*found[0]] == ["name", "zero_crossings", "minimum", "maximum", "mean", "rms"]


def test_a_deletion_deletes_one_ecg_once(account_id: int) -> None:
    kept, deleted = _insert(account_id), _insert(account_id)
    assert write(store.delete_ecg, account_id, deleted) is True
    assert write(store.delete_ecg, account_id, deleted) is False
    assert _find(account_id, deleted) is None
    assert _insights(account_id, deleted) is None
    assert _ids(account_id) == [kept]


# ---- insights


def _range_of(signal: Signal) -> int:
    return int(np.max(signal)) - int(np.min(signal))


def test_a_new_insight_is_computed_for_an_ecg_that_is_older(account_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ecg_id = _insert(account_id)
    monkeypatch.setitem(INSIGHTS, "range", _range_of)
    found = _insights(account_id, ecg_id)
    assert [lead["range"] for lead in found] == [13, 0, 2**31, 2**64 - 1]
    assert [{name: lead[name] for name in INSIGHTS if name != "range"} for lead in found] == INSIGHT_VALUES


def test_what_is_stored_is_not_computed_again(account_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ecg_id = _insert(account_id)
    stored = orjson.dumps([{**values, "mean": 12.5, "gone": 1} for values in INSIGHT_VALUES]).decode()
    with connections.transaction() as connection:
        connection.execute(update(ECGS).where(ECGS.c.ecg_id == ecg_id).values(insights=stored))
    for _ in range(2):
        found = _insights(account_id, ecg_id)
        assert [lead["mean"] for lead in found] == [12.5] * len(SIGNALS)
        assert [*found[0]] == ["name", *INSIGHTS]
        monkeypatch.setitem(INSIGHTS, "range", _range_of)
    with connections.reading() as connection:
        assert connection.execute(select(ECGS.c.insights)).scalar_one() == stored


def test_an_ecg_that_is_deleted_before_its_signals_are_read_is_gone(
    account_id: int, database_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecg_id = _insert(account_id)
    monkeypatch.setitem(INSIGHTS, "range", _range_of)

    def delete_first(*arguments: Any) -> None:
        if "signals" in arguments[2]:
            with closing(sqlite3.connect(database_file)) as other, other:
                other.execute("DELETE FROM ecgs")

    event.listen(Engine, "before_cursor_execute", delete_first)
    try:
        assert _insights(account_id, ecg_id) is None
    finally:
        event.remove(Engine, "before_cursor_execute", delete_first)


# ---- lists


def test_a_list_has_the_last_uploaded_first_whatever_their_dates(account_id: int) -> None:
    uploaded = [_insert(account_id, recorded_at=f"20{year}-01-01T00:00:00.000000Z") for year in (20, 99, 10, 50)]
    listed = read(store.list_ecgs, account_id, None, 100)
    assert [ecg.ecg_id for ecg in listed] == uploaded[::-1]
    assert [ecg.recorded_at[:4] for ecg in listed] == ["2050", "2010", "2099", "2020"]
    assert listed[0].leads == [{"name": lead.name, "number_of_samples": lead.signal.size} for lead in _leads()]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
def test_pages_have_each_ecg_once(account_id: int, other_id: int, limit: int) -> None:
    uploaded = [_insert(owner) for owner in (account_id, other_id) * 6][::2]
    pages, before = [], None
    for _ in uploaded:
        page = read(store.list_ecgs, account_id, before, limit)
        pages.append([ecg.ecg_id for ecg in page])
        before = page[-1].id if page else 0
    full, rest = divmod(len(uploaded), limit)
    assert [len(page) for page in pages] == [*[limit] * full, rest, 0, 0, 0, 0, 0][: len(uploaded)]
    assert [*itertools.chain(*pages)] == uploaded[::-1]


def test_an_id_is_not_used_again_after_the_last_ecg_was_deleted(account_id: int) -> None:
    _insert(account_id)
    (first,) = read(store.list_ecgs, account_id, None, 1)
    write(store.delete_ecg, account_id, first.ecg_id)
    _insert(account_id)
    assert read(store.list_ecgs, account_id, None, 1)[0].id > first.id


# ---- accounts


def test_an_account_has_only_its_own_ecgs(account_id: int, other_id: int) -> None:
    mine, others = _insert(account_id), _insert(other_id)
    for owner, own, foreign in ((account_id, mine, others), (other_id, others, mine)):
        assert _ids(owner) == [own]
        assert _find(owner, foreign) is None
        assert _insights(owner, foreign) is None
        assert write(store.delete_ecg, owner, foreign) is False
    assert _find(account_id, mine).ecg_id == mine
    assert _find(other_id, others).ecg_id == others


def test_a_deleted_account_takes_its_ecgs_with_it(app_database: None) -> None:
    (account_id, username), (other_id, _) = new_account(), new_account()
    _insert(account_id), _insert(account_id)
    kept = _insert(other_id)
    write(delete_account, username, by_id=0)
    with connections.reading() as connection:
        assert [*connection.execute(select(ECGS.c.ecg_id)).scalars()] == [kept]
    with pytest.raises(LostRaceError):
        _insert(account_id)


# ---- statements


@pytest.fixture
def server(database_file: Path) -> Iterator[Server]:
    """The stand-in for a SQL Server."""
    with counting_driver(database_file) as server:
        connections.connect(URL, threads=8)
        yield server
        connections.close()


def _calls(account_id: int, ecg_id: str) -> dict[str, Callable[[], Any]]:
    return {
        "list": lambda: read(store.list_ecgs, account_id, None, 20),
        "next page": lambda: read(store.list_ecgs, account_id, 5, 20),
        "find": lambda: _find(account_id, ecg_id),
        "insights": lambda: _insights(account_id, ecg_id),
        "insert": lambda: _insert(account_id),
        "delete": lambda: write(store.delete_ecg, account_id, ecg_id),
    }


def test_each_call_is_one_statement(account_id: int, count_statements: Callable[[], int]) -> None:
    calls = _calls(account_id, _insert(account_id))
    count_statements()
    for name, call in calls.items():
        assert call(), name
        assert count_statements() == 1, name


def test_a_new_insight_costs_one_more_statement(
    account_id: int, count_statements: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ecg_id = _insert(account_id)
    monkeypatch.setitem(INSIGHTS, "range", _range_of)
    count_statements()
    _insights(account_id, ecg_id)
    assert count_statements() == 2


def test_parameters_are_declared_by_their_columns_on_sql_server(server: Server) -> None:
    account_id, _ = new_account()
    for call in _calls(account_id, _insert(account_id)).values():
        server.sent_by(call)
        (execution,) = server.executions
        for name, declared in zip(execution.names, execution.declared, strict=True):
            assert (name, declared) == (name, DECLARED[name])


DECLARED: Final = {
    "account_id": "bigint", "of_account": "bigint", "before_id": "bigint", "row_limit": "int",
    "ecg_id": "uniqueidentifier", "of_ecg": "uniqueidentifier", "recorded_at": "datetime2(6)",
    "leads": "nvarchar(max)", "insights": "nvarchar(max)", "signals": "varbinary(max)",
}  # fmt: skip


Plans = Callable[[Callable[[], Any]], list[str]]
OWN: Final = "SEARCH ecgs USING INDEX ix_ecgs_account_id (account_id=? AND id<?)"
BY_ID: Final = "SEARCH ecgs USING INDEX ux_ecgs_ecg_id (ecg_id=?)"


@pytest.mark.parametrize("before", [None, 7])
def test_a_list_reads_one_page_from_an_index_and_no_signals(
    plans: Plans, statements: list[str], before: int | None
) -> None:
    assert plans(lambda: read(store.list_ecgs, 1, before, 20)) == [OWN]
    assert "signals" not in statements[-1]
    assert [*ECGS.c][-1].name == "signals", "SQLite reads a row up to the last column that a statement names"


def test_an_ecg_is_found_by_its_id(plans: Plans, statements: list[str]) -> None:
    ecg_id = str(uuid.uuid4())
    assert plans(lambda: _find(1, ecg_id)) == [BY_ID]
    assert plans(lambda: _insights(1, ecg_id)) == [BY_ID]
    assert "signals" not in statements[-1]
    assert plans(lambda: write(store.delete_ecg, 1, ecg_id)) == [BY_ID]
