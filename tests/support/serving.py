"""Serves functions over HTTP in this process."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import azure.functions as func
import httpx
import uvicorn

import settings
from api.http.endpoint import endpoint_function
from api.http.openapi import build_document, openapi_endpoint
from api.http.service import Service
from devhost.host import Host
from devhost.indexing import index_functions
from devhost.routes import Route
from devhost.workers import WorkerPool
from tests.conformance import Conformance


class _Server(uvicorn.Server):
    """A server that looks ten times as often as uvicorn's whether it must end: most tests that start one end soon."""

    async def main_loop(self) -> None:
        ticks = 0
        while not self.should_exit:
            if ticks % 10 == 0:
                await self.on_tick(ticks // 10)
            ticks += 1
            await asyncio.sleep(0.01)


@contextmanager
def serving_asgi(app: Any, **options: Any) -> Iterator[httpx.Client]:
    """A client, with these options of httpx, of a server of an ASGI app on a free port of 127.0.0.1."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        timeout_keep_alive=60,  # longer than any test: a request must not meet a connection that is being closed
        timeout_graceful_shutdown=1,  # requests that a failed test left must not delay the end
    )
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # Without verification, whose preparation is slow: this is plain HTTP.
            with httpx.Client(base_url=base_url, verify=False, trust_env=False, **{"timeout": 60, **options}) as client:  # noqa: S501
                yield client
        finally:
            server.should_exit = True
            thread.join()


@functools.cache  # an app has its functions indexed once
def routes_of(app: func.FunctionApp, route_prefix: str) -> list[Route]:
    """The routes of an app."""
    return index_functions(app, route_prefix).routes


@contextmanager
def serving(app: func.FunctionApp, route_prefix: str = "", **options: Any) -> Iterator[httpx.Client]:
    """A client, with these options of httpx, of a server of this app."""
    with (
        closing(WorkerPool(8)) as workers,
        serving_asgi(Host(routes_of(app, route_prefix), workers), **options) as client,
    ):
        yield client


@contextmanager
def serving_service(service: Service, folder: Path, **variables: str) -> Iterator[httpx.Client]:
    """A client of a server of this service alone; see `serving_services`."""
    with serving_services([service], folder, **variables) as client:
        yield client


@contextmanager
def serving_services(services: Sequence[Service], folder: Path, **variables: str) -> Iterator[httpx.Client]:
    """A client of a server of these services, with their OpenAPI document, and with settings from variables.

    Every response is checked against the document.
    """
    configured = replace(settings.load(variables, folder), services=())
    endpoints = [endpoint for service in services for endpoint in service.build(configured).endpoints]
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for endpoint in (*endpoints, openapi_endpoint(endpoints)):
        function = endpoint_function(endpoint, idempotency_hours=24)
        app.route(route=endpoint.route, methods=list(endpoint.methods) or None)(function)
    conformance = Conformance(build_document(endpoints))
    with serving(app, event_hooks={"response": [conformance.check]}) as client:
        yield client
