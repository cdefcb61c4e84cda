"""The rows of a file of users: lines, columns, repeated numbers, batches."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidError
from domain.users.fields import parse_full_name, parse_mob_num, parse_pan_num
from tools.users_csv_rows import (
    ROW_CHARACTERS,
    FileError,
    Row,
    normalize,
    normalize_mob_num,
    open_users,
    read_rows,
    reject_repeated,
    split_batches,
)

HEADER: Final = "full_name,mob_num,pan_num,manager_id\n"
MANAGER: Final = "11111111-1111-4111-8111-111111111111"


def rows_of(folder: Path, content: str | bytes) -> list[Row]:
    path = folder / "users.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with open_users(path) as file:
        return list(read_rows(file))


def user(number: int, **values: str) -> dict[str, str]:
    return {"full_name": "A", "mob_num": str(number), "pan_num": "ABCPE1234F", **values}


def errors(rows: Iterable[Row]) -> list[tuple[int, str, str]]:
    return [row.error[:3] for row in rows if row.error]


@pytest.mark.parametrize("begin", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_columns_have_any_order_and_rows_their_lines(begin: str, end: str, delimiter: str, tmp_path: Path) -> None:
    lines = [
        " pan_num,manager_id,mob_num , full_name",
        f'ABCPE1234F,{MANAGER},9876543210,"Rao{delimiter} ""Asha"""',
        "",
        ",,,",
        f'P,,9,"two{end}lines"',
        "P,,8,last",
    ]
    rows = rows_of(tmp_path, begin + end.join(line.replace(",", delimiter) for line in lines))
    assert [(row.line, row.last_line, row.user) for row in rows] == [
        (
            2,
            2,
            {
                "pan_num": "ABCPE1234F",
                "manager_id": MANAGER,
                "mob_num": "9876543210",
                "full_name": f'Rao{delimiter} "Asha"',
            },
        ),
        (5, 6, {"pan_num": "P", "mob_num": "9", "full_name": "two\nlines"}),
        (7, 7, {"pan_num": "P", "mob_num": "8", "full_name": "last"}),
    ]


def test_a_file_may_have_no_managers(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "full_name;mob_num;pan_num\nA;9;P\n")[0].user == user(9, pan_num="P")
    assert rows_of(tmp_path, "full_name,mob_num,pan_num\n") == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "missing columns: full_name, mob_num, pan_num"),
        (b"full_name,mob_num\n", "missing columns: pan_num"),
        (b"full_name,mob_num,pan_num,manger_id\n", "unknown columns: 'manger_id'; the columns are full_name"),
        (b"full_name,mob_num,pan_num,mob_num\n", "repeated columns: mob_num"),
        (b'full_name,mob_num,"pan_num\n', "the first line is not a header in UTF-8"),
        (b"full_name,mob_num,pan_num\0\n", "the first line is not a header in UTF-8"),
        ("full_name,mob_num,pan_num\n".encode("utf-16"), "the first line is not a header in UTF-8"),
        (b"x" * 40_000, "the first line is not a header in UTF-8"),
    ],
)
def test_a_file_without_these_columns_is_not_read(content: bytes, expected: str, tmp_path: Path) -> None:
    with pytest.raises(FileError) as raised:
        rows_of(tmp_path, content)
    assert str(raised.value).startswith(expected)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("A,9,P\n", (2, "", "column-count")),
        ("A,9,P,,\n", (2, "", "column-count")),
        ("\udcfc,9,P,\n", (2, "full_name", "utf-8-invalid")),
        ('"A,9,P,\n', (2, "", "csv-invalid")),
        ('"A"b,9,P,\n', (2, "", "csv-invalid")),
        (f"{'x' * 100_000},9,P,\n", (2, "", "csv-invalid")),
        (f"{'x' * (ROW_CHARACTERS - 1)}\n", (2, "", "csv-invalid")),
        (f"{'x' * ROW_CHARACTERS}\n", (2, "", "csv-invalid")),
    ],
)
def test_an_invalid_row_is_an_error_in_its_line_alone(
    lines: str, expected: tuple[int, str, str], tmp_path: Path
) -> None:
    content = f"{HEADER}{lines}" + "B,8,P,\n" * 3
    rows = rows_of(tmp_path, content.encode("utf-8", "surrogateescape"))
    assert errors(rows) == [expected]
    assert [row.line for row in rows] == [2, 3, 4, 5]


