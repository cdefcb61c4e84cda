"""The picture of an ECG as SVG: the whole signal over sample numbers, or 10 s of it on ECG paper. No I/O.

A picture consists of elements with presentation attributes: no style sheet, no script, no reference to another file.
Coordinates are integers computed with Python's numbers, which 64-bit samples cannot overflow.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

from domain.ecgs import Lead, Signal, reduce_signal

_STEPS: Final = 20
"""Steps per unit of the viewBox: on paper 0.05 mm, which are 2 ms or 5 µV."""

_COLUMNS_MAX: Final = 1500
"""Columns of a line over the whole width: one per pixel of a wide screen."""

_COLUMNS_OF_ALL_LEADS: Final = 30_000
"""A column has two points such as `12-2000 12 2000`, at most 16 bytes: the lines take at most 480 kB of 500 kB."""

# The overview, in units of its viewBox.
_WIDTH: Final = 1000
_SIDE: Final = 30
_TOP: Final = 6
_LABEL: Final = 19
"""The height of the strip above a line for the name and the range of the lead."""
_AXIS: Final = 44

# ECG paper, in mm. Lines of zero and lanes lie on the lines of the coarse grid.
_SECONDS: Final = 10
_SPEED: Final = 25
_MM_PER_MILLIVOLT: Final = 10
_COARSE: Final = 5
_PULSE_X: Final = 5
_TRACE_X: Final = 15
_PAPER_WIDTH: Final = _TRACE_X + _SECONDS * _SPEED + _COARSE
_CAPTION: Final = 8
_MM_MAX: Final = 50
"""The largest distance of a line from its zero line: 5 mV."""

_GRID: Final = (
    '<defs><pattern id="fine" width="1" height="1" patternUnits="userSpaceOnUse">'
    '<rect width="1" height="1" fill="none" stroke="#f6cdc8" stroke-width="0.1"/></pattern>'
    '<pattern id="coarse" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<rect width="5" height="5" fill="none" stroke="#e8a09a" stroke-width="0.25"/></pattern></defs>'
)


class PaperScale(NamedTuple):
    """What ECG paper needs: `rate` in samples a second, `gain` in units a millivolt, `begin` in seconds."""

    rate: float
    gain: float
    begin: float = 0.0


class _Line(NamedTuple):
    """The points of a line: sample numbers, which may lie between two samples, and values."""

    positions: Sequence[float]
    values: list[int]


def render_plot(leads: Sequence[Lead], scale: PaperScale | None) -> bytes:
    """Returns the leads one below the other, positive upwards, as SVG in UTF-8 of at most 500 kB.

    Without a scale the whole signals are drawn over sample numbers, each scaled to its own range; a constant lead is a
    flat line in the middle of its lane.

    With a scale the unit is 1 mm: 10 s on ECG paper with 25 mm/s and 10 mm/mV, a pulse of 1 mV and 200 ms before each
    lead. The distance to a lead's zero line is its voltage. A lane is as high as its line needs, up to 5 mV in both
    directions; a line beyond that follows the edge of its lane, and the lane says so.

    A signal with more than two samples per column of a screen is reduced to minimum and maximum of each column.
    """
    picture = _draw_overview(leads) if scale is None else _draw_paper(leads, scale)
    return picture.encode()


# ---- lines


def _line(signal: Signal, columns: float) -> _Line:
    """Returns what a screen with so many columns shows of a signal. A single sample is a short line."""
    count = len(signal)
    if count == 1:
        return _Line((0, max(1, 10 / columns)), signal.tolist() * 2)
    shown = max(1, round(columns))
    if count <= 2 * shown:
        return _Line(range(count), signal.tolist())
    low, high = (extremes.tolist() for extremes in reduce_signal(signal, shown))
    return _Line([(i + 0.5) * count / (2 * shown) - 0.5 for i in range(2 * shown)], _alternate(low, high))


def _alternate(low: list[int], high: list[int]) -> list[int]:
    """Returns two values per column: minimum, then maximum where its neighbours rise, else the other way round."""
    middles = [a + b for a, b in zip(low, high, strict=True)]
    rises = [b > a for a, b in zip([middles[0], *middles], [*middles[1:], middles[-1]], strict=False)]
    return [value for a, b, rise in zip(low, high, rises, strict=True) for value in ((a, b) if rise else (b, a))]


def _path(xs: Sequence[int], ys: Sequence[int], x: float, y: float, width: float) -> str:
    """Returns a line from points in steps whose origin is at `x`, `y`: the first point, then the differences."""
    points = [(0, 0), *zip(xs, ys, strict=True)]
    differences = (f"{b[0] - a[0]} {b[1] - a[1]}" for a, b in itertools.pairwise(points))
    place = f'transform="translate({x} {y}) scale({1 / _STEPS})" stroke-width="{width * _STEPS:g}"'
    return f'<path {place} d="m{" ".join(differences).replace(" -", "-")}"/>'


def _lines(paths: Sequence[str]) -> str:
    return f'<g fill="none" stroke="#1b1b1b" stroke-linejoin="round" stroke-linecap="round">{"".join(paths)}</g>'


# ---- text


def _text(x: float, y: float, content: str, attributes: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{attributes}>{escape(content, quote=False)}</text>'


def _name(x: float, y: float, width: float, height: float, name: str) -> str:
    """Returns a name in a box that cuts off what does not fit, stacked accents included."""
    text = _text(0, 0.76 * height, name, ' font-weight="bold"')
    return f'<svg x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}">{text}</svg>'


def _svg(width: int, height: int, unit: str, size: float, title: str, content: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}{unit}" height="{height}{unit}"'
        f' viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" font-size="{size:g}" fill="#1b1b1b">'
    )
    return f"{head}<title>{title}</title>{''.join(content)}</svg>\n"


def _title(leads: Sequence[Lead]) -> str:
    return "ECG, 1 lead" if len(leads) == 1 else f"ECG, {len(leads)} leads"


def _columns(leads: Sequence[Lead]) -> int:
    return min(_COLUMNS_MAX, _COLUMNS_OF_ALL_LEADS // len(leads))


# ---- the overview


def _ticks(last: int) -> range:
    """Returns at most eleven round sample numbers from 0 to `last`."""
    steps = (factor * 10**power for power in range(20) for factor in (1, 2, 5))
    return range(0, last + 1, next(step for step in steps if 10 * step >= last))


def _draw_axis(last: int, bottom: int) -> Iterator[str]:
    span = _WIDTH - 2 * _SIDE
    ticks = [(_SIDE + span * number / max(last, 1), number) for number in _ticks(last)]
    marks = "".join(f"M{x:.2f} 0V{bottom + 4}" for x, _ in ticks)
    yield f'<path d="{marks}M{_SIDE} {bottom}H{_WIDTH - _SIDE}" fill="none" stroke="#dcdfe3"/>'
    for x, number in ticks:
        yield _text(round(x, 2), bottom + 17, f"{number:,}", ' text-anchor="middle" fill="#555"')
    yield _text(_WIDTH / 2, bottom + 35, "sample", ' text-anchor="middle" fill="#555"')


def _scale_to_range(values: Sequence[int], height: int) -> list[int]:
    """Returns distances from the upper edge in steps; exact, because samples may differ in their last digit only."""
    high, span = max(values), max(values) - min(values)
    if not span:
        return [height // 2] * len(values)
    return [(2 * (high - value) * height + span) // (2 * span) for value in values]


def _draw_overview(leads: Sequence[Lead]) -> str:
    last = max(len(lead.signal) for lead in leads) - 1
    lane = max(64, min(260, 1200 // len(leads)))
    bottom = _TOP + lane * len(leads) + 4
    steps_per_sample = (_WIDTH - 2 * _SIDE) * _STEPS / max(last, 1)
    paths, texts = [], []
    for top, (name, signal) in zip(range(_TOP, bottom, lane), leads, strict=False):
        line = _line(signal, _columns(leads) * len(signal) / (last + 1))
        ys = _scale_to_range(line.values, (lane - _LABEL - 5) * _STEPS)
        xs = [round(position * steps_per_sample) for position in line.positions]
        paths.append(_path(xs, ys, _SIDE, top + _LABEL, 0.8))
        shown = f"minimum {min(line.values):,}, maximum {max(line.values):,}".replace("-", "\N{MINUS SIGN}")
        texts += [
            _name(_SIDE, top, _WIDTH - 2 * _SIDE - 340, _LABEL, name),
            _text(_WIDTH - _SIDE, top + 14, shown, ' text-anchor="end" font-size="11" fill="#555"'),
        ]
    background = f'<rect width="{_WIDTH}" height="{bottom + _AXIS}" fill="#fff"/>'
    content = [background, *_draw_axis(last, bottom), _lines(paths), *texts]
    return _svg(_WIDTH, bottom + _AXIS, "", 13, f"{_title(leads)}, {last + 1} samples", content)


# ---- ECG paper


class _Lane(NamedTuple):
    """A lead on paper: the distances above and below its zero line in mm, and its line as positions and mm."""

    name: str
    above: int
    below: int
    positions: Sequence[float]
    heights: Sequence[float]
    is_cut: bool


def _window(count: int, scale: PaperScale) -> range:
    """Returns the samples of the 10 s; a sample on an edge belongs to them even if the product is not exact."""
    begin, end = scale.begin * scale.rate, (scale.begin + _SECONDS) * scale.rate
    return range(math.ceil(min(begin, count) - 1e-6), math.floor(min(end, count - 1) + 1e-6) + 1)


def _lane(lead: Lead, scale: PaperScale, columns: int) -> _Lane:
    window = _window(len(lead.signal), scale)
    if not window:
        return _Lane(lead.name, _COARSE + _MM_PER_MILLIVOLT, _COARSE, (), (), is_cut=False)
    line = _line(lead.signal[window.start : window.stop], columns * len(window) / (_SECONDS * scale.rate))
    heights = [_MM_PER_MILLIVOLT * (value / scale.gain) for value in line.values]
    low, high = max(min(heights), -_MM_MAX), min(max(heights), _MM_MAX)
    return _Lane(
        lead.name,
        # One square for the name.
        _COARSE + _COARSE * math.ceil(max(high, _MM_PER_MILLIVOLT) / _COARSE),
        _COARSE * math.ceil(max(-low, _COARSE) / _COARSE),
        [window.start + position for position in line.positions],
        [min(max(height, -_MM_MAX), _MM_MAX) for height in heights],
        is_cut=min(heights) < -_MM_MAX or max(heights) > _MM_MAX,
    )


def _trace(lane: _Lane, scale: PaperScale, zero: int) -> Iterator[str]:
    """Yields the calibration pulse and the line of a lead whose zero line is at `zero`."""
    up, wide = _MM_PER_MILLIVOLT, _SPEED / 5
    yield f'<path d="M{_PULSE_X - 2.5} {zero}h2.5v-{up}h{wide:g}v{up}h2.5" stroke-width="0.3"/>'
    if lane.positions:
        step = _SPEED * _STEPS / scale.rate
        begin = scale.begin * scale.rate
        xs = [round((position - begin) * step) for position in lane.positions]
        yield _path(xs, [round(-height * _STEPS) for height in lane.heights], _TRACE_X, zero, 0.3)


def _draw_paper(leads: Sequence[Lead], scale: PaperScale) -> str:
    paths: list[str] = []
    texts: list[str] = []
    bottom = _COARSE
    for lead in leads:
        lane = _lane(lead, scale, _columns(leads))
        paths += _trace(lane, scale, bottom + lane.above)
        texts.append(_name(_TRACE_X, bottom, 190, _COARSE, lane.name))
        if lane.is_cut:
            note = f"cut at \N{PLUS-MINUS SIGN}{_MM_MAX // _MM_PER_MILLIVOLT} mV"
            texts.append(_text(_PAPER_WIDTH - _COARSE, bottom + 3.8, note, ' text-anchor="end" fill="#a00"'))
        bottom += lane.above + lane.below
    bottom += _COARSE
    seconds = f"{scale.begin:.10g} s to {scale.begin + _SECONDS:.10g} s"
    caption = f"{_SPEED} mm/s \N{MIDDLE DOT} {_MM_PER_MILLIVOLT} mm/mV"
    content = [
        _GRID,
        f'<rect width="{_PAPER_WIDTH}" height="{bottom + _CAPTION}" fill="#fffafa"/>',
        *(f'<rect width="{_PAPER_WIDTH}" height="{bottom}" fill="url(#{name})"/>' for name in ("fine", "coarse")),
        _lines(paths),
        *texts,
        _text(_TRACE_X, bottom + 5.2, caption),
        _text(_PAPER_WIDTH - _COARSE, bottom + 5.2, seconds, ' text-anchor="end"'),
    ]
    title = f"{_title(leads)}, {caption}, {seconds}"
    return _svg(_PAPER_WIDTH, bottom + _CAPTION, "mm", 3.6, title, content)
