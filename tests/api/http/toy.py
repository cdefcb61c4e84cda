"""A service that uses every keyword of an endpoint's declaration, with its own table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypedDict

import azure.functions as func
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.http.auth import Anonymous, Caller
from api.http.problems import TooManyRequestsError, UnauthorizedError
from api.http.requests import OPTIONAL, Request
from api.http.requests import field as described
from api.http.responses import Response, Returns
from api.http.service import Service, Tick
from domain.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, OutOfRangeError, Violation
from persistence.database.connections import Connection, reading
from persistence.database.errors import LostRaceError, TransientError
from settings import Settings, switch, text

TABLE = "CREATE TABLE toy_notes (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, text TEXT NOT NULL)"


@dataclass(frozen=True)
class ToySettings:
    """The toy's section of the settings."""

    shouting: bool = switch("TOY_SHOUTING", default=False)
    schedule: str = text("TOY_SCHEDULE", default="0 0 3 * * *")
    has_nightly: bool = switch("TOY_NIGHTLY", default=True)


@dataclass
class Journal:
    """Events besides responses; tests clear it."""

    entries: list[str] = field(default_factory=list)
    races: int = 0
    """How many of the next attempts lose a race."""
    is_signed_out: bool = False
    """Whether every token is rejected."""

    def lose_race(self) -> None:
        """Raises `LostRaceError` while the test demands lost races."""
        if self.races:
            self.races -= 1
            raise LostRaceError


journal = Journal()
service = Service("toy", settings=ToySettings)


# ---- errors


class NoTokenError(UnauthorizedError):
    code = "no-token"
    detail = "Send a token."
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "The scheme"}

    def __init__(self) -> None:
        super().__init__(header_values={"WWW-Authenticate": "Bearer"})


class RoleRequiredError(ForbiddenError):
    code = "role-required"
    detail = "Another role is required."


class NoteNotFoundError(NotFoundError):
    code = "note-not-found"
    detail = "No such note."


class TooManyNotesError(TooManyRequestsError):
    code = "too-many-notes"
    detail = "Too many notes."


class TakenError(ConflictError):
    code = "text-taken"
    detail = "There is such a note."
    members: ClassVar[Mapping[str, Any]] = {"notes": list[int]}


class TwiceError(ConflictError):
    code = "text-twice"
    detail = "Two notes have the same text."
    members: ClassVar[Mapping[str, Any]] = {"shelf": int}


class NotDigitsError(InvalidError):
    code = "not-digits"
    detail = "Digits only."


# ---- authentication


@dataclass(frozen=True)
class Writer(Caller):
    """A caller with a name."""

    name: str = ""


@dataclass(frozen=True)
class Token:
    """A token that names its caller, checked in the database."""

    role: str = ""
    auth_level: ClassVar[func.AuthLevel] = func.AuthLevel.ANONYMOUS
    security: ClassVar[Mapping[str, Mapping[str, Any]]] = {"bearer": {"type": "http", "scheme": "bearer"}}
    errors: ClassVar[Sequence[type[Any]]] = (NoTokenError, RoleRequiredError)
    reads_database: ClassVar[bool] = True

    def authenticate(self, req: func.HttpRequest) -> Writer:
        scheme, _, name = str(req.headers.get("authorization", "")).partition(" ")
        journal.lose_race()
        with reading() as connection:
            connection.exec_driver_sql("SELECT 1")
        if scheme != "Bearer" or not name or journal.is_signed_out:
            raise NoTokenError
        if self.role not in ("", name):
            raise RoleRequiredError
        return Writer(f"account:{name}", name)

    def with_settings(self, settings: Settings) -> Token:
        return self


# ---- requests


def _digits(value: object) -> int:
    if not (isinstance(value, str) and value.isascii() and value.isdigit()):
        raise NotDigitsError
    return int(value)


class Note(Request):
    """A note."""

    text: Annotated[str, Field(max_length=20), described("The text")]
    number: Annotated[int, Field(ge=0)] = OPTIONAL
    dry_run: bool = OPTIONAL

    def check(self) -> None:
        journal.entries.append("check")
        if self.text == "out of range":
            raise OutOfRangeError("No.", fields=["text"])


Notes = Annotated[list[Note], Field(max_length=5)]


class Nested(Request):
    """A note in an object."""

    note: Note


class Page(Request):
    """A page of a list."""

    limit: Annotated[int, BeforeValidator(_digits), described("How many", NotDigitsError)] = OPTIONAL
    code_word: str = OPTIONAL


class NotePath(Request):
    """The path of a note."""

    not_found = NoteNotFoundError

    note_id: Annotated[int, BeforeValidator(_digits)]


class ShelfPath(Request):
    """The path of a shelf; a malformed value is a violation."""

    shelf: Annotated[int, BeforeValidator(_digits)]


class Conditions(Request):
    """The headers of conditional requests."""

    if_match: Annotated[str, Field(max_length=5)] = OPTIONAL


class SignIn(Request):
    """A form; other parameters are ignored."""

    model_config = ConfigDict(extra="ignore")

    username: str
    password: str


class Stored(TypedDict):
    """A stored note."""

    id: int
    text: str


def parse_signal(body: bytes) -> list[int]:
    """Numbers separated by blanks."""
    if not body:
        raise NotDigitsError
    bad = [at for at, word in enumerate(body.split()) if not word.isdigit()]
    if bad:
        raise NotDigitsError(violations=[Violation(("signal", at), NotDigitsError.code, "No digit.") for at in bad])
    return [int(word) for word in body.split()]


# ---- endpoints


