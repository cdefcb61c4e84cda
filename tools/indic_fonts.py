"""`python -m tools.indic_fonts FOLDER`: makes the Indic fonts of api/invoices/pdf/fonts/ from Noto's in FOLDER.

A page looks as before, except for small moves of signs (`SMALL`). What programs read from it differs where typst and
readers of PDFs disagree about signs:

* typst writes the text of a consonant and its signs once for all of their glyphs (`ActualText`). poppler takes the end
  of the last glyph for the end of this text: a sign that ends left of its consonant leaves a gap, which it reads as a
  space. Here an empty glyph follows the last sign, at the end of the consonant.
* A sign that the font raises or lowers is a text of its own for typst, with the letters of its consonant, which would
  be read twice. Here such a sign is a glyph of its own, drawn at its height.
"""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fontTools.otlLib import builder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables import otTables

FONTS: Final = Path(__file__).parents[1] / "api" / "invoices" / "pdf" / "fonts"
SCRIPTS: Final = ("Bengali", "Devanagari", "Gujarati", "Gurmukhi", "Kannada", "Malayalam", "Oriya", "Tamil", "Telugu")
END: Final = "end.of.signs"
MARK: Final = 3
"""The class of signs in GDEF, which have a place on another glyph."""

SMALL: Final = 60
"""A move up or down of at most so many thousandths of the size, which depends on the letter, is made for all letters:
half a point on an invoice."""

Height = int
Heights = dict[str, dict[Height, set[str]]]
"""By sign and height in thousandths: the glyphs on which it stands so much higher than it was drawn."""


def build(original: Path) -> TTFont:
    """Returns the font made of a font of Noto, with the same bytes each time."""
    font = TTFont(original, recalcTimestamp=False)
    _drop_small_moves(font)
    # A joiner would be printed: shapers hide it only as long as no rule has touched it.
    joiners = {name for character, name in font.getBestCmap().items() if unicodedata.category(chr(character)) == "Cf"}
    kinds = font["GDEF"].table.GlyphClassDef.classDefs
    signs = [name for name, kind in kinds.items() if kind == MARK and name not in joiners]
    raised = _add_raised_signs(font)
    _add_glyph(font, END)
    _add_lookups(font, sorted({*signs, *(name for names in raised.values() for name in names.values())}), raised)
    return font


def _subtables(font: TTFont, kind: int) -> Iterator[Any]:
    for lookup in font["GPOS"].table.LookupList.Lookup:
        for subtable in lookup.SubTable:
            inner = subtable.ExtSubTable if subtable.LookupType == 9 else subtable
            if inner.LookupType == kind:
                yield inner


def _drop_small_moves(font: TTFont) -> None:
    """Draws a sign that some letters move down a little that much lower everywhere, so that it touches none of them."""
    lowest: dict[str, Height] = {}
    for single in _subtables(font, 1):
        signs = single.Coverage.glyphs
        values = [single.Value] * len(signs) if single.Format == 1 else single.Value
        for sign, value in zip(signs, values, strict=True):
            height = getattr(value, "YPlacement", None) or 0
            if abs(height) <= SMALL:
                lowest[sign] = min(height, lowest.get(sign, 0))
        for value in values:
            if abs(getattr(value, "YPlacement", None) or 0) <= SMALL:
                value.YPlacement = 0
    for sign, height in lowest.items():
        _lower(font, sign, height)


def _lower(font: TTFont, sign: str, height: Height) -> None:
    glyph = font["glyf"][sign]
    if glyph.isComposite():
        for component in glyph.components:
            component.y += height
    elif glyph.numberOfContours:
        glyph.coordinates.translate((0, height))
    glyph.recalcBounds(font["glyf"])


# ---- signs at other heights


def _heights(font: TTFont) -> Heights:
    heights: Heights = defaultdict(lambda: defaultdict(set))
    for table in _subtables(font, 4):
        for sign, mark in zip(table.MarkCoverage.glyphs, table.MarkArray.MarkRecord, strict=True):
            for base, record in zip(table.BaseCoverage.glyphs, table.BaseArray.BaseRecord, strict=True):
                anchor = record.BaseAnchor[mark.Class]
                if anchor is not None and anchor.YCoordinate != mark.MarkAnchor.YCoordinate:
                    heights[sign][anchor.YCoordinate - mark.MarkAnchor.YCoordinate].add(base)
    return heights


def _add_raised_signs(font: TTFont) -> Mapping[tuple[str, frozenset[str]], dict[str, str]]:
    """Adds a glyph for each sign and height. Returns their names, by the sign and the glyphs that they stand on."""
    raised: dict[tuple[str, frozenset[str]], dict[str, str]] = defaultdict(dict)
    moved: dict[str, dict[str, Height]] = defaultdict(dict)
    for sign, heights in sorted(_heights(font).items()):
        for height, bases in sorted(heights.items()):
            name = f"{sign}.{height:+}".replace("+", "up").replace("-", "down")
            _add_glyph(font, name, copy_of=sign, height=height)
            raised[sign, frozenset(bases)][sign] = name
            moved[sign][name] = height
    _copy_anchors(font, moved)
    return raised


