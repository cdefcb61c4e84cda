"""Endpoints declared by tests, called as Azure Functions calls them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Protocol

import azure.functions as func

import settings
from api.http.endpoint import endpoint_function
from api.http.service import Endpoint, Service


class Call(Protocol):
    """Calls an endpoint."""

    def __call__(
        self,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        path: Mapping[str, str] | None = None,
    ) -> func.HttpResponse: ...


def caller_of(endpoint: Endpoint, *, idempotency_hours: int = 24) -> Call:
    """Returns a function that calls an endpoint of a built service."""
    function = endpoint_function(endpoint, idempotency_hours=idempotency_hours)

    def call(
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        path: Mapping[str, str] | None = None,
    ) -> func.HttpResponse:
        url = f"http://localhost/{endpoint.route}"
        method = endpoint.methods[0] if endpoint.methods else "POST"
        request = func.HttpRequest(method, url, headers=headers, params=query, route_params=path, body=body)
        return function(request, SimpleNamespace(invocation_id=str(uuid.uuid4())))

    return call


def serve(handler: Callable[..., Any], *, idempotency_hours: int = 24, **declared: Any) -> Call:
    """Returns a function that calls an endpoint with this handler and these keywords of `Service.endpoint`."""
    service = Service("toy")
    service.endpoint(**declared)(handler)
    (endpoint,) = service.build(settings.current()).endpoints
    return caller_of(endpoint, idempotency_hours=idempotency_hours)
