"""The lists of operations and records: pages, order, search, totals."""

from __future__ import annotations

import operator
from itertools import product
from typing import Any

import httpx
import pytest

from tests.support.calculator import ADDITION, Calculator

OPERATIONS = [
    {"id": 1, "name": "Addition", "type": "addition", "cost": 3},
    {"id": 2, "name": "Subtraction", "type": "subtraction", "cost": 3},
    {"id": 3, "name": "Multiplication", "type": "multiplication", "cost": 5},
    {"id": 4, "name": "Division", "type": "division", "cost": 5},
    {"id": 5, "name": "Square Root", "type": "square_root", "cost": 4},
    {"id": 6, "name": "Random String", "type": "random_string", "cost": 8},
]
ONE_OF_EACH = [
    '{"operation_id": 1, "operator1": 1, "operator2": 2}',
    '{"operation_id": 2, "operator1": 1, "operator2": 2}',
    '{"operation_id": 3, "operator1": 3, "operator2": 4}',
    '{"operation_id": 4, "operator1": 1, "operator2": 3}',
    '{"operation_id": 5, "operator1": 9}',
    '{"operation_id": 6, "operator1": 32}',
]
RECORD_KEYS = [
    "id", "operation_id", "operation_type", "user_id", "amount", "user_balance", "operation_response", "created_at",
]  # fmt: skip
LISTS = ["operations", "records"]


@pytest.fixture
def records(asha: Calculator) -> list[dict[str, Any]]:
    """Asha's twelve records by id: two of each operation."""
    for body in ONE_OF_EACH * 2:
        asha.add(body)
    return asha.records(direction="asc")


def test_the_operations_have_the_required_names_types_and_costs(asha: Calculator) -> None:
    assert asha.page("operations", direction="asc") == {
        "success": True,
        "operations": OPERATIONS,
        "pagination": {"page": 1, "per_page": 10, "total_pages": 1, "total_items": 6},
    }


def test_operations_are_ordered_by_a_key_and_then_by_id(asha: Calculator) -> None:
    for key, direction in product(["id", "name", "type", "cost", None], ["asc", "desc", None]):
        query = {name: value for name, value in (("sort_by", key), ("direction", direction)) if value}
        expected = sorted(OPERATIONS, key=operator.itemgetter(key or "id", "id"), reverse=direction != "asc")
        assert asha.page("operations", **query)["operations"] == expected, query


def test_records_are_ordered_by_a_key_and_then_by_id(asha: Calculator, records: list[dict[str, Any]]) -> None:
    for key, direction in product([*RECORD_KEYS, None], ["asc", "desc", None]):
        query = {name: value for name, value in (("sort_by", key), ("direction", direction)) if value}
        expected = sorted(records, key=operator.itemgetter(key or "id", "id"), reverse=direction != "asc")
        assert asha.records(**query) == expected, query


def test_a_record_has_the_required_keys(asha: Calculator, records: list[dict[str, Any]]) -> None:
    balance = 2500
    for record, operation in zip(records, OPERATIONS * 2, strict=True):
        balance -= int(str(operation["cost"]))
        assert [*record] == RECORD_KEYS
        assert record["operation_id"] == operation["id"]
        assert record["operation_type"] == operation["name"]
        assert record["amount"] == operation["cost"]
        assert record["user_balance"] == balance
        assert record["user_id"] == asha.account.id
        assert record["created_at"].endswith("Z")
        assert len(record["created_at"]) == len("2026-01-01T00:00:00.000000Z")
    results = [record["operation_response"] for record in records]
    assert results[:5] == ["3", "-1", "12", "0.3333333333333333333333333333", "3"]
    assert len(results[5]) == 32
    assert [record["id"] for record in records] == sorted({record["id"] for record in records})
    assert all(type(value) is int for record in records for value in (record["id"], record["user_id"]))


def test_the_pages_of_a_list_are_the_whole_list(asha: Calculator, records: list[dict[str, Any]]) -> None:
    pages = [asha.page(per_page="5", page=str(page), direction="asc") for page in (1, 2, 3, 4)]
    assert [record for page in pages for record in page["records"]] == records
    assert [len(page["records"]) for page in pages] == [5, 5, 2, 0]
    for number, page in enumerate(pages, 1):
        assert page["pagination"] == {"page": number, "per_page": 5, "total_pages": 3, "total_items": 12}


def test_without_parameters_a_page_has_100_records_the_newest_first(asha: Calculator) -> None:
    asha.spend_down_to(2500 - 808)
    page = asha.page()
    assert page["pagination"] == {"page": 1, "per_page": 100, "total_pages": 2, "total_items": 101}
    assert [record["user_balance"] for record in page["records"]] == [*range(1692, 2492, 8)]


def test_nothing_has_no_pages(asha: Calculator) -> None:
    nothing = {"page": 1, "per_page": 100, "total_pages": 0, "total_items": 0}
    assert asha.page() == {"success": True, "pagination": nothing, "records": []}
    asha.add()
    assert asha.page(search="division")["pagination"] == nothing


@pytest.mark.parametrize("path", LISTS)
def test_a_page_after_the_last_is_empty_with_the_totals(asha: Calculator, path: str) -> None:
    asha.add()
    page = asha.page(path, page="1000000000", per_page="1")
    assert page[path] == []
    total = {"operations": 6, "records": 1}[path]
    assert page["pagination"] == {"page": 10**9, "per_page": 1, "total_pages": total, "total_items": total}


