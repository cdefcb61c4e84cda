"""ECG paper: 25 mm/s and 10 mm/mV, measured in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from api.ecgs.plot import PaperScale, render_plot
from domain.ecgs import SAMPLE_MAX, SAMPLE_MIN, Lead
from tests.support.ecgs import GAIN, RATE, beats, millivolts
from tests.support.pictures import SVG, Picture, read_picture

LEFT = 15
"""Where the 10 s begin, in mm."""


def lead(*values: int, name: str = "II") -> Lead:
    return Lead(name, np.array(values, np.int64))


def paper(*leads: Lead, rate: float = 1, gain: float = 1000, begin: float = 0) -> Picture:
    return read_picture(render_plot(leads, PaperScale(rate, gain, begin)))


def zeros(picture: Picture) -> list[float]:
    """The zero line of each lead: where its calibration pulse begins."""
    return [float(pulse[1]) for pulse in picture.pulses]


def millimetres(picture: Picture, number: int = 0) -> list[tuple[float, float]]:
    """The points of a lead: from the beginning of the 10 s, and upwards from the zero line."""
    zero = zeros(picture)[number]
    return [(round(x - LEFT, 3), round(zero - y, 3)) for x, y in picture.lines[number]]


def test_a_unit_of_the_viewbox_is_a_millimetre() -> None:
    picture = paper(lead(1), lead(1, name="III"))
    assert picture.root.get("width") == f"{picture.width:g}mm"
    assert picture.root.get("height") == f"{picture.height:g}mm"


def test_the_grid_has_thin_lines_of_1_mm_and_thicker_ones_of_5_mm() -> None:
    root = paper(lead(1)).root
    lines = {}
    for pattern in root.iter(SVG + "pattern"):
        (square,) = pattern
        assert {pattern.get("width"), pattern.get("height"), square.get("width")} == {square.get("height")}
        assert pattern.get("patternUnits") == "userSpaceOnUse"
        lines[square.get("width")] = float(square.get("stroke-width", ""))
    assert lines.keys() == {"1", "5"}
    assert lines["1"] < lines["5"]
    fills = [area.get("fill") for area in root.findall(f"{SVG}rect")]
    assert fills[1:] == ["url(#fine)", "url(#coarse)"]


def test_each_lead_begins_with_a_pulse_of_1_mv_and_200_ms() -> None:
    picture = paper(lead(1), lead(9, name="III"))
    assert len(picture.pulses) == 2
    for path in picture.root.findall(f"{SVG}g/{SVG}path"):
        if not path.get("transform"):
            assert "v-10h5v10" in path.get("d", "")
    assert [zero % 5 for zero in zeros(picture)] == [0, 0], "zero lines lie on the grid"


def test_a_second_is_25_mm_and_a_millivolt_10_mm_upwards() -> None:
    assert millimetres(paper(lead(0, 1000, -500, 2000), rate=1)) == [(0, 0), (25, 10), (50, -5), (75, 20)]
    assert millimetres(paper(lead(0, 100), rate=2, gain=400)) == [(0, 0), (12.5, 2.5)]


def test_voltages_of_all_leads_have_one_scale_about_zero() -> None:
    picture = paper(lead(100, 100), lead(1000, 1000, name="III"))
    assert [millimetres(picture, number)[0][1] for number in (0, 1)] == [1, 10]


def test_r_waves_lie_where_the_signal_has_them() -> None:
    signal = np.round(GAIN * millivolts("II", 10)).astype(np.int16)
    points = millimetres(paper(Lead("II", signal), rate=RATE, gain=GAIN))
    inside = [beat for beat in beats(10) if beat < 10]
    assert len(inside) == 12
    for beat in inside:
        x, y = max((point for point in points if abs(point[0] - 25 * beat) < 5), key=lambda point: point[1])
        assert x == pytest.approx(25 * beat, abs=0.2)
        assert y == pytest.approx(11.5, abs=0.1)


def test_ten_seconds_are_drawn_from_the_given_second() -> None:
    signal = Lead("II", np.arange(100))
    assert millimetres(paper(signal, rate=2, gain=100))[0] == (0, 0)
    points = millimetres(paper(signal, rate=2, gain=100, begin=3.5))
    assert (points[0], points[-1], len(points)) == ((0, 0.7), (250, 2.7), 21)
    assert "3.5 s to 13.5 s" in paper(signal, begin=3.5).words


def test_a_sample_on_the_edge_is_drawn_in_spite_of_rounding() -> None:
    signal = Lead("II", 1000 * (np.arange(2000) % 2))
    assert 0.07 * 100 > 7
    assert millimetres(paper(signal, rate=100, begin=0.07))[0] == (0, 10)
    assert (0.03 + 10) * 100 < 1003
    assert millimetres(paper(signal, rate=100, begin=0.03))[-1] == (250, 10)


def test_a_signal_that_ends_before_ten_seconds_just_ends() -> None:
    points = millimetres(paper(Lead("II", np.zeros(1501, np.int8)), rate=500))
    assert (points[0][0], points[-1][0]) == (0, 75)


@pytest.mark.parametrize("begin", [2.5, 1000, 1e308])
def test_a_beginning_behind_the_end_gives_an_empty_grid(begin: float) -> None:
    picture = paper(lead(1, 2, 3), lead(3, name="V1"), rate=1, begin=begin)
    assert picture.lines == []
    assert len(picture.pulses) == 2
    assert {"II", "V1"} <= {*picture.words}


def test_speed_and_amplitude_are_written_below() -> None:
    picture = paper(lead(1))
    y = next(y for _, y, word in picture.texts if word == "25 mm/s \N{MIDDLE DOT} 10 mm/mV")
    assert y == next(y for _, y, word in picture.texts if word == "0 s to 10 s")
    grid = max(float(area.get("height", 0)) for area in picture.root.findall(f"{SVG}rect")[1:])
    assert grid < y < picture.height


def test_a_lane_is_as_high_as_its_line_needs() -> None:
    def height(*values: int) -> float:
        return paper(lead(*values)).height

    assert height(0) == height(1000, -500)
    assert height(1001) == height(0) + 5
    assert height(0, -501) == height(0) + 5
    assert height(5000, -5000) == height(0) + 40 + 45


def test_a_line_beyond_5_mv_follows_the_edge_of_its_lane() -> None:
    picture = paper(lead(0, 5001, -70_000, 5000), lead(5000, -5000, name="III"))
    assert [y for _, y in millimetres(picture)] == [0, 50, -50, 50]
    assert picture.words.count("cut at \N{PLUS-MINUS SIGN}5 mV") == 1


@pytest.mark.parametrize("gain", [0.001, 1_000_000])
def test_extreme_samples_and_gains_give_finite_lines(gain: float) -> None:
    assert [y for _, y in millimetres(paper(lead(SAMPLE_MIN, SAMPLE_MAX), gain=gain))] == [-50, 50]


@pytest.mark.parametrize("scale", [PaperScale(1, 1000), PaperScale(100_000, 1000)])
def test_a_single_sample_can_be_seen(scale: PaperScale) -> None:
    (line,) = read_picture(render_plot([lead(100)], scale)).lines
    assert line[-1][0] - line[0][0] >= 1


def test_a_million_samples_are_reduced_to_columns() -> None:
    signal = np.zeros(1_000_000, np.int16)
    signal[400_000] = 1500
    picture = paper(Lead("II", signal), rate=100_000)
    points = millimetres(picture)
    assert len(points) == 2 * 1500
    ((x, y),) = [point for point in points if point[1]]
    assert y == 15
    assert x == pytest.approx(100, abs=0.2)