def _insert(connection: Connection, owner: str, text: str) -> int:
    result = connection.exec_driver_sql("INSERT INTO toy_notes (owner, text) VALUES (?, ?)", (owner, text))
    return int(result.lastrowid or 0)


def _write(request: Note) -> bool:
    return not request.dry_run


def _prepare(request: Note, caller: Caller) -> str:
    journal.entries.append("before")
    if request.text == "unavailable" and journal.entries.count("before") < 2:
        raise TransientError
    return f"{request.text} by {caller.id or 'nobody'}"


@service.endpoint(
    "toy_add",
    route="toy/notes",
    body=Note,
    auth=Token(),
    writes=_write,
    idempotent=True,
    before=_prepare,
    returns={201: Returns(Stored, "Stored", headers={"Location": "Where it is"}), 200: Stored},
    errors=[TakenError, OutOfRangeError],
)
def toy_add(request: Note, caller: Writer, connection: Connection, prepared: str, settings: ToySettings) -> Response:
    """Adds a note."""
    journal.entries.append("handler")
    if request.dry_run:
        return Response(Stored(id=0, text=request.text))
    note = prepared.upper() if settings.shouting else prepared
    number = _insert(connection, caller.name, note)
    if request.text == "loses twice" and journal.entries.count("handler") < 3:
        raise LostRaceError
    if request.text == "signs out":
        journal.is_signed_out = True
        raise LostRaceError
    if request.text == "taken":
        raise TakenError(member_values={"notes": [number]}, fields=["text"])
    return Response(Stored(id=number, text=note), 201, headers={"Location": f"/toy/notes/{number}"})


@service.endpoint(
    "toy_add_many",
    route="toy/batch/{shelf}",
    path=ShelfPath,
    body=Notes,
    writes=True,
    idempotent=True,
    returns={200: Returns(None, "The ids", media={"application/vnd.toy+json": list[int]})},
    errors=[TwiceError],
)
def toy_add_many(request: list[Note], path: ShelfPath, connection: Connection) -> Response:
    """Adds several notes."""
    if len({note.text for note in request}) < len(request):
        raise TwiceError(violations=[Violation((1, "text"), TwiceError.code, "Twice.", {"shelf": path.shelf})])
    return Response([_insert(connection, "", note.text) for note in request], media_type="application/vnd.toy+json")


@service.endpoint("toy_nested", route="toy/nested", body=Nested, errors=[TakenError])
def toy_nested(request: Nested) -> Response:
    """Fails at a field that is nested in the body."""
    raise TakenError(fields=["text"], member_values={"notes": [1]})


@service.endpoint(
    "toy_get",
    route="toy/notes/{note_id}",
    methods="GET",
    path=NotePath,
    query=Page,
    headers=Conditions,
    auth=Token(),
    render=lambda rows: "\n".join(rows).encode(),
    returns={200: Returns(None, "The text", media={"text/plain": str, "image/png": bytes})},
)
def toy_get(path: NotePath, query: Page, headers: Conditions, connection: Connection) -> Response:
    """Returns a note as text."""
    rows = connection.exec_driver_sql("SELECT text FROM toy_notes WHERE id = ?", (path.note_id,)).scalars().all()
    if not rows:
        raise NoteNotFoundError
    journal.entries.append(f"{query.limit} {headers.if_match}")
    return Response(rows, media_type="text/plain")


class Sum(TypedDict):
    """A stored sum."""

    id: int
    sum: int


@service.endpoint(
    "toy_signal",
    route="toy/signal",
    body=Note,
    parse=parse_signal,
    body_limit=50,
    writes=True,
    idempotent=True,
    returns={200: Sum},
    errors=[NotDigitsError],
)
def toy_signal(request: list[int], connection: Connection) -> Response:
    """Adds a sum, of numbers that a function parses."""
    return Response({"sum": sum(request), "id": _insert(connection, "", "signal")})


def _count(request: SignIn, connection: Connection) -> int:
    return _insert(connection, request.username, "failure")


def _verify(request: SignIn, prepared: int) -> int:
    journal.entries.append(f"verify {request.username} {prepared}")
    return prepared


@service.endpoint(
    "toy_sign_in",
    route="toy/login",
    form=SignIn,
    auth=Anonymous(),
    before=(_count, _verify),
    before_writes=True,
    problem_members={400: {"error": "invalid_request"}},
    errors=[TooManyNotesError],
)
def toy_sign_in(request: SignIn, prepared: int) -> Response:
    """Counts a sign-in, and then fails."""
    raise TooManyNotesError(header_values={"Retry-After": str(prepared)})


class Done(BaseModel):
    """A response as a pydantic model."""

    done: Annotated[int, Field(ge=1)]


@service.endpoint("toy_any", route="toy/any", methods=("PUT", "PATCH"), ignore_body=True, returns={200: Done})
def toy_any() -> Response:
    """Does nothing, with any body."""
    return Response({"done": 1})


class Named(TypedDict):
    """The caller."""

    name: str


@service.endpoint("toy_bare", route="toy/bare", auth=Token(role="admin"), returns={200: Named})
def toy_bare(caller: Writer) -> Response:
    """Takes no body."""
    return Response({"name": caller.name})


# ---- timers


@service.timer(lambda settings: settings.schedule, writes=True, enabled=lambda settings: settings.has_nightly)
def toy_nightly(tick: Tick, connection: Connection) -> None:
    """Adds a note."""
    _insert(connection, "timer", f"past due: {tick.past_due}")
    journal.lose_race()


@service.timer("*/10 * * * * *", name="toy_failing")
def toy_fails() -> None:
    """Fails."""
    raise ValueError("9876543210")
