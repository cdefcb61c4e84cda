"""The rules of the calculator service: its operations and their costs, its operands, and decimal arithmetic.

An operand arrives as the text of a JSON number, because a float would not have the digits that were sent. Arithmetic is
exact, then rounded once to 28 significant digits, half to even. Balances and records belong to persistence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, ClassVar, Final, NamedTuple

from domain.errors import ForbiddenError, InvalidError, NotFoundError, WrongTypeError

FIRST_CREDIT: Final = 2500
"""The balance of an account before its first charge, without what was granted."""

DIGITS_MAX: Final = 100
"""Maximum number of an operand's digits before its exponent, zeros included."""

RESULT_LENGTH_MAX: Final = 230
"""Maximum length of a result in characters: a sign, `0.`, 200 - 1 zeros and 28 digits."""

RANDOM_LENGTH_DEFAULT: Final = 8
RANDOM_LENGTH_MAX: Final = 32
"""Maximum length of a random string in characters."""

_LARGEST: Final = Decimal("1e100")
_SMALLEST: Final = Decimal("1e-100")
_CONTEXT: Final = Context(prec=28, rounding=ROUND_HALF_EVEN)
"""Threads may share it: an operation reads precision and rounding, and writes only flags, which are never read."""

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
# RFC 8259, section 6. [0-9] and not \d, which matches the digits of every script.
_NUMBER: Final = re.compile(r"(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)(?:[eE]([+-]?)([0-9]+))?")
_EXPONENT_DIGITS_MAX: Final = 4
"""An exponent of more digits leaves the range, whatever 100 digits precede it."""


# ---- errors


class NumberOutOfRangeError(InvalidError):
    """The operand has too many digits, or is too small or too large."""

    code = "number-out-of-range"
    detail = f"This must be 0 or from 1e-100 to 1e100 in magnitude, with at most {DIGITS_MAX} digits and an exponent."


class OperandMissingError(InvalidError):
    """The operation needs this operand."""

    code = "missing-key"
    detail = "This key is required for the operation."


class DivisionByZeroError(InvalidError):
    """The divisor is zero."""

    code = "division-by-zero"
    detail = "operator2 must not be zero."
    fields = ("operator2",)


class NegativeRootError(InvalidError):
    """A square root of a negative number."""

    code = "negative-root"
    detail = "operator1 must not be negative."
    fields = ("operator1",)


class ResultTooLargeError(InvalidError):
    """The rounded result is above 1e100 in magnitude."""

    code = "result-too-large"
    detail = "The result must not be above 1e100 in magnitude."


class OperationNotFoundError(NotFoundError):
    """No operation has this id."""

    code = "operation-not-found"
    detail = "No operation has this id."
    fields = ("operation_id",)


class RecordNotFoundError(NotFoundError):
    """The account has no such record, or it is deleted."""

    code = "record-not-found"
    detail = "You have no record with this id."


class InsufficientBalanceError(ForbiddenError):
    """The balance is below the cost of the operation."""

    code = "insufficient-balance"
    detail = "The balance is below the cost of the operation."
    members: ClassVar[Mapping[str, Any]] = {"error": str}

    def __init__(self) -> None:
        super().__init__(member_values={"error": "insufficient balance"})


# ---- operations


class Operation(NamedTuple):
    """An operation. `cost` is in credits."""

    id: int
    name: str
    type: str
    cost: int


ADDITION: Final = Operation(1, "Addition", "addition", 3)
SUBTRACTION: Final = Operation(2, "Subtraction", "subtraction", 3)
MULTIPLICATION: Final = Operation(3, "Multiplication", "multiplication", 5)
DIVISION: Final = Operation(4, "Division", "division", 5)
SQUARE_ROOT: Final = Operation(5, "Square Root", "square_root", 4)
RANDOM_STRING: Final = Operation(6, "Random String", "random_string", 8)

OPERATIONS: Final = (ADDITION, SUBTRACTION, MULTIPLICATION, DIVISION, SQUARE_ROOT, RANDOM_STRING)
"""All operations, in the order of their ids."""

_BY_ID: Final = {operation.id: operation for operation in OPERATIONS}


def find_operation(operation_id: int) -> Operation:
    """Returns an operation. Raises `OperationNotFoundError`."""
    if operation_id not in _BY_ID:
        raise OperationNotFoundError
    return _BY_ID[operation_id]


