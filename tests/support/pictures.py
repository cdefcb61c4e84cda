"""Reads the SVG of a plot back: its lines in units of the viewBox, its texts, and what it must not contain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Final
from xml.etree import ElementTree as ET

SVG: Final = "{http://www.w3.org/2000/svg}"
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_PLACE: Final = re.compile(r"translate\((\S+) (\S+)\) scale\((\S+)\)")

Points = list[tuple[float, float]]


@dataclass
class Picture:
    """A plot. `lines` has the points of each lead, `texts` each text with its position."""

    root: ET.Element
    width: float
    height: float
    lines: list[Points]
    pulses: list[list[str]]
    texts: list[tuple[float, float, str]]

    @property
    def words(self) -> list[str]:
        """The texts."""
        return [text for _, _, text in self.texts]

    def numbers(self) -> list[str]:
        """Every attribute that is a coordinate, a length or a path, and is no colour or reference."""
        names = {"x", "y", "width", "height", "d", "transform", "viewBox", "stroke-width", "font-size"}
        return [value for element in self.root.iter() for name, value in element.items() if name in names]


def _points(path: ET.Element) -> Points:
    """Returns a line of relative steps as points of the viewBox."""
    place = _PLACE.fullmatch(path.get("transform", ""))
    assert place, path.attrib
    x, y, unit = map(float, place.groups())
    numbers = [int(number) for number in _NUMBER.findall(path.get("d", ""))]
    xs, ys = accumulate(numbers[::2]), accumulate(numbers[1::2])
    return [(round(x + unit * a, 3), round(y + unit * b, 3)) for a, b in zip(xs, ys, strict=True)]


def _texts(element: ET.Element, x: float = 0, y: float = 0) -> list[tuple[float, float, str]]:
    """Returns the texts of an element whose origin is at `x`, `y`."""
    found = []
    for child in element:
        left, top = x + float(child.get("x", 0)), y + float(child.get("y", 0))
        if child.tag == SVG + "text":
            found.append((left, top, child.text or ""))
        elif child.tag == SVG + "svg":
            found += _texts(child, left, top)
    return found


def read_picture(svg: bytes) -> Picture:
    """Returns a plot that is well-formed XML. Raises `ParseError`."""
    root = ET.fromstring(svg)  # noqa: S314 - the project made it
    _, _, width, height = map(float, root.get("viewBox", "").split())
    paths = root.findall(f"{SVG}g/{SVG}path")
    return Picture(
        root,
        width,
        height,
        [_points(path) for path in paths if path.get("transform")],
        [_NUMBER.findall(path.get("d", "")) for path in paths if not path.get("transform")],
        _texts(root),
    )
