"""`python -m tools.box_font`: makes the font of the characters without a glyph, api/invoices/pdf/fonts/.

In this font every character is a box. In other fonts that is glyph 0, for which typst writes no text into the PDF: of
an unknown character the letter would be lost.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable

PATH: Final = Path(__file__).parents[1] / "api" / "invoices" / "pdf" / "fonts" / "RollbookBoxes-Regular.ttf"
NAME: Final = "Rollbook Boxes"
GLYPHS: Final = 0x4000
"""Every character has one of so many equal glyphs, by its code point. Where two characters of a PDF share a glyph,
typst adds `ActualText`, which not all programs read. More glyphs make the file larger: 22 bytes for each."""

BOX: Final = (((94, 0), (94, 714), (506, 714), (506, 0)), ((145, 51), (455, 51), (455, 663), (145, 663)))
"""The box of Noto Sans, in thousandths of the size."""


def build() -> bytes:
    """Returns the font, the same bytes each time."""
    glyphs = [".notdef", *map(_glyph_name, range(GLYPHS))]
    builder = FontBuilder(unitsPerEm=1000, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap({})
    builder.font["cmap"].tables = [_character_map()]
    box = _box()
    pen = TTGlyphPen({".notdef": box})
    pen.addComponent(".notdef", (1, 0, 0, 1, 0, 0))
    builder.setupGlyf({**dict.fromkeys(glyphs, pen.glyph()), ".notdef": box})
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (600, BOX[0][0][0])))
    # The heights are those of Noto Sans: typst places lines by them.
    builder.setupHorizontalHeader(ascent=1069, descent=-293)
    builder.setupOS2(version=4, sTypoAscender=1069, sTypoDescender=-293, sCapHeight=714, sxHeight=536)
    builder.setupNameTable({"familyName": NAME, "styleName": "Regular", "fullName": NAME, "psName": PATH.stem})
    builder.setupPost(keepGlyphNames=False)
    builder.font["head"].created = builder.font["head"].modified = 0
    builder.font.recalcTimestamp = False
    file = io.BytesIO()
    builder.save(file)
    return file.getvalue()


def _glyph_name(number: int) -> str:
    return f"box{number}"


def _character_map() -> Any:
    """Returns a table of all characters but controls and surrogates: platform 3, encoding 10, format 12."""
    table = CmapSubtable.newSubtable(12)
    table.platformID, table.platEncID, table.language = 3, 10, 0
    table.format, table.reserved, table.length = 12, 0, 0
    characters = [*range(0x20, 0xD800), *range(0xE000, 0x110000)]
    table.cmap = {character: _glyph_name(character % GLYPHS) for character in characters}
    return table


def _box() -> Any:
    """Returns the outline of the box."""
    pen = TTGlyphPen(None)
    for first, *others in BOX:
        pen.moveTo(first)
        for point in others:
            pen.lineTo(point)
        pen.closePath()
    return pen.glyph()


if __name__ == "__main__":
    PATH.write_bytes(build())
    print(PATH)
