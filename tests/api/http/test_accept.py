"""The preference between two media types that a header `Accept` states."""

from __future__ import annotations

import pytest

from api.http.accept import prefers


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/*", False),
        ("application/pdf", False),
        ("text/html", False),
        ("application/json", True),
        ("Application/JSON", True),
        ("application/json, */*", False),
        ("application/json, */*;q=0.9", True),
        ("application/json;q=0.9, */*", False),
        ("application/json, application/*;q=0.1", True),
        ("application/*, application/pdf;q=0.5", True),
        ("application/*, application/pdf;q=0", True),
        ("*/*, application/pdf;q=0.2", True),
        ("application/*;q=0.2, */*;q=0.9", False),
        ("application/json;q=0.3, application/pdf;q=0.299", True),
        ("application/json;q=0.3, application/pdf;q=0.3", False),
        ("application/json;q=0, */*;q=0.001", False),
        ("application/json;charset=utf-8", True),
        ("application/json; charset=utf-8;q=0.5, application/pdf ; q=0.4", True),
        ('application/json;title="a, b;q=0";q=0.5, application/pdf;q=0.4', True),
        ("application/json;q=two", False),
        ("application/json;q=1.5", False),
        ("application/json;q=-1", False),
        (";;,,/,q=1,application", False),
        ("\x00\u0660;q=\u0661, application/json", True),
        ("application/json" + ",*/*;q=0.1" * 1000, True),
    ],
)
def test_the_higher_q_of_the_most_specific_range_is_preferred(accept: str | None, is_json: bool) -> None:
    assert prefers(accept, "application/json", "application/pdf") is is_json
