"""Which requests reach a function: the checks of `Host` and `Origin`, and CORS as Core Tools does it.

Nothing here checks who calls. These checks keep out web pages that run in the developer's browser: without them any
page could call every function, and read the responses after it pointed a name of its own at this machine (DNS
rebinding). A program on this machine can send what headers it likes.
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
    """A request that must not reach a function. The message is one sentence for the developer."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """What may be served besides loopback: the names of this host, or any name, and other origins."""

    names: frozenset[str] = frozenset()
    any_host: bool = False
    cors: Cors = field(default_factory=Cors)


def access_for(configured_host: str, bound_address: str, cors: Cors) -> Access:
    """The access of a server that listens on `configured_host`, which the system resolved to `bound_address`."""
    names = frozenset({configured_host.lower(), _canonical(bound_address)})
    return Access(names, ip_address(bound_address).is_unspecified, cors)


def check_host(access: Access, headers: Mapping[str, str]) -> None:
    """Raises `AccessError` for a `Host` that is missing, repeated or malformed, or that names something else."""
    name, is_loopback = _parse_host(headers.get("host", ""))
    if not (is_loopback or access.any_host or name in access.names):
        raise AccessError(
            f"The Host header must name localhost, a loopback address or the HOST setting, not {name[:200]}: "
            "see docs/development-host.md."
        )


def cors_headers(access: Access, scheme: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers that every response to this origin carries. Raises `AccessError` for one that is not allowed.

    The host was checked before. Images, links and forms of a page may come without `Origin`; browsers mark what
    crosses sites by `Sec-Fetch-Site`, which no script can set.
    """
    origin, cors = headers.get("origin"), access.cors
    if cors.allows(origin):
        return _origin_headers(cors, origin) if origin is not None else _NO_HEADERS
    if origin is None:
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return _NO_HEADERS
        raise AccessError(
            "A page of another site led here; to open this address, paste it into the address bar: "
            "see docs/development-host.md."
        )
    if origin.lower() == f"{scheme}://{headers['host']}".lower():
        return _NO_HEADERS
    raise AccessError(
        f"Pages of {origin[:200]!a} may call this development host only if Host.CORS of local.settings.json "
        "lists that origin: see docs/development-host.md."
    )


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks if it may send another request."""
    return method == "OPTIONS" and "access-control-request-method" in headers


def preflight_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a response to an allowed preflight request carries besides those of its origin."""
    allowed = {"access-control-allow-methods": headers["access-control-request-method"]}
    names = [name.strip() for name in headers.get("access-control-request-headers", "").split(",") if name.strip()]
    return allowed | ({"access-control-allow-headers": ",".join(names)} if names else {})


def _origin_headers(cors: Cors, origin: str) -> dict[str, str]:
    """As ASP.NET's CorsService sends them for the policy that Core Tools makes of `Host.CORS`."""
    headers = {"access-control-allow-origin": "*" if cors.any_origin else origin}
    if cors.credentials:
        headers["access-control-allow-credentials"] = "true"
    if len(cors.origins) > 1:
        headers["vary"] = "Origin"
    return headers


@functools.lru_cache(maxsize=128)
def _parse_host(header: str) -> tuple[str, bool]:
    """The name in a `Host` header in its usual form, and whether it is loopback. Raises `AccessError`."""
    match = _AUTHORITY.fullmatch(header)  # repeated headers are joined by a comma, which is none
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
