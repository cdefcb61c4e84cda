"""Stock and invoices together have all that was ever put in: over any sequence of calls, and of calls at once."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import RollbookError
from domain.invoices.errors import InsufficientStockError, ItemOnInvoiceError
from persistence import invoices as store
from tests.persistence.invoices.conftest import (
    change,
    new_customer,
    new_item,
    new_items,
    numbers,
    on_invoices,
    post,
    put,
    read,
    stock,
)
from tests.support.threads import at_once

pytestmark = pytest.mark.usefixtures("app_database")


# ---- any sequence

UNKNOWN = 3
"""The place of an item or a customer that does not exist: there are three of each."""


class Buy(NamedTuple):
    """A POST or a PUT of a customer with quantities by item, all by their places."""

    is_post: bool
    customer: int
    entries: dict[int, int]


class Patch(NamedTuple):
    """A delivery to the stock, or what is taken from it, or a count that sets it."""

    item: int
    key: str
    pieces: int


_PLACES = st.sampled_from([0, 0, 1, 1, 2, 2, UNKNOWN])
STEPS = st.lists(
    st.one_of(
        st.builds(Buy, st.booleans(), _PLACES, st.dictionaries(_PLACES, st.integers(0, 12), min_size=1)),
        st.builds(Patch, _PLACES, st.just("quantity_change"), st.integers(-12, 12)),
        st.builds(Patch, _PLACES, st.just("quantity"), st.integers(0, 12)),
    ),
    max_size=20,
)


class Books:
    """What the rules say of three items and three customers."""

    def __init__(self) -> None:
        self.items = [*new_items_of_test(), 2**62]
        self.customers = [*(new_customer().id for _ in range(3)), 2**62]
        self.stock = dict.fromkeys(self.items[:3], 10)
        self.put_in = dict(self.stock)
        self.lines: dict[int, dict[int, int]] = {}

    def run(self, step: Buy | Patch) -> None:
        """Makes a call; it must be rejected if the rules say so, and changes nothing then."""
        is_accepted = self.buy(step) if isinstance(step, Buy) else self.patch(step)
        try:
            self.call(step)
        except RollbookError:
            assert not is_accepted
        else:
            assert is_accepted

    def call(self, step: Buy | Patch) -> None:
        if isinstance(step, Patch):
            change(self.items[step.item], **{step.key: step.pieces})
        else:
            entries = [(self.items[item], quantity) for item, quantity in step.entries.items()]
            (post if step.is_post else put)(self.customers[step.customer], *entries)

    def patch(self, step: Patch) -> bool:
        item = self.items[step.item]
        gained = step.pieces - (self.stock.get(item, 0) if step.key == "quantity" else 0)
        if step.item == UNKNOWN or self.stock[item] + gained < 0:
            return False
        self.stock[item] += gained
        self.put_in[item] += gained
        return True

    def buy(self, step: Buy) -> bool:
        customer = self.customers[step.customer]
        lines = self.lines.get(customer)
        wanted = {self.items[item]: quantity for item, quantity in step.entries.items()}
        before = {item: (lines or {}).get(item, 0) for item in wanted}
        if UNKNOWN in (step.customer, *step.entries) or (not step.is_post and lines is None):
            return False
        if step.is_post and any(before.values()):
            return False
        if any(quantity - before[item] > self.stock[item] for item, quantity in wanted.items()):
            return False
        for item, quantity in wanted.items():
            self.stock[item] -= quantity - before[item]
        after = {**(lines or {}), **wanted}
        self.lines[customer] = {item: quantity for item, quantity in after.items() if quantity}
        return True

    def check(self) -> None:
        """Asserts what is stored."""
        before = self.items[0] - 1
        in_stock, sold = stock(before), on_invoices(before)
        for item, pieces in self.put_in.items():
            assert in_stock[item] == self.stock[item] >= 0
            assert in_stock[item] + sold[item] == pieces
        for customer, lines in self.lines.items():
            invoice = read(store.find_invoice, customer)
            assert {line.item: line.quantity for line in invoice.lines} == lines
            assert invoice.total == sum(line.unit_price * line.quantity for line in invoice.lines)
        assert numbers() == [*range(1, len(numbers()) + 1)]


def new_items_of_test() -> list[int]:
    """Three items with ten pieces each."""
    return [new_item(10).id for _ in range(3)]


def _is_possible(step: Buy | Patch) -> bool:
    """Whether the fields of a call are valid: a POST of a quantity of 0 is rejected before the database."""
    return isinstance(step, Patch) or not step.is_post or all(step.entries.values())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(steps=STEPS)
def test_any_sequence_of_calls_keeps_all_that_was_ever_put_in(steps: list[Buy | Patch]) -> None:
    books = Books()
    for step in filter(_is_possible, steps):
        books.run(step)
    books.check()


# ---- at once


def _bought(call: Any, *arguments: Any) -> bool:
    try:
        call(*arguments)
    except (InsufficientStockError, ItemOnInvoiceError):
        return False
    return True


def test_the_last_pieces_are_sold_once_to_32_threads_in_opposite_orders() -> None:
    items = new_items(40, quantity=20)
    customers = [new_customer().id for _ in range(32)]

    def work(number: int) -> bool:
        wanted = [(item, 1) for item in (items if number % 2 else reversed(items))]
        return _bought(post, customers[number], *wanted)

    assert sum(at_once(32, work)) == 20
    assert {*stock().values()} == {0}
    assert on_invoices() == dict.fromkeys(items, 20)
    assert numbers() == [*range(1, 21)]


def test_32_threads_of_all_kinds_of_calls_keep_what_was_put_in() -> None:
    items = new_items(6, quantity=30)
    customers = [new_customer().id for _ in range(8)]

    def work(number: int) -> int:
        chance, delivered = random.Random(number), 0
        for _ in range(10):
            wanted = [(item, chance.randint(1, 9)) for item in chance.sample(items, 4)]
            customer = chance.choice(customers)
            if chance.random() < 0.2:
                change(items[0], quantity_change=2)
                delivered += 2
            elif not _bought(post, customer, *wanted):
                shrunk = [(item, quantity - 1) for item, quantity in wanted]
                _bought(put_if_there, customer, *shrunk)
        return delivered

    delivered = sum(at_once(32, work))
    in_stock, sold = stock(), on_invoices()
    assert all(in_stock[item] >= 0 for item in items)
    assert [in_stock[item] + sold[item] for item in items] == [30 + delivered, *[30] * 5]
    assert delivered
    assert numbers() == [*range(1, len(numbers()) + 1)]


def put_if_there(customer_id: int, *entries: tuple[int, int]) -> None:
    """Changes a purchase, unless the customer has none yet."""
    try:
        put(customer_id, *entries)
    except RollbookError as error:
        if error.code != "invoice-not-found":
            raise


def test_two_purchases_of_one_customer_at_once_share_an_invoice() -> None:
    for _ in range(10):
        items, ann, before = new_items_of_test(), new_customer().id, len(numbers())

        def work(number: int, ann: int = ann, items: list[int] = items) -> int:
            return post(ann, (items[number], 1)).number

        assert at_once(2, work) == [before + 1, before + 1]
        assert {line.item for line in read(store.find_invoice, ann).lines} == {*items[:2]}
        assert numbers() == [*range(1, before + 2)]


def test_two_purchases_of_one_item_at_once_are_one_line() -> None:
    for _ in range(10):
        item, ann = new_item(10).id, new_customer().id

        def work(_: int, ann: int = ann, item: int = item) -> bool:
            return _bought(post, ann, (item, 1))

        assert sorted(at_once(2, work)) == [False, True]
        assert [line.quantity for line in read(store.find_invoice, ann).lines] == [1]
        assert stock()[item] == 9
