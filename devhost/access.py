"""The checks of `Host`, `Origin` and `Sec-Fetch-Site`, and CORS as in Core Tools.

These checks do not authenticate callers. They keep out web pages in the developer's browser: without them any page
could call every function, and by DNS rebinding (its own name, pointed at this machine) also read the responses.
Programs on this machine can send any header.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from settings import Cors

_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f.]*:[0-9a-f.:]*)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?", re.IGNORECASE | re.ASCII
)
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class AccessError(Exception):
    """The request must not reach a function. The message is one sentence for the developer."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """The permitted names besides loopback (`any_host`: all names), and the permitted origins."""

    names: frozenset[str] = frozenset()
    any_host: bool = False
    cors: Cors = field(default_factory=Cors)


def access_for(configured_host: str, bound_address: str, cors: Cors) -> Access:
    """Returns the access for a server on `configured_host`, which the system resolved to `bound_address`."""
    names = frozenset({configured_host.lower(), _canonical(bound_address)})
    return Access(names, ip_address(bound_address).is_unspecified, cors)


def check_host(access: Access, headers: Mapping[str, str]) -> None:
    """Raises `AccessError` for a missing, repeated or malformed `Host`, and for a name that is not permitted."""
    name, is_loopback = _parse_host(headers.get("host", ""))
    if not (is_loopback or access.any_host or name in access.names):
        raise AccessError(
            f"The Host header must name localhost, a loopback address or the HOST setting, not {name[:200]}: "
            "see docs/development-host.md."
        )


def cors_headers(access: Access, scheme: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the CORS headers of every response to this origin. Raises `AccessError` if it is not permitted.

    `check_host` must come first. Requests by images, links and forms may have no `Origin`; browsers mark them with
    `Sec-Fetch-Site`, which no script can set.
    """
    origin, cors = headers.get("origin"), access.cors
    if cors.allows(origin):
        return _origin_headers(cors, origin) if origin is not None else _NO_HEADERS
    if origin is None:
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return _NO_HEADERS
        raise AccessError(
            "The request comes from a page of another site; to open this address, paste it into the address bar: "
            "see docs/development-host.md."
        )
    if origin.lower() == f"{scheme}://{headers['host']}".lower():
        return _NO_HEADERS
    raise AccessError(
        f"Pages of {origin[:200]!a} may call this development host only if Host.CORS of local.settings.json "
        "lists that origin: see docs/development-host.md."
    )


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Returns whether the request is a CORS preflight request."""
    return method == "OPTIONS" and "access-control-request-method" in headers


def preflight_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers of the response to a permitted preflight request, besides `cors_headers`."""
    allowed = {"access-control-allow-methods": headers["access-control-request-method"]}
    names = [name.strip() for name in headers.get("access-control-request-headers", "").split(",") if name.strip()]
    return allowed | ({"access-control-allow-headers": ",".join(names)} if names else {})


def _origin_headers(cors: Cors, origin: str) -> dict[str, str]:
    """Returns the headers that ASP.NET's CorsService sends for the policy that Core Tools derives from `Host.CORS`."""
    headers = {"access-control-allow-origin": "*" if cors.any_origin else origin}
    if cors.credentials:
        headers["access-control-allow-credentials"] = "true"
    if len(cors.origins) > 1:
        headers["vary"] = "Origin"
    return headers


@functools.lru_cache(maxsize=128)
def _parse_host(header: str) -> tuple[str, bool]:
    """Returns the canonical name in a `Host` header, and whether it is loopback. Raises `AccessError`."""
    match = _AUTHORITY.fullmatch(header)  # repeated headers are joined by a comma, so they do not match
    if not match:
        raise AccessError("A request must have one Host header, of the form name or name:port.", 400)
    name = _canonical(match["ipv6"] or match["name"])
    return name, name == "localhost" or _is_loopback_address(name)


def _canonical(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower()


def _is_loopback_address(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
