"""The declarations of a service: its endpoints and timers, each in one place.

Azure registration, the OpenAPI document, idempotency, telemetry and tests all read these objects. Nothing runs here:
endpoint.py serves what is declared.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeVar

from api.http.auth import FUNCTION_KEY, Auth
from api.http.problems import MAX_VIOLATIONS
from api.http.requests import BODY_LIMIT
from domain.errors import RollbookError
from settings import Settings

H = TypeVar("H", bound=Callable[..., Any])

_BY_SETTINGS: Final = ("auth", "body", "form", "query", "path", "headers")
"""The fields of an endpoint that may be functions of the service's settings."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Endpoint:
    """One HTTP function.

    A handler gets its arguments by parameter name: `request` (the body), `query`, `path`, `headers`, `caller`,
    `settings` (the service's section), `connection` (in a transaction if it `writes`, otherwise in autocommit) and
    `prepared` (the result of the last step of `before`). It returns a `Response`. `auth` and the models may also be
    functions of the service's settings that return them.
    """

    service: str
    name: str
    """The name of the function, the operation id, and the operation of stored idempotency keys."""
    handler: Callable[..., Any]
    route: str
    methods: tuple[str, ...] = ("POST",)
    """Empty means any method."""
    auth: Auth = FUNCTION_KEY
    body: Any = None
    """A request model or an array of them. An array should have a `max_length`: every invalid entry takes time."""
    parse: Callable[[bytes], Any] | None = None
    """Parses the raw body instead of the model, which then only describes it.

    Raises `InvalidError`, `ValidationError`.
    """
    form: Any = None
    query: Any = None
    path: Any = None
    headers: Any = None
    ignore_body: bool = False
    """Ignores any body. Otherwise an endpoint that declares no body rejects one."""
    body_limit: int = BODY_LIMIT
    max_violations: int = MAX_VIOLATIONS
    """Maximum number of violations that a problem lists."""
    writes: bool | Callable[..., bool] = False
    idempotent: bool = False
    before: Callable[..., Any] | Sequence[Callable[..., Any]] = ()
    """One step or several, which run once per call, before the handler's transaction. Each is repeated only if its own
    database work is retried, and gets the result of the step before as `prepared`. A step with `connection` reads in
    autocommit; with `before_writes` it has a transaction of its own, which stays committed if the call fails later."""
    before_writes: bool = False
    limit: Callable[..., AbstractContextManager[None]] | None = None
    """Returns a context manager, which limits how many calls do costly work at once and may raise when entered. It is
    entered after `check()`, or before the body is parsed if it takes `body_size` (bytes), left after the handler."""
    render: Callable[[Any], bytes] | None = None
    """Turns the body of the handler's response into bytes, after the connection is returned to the pool."""
    returns: Mapping[int, Any] = field(default_factory=dict)
    """A type or `Returns` by status."""
    errors: Sequence[type[RollbookError]] = ()
    problem_members: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Members that every problem of a status has, also those of the edge itself."""
    links: Mapping[str, Any] = field(default_factory=dict)
    """OpenAPI links: bodies for other operations, built by runtime expressions from the response declared first."""
    settings: Any = None

    def __post_init__(self) -> None:
        given = self._given()
        _require_parameters(self.handler, given | {"connection"} | ({"prepared"} if self.steps else set()))
        for number, step in enumerate(self.steps):
            _require_parameters(step, given | {"connection"} | ({"prepared"} if number else set()))
        if callable(self.writes):
            _require_parameters(self.writes, given)
        if self.limit is not None:
            _require_parameters(self.limit, {"caller", "settings", "body_size"} if self.limits_body else given)
        if self.idempotent and (self.render or not self.writes):
            raise TypeError(f"{self.name}: an idempotent endpoint writes, and its response is stored as it is")
        if sum(part is not None for part in (self.body, self.form)) + self.ignore_body > 1:
            raise TypeError(f"{self.name}: one of body, form and ignore_body")
        if self.parse is not None and self.body is None:
            raise TypeError(f"{self.name}: parse needs a body, which describes what it reads")
        if self.before_writes and not any("connection" in parameters(step) for step in self.steps):
            raise TypeError(f"{self.name}: before_writes needs a step that takes connection")

    @property
    def steps(self) -> Sequence[Callable[..., Any]]:
        """The steps of `before`."""
        return (self.before,) if callable(self.before) else self.before

    @property
    def limits_body(self) -> bool:
        """Whether `limit` depends on the size of the body."""
        return self.limit is not None and "body_size" in parameters(self.limit)

    def _given(self) -> set[str]:
        """Returns the parameters that a handler, `before`, `limit` and `writes` may have."""
        parts = {"request": self.body or self.form, "query": self.query, "path": self.path, "headers": self.headers}
        return {"caller", "settings"} | {name for name, part in parts.items() if part is not None}


class Tick(NamedTuple):
    """One run of a timer. `past_due` is true if the host is late, for example after an outage."""

    past_due: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Timer:
    """One timer function. `schedule` has six NCRONTAB fields, in UTC.

    The handler may take `tick`, `settings`, `connection` and `prepared`, the result of `before`.
    """

    service: str
    name: str
    handler: Callable[..., Any]
    schedule: str | Callable[[Any], str]
    writes: bool = False
    before: Callable[..., Any] | None = None
    """A step before the handler's transaction. If it returns None, there is nothing to do: the handler does not run."""
    after: Callable[..., None] | None = None
    """A step after the handler's transaction is committed. It may take `result`, which the handler returned."""
    enabled: Callable[[Any], bool] = lambda _: True
    settings: Any = None

    def __post_init__(self) -> None:
        given = {"tick", "settings"}
        prepared = {"prepared"} if self.before else set()
        _require_parameters(self.handler, given | {"connection"} | prepared)
        if self.before:
            _require_parameters(self.before, given | {"connection"})
        if self.after:
            _require_parameters(self.after, given | {"result"} | prepared)


