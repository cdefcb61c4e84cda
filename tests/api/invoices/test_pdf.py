"""An invoice as PDF: its layout, its text in the order of the letters, its fonts, long words."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

import api.invoices.pdf
from api.invoices.pdf import render_pdf
from domain.invoices.amounts import format_amount
from tests.support.invoice_documents import WORDS, document, item, items
from tests.support.pdf import Run, lines, read_pages
from tools.box_font import PATH, build

FOLDER = Path(api.invoices.pdf.__file__).parent
HEADER = "Item / Description | Price per unit | Quantity | Price"
THANKS = "Thank you for shopping with us!"
BOXES = "RollbookBoxes-Regular"
MARGIN = 51.0
"""18 mm in points."""


def _runs(pdf: bytes) -> list[Run]:
    return [run for page in read_pages(pdf) for run in page]


def _run(pdf: bytes, text: str) -> Run:
    """Returns the only run with this text."""
    [found] = [run for run in _runs(pdf) if run.text == text]
    return found


def _flowing(pdf: bytes) -> str:
    """Returns all text in the order of the file, without spaces: a space at the end of a line is not printed."""
    return "".join(run.text for run in _runs(pdf)).replace(" ", "")


def test_a_page_has_everything_that_the_picture_has() -> None:
    pdf = render_pdf(document([item("K", price=55000, quantity=3), item("S", "Salt, 1 kg", 179999)]))
    assert [lines(page) for page in read_pages(pdf)] == [
        [
            "INVOICE: #00001-AAA",
            "Customer Name: | Asha Rao | Virtual Company Ltd.",
            "Phone: | +919876543210 | +91-XXXX-XX-XXXX",
            "Addr: | 12 MG Road | abc@xompany.com",
            "23th Street, Zbcxyz",
            HEADER,
            "K | ₹550.00 | 3 | ₹1,650.00",
            "S / Salt, 1 kg | ₹1,799.99 | 1 | ₹1,799.99",
            "TOTAL | ₹3,449.99",
            THANKS,
        ]
    ]


@pytest.mark.slow
def test_right_to_left_text_that_breaks_into_lines_keeps_its_letters() -> None:
    # Without a font for these letters typst panics, for some places of the break.
    text = "\u05de\u06a1\u0682\u06b5\u05b4N\u05e9p\u0601] \u05b2\u06c3H\u06b9o\u0657\u06f8\u0598f\u05e4Zdw\u05b9\u068d"
    for indent in range(30, 41):
        printed = _flowing(render_pdf(document([item("x" * indent + text)])))
        letters = [letter for letter in text if letter > "\u0500"]
        assert [printed.count(letter) for letter in letters] == [1] * len(letters), indent


def test_the_parts_of_a_page_stand_where_the_picture_has_them() -> None:
    pdf = render_pdf(document([item("K", price=55000, quantity=3)]))
    width = 595.3
    for right in ("INVOICE: #00001-AAA", "Virtual Company Ltd.", "23th Street, Zbcxyz"):
        assert _run(pdf, right).right == pytest.approx(width - MARGIN, abs=1), right
    assert _run(pdf, "Addr:").left == pytest.approx(MARGIN, abs=1)
    thanks = _run(pdf, THANKS)
    assert thanks.left + thanks.right == pytest.approx(width, abs=1)
    fonts = {text: _run(pdf, text).fonts for text in (THANKS, "Asha Rao", "Customer Name:", "TOTAL", "K")}
    assert [next(iter(font)) for font in fonts.values()] == [
        "NotoSans-Italic",
        "NotoSans-Bold",
        "NotoSans-Regular",
        "NotoSans-Bold",
        "NotoSans-Regular",
    ]


def test_an_invoice_without_lines_has_a_total() -> None:
    [page] = read_pages(render_pdf(document([], currency="$")))
    assert lines(page)[-3:] == [HEADER, "TOTAL | $0.00", THANKS]


@pytest.mark.parametrize("number", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_line_is_there_under_a_header_on_numbered_pages(number: int) -> None:
    pages = read_pages(render_pdf(document(items(number))))
    assert len(pages) > number / 40
    rows: list[str] = []
    for index, page in enumerate(pages, 1):
        header, *body, footer = lines(page)[5 if index == 1 else 0 :]
        assert (header, footer) == (HEADER, f"Page {index} of {len(pages)}")
        rows += body
    total = sum(line.unit_price * line.quantity for line in items(number))
    assert rows[-2:] == [f"TOTAL | {format_amount(total, '₹')}", THANKS]
    # Amounts stand on the first line of a cell, and typst ends that line with the space at which it broke.
    printed: list[list[str]] = []
    for row in rows[:-2]:
        if " | " in row:
            printed.append(row.split(" | "))
        else:
            printed[-1][0] += row
    assert printed == [
        [
            f"{line.name} / {line.description}",
            format_amount(line.unit_price, "₹"),
            str(line.quantity),
            format_amount(line.unit_price * line.quantity, "₹"),
        ]
        for line in items(number)
    ]


def test_markup_in_a_name_is_printed_as_it_is() -> None:
    name = r"""#strong[x] #panic() $y$ \ *b* _u_ `r` <label> @ref ~ -- --- ... \u{41} [ ] " ' /* c */"""
    pdf = render_pdf(document([item(name, "= h"), item("// c", "- l")], name="#sys.inputs", address='"#" + "$"'))
    assert _flowing(pdf).count(f"{name} / = h".replace(" ", "")) == 1
    texts = {run.text for run in _runs(pdf)}
    assert texts >= {"// c / - l", "#sys.inputs", '"#" + "$"'}


