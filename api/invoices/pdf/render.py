"""Renders an invoice by typst: template.typ is its layout, and the fonts beside it are the only ones.

Names reach the template as data, a JSON text among its inputs, and never as markup.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from domain.invoices.amounts import format_amount

if TYPE_CHECKING:
    from typst import Compiler, Fonts

_FOLDER: Final = Path(__file__).parent
_PRINTED: Final = {
    **dict.fromkeys(range(0x2028, 0x202A), " "),  # line and paragraph separators; typst would justify the line before
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)]),
}
"""Removes directional embeddings, overrides and isolates, which would reverse what follows them in a cell: UAX #9,
section 2. Right-to-left letters need none of them."""

_LOCK: Final = Lock()
"""typst's compiler raises a RuntimeError where two threads call it. It releases Python's lock while it works."""

_LINES_KEPT: Final = 100
"""A document with more lines does not stay in typst's cache."""


class Company(NamedTuple):
    """The issuer of the invoice, as the settings `INVOICE_COMPANY_…` describe it."""

    name: str
    phone: str
    email: str
    address: str


class DocumentLine(NamedTuple):
    """A row of the table. `unit_price` is in minor units; the price of the line is `unit_price` times `quantity`."""

    name: str
    description: str
    unit_price: int
    quantity: int


class InvoiceDocument(NamedTuple):
    """Everything that stands on an invoice. `number` is the formatted one, `#00001-AAA`."""

    number: str
    customer_name: str
    customer_phone: str
    customer_address: str
    lines: Sequence[DocumentLine]
    company: Company
    currency: str


def render_pdf(document: InvoiceDocument) -> bytes:
    """Returns the invoice as PDF. The same document has the same bytes in every process of the same version.

    Threads may call it at the same time, and wait for one another.
    """
    data = json.dumps(_data(document), ensure_ascii=False).translate(_PRINTED)
    with _LOCK:
        compiler, fonts = _compiler()
        pdf = _compile(compiler, data)
        if len(document.lines) > _LINES_KEPT:
            _empty_cache(fonts)
    return pdf


def _compile(compiler: Compiler, data: str) -> bytes:
    """Returns the PDF. Raises `RuntimeError`, also for a panic, which is no `Exception`.

    typst panicked where it broke lines of right-to-left letters without a glyph; now a font has a box for each.
    """
    try:
        return cast("bytes", compiler.compile(format="pdf", sys_inputs={"document": data}))
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of pyo3, which exports no such class
            raise RuntimeError("typst panicked") from None
        raise


@cache
def _compiler() -> tuple[Compiler, Fonts]:
    """Returns the compiler of template.typ and its fonts."""
    import typst  # noqa: PLC0415 - 84 MB and 20 ms, which only a PDF should take

    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[_FOLDER / "fonts"])
    return typst.Compiler(_FOLDER / "template.typ", root=_FOLDER, font_paths=fonts), fonts


def _empty_cache(fonts: Fonts) -> None:
    """Frees what typst keeps of a document, which is 80 MB for 1,000 lines.

    typst-py keeps it for the next ten documents, and has no setting for it (messense/typst-py#104).
    """
    import typst  # noqa: PLC0415 - as above

    for _ in range(10):
        typst.compile(b"", format="svg", font_paths=fonts)


def _data(document: InvoiceDocument) -> dict[str, object]:
    """Returns what template.typ reads."""
    total = sum(line.unit_price * line.quantity for line in document.lines)
    return {
        "number": document.number,
        "customer": {
            "name": document.customer_name,
            "phone": document.customer_phone,
            "address": document.customer_address,
        },
        "company": document.company,
        "lines": [_row(line, document.currency) for line in document.lines],
        "total": format_amount(total, document.currency),
    }


def _row(line: DocumentLine, currency: str) -> tuple[str, str, str, str]:
    """Returns the cells of a line. A name that is its own description is printed once.

    U+200E before the separator keeps name and description apart; template.typ does not print it.
    """
    item = line.name if line.name == line.description else f"{line.name}\u200e / {line.description}"
    price = line.unit_price * line.quantity
    return item, format_amount(line.unit_price, currency), str(line.quantity), format_amount(price, currency)
