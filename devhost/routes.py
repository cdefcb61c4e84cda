"""HTTP triggers: the routes of functions, matched as on the real host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from azure.functions.decorators.http import HttpTrigger

from devhost.functions import Function, UnsupportedError


@dataclass(frozen=True, slots=True)
class Route:
    """The route of a function. `methods` is empty if every method is served."""

    function: Function
    methods: frozenset[str]
    template: str
    pattern: re.Pattern[str]


def read_route(function: Function, trigger: HttpTrigger, route_prefix: str) -> Route:
    """Returns the route of a function. Raises `UnsupportedError` for constraints and defaults in its template."""
    template = "/".join(part for part in (route_prefix, (trigger.route or function.name).strip("/")) if part)
    methods = frozenset(str(getattr(method, "value", method)) for method in trigger.methods or ())
    return Route(function, methods, template, _pattern(template))


def match_route(routes: Sequence[Route], method: str, path: str) -> tuple[Route | None, dict[str, str]]:
    """Returns the first matching route and its parameters, or None and no parameters.

    A method that the route does not list does not match: the result is 404, never 405, as on the real host.
    """
    for route in routes:
        if (not route.methods or method in route.methods) and (match := route.pattern.fullmatch(path)):
            return route, {name: value for name, value in match.groupdict().items() if value}
    return None, {}


def _pattern(template: str) -> re.Pattern[str]:
    """Returns a pattern for an ASP.NET route template: `{id}`, `{id?}` (optional), `{*rest}` (rest of the path)."""
    pattern = ""
    for segment in template.split("/"):
        if match := re.fullmatch(r"\{(\*?)([A-Za-z_]\w*)(\??)\}", segment):
            star, name, optional = match.groups()
            part = f"/(?P<{name}>{'.*' if star else '[^/]+'})"
            pattern += f"(?:{part})?" if star or optional else part
        elif "{" in segment:
            raise UnsupportedError(f"its route has a part that only the real host supports: {segment}")
        else:
            pattern += "/" + re.escape(segment)
    return re.compile(pattern + "/?", re.IGNORECASE)  # ASP.NET ignores case and a trailing slash
