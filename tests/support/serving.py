"""Serves functions over HTTP in this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import azure.functions as func
import httpx
import uvicorn

import settings
from api.http.endpoint import endpoint_function
from api.http.openapi import build_document, openapi_endpoint
from api.http.service import Service
from devhost.host import Host
from devhost.indexing import index_functions
from devhost.workers import WorkerPool
from tests.conformance import Conformance


@contextmanager
def serving(app: func.FunctionApp) -> Iterator[httpx.Client]:
    """A client of a server of this app."""
    workers = WorkerPool(8)
    host = Host(index_functions(app, "").routes, workers)
    config = uvicorn.Config(host, lifespan="off", interface="asgi3", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=base_url, timeout=60, verify=False, trust_env=False) as client:  # noqa: S501 - HTTP
                yield client
        finally:
            server.should_exit = True
            thread.join()
            workers.close()


@contextmanager
def serving_service(service: Service, folder: Path, **variables: str) -> Iterator[httpx.Client]:
    """A client of a server of this service alone, with its OpenAPI document, and with settings from variables.

    Every response is checked against the document.
    """
    configured = replace(settings.load(variables, folder), services=())
    endpoints = service.build(configured).endpoints
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for endpoint in (*endpoints, openapi_endpoint(endpoints)):
        function = endpoint_function(endpoint, idempotency_hours=24)
        app.route(route=endpoint.route, methods=list(endpoint.methods) or None)(function)
    conformance = Conformance(build_document(endpoints))
    with serving(app) as client:
        client.event_hooks = {"response": [conformance.check]}
        yield client
