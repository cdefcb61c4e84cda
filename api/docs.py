"""A page to read the API's description and to try it: Swagger UI, from a package that carries all of it.

The page itself is anonymous and holds nobody's data; the description and every call ask for the function key. Its paths
begin at the host's root, as the contracts' do.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import azure.functions as func

from api.http import Answer, endpoint_without_body
from settings import SettingsError

_OWN: Final = Path(__file__).resolve().parent / "page"

# Nothing from elsewhere and nothing inline, but for the data: images inside Swagger UI's style sheet.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def docs_page() -> func.Blueprint:
    """A blueprint with `GET /docs` and what it loads. Refuses with `SettingsError` where Swagger UI is missing."""
    package = importlib.util.find_spec("flask_swagger_ui")  # not imported: that would bring Flask
    if package is None or not package.submodule_search_locations:
        raise SettingsError(
            "API_DOCS is on and needs flask-swagger-ui, which carries Swagger UI: add it to requirements.txt."
        )
    swagger_ui = Path(package.submodule_search_locations[0]) / "dist"
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    for route, path, mimetype in (
        ("docs", _OWN / "index.html", "text/html"),
        ("docs/page.css", _OWN / "page.css", "text/css"),
        ("docs/page.js", _OWN / "page.js", "text/javascript"),
        ("docs/swagger-ui.css", swagger_ui / "swagger-ui.css", "text/css"),
        ("docs/swagger-ui-bundle.js", swagger_ui / "swagger-ui-bundle.js", "text/javascript"),
    ):
        _serve(blueprint, route, path, mimetype)
    return blueprint


def _serve(blueprint: func.Blueprint, route: str, path: Path, mimetype: str) -> None:
    def asset() -> Answer:
        return Answer(path.read_bytes(), mimetype=mimetype, headers=_HEADERS)

    asset.__name__ = "docs_" + path.stem.replace("-", "_") + path.suffix.replace(".", "_")
    asset.__doc__ = f"Answers {path.name}."
    trigger = endpoint_without_body(asset)
    blueprint.route(route=route, methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)(trigger)