def test_a_quote_without_its_end_takes_one_line(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, HEADER + '"A,9,P,\n' + "B,8,P,\n" * 10_000 + '"C,7,P,\n"D\nD",6,P,\n' + "E,5,P,\n")
    assert errors(rows) == [(2, "", "csv-invalid"), (10_003, "", "csv-invalid")]
    assert [(row.line, row.last_line) for row in rows[-3:]] == [(10_003, 10_003), (10_004, 10_005), (10_006, 10_006)]
    assert len(rows) == 10_004


def test_a_nul_is_left_to_the_service(tmp_path: Path) -> None:
    assert rows_of(tmp_path, HEADER + "A\0,9,P,\n")[0].user["full_name"] == "A\0"


@pytest.mark.parametrize("path", [".", "none.csv"])
def test_what_is_no_file_is_not_opened(path: str, tmp_path: Path) -> None:
    with pytest.raises(FileError):
        open_users(tmp_path / path)


def test_a_number_is_repeated_in_any_spelling_and_distance() -> None:
    numbers = ["9876543210", *map(str, range(6_000_000_000, 6_000_005_000)), "+91 98765-43210", "12345", "12345"]
    rows = (Row(line, line, user(9, mob_num=number)) for line, number in enumerate(numbers, 2))
    (error,) = [row.error for row in reject_repeated(rows) if row.error]
    assert error == (5003, "mob_num", "mob-num-repeated", "The row in line 2 has the same mob_num.")


def test_a_batch_has_1000_rows_with_the_invalid_ones_and_fits_into_a_body() -> None:
    rows = [Row(line, line, user(line)) for line in range(2, 2502)]
    rows[3] = rows[3]._replace(error=rows[3].fail("", "x", "x"))
    assert [len(batch) for batch in split_batches(iter(rows))] == [1000, 1000, 500]
    rows = [Row(line, line, user(line, full_name="\x01" * 10_000)) for line in range(2, 102)]
    assert [len(batch) for batch in split_batches(iter(rows))] == [29, 29, 29, 13]


def test_the_memory_of_a_file_does_not_grow_with_its_rows() -> None:
    def generated(count: int) -> Iterator[Row]:
        return (Row(line, line, user(6_000_000_000 + line)) for line in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in split_batches(reject_repeated(generated(count))):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(20_000) < 1.2 * peak(3_000)


@given(st.text("+ -0916é", max_size=16) | st.from_regex(r"[ +0-9-]*[6-9][0-9]{9} *", fullmatch=True))
def test_numbers_are_normalized_as_the_service_does(text: str) -> None:
    try:
        expected = parse_mob_num(text)
    except InvalidError:
        assert normalize_mob_num(text) is None
    else:
        assert normalize_mob_num(text) == expected


@given(st.text(min_size=1, max_size=5), st.from_regex(r" {0,2}[A-Za-z]{3}P[A-Za-z][0-9]{4}[a-z] ?", fullmatch=True))
def test_valid_users_are_normalized_as_the_service_does(full_name: str, pan_num: str) -> None:
    try:
        expected = parse_full_name(full_name)
    except InvalidError:
        return
    values = normalize({"full_name": full_name, "mob_num": "09876543210", "pan_num": pan_num})
    assert values == (expected, "9876543210", parse_pan_num(pan_num), None)
    assert normalize(user(1, manager_id=MANAGER.upper()))[3] == MANAGER