# ---- operands


class Number(NamedTuple):
    """A JSON number as it was sent."""

    text: str


ABSENT: Final = object()
"""The value of an operand that was not sent: unlike null, it is a missing key if the operation needs it."""


def parse_operation_id(value: object) -> int:
    """Returns the id of an operation, which need not exist: a JSON number without fraction and exponent.

    Raises `WrongTypeError`, `NumberOutOfRangeError`.
    """
    if not isinstance(value, Number) or not _INTEGER.fullmatch(value.text):
        raise WrongTypeError("This must be a whole number.")
    if len(value.text.removeprefix("-")) > DIGITS_MAX:
        raise NumberOutOfRangeError(f"This must have at most {DIGITS_MAX} digits.")
    return int(value.text)


def parse_operand(value: object, operation_id: int | None, position: int) -> Decimal | None:
    """Returns the first or second operand (`position` 1 or 2) of an operation; None if it is not used or not given.

    An operand that is not used is any number or null: its range is ignored. The operation may be unknown (None). Raises
    `WrongTypeError`, `OperandMissingError`, `NumberOutOfRangeError`.
    """
    operation = _BY_ID.get(operation_id or 0)
    is_used = operation is not None and (position == 1 or operation in _BINARY)
    is_needed = is_used and operation is not RANDOM_STRING
    if value is ABSENT and is_needed:
        raise OperandMissingError
    if not isinstance(value, Number) and (is_needed or value not in (None, ABSENT)):
        raise WrongTypeError("This must be a JSON number.")
    if not isinstance(value, Number) or not is_used:
        return None
    operand = parse_number(value.text)
    return Decimal(random_length(operand)) if operation is RANDOM_STRING else operand


def parse_number(text: str) -> Decimal:
    """Returns the exact value of a JSON number's text, in time linear in its length.

    Raises `WrongTypeError`, `NumberOutOfRangeError`.
    """
    if not (match := _NUMBER.fullmatch(text)):
        raise WrongTypeError("This must be a JSON number.")
    digits, sign, exponent = match.groups(default="")
    exponent = exponent.lstrip("0") or "0"
    if len(digits) - digits.count("-") - digits.count(".") > DIGITS_MAX:
        raise NumberOutOfRangeError
    if not Decimal(digits):
        return Decimal(0)  # whatever its exponent
    if len(exponent) > _EXPONENT_DIGITS_MAX:
        raise NumberOutOfRangeError
    value = Decimal(f"{digits}e{sign}{exponent}")
    if not _SMALLEST <= value.copy_abs() <= _LARGEST:
        raise NumberOutOfRangeError
    return value


def random_length(operand: Decimal | None = None) -> int:
    """Returns the length of a random string in characters. Raises `NumberOutOfRangeError`."""
    if operand is None:
        return RANDOM_LENGTH_DEFAULT
    if not 1 <= operand <= RANDOM_LENGTH_MAX or operand != int(operand):
        raise NumberOutOfRangeError(f"This must be a whole number from 1 to {RANDOM_LENGTH_MAX}.")
    return int(operand)


# ---- arithmetic


def _divide(operand1: Decimal, operand2: Decimal) -> Decimal:
    if not operand2:
        raise DivisionByZeroError
    return _CONTEXT.divide(operand1, operand2)


def _root(operand1: Decimal) -> Decimal:
    if operand1 < 0:
        raise NegativeRootError
    return _CONTEXT.sqrt(operand1)


_BINARY: Final[Mapping[Operation, Callable[[Decimal, Decimal], Decimal]]] = {
    ADDITION: _CONTEXT.add,
    SUBTRACTION: _CONTEXT.subtract,
    MULTIPLICATION: _CONTEXT.multiply,
    DIVISION: _divide,
}


def calculate(operation: Operation, *operands: Decimal) -> str:
    """Returns the result of any operation but the random string: one operand for the square root, two for the others.

    Raises `DivisionByZeroError`, `NegativeRootError`, `ResultTooLargeError`.
    """
    result = _root(*operands) if operation is SQUARE_ROOT else _BINARY[operation](*operands)
    if result.copy_abs() > _LARGEST:
        raise ResultTooLargeError
    return _format(result)


def _format(result: Decimal) -> str:
    """Returns a number in digits: no exponent, no trailing zeros, no negative zero."""
    if not result:
        return "0"
    text = format(result, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
