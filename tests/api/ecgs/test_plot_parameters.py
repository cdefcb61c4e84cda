"""`GET /ecgs/{ecg_id}/plot.svg`: its parameters. What is drawn is tested with the function that draws."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from api.ecgs.plot import PaperScale, render_plot
from domain.ecgs import Lead, parse_signal
from tests.support.ecg_calls import SIGNAL, Person
from tests.support.programs import PROJECT

LEADS = [Lead("0", parse_signal([*SIGNAL]))]


@pytest.mark.parametrize(
    ("query", "scale"),
    [
        ({}, None),
        ({"rate": "", "gain": ""}, None),  # the host drops what is empty
        ({"rate": "500", "gain": "1000"}, PaperScale(500, 1000)),
        ({"rate": "1", "gain": "0.001", "from": "0"}, PaperScale(1, 0.001)),
        ({"rate": "100000.0", "gain": "1000000", "from": "1000000000"}, PaperScale(100_000, 1e6, 1e9)),
        ({"rate": "0257.5", "gain": "204.8", "from": "0.25"}, PaperScale(257.5, 204.8, 0.25)),
    ],
)
def test_the_parameters_are_the_scale(asha: Person, query: dict[str, str], scale: PaperScale | None) -> None:
    response = asha.call("GET", f"/ecgs/{asha.upload(SIGNAL)}/plot.svg", params=query)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/svg+xml")
    assert response.content == render_plot(LEADS, scale)


WRONG = ["x", "-1", "+1", "1e2", "1.", ".5", " 1", "1 ", "٣", "NaN", "inf", "1_0", "0x1", "1,5"]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("rate", "1", "100000"), ("gain", "0.001", "1000000"), ("from", "0", "1000000000")],
)
def test_a_parameter_is_a_decimal_number_within_its_limits(
    asha: Person, problem_of: Any, name: str, least: str, most: str
) -> None:
    path = f"/ecgs/{asha.upload(SIGNAL)}/plot.svg"
    below = ["0.99999999999999999999"] if least == "1" else ["0.0009999999999999999999", "0"] if name == "gain" else []
    for value in (*WRONG, f"{most}.00000000000000000001", "9" * 30, "9" * 5000, *below):
        response = asha.call("GET", path, params={"rate": "500", "gain": "1000", name: value})
        assert problem_of(response) == (400, "request-invalid", [(f"/query/{name}", "out-of-range")]), value
    response = asha.call("GET", f"{path}?rate=500&gain=1000&from=0&{name}={least}")
    assert response.status_code == 400, "a parameter that is given twice"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"rate": "500"}, [("/query/gain", "missing-key")]),
        ({"gain": "1000"}, [("/query/rate", "missing-key")]),
        ({"from": "0"}, [("/query/gain", "missing-key"), ("/query/rate", "missing-key")]),
        ({"rate": "0", "from": "x"}, [("/query/from", "out-of-range"), ("/query/gain", "missing-key"),
                                      ("/query/rate", "out-of-range")]),
        ({"begin": "1", "width": "9"}, [("/query/begin", "unknown-key"), ("/query/width", "unknown-key")]),
    ],
)  # fmt: skip
def test_rate_and_gain_are_given_together(
    asha: Person, problem_of: Any, query: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    response = asha.call("GET", f"/ecgs/{asha.upload(SIGNAL)}/plot.svg", params=query)
    assert problem_of(response) == (400, "request-invalid", expected)


def test_the_defaults_in_the_openapi_document_give_a_picture(asha: Person) -> None:
    document = orjson.loads((PROJECT / "docs" / "openapi.json").read_bytes())
    declared = document["paths"]["/ecgs/{ecg_id}/plot.svg"]["get"]["parameters"]
    filled_in = {one["name"]: one["schema"]["default"] for one in declared if "default" in one["schema"]}
    response = asha.call("GET", f"/ecgs/{asha.upload(SIGNAL)}/plot.svg", params=filled_in)
    assert response.status_code == 200, "Swagger UI sends every default"
