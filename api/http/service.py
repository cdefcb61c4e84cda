"""What a service declares: its endpoints and timers, each in one place.

Azure registration, the OpenAPI document, the development host, telemetry and tests all read these objects. Nothing runs
here: endpoint.py serves what is declared.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeVar

from api.http.auth import FUNCTION_KEY, Auth
from api.http.requests import BODY_LIMIT
from domain.errors import RollbookError
from settings import Settings

H = TypeVar("H", bound=Callable[..., Any])

_BY_SETTINGS: Final = ("auth", "body", "form", "query", "path", "headers")
"""What may be declared by a function of the service's settings."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One HTTP function.

    A handler takes any of these by the names of its parameters: `request` (the body), `query`, `path`, `headers`,
    `caller`, `settings` (the service's section), `connection` (in a transaction where it `writes`, else in autocommit)
    and `prepared` (what `before` returned). It returns a `Response`. `auth` and the models may be functions of the
    service's settings that return them.
    """

    service: str
    name: str
    """The function's name, the operation's id, and what idempotency keys are stored under."""
    handler: Callable[..., Any]
    route: str
    methods: tuple[str, ...] = ("POST",)
    """Empty: any method."""
    auth: Auth = FUNCTION_KEY
    body: Any = None
    """A request model, or an array of them, which should have a `max_length`: every bad entry costs time."""
    parse: Callable[[bytes], Any] | None = None
    """Reads the body in place of the model, which then only describes it. Raises `InvalidError`, `ValidationError`."""
    form: Any = None
    query: Any = None
    path: Any = None
    headers: Any = None
    ignore_body: bool = False
    """A body is not looked at. Without this, an endpoint that declares none rejects it."""
    body_limit: int = BODY_LIMIT
    writes: bool | Callable[..., bool] = False
    idempotent: bool = False
    before: Callable[..., Any] | None = None
    """Runs once per call, before the transaction, and again only where its own database work is retried. With
    `before_writes` it takes a `connection` of its own transaction, which stays committed when the call fails later."""
    before_writes: bool = False
    render: Callable[[Any], bytes] | None = None
    """Turns the body of the handler's response into bytes after the connection was given back."""
    returns: Mapping[int, Any] = field(default_factory=dict)
    """By status a type, or `Returns`."""
    errors: Sequence[type[RollbookError]] = ()
    links: Mapping[str, Any] = field(default_factory=dict)
    """Bodies for other operations that can be called with this one's response (OpenAPI runtime expressions)."""
    settings: Any = None

    def __post_init__(self) -> None:
        given = self._given()
        _require_parameters(self.handler, given | {"connection"} | ({"prepared"} if self.before else set()))
        _require_parameters(self.before, given | ({"connection"} if self.before_writes else set()))
        if callable(self.writes):
            _require_parameters(self.writes, given)
        if self.idempotent and (self.render or not self.writes):
            raise TypeError(f"{self.name}: an idempotent endpoint writes, and its response is stored as it is")
        if sum(part is not None for part in (self.body, self.form)) + self.ignore_body > 1:
            raise TypeError(f"{self.name}: one of body, form and ignore_body")
        if self.parse is not None and self.body is None:
            raise TypeError(f"{self.name}: parse needs a body, which describes what it reads")
        if self.before_writes and self.before is None:
            raise TypeError(f"{self.name}: before_writes needs before")

    def _given(self) -> set[str]:
        """What a handler, `before` and `writes` may take, by the names of their parameters."""
        parts = {"request": self.body or self.form, "query": self.query, "path": self.path, "headers": self.headers}
        return {"caller", "settings"} | {name for name, part in parts.items() if part is not None}


class Tick(NamedTuple):
    """One run of a timer. `past_due`: the host is late, for example after an outage."""

    past_due: bool


@dataclass(frozen=True, kw_only=True)
class Timer:
    """One timer function: six NCRONTAB fields, UTC. Its handler may take `tick`, `settings` and `connection`."""

    service: str
    name: str
    handler: Callable[..., None]
    schedule: str | Callable[[Any], str]
    writes: bool = False
    enabled: Callable[[Any], bool] = lambda _: True
    settings: Any = None

    def __post_init__(self) -> None:
        _require_parameters(self.handler, {"tick", "settings", "connection"})


class Functions(NamedTuple):
    """What a service serves with given settings."""

    endpoints: list[Endpoint]
    timers: list[Timer]


@dataclass
class Service:
    """The endpoints and timers of one service.

    `requires` names services that come with it. `settings` is its section of the settings, a dataclass; `enabled`
    decides by the settings of the app whether it serves anything, and may raise `SettingsError`.
    """

    name: str
    requires: Sequence[str] = ()
    settings: type[Any] | None = None
    enabled: Callable[[Settings], bool] = lambda _: True
    endpoints: list[Endpoint] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)

    def endpoint(
        self, name: str = "", *, methods: str | Iterable[str] = "POST", route: str = "", **declared: Any
    ) -> Callable[[H], H]:
        """Declares the decorated handler as an endpoint; the other keywords are the fields of `Endpoint`.

        The name is the function's unless it is given, the route is the name.
        """

        def declare(handler: H) -> H:
            own = name or handler.__name__
            verbs = (methods,) if isinstance(methods, str) else tuple(methods)
            self.endpoints.append(
                Endpoint(service=self.name, name=own, handler=handler, route=route or own, methods=verbs, **declared)
            )
            return handler

        return declare

    def timer(self, schedule: str | Callable[[Any], str], *, name: str = "", **declared: Any) -> Callable[[H], H]:
        """Declares the decorated handler as a timer; the other keywords are the fields of `Timer`."""

        def declare(handler: H) -> H:
            self.timers.append(
                Timer(service=self.name, name=name or handler.__name__, handler=handler, schedule=schedule, **declared)
            )
            return handler

        return declare

    def build(self, settings: Settings) -> Functions:
        """The endpoints and timers that these settings enable. Raises `SettingsError`."""
        if not self.enabled(settings):
            return Functions([], [])
        section = settings.section(self.settings) if self.settings else settings
        return Functions(
            [_build_endpoint(endpoint, section) for endpoint in self.endpoints],
            [
                replace(timer, settings=section, schedule=_resolve(timer.schedule, section))
                for timer in self.timers
                if timer.enabled(section)
            ],
        )


def _build_endpoint(endpoint: Endpoint, section: Any) -> Endpoint:
    resolved = {part: _resolve(getattr(endpoint, part), section) for part in _BY_SETTINGS}
    return replace(endpoint, settings=section, **resolved)


def _resolve(declared: Any, section: Any) -> Any:
    return declared(section) if inspect.isfunction(declared) else declared


@functools.cache
def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters."""
    return tuple(inspect.signature(function).parameters)


def _require_parameters(function: Callable[..., Any] | None, known: set[str]) -> None:
    if function is not None and (unknown := set(parameters(function)) - known):
        name = getattr(function, "__name__", function)
        raise TypeError(f"{name} takes {', '.join(sorted(unknown))}; it may take {', '.join(sorted(known))}")
