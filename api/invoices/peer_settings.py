"""The settings of the other site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import orjson

from api.http.schedules import parse_schedule
from domain.invoices.peers import SAME_FIELDS, PeerFields, parse_peer_fields
from settings import SettingsError, parsed, text

DEFAULT_FIELDS: Final = orjson.dumps(SAME_FIELDS._asdict()).decode()

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def _read_fields(content: str) -> PeerFields:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise ValueError("JSON") from None
    return parse_peer_fields(value)


@dataclass(frozen=True, kw_only=True)
class PeerSettings:
    """Where the other site is, the secret of both sites, and how customers are sent.

    Raises `SettingsError` for a site without a secret, and for one whose URL is not https except on loopback.
    """

    peer_site_url: str = text("PEER_SITE_URL")  # empty: no customer is queued or sent
    peer_site_secret: str = text("PEER_SITE_SECRET", secret=True)  # empty: no customer is accepted
    peer_fields: PeerFields = parsed("PEER_FIELDS", default=DEFAULT_FIELDS, parse=_read_fields)  # noqa: RUF009 - a field
    outbox_schedule: str = parsed("OUTBOX_SCHEDULE", default="*/10 * * * * *", parse=parse_schedule)

    def __post_init__(self) -> None:
        if not self.peer_site_url:
            return
        if not self.peer_site_secret:
            raise SettingsError("PEER_SITE_URL needs PEER_SITE_SECRET, which both sites have.")
        if not _is_site(self.peer_site_url):  # not repeated in the message: it may contain a password
            raise SettingsError(
                "PEER_SITE_URL must be https:// and a host, optionally with port and path; http:// only to loopback."
            )


def _is_site(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # raised by `port`, too
        return False
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return False
    extra = parts.username is not None or parts.password is not None or "?" in url or "#" in url
    return bool(parts.hostname) and port != 0 and not extra and url.isascii() and url.isprintable() and " " not in url
