"""Who calls: the protocol of authentication, and the two kinds that need no service."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import azure.functions as func

from domain.errors import RollbookError


@dataclass(frozen=True)
class Caller:
    """Who calls. `id` is the owner of idempotency keys; it is empty where the caller is not known.

    A service that knows more of its callers returns a subclass.
    """

    id: str = ""


class Auth(Protocol):
    """How an endpoint authenticates its callers."""

    @property
    def auth_level(self) -> func.AuthLevel:
        """What the host checks."""

    @property
    def security(self) -> Mapping[str, Mapping[str, Any]]:
        """The OpenAPI security scheme by its name; empty where there is none."""

    @property
    def errors(self) -> Sequence[type[RollbookError]]:
        """What `authenticate` raises."""

    @property
    def reads_database(self) -> bool:
        """Whether `authenticate` does, so that it is retried."""

    def authenticate(self, req: func.HttpRequest) -> Caller:
        """The caller of a request; raises one of `errors`."""


@dataclass(frozen=True)
class FunctionKey:
    """A function key, which the host has checked. The caller is known by a hash of it."""

    auth_level: ClassVar[func.AuthLevel] = func.AuthLevel.FUNCTION
    security: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"}
    }
    errors: ClassVar[Sequence[type[RollbookError]]] = ()
    reads_database: ClassVar[bool] = False

    def authenticate(self, req: func.HttpRequest) -> Caller:
        """The caller, by the key that the request carried; without one (a development host) an unknown caller."""
        key = req.headers.get("x-functions-key") or req.params.get("code")
        return Caller(f"key:{hashlib.sha256(str(key).encode()).hexdigest()}") if key else _UNKNOWN


@dataclass(frozen=True)
class Anonymous:
    """No authentication."""

    auth_level: ClassVar[func.AuthLevel] = func.AuthLevel.ANONYMOUS
    security: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    errors: ClassVar[Sequence[type[RollbookError]]] = ()
    reads_database: ClassVar[bool] = False

    def authenticate(self, req: func.HttpRequest) -> Caller:
        """An unknown caller."""
        return _UNKNOWN


_UNKNOWN = Caller()
FUNCTION_KEY: Final = FunctionKey()
