"""Reads a PDF of typst: its text exactly, without guessing spaces from gaps, and where and in which font it stands.

pypdf's own extraction and pdftotext guess words from positions, and pypdf ignores /ActualText, without which the
letters of Indic scripts have no order.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from pypdf import PageObject, PdfReader
from pypdf.generic import ContentStream

_BFCHAR: Final = re.compile(rb"<([0-9A-F]{4})> <([0-9A-F]+)>")

_CELL_GAP: Final = 7.5
"""Points between two cells at least. A vowel sign may end its run a few points before the next letter."""


class Font(NamedTuple):
    """A font of a page: `Bold` of `NotoSans`, the width of its glyphs in ems, and their text."""

    name: str
    widths: dict[int, float]
    texts: dict[int, str]


class Run(NamedTuple):
    """Text that follows on itself on a line. `left` and `right` are in points, `y` in points from the top."""

    left: float
    right: float
    y: float
    fonts: frozenset[str]
    text: str
    glyphs: tuple[int, ...]


def read_pages(pdf: bytes) -> list[list[Run]]:
    """Returns the runs of each page in the order of the file."""
    return [[*_joined(_Page(page).runs())] for page in PdfReader(io.BytesIO(pdf)).pages]


def lines(runs: list[Run]) -> list[str]:
    """Returns the lines of a page from the top; ` | ` separates cells."""
    rows: dict[float, list[Run]] = {}
    for run in runs:
        rows.setdefault(round(run.y, 1), []).append(run)
    return [" | ".join(run.text for run in sorted(row)) for _, row in sorted(rows.items())]


def _joined(runs: Iterator[Run]) -> Iterator[Run]:
    last: Run | None = None
    for run in runs:
        if last and abs(run.left - last.right) < _CELL_GAP and abs(run.y - last.y) < 0.05:
            text, glyphs = last.text + run.text, last.glyphs + run.glyphs
            last = Run(last.left, run.right, run.y, last.fonts | run.fonts, text, glyphs)
        else:
            if last:
                yield last
            last = run
    if last:
        yield last


def _font(font: Any) -> Font:
    descendant = font["/DescendantFonts"][0].get_object()
    ranges = iter(descendant["/W"])
    widths = {
        glyph: float(width) / 1000 for first, last, width in zip(ranges, ranges, ranges, strict=True)
        for glyph in range(first, last + 1)
    }  # fmt: skip
    found = _BFCHAR.findall(font["/ToUnicode"].get_data())
    texts = {int(glyph, 16): bytes.fromhex(text.decode()).decode("utf-16-be") for glyph, text in found}
    return Font(font["/BaseFont"].partition("+")[2], widths, texts)


class _Page:
    """The state of the operators that typst writes. Its matrices translate and mirror, and scale nothing."""

    def __init__(self, page: PageObject) -> None:
        self.operations = ContentStream(page.get_contents(), page.pdf).operations
        self.height = float(page.mediabox.height)
        self.fonts = {name: _font(font.get_object()) for name, font in page["/Resources"]["/Font"].items()}  # type: ignore[index]
        self.origins = [(0.0, 0.0, 1.0)]
        self.x = self.y = self.size = 0.0
        self.actual: list[str | None] = []

    def runs(self) -> Iterator[Run]:
        for operands, operator in self.operations:
            match operator, operands:
                case b"BDC", [_, properties]:
                    self.actual.append(properties.get("/ActualText"))
                case b"BMC", _:
                    self.actual.append(None)
                case b"EMC", _:
                    self.actual.pop()
                case b"Tj", [shown]:
                    yield self._run([shown])
                case b"TJ", [shown]:
                    yield self._run(shown)
                case _:
                    self._move(operator, operands)

    def _move(self, operator: bytes, operands: list[Any]) -> None:
        left, top, sign = self.origins[-1]
        match operator, operands:
            case b"q", _:
                self.origins.append(self.origins[-1])
            case b"Q", _:
                self.origins.pop()
            case b"cm", [_, _, _, mirrored, x, y]:
                self.origins[-1] = left + float(x), top + sign * float(y), sign * float(mirrored)
            case b"Tf", [name, size]:
                self.font, self.size = self.fonts[name], float(size)
            case b"Tm", [_, _, _, _, x, y]:
                self.x, self.y = left + float(x), self.height - (top + sign * float(y))

    def _run(self, shown: list[Any]) -> Run:
        left, glyphs = self.x, []
        for part in shown:
            if isinstance(part, int | float):
                self.x -= float(part) * self.size / 1000
                continue
            data = part if isinstance(part, bytes) else part.original_bytes
            for glyph in (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)):
                glyphs.append(glyph)
                self.x += self.font.widths.get(glyph, 0) * self.size
        text = "".join(self.font.texts.get(glyph, "") for glyph in glyphs)
        if actual := next((text for text in self.actual if text is not None), None):
            text, self.actual = actual, ["" if at is not None else None for at in self.actual]
        return Run(left, self.x, self.y, frozenset({self.font.name}), text, tuple(glyphs))
