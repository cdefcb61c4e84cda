"""`DELETE /records/{id}`: the refund, the later balances, and what cannot be deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.calculator import ADDITION, Calculator
from tests.support.threads import at_once


def test_a_deleted_record_is_refunded_and_later_balances_rise(asha: Calculator) -> None:
    ids = [
        asha.add(body) for body in (ADDITION, '{"operation_id": 6}', ADDITION, '{"operation_id": 5, "operator1": 1}')
    ]
    assert [record["user_balance"] for record in asha.records(direction="asc")] == [2497, 2489, 2486, 2482]
    response = asha.delete(ids[1])
    assert response.status_code == 200
    message = "Record deleted successfully, user balances records updated"
    assert response.json() == {"success": True, "message": message}
    assert asha.balance() == 2490
    left = asha.page(direction="asc")
    assert [(record["id"], record["user_balance"]) for record in left["records"]] == [
        (ids[0], 2497),
        (ids[2], 2494),
        (ids[3], 2490),
    ]
    assert left["pagination"]["total_items"] == 3
    assert asha.page(search="random")["pagination"]["total_items"] == 0


def test_deletion_changes_no_other_account(asha: Calculator, ravi: Calculator) -> None:
    first = asha.add()
    ravi.add()
    before = ravi.page()
    asha.delete(first)
    assert (ravi.balance(), ravi.page()) == (2497, before)


def test_what_is_not_there_is_a_404_with_one_body(asha: Calculator, ravi: Calculator, problem_of: Any) -> None:
    own, foreign, deleted = asha.add(), ravi.add(), asha.add()
    assert asha.delete(deleted).status_code == 200
    missing: list[object] = [
        foreign, deleted, 0, -1, 10**9, 2**63 - 1, 2**63, "9" * 5000, "x", f"{own}.0", f"0{own}", f"+{own}",
        f"{own}%20", "%D9%A1", "%00", "null", f"{own}%0A",
    ]  # fmt: skip
    bodies = []
    for record_id in missing:
        response = asha.delete(record_id)
        assert problem_of(response) == (404, "record-not-found", []), record_id
        bodies.append({name: value for name, value in response.json().items() if name != "instance"})
    assert all(body == bodies[0] for body in bodies)
    assert (asha.balance(), len(asha.records()), ravi.balance()) == (2497, 1, 2497)


def test_deletions_at_once_refund_once(asha: Calculator) -> None:
    ids = [asha.add() for _ in range(5)]
    responses = at_once(20, lambda number: asha.delete(ids[number % 5]))
    for number in range(5):
        statuses = sorted(response.status_code for response in responses[number::5])
        assert statuses == [200, 404, 404, 404]
    assert (asha.balance(), asha.records()) == (2500, [])


def test_an_id_is_not_used_again(asha: Calculator) -> None:
    ids = []
    for _ in range(3):
        ids.append(asha.add())
        asha.delete(ids[-1])
    assert ids == sorted({*ids})


@pytest.mark.parametrize("later", [10, 2000])
def test_a_deletion_costs_at_most_three_statements(asha: Calculator, statements: list[str], later: int) -> None:
    asha.grant(8 * later)
    record_id = asha.add()
    asha.spend_down_to(2497)
    statements.clear()
    assert asha.delete(record_id).status_code == 200
    assert len(statements) <= 1 + 3


def test_a_deletion_takes_no_body_and_no_idempotency_key(asha: Calculator, problem_of: Any) -> None:
    record_id = asha.add()
    response = asha.call("DELETE", f"records/{record_id}", content=b"{}")
    assert problem_of(response)[:2] == (400, "body-not-expected")
    response = asha.call("DELETE", f"records/{record_id}", headers={"Idempotency-Key": "k"})
    assert problem_of(response)[:2] == (400, "idempotency-key-unsupported")
