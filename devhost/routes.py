"""HTTP triggers: where a function is served, and which function a path belongs to, as on the real host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from azure.functions.decorators.http import HttpTrigger

from devhost.functions import Function, UnsupportedError


@dataclass(frozen=True, slots=True)
class Route:
    """Where a function is served. `methods` is empty where every method is."""

    function: Function
    methods: frozenset[str]
    template: str
    pattern: re.Pattern[str]


def read_route(function: Function, trigger: HttpTrigger, route_prefix: str) -> Route:
    """The route of a function. Raises `UnsupportedError` for constraints and defaults in its template."""
    template = "/".join(part for part in (route_prefix, (trigger.route or function.name).strip("/")) if part)
    methods = frozenset(str(getattr(method, "value", method)) for method in trigger.methods or ())
    return Route(function, methods, template, _pattern(template))


def match_route(routes: Sequence[Route], method: str, path: str) -> tuple[Route | None, dict[str, str]]:
    """The first route that matches, with its parameters.

    A method that the route does not list is not found, as on the real host: never 405.
    """
    for route in routes:
        if (not route.methods or method in route.methods) and (match := route.pattern.fullmatch(path)):
            return route, {name: value for name, value in match.groupdict().items() if value}
    return None, {}


def _pattern(template: str) -> re.Pattern[str]:
    """ASP.NET's route templates: `{id}` is a segment, `{id?}` may be missing, `{*rest}` is all that follows."""
    pattern = ""
    for segment in template.split("/"):
        if match := re.fullmatch(r"\{(\*?)([A-Za-z_]\w*)(\??)\}", segment):
            star, name, optional = match.groups()
            part = f"/(?P<{name}>{'.*' if star else '[^/]+'})"
            pattern += f"(?:{part})?" if star or optional else part
        elif "{" in segment:
            raise UnsupportedError(f"its route has a part that only the real host knows: {segment}")
        else:
            pattern += "/" + re.escape(segment)
    return re.compile(pattern + "/?", re.IGNORECASE)  # ASP.NET ignores case and a last slash
