"""A page to read the OpenAPI document and to try the API: Swagger UI, from a package that contains all of it.

The page is anonymous and holds no data; the document and every call require the function key. Its paths begin at the
host's root, as those of the API do.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Final

from api.http.auth import Anonymous
from api.http.responses import Response
from api.http.service import Service
from settings import Settings, SettingsError

_OWN: Final = Path(__file__).resolve().parent / "page"

# No content from other hosts, and no inline content except images: data: in Swagger UI's style sheet, blob: in page.js.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@functools.cache
def _swagger_ui() -> Path:
    """Returns the folder of Swagger UI. Raises `SettingsError` if its package is not installed."""
    package = importlib.util.find_spec("flask_swagger_ui")  # not imported: that would load Flask
    if package is None or not package.submodule_search_locations:
        raise SettingsError(
            "API_DOCS is on and needs flask-swagger-ui, which contains Swagger UI: add it to requirements.in, "
            "then make lock."
        )
    return Path(package.submodule_search_locations[0]) / "dist"


def _is_enabled(settings: Settings) -> bool:
    return settings.api_docs and _swagger_ui().is_dir()


service = Service("docs", enabled=_is_enabled)


def _serve(route: str, name: str, media_type: str, folder: Callable[[], Path]) -> None:
    def asset() -> Response:
        return Response((folder() / name).read_bytes(), media_type=media_type, headers=_HEADERS)

    asset.__doc__ = f"Returns {name}."
    function = "docs_" + name.replace("-", "_").replace(".", "_")
    service.endpoint(function, route=route, methods="GET", auth=Anonymous(), ignore_body=True)(asset)


_serve("docs", "index.html", "text/html", lambda: _OWN)
_serve("docs/page.css", "page.css", "text/css", lambda: _OWN)
_serve("docs/page.js", "page.js", "text/javascript", lambda: _OWN)
_serve("docs/swagger-ui.css", "swagger-ui.css", "text/css", _swagger_ui)
_serve("docs/swagger-ui-bundle.js", "swagger-ui-bundle.js", "text/javascript", _swagger_ui)
