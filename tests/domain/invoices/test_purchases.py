"""What a POST and a PUT do to lines and stock, and which error comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import RollbookError
from domain.invoices import errors
from domain.invoices.fields import Entry
from domain.invoices.money import PRICE_MAX, TOTAL_MAX
from domain.invoices.purchases import Change, Customer, Invoice, Line, Purchase, plan_addition, plan_update
from domain.invoices.stock import Item

ANN = Customer(1, "Ann", "9876543210", "Delhi")
K = Item(1, "K", "Kurta", 55_000, 5)
S = Item(2, "S", "Sari", 179_999, 5)
T = Item(3, "T", "Thread", 100, 1_000_000)
ITEMS = {item.id: item for item in (K, S, T)}

Plan = Callable[[Purchase, list[Entry]], Change]


def line(item: Item, quantity: int, position: int, **copied: Any) -> Line:
    return Line(item.id, item.name, item.description, item.price, quantity, position)._replace(**copied)


def on_invoice(*lines: Line, **stock: int) -> Purchase:
    """A purchase of Ann, who has these lines; `stock` has other quantities of items by their names."""
    items = {item.id: item._replace(quantity=stock.get(item.name, item.quantity)) for item in ITEMS.values()}
    return Purchase(ANN, Invoice(1, 1, ANN, [*lines]), items)


NEW = Purchase(ANN, None, ITEMS)


def rejected(plan: Plan, purchase: Purchase, *entries: tuple[int, int]) -> RollbookError:
    """The error of a purchase."""
    with pytest.raises(RollbookError) as caught:
        plan(purchase, [Entry(*entry) for entry in entries])
    return caught.value


def places(error: RollbookError) -> list[tuple[Any, ...]]:
    return [(*violation.path, *violation.members.values()) for violation in error.violations]


# ---- money


def test_the_total_is_the_sum_of_unit_times_quantity() -> None:
    change = plan_addition(NEW, [Entry(1, 3), Entry(2, 1)])
    assert [each.price for each in change.lines] == [165_000, 179_999]
    assert Invoice(1, 1, ANN, change.lines).total == 344_999
    assert Invoice(1, 1, ANN, []).total == 0


@pytest.mark.parametrize("plan", [plan_addition, plan_update])
def test_a_line_or_a_total_above_its_maximum_is_rejected(plan: Plan) -> None:
    dear = K._replace(price=PRICE_MAX, quantity=1_000_000)
    rest = S._replace(price=TOTAL_MAX - 1_000 * PRICE_MAX)  # 999 paise
    cheap = T._replace(price=1)
    purchase = on_invoice()._replace(items={1: dear, 2: rest, 3: cheap})
    assert places(rejected(plan, purchase, (3, 1), (1, 1_001))) == [(1, "quantity")]
    assert plan(purchase, [Entry(1, 1_000), Entry(2, 1)]).lines
    error = rejected(plan, purchase, (1, 1_000), (2, 1), (3, 1))
    assert (type(error), places(error)) == (errors.TotalTooLargeError, [])


# ---- POST


def test_a_post_adds_lines_in_its_order_after_those_that_are_there() -> None:
    change = plan_addition(on_invoice(line(S, 1, 4)), [Entry(3, 2), Entry(1, 5)])
    assert change.added == [line(T, 2, 5), line(K, 5, 6)]
    assert change.lines == [line(S, 1, 4), line(T, 2, 5), line(K, 5, 6)]
    assert (change.taken, change.changed, change.removed) == ({3: 2, 1: 5}, {}, [])


def test_a_post_of_items_on_the_invoice_names_them_all() -> None:
    error = rejected(plan_addition, on_invoice(line(K, 1, 1), line(S, 1, 2)), (1, 1), (3, 1), (2, 99))
    assert (type(error), places(error)) == (errors.ItemOnInvoiceError, [(0, "item"), (2, "item")])


def test_a_post_of_more_than_there_is_names_what_is_available() -> None:
    error = rejected(plan_addition, NEW, (1, 6), (3, 1), (2, 1_000_000))
    assert type(error) is errors.InsufficientStockError
    assert places(error) == [(0, "quantity", 1, 5), (2, "quantity", 2, 5)]


# ---- PUT


def test_a_put_sets_listed_lines_adds_others_and_keeps_the_rest() -> None:
    change = plan_update(on_invoice(line(S, 3, 1), line(T, 9, 2), K=5), [Entry(1, 2), Entry(2, 1)])
    assert change.lines == [line(S, 1, 1), line(T, 9, 2), line(K, 2, 3)]
    assert (change.taken, change.changed, change.removed) == ({1: 2, 2: -2}, {2: 1}, [])
    assert change.added == [line(K, 2, 3)]


def test_a_put_of_0_removes_a_line_and_of_another_item_changes_nothing() -> None:
    change = plan_update(on_invoice(line(S, 3, 1), line(K, 1, 2)), [Entry(2, 0), Entry(3, 0)])
    assert change.lines == [line(K, 1, 2)]
    assert (change.taken, change.changed, change.removed, change.added) == ({2: -3}, {}, [2], [])


def test_a_put_of_the_same_quantity_changes_nothing() -> None:
    present = line(S, 3, 1)
    assert plan_update(on_invoice(present), [Entry(2, 3)]) == Change({}, [], {}, [], [present])


def test_a_put_takes_only_the_difference_and_names_what_the_line_could_take() -> None:
    purchase = on_invoice(line(K, 4, 1), K=1, S=2)
    assert plan_update(purchase, [Entry(1, 5)]).taken == {1: 1}
    assert places(rejected(plan_update, purchase, (2, 3), (1, 6))) == [(0, "quantity", 2, 2), (1, "quantity", 1, 5)]


def test_a_line_shrinks_whatever_the_stock_is() -> None:
    purchase = on_invoice(line(K, 4, 1), K=1_000_000_000)
    assert plan_update(purchase, [Entry(1, 1)]).taken == {1: -3}


# ---- copies


def test_a_line_keeps_what_the_item_was_when_it_was_added() -> None:
    old = line(K, 1, 1, name="Old", description="Older", unit_price=1)
    assert plan_update(on_invoice(old), [Entry(1, 3)]).lines == [old._replace(quantity=3)]


def test_an_item_that_was_removed_and_is_added_again_is_copied_anew() -> None:
    old = line(K, 1, 1, name="Old", unit_price=1)
    after = plan_update(on_invoice(old, line(S, 1, 2)), [Entry(1, 0)]).lines
    assert plan_addition(on_invoice(*after), [Entry(1, 1)]).lines == [line(S, 1, 2), line(K, 1, 3)]


# ---- the order of errors


@pytest.mark.parametrize(
    ("plan", "purchase", "error"),
    [
        (plan_addition, Purchase(None, None, {}), errors.CustomerNotFoundError),
        (plan_update, Purchase(None, None, {}), errors.CustomerNotFoundError),
        (plan_update, Purchase(ANN, None, {}), errors.InvoiceNotFoundError),
        (plan_addition, on_invoice(line(K, 1, 1))._replace(items={1: K, 2: S}), errors.ItemsNotFoundError),
        (plan_update, on_invoice()._replace(items={1: K, 2: S}), errors.ItemsNotFoundError),
        (plan_addition, on_invoice(line(K, 1, 1), S=0), errors.ItemOnInvoiceError),
        (plan_update, on_invoice(line(K, 1, 1), S=0), errors.InsufficientStockError),
        (plan_addition, on_invoice(S=0), errors.InsufficientStockError),
    ],
)
def test_the_first_error_that_applies_is_the_one(plan: Plan, purchase: Purchase, error: type[RollbookError]) -> None:
    dear = {item_id: item._replace(price=PRICE_MAX) for item_id, item in purchase.items.items()}
    assert type(rejected(plan, purchase._replace(items=dear), (1, 2), (2, 2), (3, 1_000_000))) is error


@pytest.mark.parametrize("plan", [plan_addition, plan_update])
def test_items_that_do_not_exist_are_named_with_their_ids(plan: Plan) -> None:
    error = rejected(plan, on_invoice(), (9, 1), (1, 1), (8, 1))
    assert type(error) is errors.ItemsNotFoundError
    assert (places(error), error.member_values) == ([(0, "item"), (2, "item")], {"items": [9, 8]})
