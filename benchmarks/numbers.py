"""`python -m benchmarks.numbers`: the cost of the body of `POST /records`, which keeps digits, against orjson."""

from __future__ import annotations

from collections.abc import Callable
from timeit import repeat

import orjson

from api.calculator.numbers import loads, parse_record
from domain.calculator import calculate, find_operation

RECORD = b'{"operation_id":1,"operator1":0.1,"operator2":0.2}'
LARGEST = b'{"operation_id":[' + b"1," * 500_000 + b"1]}"
CALLS = 20_000


def main() -> None:
    """Prints the best of five runs of each, in microseconds per call."""
    request = parse_record(RECORD)
    operation = find_operation(request.operation_id)
    print("| what | µs |\n|---|---|")
    _row("a body as floats: orjson", lambda: orjson.loads(RECORD))
    _row("a body as digits: the standard library", lambda: loads(RECORD))
    _row("a body as digits, validated", lambda: parse_record(RECORD))
    _row("the sum", lambda: calculate(operation, *request.operands))
    _row("1 MB of numbers as floats: orjson", lambda: orjson.loads(LARGEST), calls=1)
    _row("1 MB of numbers as digits: the standard library", lambda: loads(LARGEST), calls=1)


def _row(what: str, work: Callable[[], object], *, calls: int = CALLS) -> None:
    print(f"| {what} | {min(repeat(work, number=calls)) / calls * 1e6:,.1f} |")


if __name__ == "__main__":
    main()
