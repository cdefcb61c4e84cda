"""The body of `POST /ecgs`, whose signals become arrays."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, PlainValidator

from api.ecgs.gate import LARGE_BODY
from api.http.requests import OPTIONAL, Examples, Request, field, parse_object
from domain import ecgs as domain
from domain.errors import InvalidError, OutOfRangeError, Violation, WrongTypeError
from domain.timestamps import parse_rfc3339

BODY_LIMIT: Final = 32 * 1024 * 1024
"""Maximum size of an upload in bytes."""

_MARKS_MAX: Final = 10_000


class DateInvalidError(InvalidError):
    """The text is not a date and time with a zone."""

    code = "date-invalid"
    detail = "date must be a date and time with a zone (RFC 3339), such as 2026-01-31T10:00:00Z."


class BodyTooComplexError(InvalidError):
    """The body has many more keys or arrays than 64 leads. Parsed, or as errors, they could take 100 times its size."""

    code = "body-too-complex"
    detail = (
        f"An ECG has at most {domain.LEADS_MAX} leads; this body has more than {_MARKS_MAX:,} keys, arrays or objects."
    )


def _parse_date(value: object) -> str:
    if not isinstance(value, str):
        raise WrongTypeError("date must be a JSON string.")
    date = parse_rfc3339(value)
    if date is None:
        raise DateInvalidError
    return date


def _require_leads_count(value: object) -> object:
    if isinstance(value, list) and not 1 <= len(value) <= domain.LEADS_MAX:
        raise domain.LeadsCountError
    return value


class NewLead(Request):
    """A lead of an upload."""

    name: Annotated[
        str,
        BeforeValidator(domain.parse_lead_name),
        field(
            "Stored unchanged; no control characters",
            domain.LeadNameInvalidError,
            domain.LeadNameRepeatedError,
            minLength=1,
            maxLength=domain.LEAD_NAME_MAX,
        ),
    ]
    number_of_samples: Annotated[
        int,
        BeforeValidator(domain.parse_number_of_samples),
        field("The length of the signal", domain.NumberOfSamplesError, minimum=1),
    ] = OPTIONAL
    signal: Annotated[
        domain.Signal,
        PlainValidator(domain.parse_signal, json_schema_input_type=list[int]),
        field(
            "The samples, of which the first invalid one is reported",
            domain.SignalEmptyError,
            OutOfRangeError,
            minItems=1,
            items={"type": "integer", "format": "int64", "minimum": domain.SAMPLE_MIN, "maximum": domain.SAMPLE_MAX},
        ),
    ]


class NewEcg(Request):
    """The body of an upload."""

    EXAMPLES: ClassVar[Examples] = {
        "Two leads": {
            "date": "2026-01-31T10:00:00Z",
            "leads": [
                {"name": "I", "number_of_samples": 10, "signal": [1, -2, 0, 3, -4, 0, 0, 5, 6, -7]},
                {"name": "II", "signal": [12, 14, 11, -3, -9, -2, 4, 8]},
            ],
        }
    }

    date: Annotated[
        str,
        BeforeValidator(_parse_date),
        field("When it was recorded, by default now; stored in UTC", DateInvalidError, format="date-time"),
    ] = OPTIONAL
    leads: Annotated[
        list[NewLead],
        BeforeValidator(_require_leads_count),
        field("The leads, with distinct names", domain.LeadsCountError, minItems=1, maxItems=domain.LEADS_MAX),
    ]

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields the violations of repeated names and of numbers that are not the length of the signal."""
        leads = content.get("leads")
        if not isinstance(leads, list) or len(leads) > domain.LEADS_MAX:
            return
        places = {index: lead for index, lead in enumerate(leads) if isinstance(lead, dict)}
        for index, lead in places.items():
            count, signal = lead.get("number_of_samples"), lead.get("signal")
            if type(count) is int and isinstance(signal, list) and count != len(signal):
                error = domain.NumberOfSamplesError
                yield Violation(("leads", index, "number_of_samples"), error.code, error.detail)
        names = {index: lead.get("name") for index, lead in places.items()}
        yield from _repeated_names({index: name for index, name in names.items() if isinstance(name, str)})


def _repeated_names(names: Mapping[int, str]) -> Iterator[Violation]:
    indices = [*names]
    try:
        domain.check_lead_names([*names.values()])
    except domain.LeadNameRepeatedError as error:
        for violation in error.violations:
            yield violation._replace(path=("leads", indices[int(violation.path[0])], "name"))


_parsing = threading.Lock()


def parse_ecg(body: bytes) -> NewEcg:
    """Returns the body of an upload.

    Raises `BodyTooComplexError`, `BodyNotJsonError`, `BodyNotObjectError`, `BodyInvalidError`.
    """
    is_large = len(body) > LARGE_BODY
    if max(map(body.count, b":[{" if is_large else b":")) > _MARKS_MAX:  # bytes.count takes a byte as an integer
        raise BodyTooComplexError
    # The lists of integers are most of an upload's memory. Python would not parse two bodies in parallel anyway.
    with _parsing if is_large else nullcontext():
        return parse_object(NewEcg, body)
