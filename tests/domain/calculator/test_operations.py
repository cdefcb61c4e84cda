"""The operations with their costs, and the codes, kinds and fields of the errors."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from domain import calculator
from domain.calculator import OPERATIONS, InsufficientBalanceError, Operation, OperationNotFoundError, find_operation
from domain.errors import ForbiddenError, InvalidError, NotFoundError, RollbookError


def test_an_operation_has_its_id_name_type_and_cost() -> None:
    assert list(get_type_hints(Operation)) == ["id", "name", "type", "cost"]
    assert [tuple(operation) for operation in OPERATIONS] == [
        (1, "Addition", "addition", 3),
        (2, "Subtraction", "subtraction", 3),
        (3, "Multiplication", "multiplication", 5),
        (4, "Division", "division", 5),
        (5, "Square Root", "square_root", 4),
        (6, "Random String", "random_string", 8),
    ]


def test_an_account_begins_with_2500() -> None:
    assert calculator.FIRST_CREDIT == 2500


def test_an_operation_is_found_by_its_id_alone() -> None:
    assert [find_operation(operation.id) for operation in OPERATIONS] == [*OPERATIONS]
    for unknown in (-1, 0, 7, 10**99):
        with pytest.raises(OperationNotFoundError):
            find_operation(unknown)


@pytest.mark.parametrize(
    ("error", "kind", "code", "fields"),
    [
        (calculator.NumberOutOfRangeError, InvalidError, "number-out-of-range", ()),
        (calculator.OperandMissingError, InvalidError, "missing-key", ()),
        (calculator.DivisionByZeroError, InvalidError, "division-by-zero", ("operator2",)),
        (calculator.NegativeRootError, InvalidError, "negative-root", ("operator1",)),
        (calculator.ResultTooLargeError, InvalidError, "result-too-large", ()),
        (calculator.OperationNotFoundError, NotFoundError, "operation-not-found", ("operation_id",)),
        (calculator.RecordNotFoundError, NotFoundError, "record-not-found", ()),
        (calculator.InsufficientBalanceError, ForbiddenError, "insufficient-balance", ()),
    ],
)
def test_an_error_has_its_kind_code_and_fields(
    error: type[RollbookError], kind: type[RollbookError], code: str, fields: tuple[str, ...]
) -> None:
    assert issubclass(error, kind)
    assert (error.code, error.fields) == (code, fields)
    assert error.detail != RollbookError.detail


def test_an_insufficient_balance_has_the_member_error() -> None:
    assert InsufficientBalanceError.members == {"error": str}
    assert InsufficientBalanceError().member_values == {"error": "insufficient balance"}