class Functions(NamedTuple):
    """The functions of a service with given settings."""

    endpoints: list[Endpoint]
    timers: list[Timer]


@dataclass(eq=False)
class Service:
    """The endpoints and timers of one service.

    `requires` names the services that it needs; they are enabled with it. `settings` is its section of the settings, a
    dataclass. `enabled` gets the settings of the app and returns whether the service serves anything; it may raise
    `SettingsError`. `on_start` gets the settings of the app, once, when the database is connected and migrated. It must
    neither wait for a SQL Server, which may be paused, nor raise.
    """

    name: str
    requires: Sequence[str] = ()
    settings: type[Any] | None = None
    enabled: Callable[[Settings], bool] = lambda _: True
    on_start: Callable[[Settings], None] = lambda _: None
    endpoints: list[Endpoint] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)

    def endpoint(
        self, name: str = "", *, methods: str | Iterable[str] = "POST", route: str = "", **declared: Any
    ) -> Callable[[H], H]:
        """Returns a decorator that declares the handler as an endpoint. Other keywords are the fields of `Endpoint`.

        `name` defaults to the name of the handler, `route` to `name`. The decorator raises `TypeError` for keywords or
        parameters that cannot work.
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
        """Returns a decorator that declares the handler as a timer. Other keywords are the fields of `Timer`."""

        def declare(handler: H) -> H:
            self.timers.append(
                Timer(service=self.name, name=name or handler.__name__, handler=handler, schedule=schedule, **declared)
            )
            return handler

        return declare

    def build(self, settings: Settings) -> Functions:
        """Returns the endpoints and timers that these settings enable. Raises `SettingsError`."""
        if not self.enabled(settings):
            return Functions([], [])
        section = settings.section(self.settings) if self.settings else settings
        return Functions(
            [_build_endpoint(endpoint, section, settings) for endpoint in self.endpoints],
            [
                replace(timer, settings=section, schedule=_resolve(timer.schedule, section))
                for timer in self.timers
                if timer.enabled(section)
            ],
        )


def _build_endpoint(endpoint: Endpoint, section: Any, settings: Settings) -> Endpoint:
    resolved = {part: _resolve(getattr(endpoint, part), section) for part in _BY_SETTINGS}
    resolved["auth"] = resolved["auth"].with_settings(settings)
    return replace(endpoint, settings=section, **resolved)


def _resolve(declared: Any, section: Any) -> Any:
    return declared(section) if inspect.isfunction(declared) else declared


@functools.cache
def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Returns the names of a function's parameters."""
    return tuple(inspect.signature(function).parameters)


def _require_parameters(function: Callable[..., Any], known: set[str]) -> None:
    if unknown := set(parameters(function)) - known:
        name = getattr(function, "__name__", function)
        raise TypeError(f"{name} takes {', '.join(sorted(unknown))}; it may take {', '.join(sorted(known))}")
