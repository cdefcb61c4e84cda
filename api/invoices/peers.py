"""The other site: its settings, the signature of its messages, and the endpoint that takes them.

delivery.py sends what this site created. Both use the standard library's HMAC.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlsplit

import azure.functions as func
import orjson

from api.http.auth import Caller
from api.http.problems import UnauthorizedError
from api.http.requests import BODY_LIMIT, read_body
from domain.errors import NotFoundError, RollbookError
from domain.invoices.peers import PEER_KEYS, is_current, parse_peer_fields
from settings import Settings, SettingsError, text

TIME_HEADER: Final = "X-Rollbook-Time"
SIGNATURE_HEADER: Final = "X-Rollbook-Signature"
DEFAULT_FIELDS: Final = orjson.dumps({key: key for key in PEER_KEYS}).decode()
DEFAULT_SCHEDULE: Final = "*/10 * * * * *"

_SECONDS: Final = re.compile(r"[0-9]{1,12}")  # [0-9] and not \d, which matches the digits of every script
_NCRONTAB: Final = re.compile(r"[0-9A-Za-z*,/-]+( +[0-9A-Za-z*,/-]+){5}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


# ---- settings


@dataclass(frozen=True)
class PeerSettings:
    """The settings of the other site."""

    peer_site_url: str = text("PEER_SITE_URL")  # empty: nothing is queued and sent
    peer_site_secret: str = text("PEER_SITE_SECRET", secret=True)  # empty: nothing is accepted
    peer_fields_json: str = text("PEER_FIELDS", default=DEFAULT_FIELDS)
    outbox_schedule: str = text("OUTBOX_SCHEDULE", default=DEFAULT_SCHEDULE)

    @property
    def has_peer(self) -> bool:
        """Whether customers are queued for the other site."""
        return bool(self.peer_site_url)

    @property
    def peer_fields(self) -> Mapping[str, str]:
        """The keys in a message by our keys."""
        return _read_fields(self.peer_fields_json)


def check_peer_settings(settings: Settings) -> None:
    """Raises `SettingsError` for a URL without a secret or in plain text, and for settings that cannot be read."""
    section = settings.section(PeerSettings)
    if section.peer_site_url:
        if not section.peer_site_secret:
            raise SettingsError("PEER_SITE_URL needs PEER_SITE_SECRET, the secret of both sites.")
        if not _is_site(section.peer_site_url):
            raise SettingsError(
                "PEER_SITE_URL must be https://host, optionally with a port and a path; http:// only to loopback."
            )
    if not _NCRONTAB.fullmatch(section.outbox_schedule):
        raise SettingsError("OUTBOX_SCHEDULE must have the six fields of NCRONTAB, such as */10 * * * * *.")
    _read_fields(section.peer_fields_json)


def _is_site(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return False
    extra = parts.username is not None or parts.password is not None or "?" in url or "#" in url
    return bool(parts.hostname) and parts.port != 0 and not extra


@cache
def _read_fields(content: str) -> Mapping[str, str]:
    try:
        return MappingProxyType(parse_peer_fields(orjson.loads(content)))
    except orjson.JSONDecodeError:
        raise SettingsError("PEER_FIELDS is not JSON.") from None
    except ValueError as error:
        raise SettingsError(f"PEER_FIELDS {error}.") from None


# ---- signatures


class SignatureInvalidError(UnauthorizedError):
    """The signature is missing or wrong, or the message is not current; all look the same."""

    code = "signature-invalid"
    detail = "A valid signature of the other site, not older than 5 minutes, is required."
    headers = MappingProxyType({"WWW-Authenticate": "The scheme: Rollbook-Signature"})

    def __init__(self) -> None:
        super().__init__(header_values={"WWW-Authenticate": "Rollbook-Signature"})


class PeerNotConfiguredError(NotFoundError):
    """This site has no secret, and so no other site."""

    code = "peer-not-configured"
    detail = "This site takes no customers of another site."


def sign(secret: str, sent_at: str, body: bytes) -> str:
    """Returns the signature of a body that is sent at `sent_at`, in seconds since 1970: HMAC-SHA256 in hexadecimal."""
    return hmac.new(secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Signature:
    """Authentication by the signature of time and body with the secret of both sites."""

    secret: str = field(default="", repr=False)
    auth_level: ClassVar[func.AuthLevel] = func.AuthLevel.ANONYMOUS
    security: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "peerSignature": {
            "type": "apiKey",
            "in": "header",
            "name": SIGNATURE_HEADER,
            "description": f"The hexadecimal HMAC-SHA256 of `<time>.<body>`; `{TIME_HEADER}` has the time in seconds "
            "since 1970.",
        }
    }
    errors: ClassVar[Sequence[type[RollbookError]]] = (PeerNotConfiguredError, SignatureInvalidError)
    reads_database: ClassVar[bool] = False

    def authenticate(self, req: func.HttpRequest) -> Caller:
        """Returns the other site. Raises `PeerNotConfiguredError`, `SignatureInvalidError`, `TooLargeError`.

        A body that is too large is not read for its signature.
        """
        if not self.secret:
            raise PeerNotConfiguredError
        body = read_body(req, BODY_LIMIT)
        sent_at, given = (str(req.headers.get(name.lower(), "")) for name in (TIME_HEADER, SIGNATURE_HEADER))
        if not _SECONDS.fullmatch(sent_at) or not is_current(int(sent_at), int(time.time())):
            raise SignatureInvalidError
        # As bytes, because compare_digest raises for text that is not ASCII; in constant time.
        if not hmac.compare_digest(sign(self.secret, sent_at, body).encode(), given.encode(errors="replace")):
            raise SignatureInvalidError
        return _PEER

    def with_settings(self, settings: Settings) -> Self:
        """Returns the same with the secret of the settings."""
        return replace(self, secret=settings.section(PeerSettings).peer_site_secret)


_PEER: Final = Caller("peer")
