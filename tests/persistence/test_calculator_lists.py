"""Lists of records: order, search, pages and what they read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from persistence import calculator as store
from persistence.database import connections
from tests.support.credits import charge, delete, grant, live_balances, new_account, read, records_of, write

pytestmark = pytest.mark.usefixtures("app_database")

# By code point a digit comes before every letter, and a capital before every small one.
RESPONSES = ("10", "9", "-1", "0.5", "aB3", "Ab3", "Z", "a", "aB", "9")
KEYS = tuple(store.Record.__annotations__)


@pytest.fixture
def account_id() -> int:
    """An account with live records of every operation that share times and responses, and with deleted ones."""
    account_id, username = new_account()
    other_id, _ = new_account()
    grant(username, 1_000)
    for number, (operation_id, response) in enumerate(itertools.islice(itertools.product(range(1, 7), RESPONSES), 60)):
        now = f"2026-11-21T10:00:00.00000{number % 7}Z"
        amount = 3 + number % 4
        record_id, _ = write(store.charge, account_id, operation_id, amount, response, now=now)
        charge(other_id, operation_id)
        if number % 10 == 4:
            delete(account_id, record_id)
    return account_id


def _all(account_id: int, **page: Any) -> list[store.Record]:
    return records_of(account_id, store.Page(**{"limit": 1_000, **page}))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort_by", KEYS)
def test_a_list_is_sorted_by_any_key_with_ties_by_id(account_id: int, sort_by: str, descending: bool) -> None:
    records: list[dict[str, Any]] = [{**record} for record in _all(account_id)]
    assert len(records) == 54
    expected = sorted(records, key=lambda record: (record[sort_by], record["id"]), reverse=descending)
    assert _all(account_id, sort_by=sort_by, descending=descending) == expected


@pytest.mark.parametrize(
    ("search", "operations"),
    [
        ("", {1, 2, 3, 4, 5, 6}),
        ("ADDITION", {1}),
        ("uare r", {5}),
        ("square_root", {5}),
        ("ion", {1, 2, 3, 4}),
        ("traction", {2}),
        ("_", {5, 6}),
        (" ", {5, 6}),
        ("%", set()),
        ("[a-z]", set()),
        ("a%", set()),
        ("s_u", set()),
        ("\\", set()),
        ("'", set()),
        ("additions", set()),
        ("\u017fquare", set()),  # LATIN SMALL LETTER LONG S is an S only in upper case
        ("\0", set()),
    ],
)
def test_a_search_finds_parts_of_names_and_types(account_id: int, search: str, operations: set[int]) -> None:
    found = _all(account_id, search=search)
    assert {record["operation_id"] for record in found} == operations
    assert read(store.count_records, account_id, search) == len(found)
    assert [record["id"] for record in found] == sorted((record["id"] for record in found), reverse=True)


@pytest.mark.parametrize("search", ["", "ion"])
@pytest.mark.parametrize("sort_by", ["id", "operation_response"])
def test_pages_together_are_the_list_and_one_past_the_end_is_empty(account_id: int, search: str, sort_by: str) -> None:
    whole = _all(account_id, search=search, sort_by=sort_by)
    pages = [
        _all(account_id, search=search, sort_by=sort_by, offset=offset, limit=7) for offset in range(0, len(whole), 7)
    ]
    assert {len(page) for page in pages[:-1]} == {7}
    assert [record for page in pages for record in page] == whole
    for offset in (len(whole), 100 * 999_999_999):
        assert _all(account_id, search=search, sort_by=sort_by, offset=offset) == []


# ---- plans

Plans = Callable[[Callable[[], Any]], list[str]]
OWN = "SEARCH calculator_records USING INDEX ux_calculator_records_account (account_id=? AND deleted_at=?)"
BALANCE = "SEARCH calculator_balances USING INTEGER PRIMARY KEY (rowid=?)"


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort_by", ["id", "user_id"])
def test_a_list_by_id_reads_one_page_from_an_index(plans: Plans, sort_by: str, descending: bool) -> None:
    assert plans(lambda: records_of(1, store.Page("", sort_by, descending))) == [OWN]


@pytest.mark.parametrize("search", ["", "a"])
@pytest.mark.parametrize("sort_by", KEYS)
def test_any_list_reads_the_records_of_its_account_only(plans: Plans, search: str, sort_by: str) -> None:
    steps = plans(lambda: records_of(1, store.Page(search, sort_by)))
    assert [step for step in steps if "calculator_records" in step] == [OWN]


def test_a_count_without_search_reads_one_row(plans: Plans) -> None:
    assert plans(lambda: read(store.count_records, 1)) == [BALANCE]


def test_a_count_with_a_search_reads_the_records_of_its_account_only(plans: Plans) -> None:
    steps = plans(lambda: read(store.count_records, 1, "a"))
    assert [step for step in steps if "calculator_records" in step] == [OWN]


def test_charges_and_deletions_seek_their_rows(plans: Plans, account_id: int) -> None:
    first = next(iter(live_balances(account_id)))

    def work() -> None:
        with connections.transaction() as connection:
            store.charge(connection, account_id, 1, 3, "1", now="2026-11-21T10:00:00.000000Z")
            store.delete_record(connection, account_id, first, now="2026-11-21T10:00:00.000000Z")

    steps = plans(work)
    by_key = "SEARCH calculator_records USING INTEGER PRIMARY KEY (rowid=?)"
    later = OWN.replace("deleted_at=?", "deleted_at=? AND id>?")
    assert sorted(steps) == sorted([BALANCE, BALANCE, by_key, by_key, later])


def test_a_page_is_as_much_work_with_any_number_of_records(account_id: int, database_file: Any) -> None:
    """The instructions of SQLite's machine are counted."""
    work = []
    for count in (0, 20_000):
        with connections.transaction() as connection:
            connection.exec_driver_sql(
                "INSERT INTO calculator_records (account_id, operation_id, amount, user_balance, operation_response, "
                "created_at) SELECT account_id, 1, 0, 1, '1', created_at FROM calculator_records, "
                "(SELECT value FROM json_each(?)) WHERE id = (SELECT MIN(id) FROM calculator_records)",
                (f"[{','.join('1' * count)}]",),
            )
        work.append(_instructions(lambda: _page_and_count(account_id)))
    assert 0 < work[1] <= 1.2 * work[0]


def _page_and_count(account_id: int) -> None:
    records_of(account_id, store.Page(limit=50))
    read(store.count_records, account_id)


def _instructions(call: Callable[[], Any]) -> int:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1

    with connections.reading() as connection:
        driver: Any = connection.connection.driver_connection
    call()  # prepares the statements
    driver.set_progress_handler(count, 1)
    call()
    driver.set_progress_handler(None, 1)
    return done
