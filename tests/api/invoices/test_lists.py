"""Lists of items and customers: pages, the header Link, cursors, and LIST_ROWS_MAX."""

from __future__ import annotations

import re

import pytest

from tests.api.invoices.conftest import Serve
from tests.support.invoices import ASHA, Shop, problem

LISTS = ["items", "customers"]


def _add(shop: Shop, path: str) -> int:
    return shop.item() if path == "items" else shop.customer()


@pytest.mark.parametrize("path", LISTS)
def test_the_whole_list_is_ordered_by_id(shop: Shop, path: str) -> None:
    assert shop.call("GET", f"{path}/").json() == []
    ids = [_add(shop, path) for _ in range(12)]
    response = shop.call("GET", f"{path}/")
    assert [each["id"] for each in response.json()] == ids == sorted(ids)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert "link" not in response.headers
    assert shop.call("GET", path).json() == response.json(), "without the slash"


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 1000])
def test_links_lead_through_all_pages(shop: Shop, path: str, limit: int) -> None:
    ids = [_add(shop, path) for _ in range(6)]
    pages = shop.pages(f"{path}/", limit)
    assert [[each["id"] for each in page] for page in pages] == [ids[n : n + limit] for n in range(0, 6, limit)]


@pytest.mark.parametrize("path", LISTS)
def test_the_link_is_a_path_without_host(shop: Shop, path: str) -> None:
    for _ in range(3):
        _add(shop, path)
    for spelling in (path, f"{path}/"):
        link = shop.call("GET", f"{spelling}?limit=2").headers["link"]
        assert re.fullmatch(rf'</api/{path}/\?limit=2&cursor=[\w%-]+>; rel="next"', link)


def test_what_is_added_meanwhile_stands_on_a_later_page(shop: Shop) -> None:
    first, second, _ = (shop.item() for _ in range(3))
    link = shop.call("GET", "items/?limit=2").headers["link"]
    fourth = shop.item()
    url = link[1 : link.index(">")]
    assert [item["id"] for item in shop.client.get(url).json()] == [second + 1, fourth]
    assert first < second


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=0", [("/query/limit", "out-of-range")]),
        ("limit=1001", [("/query/limit", "out-of-range")]),
        ("limit=-1", [("/query/limit", "out-of-range")]),
        ("limit=1.0", [("/query/limit", "out-of-range")]),
        ("limit=%D9%A1", [("/query/limit", "out-of-range")]),
        ("limit=+1", [("/query/limit", "out-of-range")]),
        ("limit=1&cursor=x", [("/query/cursor", "cursor-invalid")]),
        ("limit=1&cursor=%F0%9F%90%9F", [("/query/cursor", "cursor-invalid")]),
        ("limit=1&cursor=WyJpdGVtcyIsMF0", [("/query/cursor", "cursor-invalid")]),
        ("limit=1&cursor=WyJpdGVtcyIsdHJ1ZV0", [("/query/cursor", "cursor-invalid")]),
        ("limit=1&page=2", [("/query/page", "unknown-key")]),
    ],
)
def test_an_invalid_query_is_named(shop: Shop, path: str, query: str, expected: list[tuple[str, str]]) -> None:
    assert problem(shop.call("GET", f"{path}/?{query}")) == (400, "request-invalid", expected)


def test_a_cursor_belongs_to_its_list_and_needs_a_limit(shop: Shop) -> None:
    for _ in range(2):
        shop.item()
        shop.customer()
    cursors = {}
    for path in LISTS:
        match = re.search("cursor=([^>]+)>", shop.call("GET", f"{path}/?limit=1").headers["link"])
        assert match
        cursors[path] = match[1]
        missing = (400, "request-invalid", [("/query/limit", "missing-key")])
        assert problem(shop.call("GET", f"{path}/?cursor={match[1]}")) == missing
    wrong = (400, "request-invalid", [("/query/cursor", "cursor-invalid")])
    assert problem(shop.call("GET", f"items/?limit=1&cursor={cursors['customers']}")) == wrong
    assert problem(shop.call("GET", f"customers/?limit=1&cursor={cursors['items']}")) == wrong


def test_a_page_is_one_statement(shop: Shop, statements: list[str]) -> None:
    for _ in range(3):
        shop.item()
    for query in ("", "?limit=2"):
        statements.clear()
        shop.call("GET", f"items/{query}")
        assert len(statements) == 1


def test_a_list_above_the_maximum_requires_pages(serve: Serve) -> None:
    with serve(LIST_ROWS_MAX="2") as client:
        shop = Shop(client)
        for number in range(2):
            shop.add("customers/", {**ASHA, "name": f"Customer {number}"})
        assert len(shop.call("GET", "customers/").json()) == 2
        shop.customer()
        required = (400, "limit-required", [("/query/limit", "limit-required")])
        assert problem(shop.call("GET", "customers/")) == required
        assert len(shop.call("GET", "customers/?limit=1000").json()) == 3
        assert shop.call("GET", "items/").json() == []
