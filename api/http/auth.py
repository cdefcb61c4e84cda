"""Authentication: its protocol, and the two kinds that need no service (function key, anonymous)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, Self

import azure.functions as func

from domain.errors import RollbookError
from settings import Settings


@dataclass(frozen=True)
class Caller:
    """An authenticated caller. `id` owns the caller's idempotency keys; it is empty for an unknown caller.

    A service with its own authentication returns a subclass with further fields.
    """

    id: str = ""


class Auth(Protocol):
    """How an endpoint authenticates its callers."""

    @property
    def auth_level(self) -> func.AuthLevel:
        """The authorization level that the host checks."""

    @property
    def security(self) -> Mapping[str, Mapping[str, Any]]:
        """The OpenAPI security schemes by name; empty if no credentials are required."""

    @property
    def errors(self) -> Sequence[type[RollbookError]]:
        """The errors that `authenticate` raises."""

    @property
    def reads_database(self) -> bool:
        """Whether `authenticate` reads the database, in which case it is retried."""

    def authenticate(self, req: func.HttpRequest) -> Caller:
        """Returns the caller of a request. Raises one of `errors`."""

    def with_settings(self, settings: Settings) -> Auth:
        """Returns the authentication in an app with these settings."""


class FunctionKey:
    """Authentication by function key, which the host has checked. A hash of the key identifies the caller."""

    auth_level: ClassVar[func.AuthLevel] = func.AuthLevel.FUNCTION
    security: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"}
    }
    errors: ClassVar[Sequence[type[RollbookError]]] = ()
    reads_database: ClassVar[bool] = False

    def authenticate(self, req: func.HttpRequest) -> Caller:
        """Returns the caller that the key identifies; an unknown caller without a key (on a development host)."""
        key = req.headers.get("x-functions-key") or req.params.get("code")
        return Caller(f"key:{hashlib.sha256(str(key).encode()).hexdigest()}") if key else _UNKNOWN

    def with_settings(self, settings: Settings) -> Self:
        """Returns itself."""
        return self


class Anonymous:
    """No authentication."""

    auth_level: ClassVar[func.AuthLevel] = func.AuthLevel.ANONYMOUS
    security: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    errors: ClassVar[Sequence[type[RollbookError]]] = ()
    reads_database: ClassVar[bool] = False

    def authenticate(self, req: func.HttpRequest) -> Caller:
        """Returns an unknown caller."""
        return _UNKNOWN

    def with_settings(self, settings: Settings) -> Self:
        """Returns itself."""
        return self


_UNKNOWN = Caller()
FUNCTION_KEY: Final = FunctionKey()
