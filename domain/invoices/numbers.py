"""Invoice numbers as people read them."""

from __future__ import annotations

from typing import Final

NUMBER_MAX: Final = 26**3 * 100_000 - 1
"""The largest number that has a text: `#99999-ZZZ`."""


def format_invoice_number(number: int) -> str:
    """Returns the text of the n-th number: `#00001-AAA` … `#99999-AAA`, `#00000-AAB`.

    Raises `ValueError` for a number that is not from 1 to `NUMBER_MAX`.
    """
    if not 1 <= number <= NUMBER_MAX:
        raise ValueError("the invoice numbers are used up")
    series, place = divmod(number, 100_000)
    letters = "".join(chr(ord("A") + series // weight % 26) for weight in (676, 26, 1))
    return f"#{place:05}-{letters}"