WRONG_PARAMETERS = [
    *((name, value) for name in ("page", "per_page") for value in ("0", "-1", "+1", "1.0", "1e1", " 1", "1_0", "x")),
    *((name, value) for name in ("page", "per_page") for value in ("٣", "１", "1\n", "1\x00", "9" * 5000, "0" * 5000)),
    ("page", "1000000001"),
    ("per_page", "101"),
    *(("sort_by", value) for value in ("ID", "price", "id desc", "deleted_at", "account_id", "_asdict", "index")),
    *(("direction", value) for value in ("ASC", "up", "asc,desc", "1")),
]


@pytest.mark.parametrize("path", LISTS)
def test_a_parameter_with_another_value_is_a_400_at_its_place(asha: Calculator, problem_of: Any, path: str) -> None:
    for parameter, value in WRONG_PARAMETERS:
        response = asha.call("GET", path, params={parameter: value})
        code = "out-of-range" if "page" in parameter else "unknown-value"
        assert problem_of(response) == (400, "request-invalid", [(f"/query/{parameter}", code)]), (parameter, value)


def test_all_parameters_that_are_wrong_are_reported_together(asha: Calculator, problem_of: Any) -> None:
    query = {"page": "0", "per_page": "0", "sort_by": "x", "direction": "x", "limit": "1"}
    status, _, errors = problem_of(asha.call("GET", "records", params=query))
    assert status == 400
    assert [pointer for pointer, _ in errors] == [f"/query/{name}" for name in sorted(query)]


@pytest.mark.parametrize(("path", "name"), [("records", "limit"), ("operations", "search"), ("operations", "Page")])
def test_an_unknown_parameter_is_a_400(asha: Calculator, problem_of: Any, path: str, name: str) -> None:
    response = asha.call("GET", path, params={name: "1"})
    assert problem_of(response) == (400, "request-invalid", [(f"/query/{name}", "unknown-key")])


@pytest.mark.parametrize("value", ["1", "001", "0000000000001", "100", "0100"])
@pytest.mark.parametrize("path", LISTS)
def test_numbers_are_ascii_digits_with_leading_zeros_or_without(asha: Calculator, path: str, value: str) -> None:
    pagination = asha.page(path, per_page=value, page=value)["pagination"]
    assert (pagination["page"], pagination["per_page"]) == (int(value), int(value))


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_parameter_is_absent(asha: Calculator, path: str) -> None:
    asha.add()
    names = ["page", "per_page", "sort_by", "direction", *(["search"] if path == "records" else [])]
    assert asha.page(path, **dict.fromkeys(names, "")) == asha.page(path)


def test_search_finds_parts_of_names_and_types_literally(asha: Calculator, records: list[dict[str, Any]]) -> None:
    assert len(records) == 12
    for search, found in [
        ("", {1, 2, 3, 4, 5, 6}),
        ("addition", {1}),
        ("ADDITION", {1}),
        ("root", {5}),
        ("square root", {5}),
        ("square_root", {5}),
        ("Random S", {6}),
        ("_", {5, 6}),
        (" ", {5, 6}),
        ("action", {2}),
        ("ion", {1, 2, 3, 4}),
        ("tion", {1, 2, 3}),
        ("i", {1, 2, 3, 4, 6}),
        ("%", set()),
        ("[a-z]", set()),
        ("[", set()),
        ("div%", set()),
        ("div_sion", set()),
        ("square__root", set()),
        ("^", set()),
        ("\\", set()),
        ("'", set()),
        ('"', set()),
        ("\x00", set()),
        ("ı", set()),
        ("\u017fquare", set()),
        ("ROOT" * 1000, set()),
        ("3", set()),
    ]:
        page = asha.page(search=search)
        assert {record["operation_id"] for record in page["records"]} == found, search
        assert page["pagination"]["total_items"] == len(page["records"]) == 2 * len(found)


def test_search_order_and_pages_go_together(asha: Calculator, records: list[dict[str, Any]]) -> None:
    expected = sorted(
        (record for record in records if "tion" in record["operation_type"]),
        key=operator.itemgetter("amount", "id"),
    )
    page = asha.page(search="tion", sort_by="amount", direction="asc", page="2", per_page="4")
    assert page["records"] == expected[4:]
    assert page["pagination"] == {"page": 2, "per_page": 4, "total_pages": 2, "total_items": 6}


def test_a_list_has_the_accounts_own_records_only(asha: Calculator, ravi: Calculator) -> None:
    own = [asha.add(), ravi.add(), asha.add()]
    assert [record["id"] for record in asha.records()] == [own[2], own[0]]
    assert [record["id"] for record in ravi.records()] == [own[1]]
    assert ravi.page()["pagination"]["total_items"] == 1


@pytest.mark.parametrize("path", ["operations", "records", "balance"])
def test_a_list_takes_no_body_and_no_idempotency_key(asha: Calculator, problem_of: Any, path: str) -> None:
    def get(**options: Any) -> httpx.Response:
        return asha.call("GET", path, **options)

    assert problem_of(get(content=ADDITION)) == (400, "body-not-expected", [])
    assert problem_of(get(headers={"Idempotency-Key": "k"})) == (400, "idempotency-key-unsupported", [])


def test_lists_and_balance_cost_few_statements_and_never_write(asha: Calculator, statements: list[str]) -> None:
    asha.add()
    for path, query, most in [
        ("operations", {}, 0),
        ("balance", {}, 1),
        ("records", {}, 2),
        ("records", {"search": "add", "sort_by": "amount", "page": "7"}, 2),
    ]:
        statements.clear()
        assert asha.call("GET", path, params=query).status_code == 200
        assert len(statements) == 1 + most, "and the token's"
        assert all(statement.startswith("SELECT") for statement in statements)
