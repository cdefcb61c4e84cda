"""`POST /records`: what each operation stores and costs, and every error, in the order of the checks."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext
from typing import Any

import pytest

from tests.support.calculator import ADDITION, RANDOM_STRING, Calculator
from tests.support.threads import at_once

TOO_MANY_DIGITS = "1" * 101


def test_a_record_is_a_201_with_its_id_and_the_balance(asha: Calculator) -> None:
    response = asha.post(ADDITION)
    assert response.status_code == 201
    assert response.json() == {"success": True, "record_id": asha.records()[0]["id"], "user_balance": 2497}
    assert "Random-Source" not in response.headers
    assert asha.balance() == 2497


@pytest.mark.parametrize(
    ("operation_id", "operands", "result"),
    [
        (1, ["0.1", "0.2"], "0.3"),
        (1, ["1e100", "-1e100"], "0"),
        (1, ["1", "1e-28"], "1"),
        (1, ["0.50", "0.50"], "1"),
        (1, ["9" * 28, "0.5"], "1" + "0" * 28),  # half to even
        (1, ["1" + "0" * 27, "0.5"], "1" + "0" * 27),
        (2, ["0", "0"], "0"),
        (2, ["1", "1.5"], "-0.5"),
        (3, ["-0", "5"], "0"),
        (3, ["-1", "0.0"], "0"),
        (3, ["12345678901234567890", "10"], "123456789012345678900"),
        (3, ["1e-100", "1E-100"], "0." + "0" * 199 + "1"),
        (3, ["1e50", "1e50"], "1" + "0" * 100),
        (4, ["2", "3"], "0.6666666666666666666666666667"),
        (4, ["1", "-8"], "-0.125"),
        (5, ["2"], "1.414213562373095048801688724"),
        (5, ["1e100"], "1" + "0" * 50),
        (5, ["0"], "0"),
        (5, ["16", "null"], "4"),
        (5, ["16", "1e999"], "4"),  # not needed: its range is ignored
        (1, ["0." + "0" * 98 + "1", "0"], "0." + "0" * 98 + "1"),  # 100 digits
        (1, ["0e999999999", "1"], "1"),
    ],
)
def test_results_are_decimal_with_28_digits_and_no_exponent(
    asha: Calculator, operation_id: int, operands: list[str], result: str
) -> None:
    assert asha.compute(operation_id, *operands) == result


def test_results_equal_the_exact_ones_rounded_half_to_even(asha: Calculator) -> None:
    source = random.Random(12)
    for operation_id in (1, 2, 3, 4):
        for _ in range(25):
            first, second = (
                f"{source.randint(1, 10 ** source.randint(1, 40))}e{source.randint(-60, 10)}" for _ in range(2)
            )
            with localcontext(prec=300) as exact:
                function = (exact.add, exact.subtract, exact.multiply, exact.divide)[operation_id - 1]
                expected = function(Decimal(first), Decimal(second))
            with localcontext(prec=28):
                rounded = +expected
            assert Decimal(asha.compute(operation_id, first, second)) == rounded


@pytest.mark.parametrize("operation_id", [1, 2, 3, 4, 5])
def test_no_result_has_more_than_230_characters(asha: Calculator, operation_id: int) -> None:
    digits = "-" * (operation_id != 5) + "1.23456789012345678901234567890123456789e-100"
    second = {3: "9.87654321098765432109876543210987654321e-100", 4: "1e100"}.get(operation_id, "1e-99")
    assert len(asha.compute(operation_id, digits, second)) <= 230


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("{}", [("/operation_id", "missing-key")]),
        ('{"operation_id": 1}', [("/operator1", "missing-key"), ("/operator2", "missing-key")]),
        ('{"operation_id": 2, "operator1": 1}', [("/operator2", "missing-key")]),
        ('{"operation_id": 3, "operator2": 1}', [("/operator1", "missing-key")]),
        ('{"operation_id": 4, "operator2": 0}', [("/operator1", "missing-key")]),
        ('{"operation_id": 5, "operator2": 0}', [("/operator1", "missing-key")]),
        ('{"operation_id": 1, "operator1": null, "operator2": 1}', [("/operator1", "wrong-type")]),
        ('{"operation_id": 1, "operator1": "1", "operator2": 1}', [("/operator1", "wrong-type")]),
        ('{"operation_id": 1, "operator1": 1, "operator2": true}', [("/operator2", "wrong-type")]),
        (
            '{"operation_id": 1, "operator1": [1], "operator2": {}}',
            [("/operator1", "wrong-type"), ("/operator2", "wrong-type")],
        ),
        ('{"operation_id": 5, "operator1": 1, "operator2": "1"}', [("/operator2", "wrong-type")]),
        ('{"operation_id": 6, "operator1": "8"}', [("/operator1", "wrong-type")]),
        ('{"operation_id": 6, "operator2": false}', [("/operator2", "wrong-type")]),
        ('{"operation_id": "1", "operator1": 1, "operator2": 1}', [("/operation_id", "wrong-type")]),
        ('{"operation_id": true, "operator1": 1, "operator2": 1}', [("/operation_id", "wrong-type")]),
        ('{"operation_id": null, "operator1": 1, "operator2": 1}', [("/operation_id", "wrong-type")]),
        ('{"operation_id": 1, "operator1": 1, "operator2": 1, "operator3": 1}', [("/operator3", "unknown-key")]),
        *(
            (f'{{"operation_id": 1, "operator1": {number}, "operator2": 1}}', [("/operator1", "number-out-of-range")])
            for number in (
                TOO_MANY_DIGITS, "-" + TOO_MANY_DIGITS, "9" * 5000, "0." + "0" * 5000, "1." + "0" * 100,
                "1e101", "-1e101", "1.0000000001e100", "1e-101", "9.99e-101", "1e999999999", "1e-999999999",
                "-1e" + "9" * 5000, "1e" + "0" * 300 + "101",
            )
        ),
        *(
            (f'{{"operation_id": 6, "operator1": {number}}}', [("/operator1", "number-out-of-range")])
            for number in ("0", "33", "-1", "8.5", "1e100", "1e999999999", TOO_MANY_DIGITS)
        ),
    ],
)  # fmt: skip
def test_an_invalid_body_is_a_400_with_each_place(
    asha: Calculator, problem_of: Any, body: str, errors: list[tuple[str, str]]
) -> None:
    assert problem_of(asha.post(body)) == (400, "body-invalid", errors)
    assert (asha.balance(), asha.records()) == (2500, [])


@pytest.mark.parametrize(
    "body", ["", "{", '{"operation_id": NaN}', '{"operation_id": 01}', '{"operation_id": 1.}', b'"\xff"']
)
def test_a_body_that_is_no_json_object_is_a_400(asha: Calculator, problem_of: Any, body: str | bytes) -> None:
    assert problem_of(asha.post(body))[1] == ("body-not-json" if body else "body-invalid")


@pytest.mark.parametrize(
    ("body", "code", "pointers"),
    [
        ('{"operation_id": 4, "operator1": 1, "operator2": 0}', "division-by-zero", ["/operator2"]),
        ('{"operation_id": 4, "operator1": 0, "operator2": -0.0}', "division-by-zero", ["/operator2"]),
        ('{"operation_id": 5, "operator1": -4}', "negative-root", ["/operator1"]),
        ('{"operation_id": 5, "operator1": -1e-100}', "negative-root", ["/operator1"]),
        ('{"operation_id": 1, "operator1": 1e100, "operator2": 1e80}', "result-too-large", []),
        ('{"operation_id": 3, "operator1": 1e51, "operator2": -1e50}', "result-too-large", []),
        ('{"operation_id": 4, "operator1": 1e100, "operator2": 1e-100}', "result-too-large", []),
    ],
)
def test_arithmetic_that_fails_is_a_400_and_not_charged(
    asha: Calculator, problem_of: Any, body: str, code: str, pointers: list[str]
) -> None:
    assert problem_of(asha.post(body)) == (400, code, [(pointer, code) for pointer in pointers])
    assert (asha.balance(), asha.records()) == (2500, [])


@pytest.mark.parametrize("operation_id", ["0", "7", "-1", "9223372036854775808", "1" * 100])
def test_an_unknown_operation_is_a_404(asha: Calculator, problem_of: Any, operation_id: str) -> None:
    response = asha.post(f'{{"operation_id": {operation_id}, "operator1": 1, "operator2": 1}}')
    assert problem_of(response) == (404, "operation-not-found", [("/operation_id", "operation-not-found")])


# ---- the balance


def test_a_balance_equal_to_the_cost_is_enough(asha: Calculator) -> None:
    asha.spend_down_to(3)
    assert asha.post(ADDITION).json()["user_balance"] == 0


@pytest.mark.parametrize(("body", "cost"), [(ADDITION, 3), (RANDOM_STRING, 8)])
def test_a_balance_below_the_cost_is_a_403_that_names_it(
    asha: Calculator, problem_of: Any, body: str, cost: int
) -> None:
    asha.spend_down_to(cost - 1)
    before = asha.page()
    response = asha.post(body)
    assert problem_of(response) == (403, "insufficient-balance", [])
    assert response.json()["error"] == "insufficient balance"
    assert (asha.balance(), asha.page()) == (cost - 1, before)


def test_many_calls_at_once_never_spend_more_than_there_is(asha: Calculator) -> None:
    asha.spend_down_to(50)
    responses = at_once(32, lambda _: asha.post(ADDITION))
    added = [response.json() for response in responses if response.status_code == 201]
    assert sorted(response.status_code for response in responses) == [201] * 16 + [403] * 16
    assert asha.balance() == 2
    assert sorted(body["user_balance"] for body in added) == [*range(2, 50, 3)]
    newest = asha.records(per_page="16")
    assert [record["user_balance"] for record in newest] == [*range(2, 50, 3)], "ids rise with each charge"


def test_the_first_calls_of_an_account_at_once_are_all_charged(asha: Calculator) -> None:
    responses = at_once(16, lambda _: asha.post(ADDITION))
    assert {response.status_code for response in responses} == {201}
    assert asha.balance() == 2500 - 16 * 3


def test_an_account_pays_for_its_own_records_only(asha: Calculator, ravi: Calculator) -> None:
    asha.add()
    assert (asha.balance(), ravi.balance()) == (2497, 2500)


# ---- the order of the checks


def test_the_checks_have_their_order(asha: Calculator, problem_of: Any) -> None:
    anyone = Calculator(asha.client, asha.account)
    anyone.headers = {}
    large = b" " * (1024 * 1024 + 1)
    by_zero = '{"operation_id": 4, "operator1": 1, "operator2": 0}'
    asha.spend_down_to(2)
    assert anyone.post(large).status_code == 401
    assert asha.post(large, Idempotency_Key="").status_code == 413
    assert problem_of(asha.post("{", Idempotency_Key=""))[1] == "body-not-json"
    assert problem_of(asha.post("{}", Idempotency_Key="")) == (400, "body-invalid", [("/operation_id", "missing-key")])
    assert problem_of(asha.post(by_zero, Idempotency_Key=""))[1] == "idempotency-key-invalid"
    assert problem_of(asha.post('{"operation_id": 7}', Idempotency_Key=""))[1] == "idempotency-key-invalid"
    assert problem_of(asha.post(by_zero))[1] == "division-by-zero"
    assert problem_of(asha.post(ADDITION))[1] == "insufficient-balance"


def test_a_reused_key_is_reported_before_the_arithmetic(asha: Calculator, problem_of: Any) -> None:
    assert asha.post(ADDITION, Idempotency_Key="k").status_code == 201
    by_zero = '{"operation_id": 4, "operator1": 1, "operator2": 0}'
    assert problem_of(asha.post(by_zero, Idempotency_Key="k"))[:2] == (409, "idempotency-key-reused")


@pytest.mark.parametrize("method", ["GET operations", "GET records", "POST records", "DELETE records/1", "GET balance"])
def test_every_endpoint_needs_a_token(asha: Calculator, method: str) -> None:
    verb, path = method.split()
    for credentials in ({}, {"Authorization": "Bearer x.y.z"}, {"x-functions-key": "key"}):
        response = asha.client.request(verb, f"/api/v1/{path}", headers=credentials, content=b"{")
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


# ---- the costs


def test_a_record_costs_at_most_three_statements_besides_the_tokens(asha: Calculator, statements: list[str]) -> None:
    asha.post(ADDITION)
    first = len(statements)
    for body in (ADDITION, RANDOM_STRING):
        statements.clear()
        asha.post(body)
        assert len(statements) <= 1 + 3
        assert first == len(statements) + 1, "one more at the account's first use"
        plain = len(statements)
        statements.clear()
        asha.post(body, Idempotency_Key=f"key of {body[-3:-1]}")
        assert len(statements) == plain + 3
