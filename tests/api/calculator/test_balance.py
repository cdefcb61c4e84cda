"""Balances: what `GET /balance` returns, and the equation that holds after every call."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.accounts import add_account
from tests.support.calculator import Calculator
from tests.support.threads import at_once

COSTS = {1: 3, 2: 3, 3: 5, 4: 5, 5: 4, 6: 8}


def test_an_account_that_never_charged_has_the_first_credit_and_its_grants(asha: Calculator, ravi: Calculator) -> None:
    assert asha.balance() == 2500
    asha.grant(1_000_000_000)
    assert (asha.balance(), ravi.balance()) == (1_000_002_500, 2500)
    assert asha.page()["pagination"]["total_items"] == 0
    asha.add()
    assert asha.balance() == 1_000_002_497


def test_a_grant_changes_no_record(asha: Calculator) -> None:
    first = asha.add()
    asha.grant(100)
    before = asha.records()
    asha.add()
    assert asha.records()[1:] == before
    assert [record["user_balance"] for record in asha.records()] == [2594, 2497]
    asha.delete(first)
    assert [record["user_balance"] for record in asha.records()] == [2597]


class Model:
    """What the contract says of an account: its live records in their order, each with the credit granted before it."""

    def __init__(self) -> None:
        self.granted = 0
        self.live: dict[int, tuple[int, int]] = {}

    @property
    def balance(self) -> int:
        return 2500 + self.granted - sum(amount for amount, _ in self.live.values())

    def balances(self) -> dict[int, int]:
        """The `user_balance` of each live record."""
        spent, balances = 0, {}
        for record_id, (amount, granted) in self.live.items():
            spent += amount
            balances[record_id] = 2500 + granted - spent
        return balances


def act(person: Calculator, model: Model, action: str, number: int) -> None:
    """Makes one call, and the same in the model."""
    if action == "add":
        operation_id = number % 6 + 1
        operands = "" if operation_id == 6 else f', "operator1": {number % 9}, "operator2": {number % 3}'
        response = person.post(f'{{"operation_id": {operation_id}{operands}}}')
        cost = COSTS[operation_id]
        if operation_id == 4 and number % 3 == 0:
            assert response.status_code == 400
        elif model.balance < cost:
            assert response.status_code == 403
        else:
            assert response.status_code == 201, response.text
            model.live[response.json()["record_id"]] = cost, model.granted
            assert response.json()["user_balance"] == model.balance
    elif action == "grant":
        person.grant(number % 20 + 1)
        model.granted += number % 20 + 1
    elif action == "spend":
        person.spend_down_to(min(model.balance, number % 12))
        for record in reversed(all_records(person)):
            model.live.setdefault(record["id"], (record["amount"], model.granted))
    else:
        record_id = [*model.live, 10**9][number % (len(model.live) + 1)]
        assert person.delete(record_id).status_code == (200 if model.live.pop(record_id, None) else 404)


def all_records(person: Calculator) -> list[dict[str, Any]]:
    """All records, the newest first."""
    pages = range(1, person.page()["pagination"]["total_pages"] + 1)
    return [record for page in pages for record in person.records(page=str(page))]


ACTIONS = st.tuples(
    st.sampled_from(["add", "add", "add", "delete", "delete", "grant", "spend"]), st.integers(0, 10_000)
)


@pytest.mark.slow  # hundreds of generated calls
@given(actions=st.lists(ACTIONS, max_size=15))
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_equation_of_balances_holds_after_any_sequence(asha: Calculator, actions: list[tuple[str, int]]) -> None:
    person, model = Calculator(asha.client, add_account(uuid.uuid4().hex)), Model()
    for action, number in actions:
        act(person, model, action, number)
        assert person.balance() == model.balance >= 0
    stored = {record["id"]: record["user_balance"] for record in all_records(person)}
    assert stored == model.balances()


@pytest.mark.parametrize("granted", [0, 200])
def test_the_equation_of_balances_holds_with_32_threads(asha: Calculator, granted: int) -> None:
    asha.spend_down_to(60)

    def work(number: int) -> None:
        for _ in range(3):
            response = asha.post(f'{{"operation_id": {number % 6 + 1}, "operator1": 4, "operator2": 2}}')
            assert response.status_code in (201, 403)
            if number % 3 == 0 and response.status_code == 201:
                assert asha.delete(response.json()["record_id"]).status_code == 200
        if number == 31 and granted:
            asha.grant(granted)

    at_once(32, work)
    records = all_records(asha)
    assert asha.balance() == 2500 + granted - sum(record["amount"] for record in records) >= 0
    if not granted:
        spent = 0
        for record in reversed(records):
            spent += record["amount"]
            assert record["user_balance"] == 2500 - spent
