"""What of a WFDB record is uploaded, and which records are rejected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pytest

from tests.support.wfdb_files import write_header, write_record
from tools.wfdb_records import RecordError, read_body

MARKS = [
    ("80", -128),
    ("212", -2048),
    ("16", -32768),
    ("516", -32768),
    ("24", -8388608),
    ("524", -8388608),
    ("32", -2147483648),
]
"""The mark of an invalid sample of each format that wfdb writes."""


def uploaded(path: str, *, centre: bool = False, zone: tzinfo = UTC) -> dict[str, Any]:
    """The body of an upload."""
    body: dict[str, Any] = orjson.loads(read_body(path, centre=centre, zone=zone))
    return body


def signals(path: str, *, centre: bool = False) -> list[list[int]]:
    return [lead["signal"] for lead in uploaded(path, centre=centre)["leads"]]


def names(path: str) -> list[str]:
    return [lead["name"] for lead in uploaded(path)["leads"]]


def reason(path: str, *, centre: bool = False, zone: tzinfo = UTC) -> str:
    """Why a record is rejected."""
    with pytest.raises(RecordError) as caught:
        read_body(path, centre=centre, zone=zone)
    return str(caught.value)


@pytest.mark.parametrize(("fmt", "mark"), MARKS)
def test_samples_and_marks_are_uploaded_as_recorded(tmp_path: Path, fmt: str, mark: int) -> None:
    path = write_record(tmp_path, "r", [mark, 1, -2, -mark - 1], [5, mark, 7, 0], fmt=fmt, baseline=[100, -3])
    assert uploaded(path) == {
        "leads": [
            {"name": "I", "number_of_samples": 4, "signal": [mark, 1, -2, -mark - 1]},
            {"name": "II", "number_of_samples": 4, "signal": [5, mark, 7, 0]},
        ]
    }
    assert uploaded(f"{path}.hea") == uploaded(path)


@pytest.mark.parametrize(("fmt", "mark"), MARKS)
def test_centring_subtracts_the_baseline_from_all_but_marks(tmp_path: Path, fmt: str, mark: int) -> None:
    path = write_record(tmp_path, "r", [mark, 1, -2, 100], [5, mark, 7, 0], fmt=fmt, baseline=[100, -3])
    assert signals(path, centre=True) == [[mark, -99, -102, 0], [8, mark, 10, 3]]


def test_a_sample_that_centring_would_make_a_mark_is_an_error(tmp_path: Path) -> None:
    path = write_record(tmp_path, "r", [0, -1024], fmt="212", baseline=[1024])
    assert reason(path, centre=True) == "a centred sample of 'I' would be -2048, the mark of an invalid sample"


def test_format_8_has_no_mark_and_the_baseline_may_be_the_adc_zero(tmp_path: Path) -> None:
    path = write_header(tmp_path, "r", "r 1 100 3", "r.dat 8 200 12 5 10 0 0 I", samples=bytes([0, 1, 254]))
    assert signals(path) == [[10, 11, 9]]
    assert signals(path, centre=True) == [[5, 6, 4]]


def test_every_sample_of_a_frame_is_uploaded(tmp_path: Path) -> None:
    path = write_record(tmp_path, "r", [1, 2, 3, 4], [5, 6, 7, 8], samps_per_frame=[2, 2])
    assert signals(path) == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["V1", "V1", "V1"], ["V1", "V1 2", "V1 3"]),
        (["V1", "V1 2", "V1"], ["V1", "V1 2", "V1 3"]),
        (["V1", "V1", "V1 2"], ["V1", "V1 2", "V1 2 2"]),
        (["aVR", "AVR", "MLII a"], ["aVR", "AVR", "MLII a"]),
        (["n" * 32, "", ""], ["n" * 32, "signal 2", "signal 3"]),
    ],
)
def test_names_are_distinct(tmp_path: Path, given: Sequence[str], expected: list[str]) -> None:
    assert names(write_record(tmp_path, "r", [1], [2], [3], names=given)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["n" * 33, "b"], f"the lead name '{'n' * 33}' has more than 32 characters"),
        (["n" * 31, "n" * 31], f"the lead name '{'n' * 31} 2' has more than 32 characters"),
        (["a\x1b[2J", "b"], "the lead name 'a\\x1b[2J' has control characters"),
    ],
)
def test_names_that_the_service_rejects_are_errors(tmp_path: Path, given: Sequence[str], expected: str) -> None:
    assert reason(write_record(tmp_path, "r", [1], [2], names=given)) == expected


@pytest.mark.parametrize(
    ("time", "zone", "expected"),
    [
        ("2020-07-01T12:00:00", UTC, "2020-07-01T12:00:00+00:00"),
        ("2020-07-01T12:00:00", ZoneInfo("Europe/Berlin"), "2020-07-01T10:00:00+00:00"),
        ("2020-01-01T00:30:00.250", ZoneInfo("Europe/Berlin"), "2019-12-31T23:30:00.250000+00:00"),
        ("2020-10-25T02:30:00", ZoneInfo("Europe/Berlin"), "2020-10-25T00:30:00+00:00"),  # the first of two
    ],
)
def test_times_of_headers_are_of_the_zone(tmp_path: Path, time: str, zone: tzinfo, expected: str) -> None:
    assert (
        uploaded(write_record(tmp_path, "r", [1], base_datetime=datetime.fromisoformat(time)), zone=zone)["date"]
        == expected
    )


def test_a_header_without_a_date_sends_none(tmp_path: Path) -> None:
    assert "date" not in uploaded(write_header(tmp_path, "r", "r 1 100 1 12:00:00", "r.dat 16", samples=b"\1\0"))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "not a readable record (IndexError: "),
        (["no header"], "not a readable record (HeaderSyntaxError: "),
        (["r 0 100 3"], "it has no signals"),
        (["r 1 100 3"], "not a readable record ("),  # the line of the signal is missing
        (["r 1 100 3 25:00:00", "r.dat 16"], "not a readable record (ValueError: "),
        (["r 1 100 3", "r.dat 17"], "not a readable record ("),
        (["r 1 100 4", "r.dat 16"], "not a readable record ("),  # the file has three samples
        (["r 1 100 3", "other.dat 16"], "No such file or directory: "),
        (["r 1 100 3", "r.dat 16 200 16 0 1 7 0 I"], "the samples of 'I' do not match the checksum in the header"),
        (["r/2 1 100 6", "r_1 3", "r_2 3"], "it has several segments; upload each segment as a record"),
        (["r/2 1 100 3", "r_layout 0", "r_1 3"], "it has several segments; upload each segment as a record"),
        (["r 1 100 20000000", "r.dat 16"], "its JSON has 38.1 MiB or more; the service reads at most 32 MiB"),
        (["r 1 100 3 00:00:00 01/01/0001", "r.dat 16"], "the date 0001-01-01 00:00:00 is out of range in UTC"),
    ],
)
def test_a_record_that_cannot_be_uploaded_says_why(tmp_path: Path, lines: list[str], expected: str) -> None:
    path = write_header(tmp_path, "r", *lines, samples=np.array([1, 2, 3], "<i2").tobytes())
    assert reason(path, zone=ZoneInfo("Asia/Tokyo")).startswith(expected)


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    assert reason(str(tmp_path / "none")) == f"No such file or directory: {tmp_path}/none.hea"
    assert reason("s3://bucket/none").endswith("/s3:/bucket/none.hea"), "only files of this machine are read"


def test_several_frequencies_are_rejected(tmp_path: Path) -> None:
    path = write_record(tmp_path, "r", [1, 2], [5, 6, 7, 8], samps_per_frame=[1, 2])
    assert reason(path) == "its signals have several frequencies (samples per frame: [1, 2])"


@pytest.mark.slow
def test_a_body_above_32_mib_is_rejected(tmp_path: Path) -> None:
    path = write_record(tmp_path, "r", [-8388607] * 3_800_000, fmt="24")
    assert reason(path) == "its JSON has 32.6 MiB or more; the service reads at most 32 MiB"
