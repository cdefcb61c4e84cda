"""The picture of an ECG: what it contains, and the whole signal over sample numbers. Paper: test_plot_paper.py."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.ecgs.plot import PaperScale, render_plot
from domain.ecgs import SAMPLE_MAX, SAMPLE_MIN, Lead
from tests.support.ecgs import PICTURE, draw_picture
from tests.support.pictures import SVG, Picture, Points, read_picture

SCALES = [None, PaperScale(500, 1000)]


def lead(*values: int, name: str = "II") -> Lead:
    return Lead(name, np.array(values, np.int64))


def overview(*leads: Lead) -> Picture:
    return read_picture(render_plot(leads, None))


def span(line: Points) -> tuple[float, float]:
    """The upper and the lower end of a line."""
    return min(y for _, y in line), max(y for _, y in line)


# ---- any picture


@pytest.mark.parametrize("scale", SCALES)
def test_names_are_text_and_nothing_runs_or_loads(scale: PaperScale | None) -> None:
    names = ["<script>alert(1)</script>", "\"'&amp;&<!--", "]]>", "]]><a href='//x'>", "a\u2028b\ufeff", "\U0001ffff"]
    svg = render_plot([lead(1, 2, name=name) for name in names], scale)
    picture = read_picture(svg)
    assert [word for word in picture.words if word in names] == names
    assert {element.tag.removeprefix(SVG) for element in picture.root.iter()} <= {
        *("svg", "title", "g", "path", "rect", "text", "defs", "pattern")
    }
    keys = {key for element in picture.root.iter() for key in element.keys()}  # noqa: SIM118 - an element is no mapping
    assert not {key for key in keys if key.startswith("on") or "href" in key or key in {"style", "src"}}
    references = re.findall(rb"url\(([^)]*)\)|(//[^\"]*)", re.sub(rb"<text.*?</text>", b"", svg))
    assert {a + b for a, b in references} <= {b"#fine", b"#coarse", b"//www.w3.org/2000/svg"}


@pytest.mark.parametrize("scale", SCALES)
def test_names_stay_in_boxes_of_their_lanes(scale: PaperScale | None) -> None:
    names = ["W" * 32, "\ufdfd" * 32, "Z" + "\u0301" * 31, "\u0639\u0631\u0628\u064a", "\u202eabc"]
    picture = read_picture(render_plot([lead(0, 900, name=name) for name in names], scale))
    boxes = picture.root.findall(f"{SVG}svg")  # an inner svg cuts off its content
    assert [box.findtext(f"{SVG}text") for box in boxes] == names
    for box, line, following in zip(boxes, picture.lines, [*boxes[1:], None], strict=True):
        bottom = float(box.get("y", "")) + float(box.get("height", ""))
        assert bottom <= span(line)[0]
        assert span(line)[1] <= (float(following.get("y", "")) if following is not None else picture.height)
        assert float(box.get("x", "")) + float(box.get("width", "")) <= picture.width


@pytest.mark.parametrize(("scale", "title"), [(SCALES[0], "3 samples"), (SCALES[1], "25 mm/s")])
def test_a_picture_has_a_role_and_a_title(scale: PaperScale | None, title: str) -> None:
    root = read_picture(render_plot([lead(1, 2, 3)], scale)).root
    assert root.get("role") == "img"
    assert title in str(root.findtext(f"{SVG}title"))


@pytest.mark.parametrize(
    ("scale", "samples"),
    [
        (None, 500_000),
        (None, 936),
        (PaperScale(50_000, 1), 500_000),
        (PaperScale(100, 1), 937),
        (PaperScale(93.6, 0.001), 936),
    ],
)
def test_64_leads_stay_below_500_kb(scale: PaperScale | None, samples: int) -> None:
    signal = np.random.default_rng(1).choice(np.array([SAMPLE_MIN, SAMPLE_MAX]), samples)
    names = ["&" * 31 + chr(ord("A") + number) for number in range(64)]
    assert len(render_plot([Lead(name, signal) for name in names], scale)) < 500_000


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), min_size=1)
SAMPLES = st.integers(SAMPLE_MIN, SAMPLE_MAX) | st.integers(-9, 9)
SIGNALS = st.lists(SAMPLES, min_size=1, max_size=20).map(lambda values: np.array(values, np.int64))
LEADS = st.builds(Lead, NAMES, SIGNALS | st.builds(np.tile, SIGNALS, st.sampled_from([1, 500])))
PAPER = st.builds(PaperScale, st.floats(1, 100_000), st.floats(0.001, 1_000_000), st.floats(0, 1e308))


@settings(max_examples=60)
@given(st.lists(LEADS, min_size=1, max_size=4), st.none() | PAPER)
def test_any_leads_give_xml_with_coordinates_in_the_viewbox(leads: list[Lead], scale: PaperScale | None) -> None:
    picture = read_picture(render_plot(leads, scale))
    for x, y in [*(point for line in picture.lines for point in line), *((x, y) for x, y, _ in picture.texts)]:
        assert 0 <= x <= picture.width
        assert 0 <= y <= picture.height
    assert not [value for value in picture.numbers() if re.search(r"[einf]{2}|nan|[0-9]e|\.[0-9]{5}", value)]
    assert [box.findtext(f"{SVG}text") for box in picture.root.findall(f"{SVG}svg")] == [name for name, _ in leads]


def test_the_picture_in_the_documentation_is_what_the_code_draws() -> None:
    assert draw_picture() == PICTURE.read_bytes(), "python -m tests.support.ecgs"


# ---- the overview


def test_leads_lie_one_below_the_other_each_scaled_to_its_own_range() -> None:
    picture = overview(lead(-3, 3, name="I"), lead(2**40, 2**41, name="II"), lead(0, 1, name="III"))
    spans = [span(line) for line in picture.lines]
    assert sorted(edge for lane in spans for edge in lane) == [edge for lane in spans for edge in lane]
    assert len({bottom - top for top, bottom in spans}) == 1
    assert [word for word in picture.words if word in {"I", "II", "III"}] == ["I", "II", "III"]
    assert f"minimum {2**40:,}, maximum {2**41:,}" in picture.words
    assert "minimum \N{MINUS SIGN}3, maximum 3" in picture.words


def test_positive_is_upwards_over_the_number_of_the_sample() -> None:
    picture = overview(lead(0, -1, 5, 0, 0))
    xs, ys = zip(*picture.lines[0], strict=True)
    assert ys.index(min(ys)) == 2
    assert ys.index(max(ys)) == 1
    assert list(xs) == [x for x, _, word in picture.texts if word in {*"01234"}]


@pytest.mark.parametrize("constant", [0, 7, SAMPLE_MIN, SAMPLE_MAX])
@pytest.mark.parametrize("samples", [1, 2, 100_000])
def test_a_constant_lead_is_a_flat_line_in_the_middle_of_its_lane(constant: int, samples: int) -> None:
    flat = Lead("flat", np.full(samples, constant, np.int64))
    first, line, last = overview(lead(0, 1, name="I"), flat, lead(0, 1, name="III")).lines
    assert {y for _, y in line} == {sum([*span(first), *span(last)]) / 4}
    assert line[-1][0] - line[0][0] >= 5, "long enough to be seen"


def test_a_shorter_lead_ends_earlier() -> None:
    long, short, shortest = overview(
        lead(*range(101), name="I"), lead(*range(51), name="II"), lead(7, name="III")
    ).lines
    assert short[-1][0] == long[50][0]
    assert shortest[-1][0] < short[-1][0]


def test_a_single_sample_beside_many_can_be_seen() -> None:
    _, single = overview(Lead("I", np.arange(100_000)), lead(7)).lines
    assert 5 <= single[-1][0] - single[0][0] <= 10


def test_neighbouring_64_bit_samples_have_different_heights() -> None:
    large = lead(SAMPLE_MAX - 2, SAMPLE_MAX, SAMPLE_MAX - 1, name="I")
    assert_same_shape(large, lead(0, 2, 1))


def test_the_range_of_all_64_bits_fills_a_lane() -> None:
    assert_same_shape(lead(SAMPLE_MIN, SAMPLE_MAX, -1, name="I"), lead(0, 2, 1))


def assert_same_shape(*leads: Lead) -> None:
    one, other = overview(*leads).lines
    assert span(one)[0] < span(one)[1] < span(other)[0]
    pitch = other[0][1] - one[0][1]
    assert [(x, y + pitch) for x, y in one] == other


def test_a_short_signal_is_drawn_sample_by_sample() -> None:
    values = np.random.default_rng(2).integers(-100, 100, 3000)
    (line,) = overview(Lead("II", values)).lines
    top, bottom = span(line)
    heights = (bottom - np.array([y for _, y in line])) / (bottom - top) * (np.max(values) - np.min(values))
    assert np.abs(heights + np.min(values) - values).max() < 0.1


@pytest.mark.parametrize(("position", "value"), [(0, 1), (345_678, 1), (345_678, -1), (999_999, 1)])
def test_a_long_signal_keeps_the_extremes_of_each_column(position: int, value: int) -> None:
    signal = np.zeros(1_000_000, np.int16)
    signal[[10, 20]] = 5, -5
    signal[position] = 9 * value
    (line,) = overview(Lead("II", signal)).lines
    assert len(line) == 2 * 1500
    end = span(line)[0 if value > 0 else 1]
    (x,) = [x for x, y in line if y == end]
    assert x == pytest.approx(30 + 940 * position / 999_999, abs=940 / 1500)


@pytest.mark.parametrize("leads", [1, 12, 64])
def test_a_reduced_wave_rises_once_and_falls_once(leads: int) -> None:
    wave = np.concatenate([np.arange(50_000), np.arange(50_000, 0, -1)])
    for line in overview(*[Lead(str(number), wave) for number in range(leads)]).lines:
        heights = [-y for _, y in line]
        peak = heights.index(max(heights))
        assert heights[: peak + 1] == sorted(heights[: peak + 1])
        assert heights[peak:] == sorted(heights[peak:], reverse=True)


@pytest.mark.parametrize(
    ("samples", "labels"),
    [
        (1, ["0"]),
        (2, ["0", "1"]),
        (12, ["0", "2", "4", "6", "8", "10"]),
        (30_001, ["0", *(f"{n},000" for n in range(5, 31, 5))]),
    ],
)
def test_the_axis_has_round_sample_numbers(samples: int, labels: list[str]) -> None:
    picture = overview(Lead("II", np.arange(samples)))
    assert [word for word in picture.words if re.fullmatch("[0-9,]+", word)] == labels
