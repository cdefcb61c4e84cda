"""Paths, queries and responses of the ecgs service, and its cursor. The body of `POST /ecgs` is in uploads.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Final, NamedTuple, TypedDict, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, create_model

from api.ecgs.plot import PaperScale
from api.http.cursors import encode_cursor, read_cursor
from api.http.requests import OPTIONAL, Request, RequestInvalidError, field
from domain import ecgs as domain
from domain.errors import InvalidError, OutOfRangeError, Violation
from domain.uuids import UUID
from persistence.ecgs import LeadSummary

PAGE_LIMIT_MAX: Final = 100
PAGE_LIMIT: Final = 20
FROM_MAX: Final = 1_000_000_000
"""Maximum of `from` in seconds; no signal is as long."""

# [0-9] and not \d, which matches the digits of every script.
_WHOLE: Final = re.compile(r"0*([0-9]{1,3})")
_DECIMAL: Final = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")


class CursorInvalidError(InvalidError):
    """The text is not a cursor of this account."""

    code = "cursor-invalid"
    detail = "Not a valid cursor; use the `next_cursor` of a previous response."


# ---- paths and queries


def _parse_ecg_id(value: str) -> str:
    if not UUID.fullmatch(value):
        raise InvalidError("This is not an id.")
    return value.lower()


class EcgPath(Request):
    """The ECG in a path. No ECG has a malformed id."""

    not_found = domain.EcgNotFoundError

    ecg_id: Annotated[str, BeforeValidator(_parse_ecg_id), field("The id of an ECG")]


class Position(NamedTuple):
    """Where a page ends: the account whose list it is, and the place of its last ECG in the order of uploads."""

    account_id: int
    last: int


def format_cursor(position: Position) -> str:
    """Returns the cursor that continues a list at a position."""
    return encode_cursor(*position)


def parse_cursor(value: object) -> Position:
    """Returns the position in a cursor. Raises `CursorInvalidError` for what `format_cursor` did not write."""
    position = read_cursor(value, _position, format_cursor)
    if position is None or not 0 < position.last < 2**63:
        raise CursorInvalidError
    return position


def _position(account_id: Any, last: Any) -> Position:
    return Position(int(account_id), int(last))


def _parse_limit(value: str) -> int:
    match = _WHOLE.fullmatch(value)
    if match is None or not 1 <= int(match[1]) <= PAGE_LIMIT_MAX:
        raise OutOfRangeError(f"This must be a whole number from 1 to {PAGE_LIMIT_MAX}, in the digits 0 to 9.")
    return int(match[1])


class ListQuery(Request):
    """The page of ECGs to list."""

    limit: Annotated[
        int,
        BeforeValidator(_parse_limit),
        field("Maximum number of ECGs", OutOfRangeError, minimum=1, maximum=PAGE_LIMIT_MAX),
    ] = PAGE_LIMIT
    cursor: Annotated[
        Position,
        PlainValidator(parse_cursor, json_schema_input_type=str),
        field("The next_cursor of the previous page of the same account, unchanged", CursorInvalidError),
    ] = OPTIONAL

    def before(self, account_id: int) -> int | None:
        """Returns the place before which the page begins. Raises `RequestInvalidError` for another account's cursor."""
        position: Position | None = self.cursor
        if position is None:
            return None
        if position.account_id != account_id:
            error = CursorInvalidError
            raise RequestInvalidError(violations=[Violation(("query", "cursor"), error.code, error.detail)])
        return position.last


def _parse_decimal(value: str, *, least: str, most: str) -> float:
    if not _DECIMAL.fullmatch(value) or not Decimal(least) <= Decimal(value) <= Decimal(most):
        raise OutOfRangeError(f"This must be a decimal number from {least} to {most}, in digits with or without a dot.")
    return float(value)


class PlotQuery(Request):
    """The scale of ECG paper: `rate` and `gain`, or none of the three."""

    rate: Annotated[
        float,
        BeforeValidator(partial(_parse_decimal, least="1", most="100000")),
        field("Samples a second; ECG paper needs it and gain", OutOfRangeError, minimum=1, maximum=100_000),
    ] = OPTIONAL
    gain: Annotated[
        float,
        BeforeValidator(partial(_parse_decimal, least="0.001", most="1000000")),
        field("Units a millivolt", OutOfRangeError, minimum=0.001, maximum=1_000_000),
    ] = OPTIONAL
    begin: Annotated[
        float,
        BeforeValidator(partial(_parse_decimal, least="0", most=str(FROM_MAX))),
        field("The first second on ECG paper, by default 0", OutOfRangeError, minimum=0, maximum=FROM_MAX),
        Field(alias="from"),
    ] = OPTIONAL  # a default in the OpenAPI document is filled in by Swagger UI, and needs rate and gain

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields a violation for a `rate` or `gain` that is missing though another parameter is given."""
        if content.keys() & {"rate", "gain", "from"}:
            for name in {"rate", "gain"} - content.keys():
                yield Violation((name,), "missing-key", "rate and gain are required together, and with from.")

    @property
    def scale(self) -> PaperScale | None:
        """The scale of ECG paper, or None for the whole signal."""
        return PaperScale(self.rate, self.gain, self.begin or 0.0) if self.rate else None


# ---- responses


class CreatedEcg(TypedDict):
    """A stored ECG."""

    ecg_id: Annotated[str, "uuid"]
    date: Annotated[str, "date-time"]


class ListedEcg(TypedDict):
    """An ECG without its signals."""

    ecg_id: Annotated[str, "uuid"]
    date: Annotated[str, "date-time"]
    leads: list[LeadSummary]


class EcgPage(TypedDict):
    """A page of ECGs, the last uploaded first; `next_cursor` is null on the last page."""

    ecgs: list[ListedEcg]
    next_cursor: str | None


class RecordedLead(TypedDict):
    """A lead with its samples."""

    name: str
    number_of_samples: int
    signal: list[int]


class RecordedEcg(TypedDict):
    """An ECG with its signals."""

    ecg_id: Annotated[str, "uuid"]
    date: Annotated[str, "date-time"]
    leads: list[RecordedLead]


def _insight_fields() -> dict[str, Any]:
    return {name: (get_type_hints(insight)["return"], ...) for name, insight in domain.INSIGHTS.items()}


LeadInsights: Final = create_model(
    "LeadInsights",
    __config__=ConfigDict(defer_build=True),
    __doc__="What is computed of a lead.",
    name=(str, ...),
    **_insight_fields(),
)


class EcgInsights(TypedDict):
    """What is computed of an ECG, in the order of its leads."""

    ecg_id: Annotated[str, "uuid"]
    leads: list[LeadInsights]  # type: ignore[valid-type]  # made of INSIGHTS


class DeletedEcg(TypedDict):
    """A deleted ECG."""

    message: str
    ecg_id: Annotated[str, "uuid"]