def _add_glyph(font: TTFont, name: str, *, copy_of: str = "", height: Height = 0) -> None:
    pen = TTGlyphPen(dict.fromkeys([copy_of]))
    if copy_of:
        pen.addComponent(copy_of, (1, 0, 0, 1, 0, height))
    font.setGlyphOrder([*font.getGlyphOrder(), name])
    font["glyf"][name] = glyph = pen.glyph()
    glyph.recalcBounds(font["glyf"])
    font["hmtx"][name] = font["hmtx"][copy_of] if copy_of else (0, 0)
    definitions = font["GDEF"].table
    definitions.GlyphClassDef.classDefs[name] = MARK
    attached = definitions.MarkAttachClassDef.classDefs if definitions.MarkAttachClassDef else {}
    if copy_of in attached:
        attached[name] = attached[copy_of]
    if getattr(definitions, "MarkGlyphSetsDef", None):
        for coverage in definitions.MarkGlyphSetsDef.Coverage:
            if copy_of in coverage.glyphs:
                coverage.glyphs.append(name)


def _copy_anchors(font: TTFont, moved: Mapping[str, Mapping[str, Height]]) -> None:
    """Gives the raised signs the anchors of the signs, so much higher."""
    for table in _subtables(font, 4):
        _copy_records(font, table.MarkCoverage, table.MarkArray, "MarkRecord", moved)
    for table in _subtables(font, 6):
        _copy_records(font, table.Mark1Coverage, table.Mark1Array, "MarkRecord", moved)
        _copy_records(font, table.Mark2Coverage, table.Mark2Array, "Mark2Record", moved)


def _copy_records(
    font: TTFont, coverage: Any, array: Any, records: str, moved: Mapping[str, Mapping[str, Height]]
) -> None:
    rows = dict(zip(coverage.glyphs, getattr(array, records), strict=True))
    for sign, record in [*rows.items()]:
        rows |= {name: _raise(record, height) for name, height in moved.get(sign, {}).items()}
    coverage.glyphs = sorted(rows, key=font.getGlyphID)
    setattr(array, records, [rows[sign] for sign in coverage.glyphs])


def _raise(record: Any, height: Height) -> Any:
    copied = type(record)()
    if hasattr(record, "MarkAnchor"):
        copied.Class = record.Class
        copied.MarkAnchor = _raised_anchor(record.MarkAnchor, height)
    else:
        copied.Mark2Anchor = [_raised_anchor(anchor, height) if anchor else None for anchor in record.Mark2Anchor]
    return copied


def _raised_anchor(anchor: Any, height: Height) -> Any:
    return builder.buildAnchor(anchor.XCoordinate, anchor.YCoordinate + height)


# ---- substitutions, after all others of the font


def _add_lookups(
    font: TTFont, signs: Sequence[str], raised: Mapping[tuple[str, frozenset[str]], Mapping[str, str]]
) -> None:
    """Adds the lookups: a sign becomes the raised one of its base, and the last sign of a base gets the empty glyph."""
    lookups = font["GSUB"].table.LookupList.Lookup
    chosen = []
    for (_, bases), names in raised.items():
        lookups.append(builder.buildLookup([builder.buildSingleSubstSubtable(dict(names))]))
        # Directly behind its base, and behind another sign of it.
        chosen += [
            _context(font, [*signs_between, bases], names, [], len(lookups) - 1) for signs_between in ([], [signs])
        ]
    lookups.append(builder.buildLookup([builder.buildMultipleSubstSubtable({sign: (sign, END) for sign in signs})]))
    last = [_context(font, [], signs, [signs], None), _context(font, [], signs, [], len(lookups) - 1)]
    for subtables in (chosen, last):
        if subtables:
            lookups.append(builder.buildLookup(subtables))
            _use(font, len(lookups) - 1)


def _context(font: TTFont, before: Sequence[Any], sign: Any, after: Sequence[Any], lookup: int | None) -> Any:
    """Returns the rule that applies a lookup to a sign between these glyphs; None ends the search for a rule."""
    glyphs = font.getReverseGlyphMap()
    rule = otTables.ChainContextSubst()
    rule.Format = 3
    rule.BacktrackCoverage = [builder.buildCoverage(names, glyphs) for names in before]
    rule.InputCoverage = [builder.buildCoverage(sign, glyphs)]
    rule.LookAheadCoverage = [builder.buildCoverage(names, glyphs) for names in after]
    rule.SubstLookupRecord = []
    if lookup is not None:
        record = otTables.SubstLookupRecord()
        record.SequenceIndex, record.LookupListIndex = 0, lookup
        rule.SubstLookupRecord.append(record)
    return rule


def _use(font: TTFont, lookup: int) -> None:
    """Applies a lookup with `psts`, which shapers apply to each of these scripts behind the rules of its syllables."""
    table = font["GSUB"].table
    records = table.FeatureList.FeatureRecord
    own = otTables.FeatureRecord()
    own.FeatureTag, own.Feature = "psts", otTables.Feature()
    own.Feature.FeatureParams, own.Feature.LookupListIndex = None, [lookup]
    records.append(own)
    for script in table.ScriptList.ScriptRecord:
        for system in (script.Script.DefaultLangSys, *(each.LangSys for each in script.Script.LangSysRecord)):
            if system is None:
                continue
            known = [index for index in system.FeatureIndex if records[index].FeatureTag == "psts"]
            for index in known:
                if lookup not in records[index].Feature.LookupListIndex:
                    records[index].Feature.LookupListIndex.append(lookup)
            if not known:
                system.FeatureIndex.append(len(records) - 1)


if __name__ == "__main__":
    (folder,) = sys.argv[1:]
    for script in SCRIPTS:
        for weight in ("Regular", "Bold"):
            name = f"NotoSans{script}-{weight}.ttf"
            build(Path(folder) / name).save(FONTS / name)
            print(FONTS / name)
