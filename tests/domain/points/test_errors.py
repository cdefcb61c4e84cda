"""The codes, kinds and fields of the errors of the points service."""

from __future__ import annotations

import pytest

from domain import points
from domain.errors import ConflictError, ForbiddenError, InvalidError, RollbookError


@pytest.mark.parametrize(
    ("error", "kind", "code", "fields"),
    [
        (points.PayerInvalidError, InvalidError, "payer-invalid", ()),
        (points.PointsZeroError, InvalidError, "points-zero", ()),
        (points.TimestampInvalidError, InvalidError, "timestamp-invalid", ()),
        (points.FlushNotAllowedError, ForbiddenError, "flush-not-allowed", ()),
        (points.InsufficientPointsError, ConflictError, "insufficient-points", ("points",)),
        (points.PointsOverflowError, ConflictError, "points-overflow", ("points",)),
    ],
)
def test_an_error_has_its_kind_code_and_fields(
    error: type[RollbookError], kind: type[RollbookError], code: str, fields: tuple[str, ...]
) -> None:
    assert issubclass(error, kind)
    assert (error.code, error.fields) == (code, fields)