@pytest.mark.parametrize("script", WORDS)
def test_the_letters_of_each_script_are_shaped_and_extract_whole(script: str) -> None:
    words = WORDS[script]
    pdf = render_pdf(document([item(words)], name=words))
    regular, bold = sorted((run for run in _runs(pdf) if run.text == words), key=lambda run: -run.y)
    assert regular.fonts <= {"NotoSans-Regular", f"NotoSans{script}-Regular"}
    assert bold.fonts <= {"NotoSans-Bold", f"NotoSans{script}-Bold"}
    assert 0 not in regular.glyphs + bold.glyphs, "a box"


@pytest.mark.parametrize(
    ("script", "word", "glyphs"),
    [
        ("Devanagari", "क्षत्रिय", 4),  # kṣa, the sign i before tra, ya
        ("Bengali", "ক্ষুদ্র", 4),  # kṣa, its sign u, the empty glyph behind signs, dra
        ("Gurmukhi", "ਸ੍ਰੀ", 4),
        ("Gujarati", "ક્ષત્રિય", 4),
        ("Oriya", "କ୍ଷେତ୍ର", 5),
        ("Tamil", "ஸ்ரீ", 1),
        ("Telugu", "స్త్రీ", 3),
        ("Kannada", "ಕ್ಷೇತ್ರ", 5),
        ("Malayalam", "ക്ഷേത്രം", 5),
    ],
)
def test_conjuncts_have_glyphs_of_their_own(script: str, word: str, glyphs: int) -> None:
    run = _run(render_pdf(document([item(word)])), word)
    assert run.fonts == {f"NotoSans{script}-Regular"}
    assert len(run.glyphs) == glyphs


@pytest.mark.parametrize(
    "text", ["😀", "👨‍👩‍👧", "漢字", "שלום", "العربية", "\ue000", "\u0378", "\uffff", "\U0010fffd"]
)
def test_characters_without_a_glyph_are_boxes_with_their_text(text: str) -> None:
    runs = _runs(render_pdf(document([item(f"a{text}z")], name=f"b{text}y")))
    assert 0 not in {glyph for run in runs for glyph in run.glyphs}, "a box without text"
    boxes = [run for run in runs if BOXES in run.fonts]
    is_reversed = unicodedata.bidirectional(text[0]) in ("R", "AL")  # as on the page, from the left
    printed = text[::-1] if is_reversed else text
    assert [run.text for run in boxes] == [f"b{printed}y", f"a{printed}z"]
    assert [run.fonts - {BOXES} for run in boxes] == [{"NotoSans-Bold"}, {"NotoSans-Regular"}]


def test_right_to_left_letters_do_not_move_over_the_separator() -> None:
    [page] = read_pages(render_pdf(document([item("שלום", "דג")])))
    assert lines(page)[6] == "םולש / גד | ₹1.00 | 1 | ₹1.00"


def test_the_spaces_of_a_script_are_those_of_its_font() -> None:
    for script, words in WORDS.items():
        runs = _runs(render_pdf(document([item(words)])))
        assert {f"NotoSans{script}-Regular"} in [run.fonts for run in runs if run.text == words]


def test_the_font_of_the_boxes_is_the_one_that_its_tool_makes() -> None:
    assert PATH.read_bytes() == build()


@pytest.mark.parametrize("character", ["\u202e", "\u202a", "\u2067", "\u2028", "\u2029", "\u200b", "\u200d", "\ufeff"])
def test_invisible_characters_change_no_order(character: str) -> None:
    pdf = render_pdf(document([item(f"be{character}fore", "after")], name=f"x{character}y"))
    [page] = read_pages(pdf)
    name, row = (re.sub(f"[{character} ]", "", lines(page)[at]) for at in (1, 6))
    assert name == "CustomerName:|xy|VirtualCompanyLtd."
    assert row == "before/after|₹1.00|1|₹1.00"


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    ["W" * 200, "क्षेत्र" * 28, "क्" * 100, "漢" * 200, "( " * 99 + "(", "a/" * 100, "a\u00a0" * 99 + "a", "é" * 200],
    ids=lambda word: ascii(word[:4]),
)
def test_a_word_that_is_too_long_is_broken_inside_its_cell(word: str) -> None:
    pdf = render_pdf(document([item(f"Item {word}", f"of {word} ends", 10**12 - 1, 1000)], name=word, address=word))
    runs = _runs(pdf)
    assert max(run.right for run in runs) < 595 - MARGIN + 1
    customer, table = (next(run for run in runs if run.text.startswith(text)) for text in ("+91-XX", "Price per"))
    head = [run for run in runs if run.y < _run(pdf, "TOTAL").y and run.left < 300]
    assert max(run.right for run in head if run.y < table.y) < customer.left - 20
    assert max(run.right for run in head if run.y > table.y and run.left < 100) < table.left
    assert _flowing(pdf).count(word.replace(" ", "")) == 4


def test_the_fonts_of_the_app_are_the_only_ones() -> None:
    names = {path.name for path in (FOLDER / "fonts").iterdir()}
    scripts = [f"NotoSans{script}-{weight}.ttf" for script in WORDS for weight in ("Regular", "Bold")]
    assert names == {
        "OFL.txt",
        "NotoSans-Regular.ttf",
        "NotoSans-Bold.ttf",
        "NotoSans-Italic.ttf",
        f"{BOXES}.ttf",
        *scripts,
    }
    assert sum(path.stat().st_size for path in (FOLDER / "fonts").iterdir()) < 6_000_000
    assert "SIL OPEN FONT LICENSE Version 1.1" in (FOLDER / "fonts" / "OFL.txt").read_text("utf-8")
    pdf = render_pdf(document([item(" ".join(WORDS.values()) + " 漢字 😀 ∑ שלום")]))
    assert {f"{font}.ttf" for run in _runs(pdf) for font in run.fonts} <= names
