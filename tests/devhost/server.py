"""A server for the function apps of tests, over real connections."""

from __future__ import annotations

import json
import socket
from functools import partial
from typing import Any

import azure.functions as func
import httpx

from devhost.access import Access
from devhost.host import Host
from devhost.indexing import index_functions
from devhost.workers import WorkerPool

TIMEOUT = 30
"""Seconds after which a wait fails."""


class AppServer:
    """One server for the tests of a file; each test puts its own function app on it."""

    client: httpx.Client

    def __init__(self) -> None:
        self.host: Host | None = None
        self.workers: list[WorkerPool] = []
        self.unsupported: list[str] = []

    @property
    def port(self) -> int:
        """The port, on 127.0.0.1."""
        return self.client.base_url.port or 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.host is not None, "a test serves its app first"
        await self.host(scope, receive, send)

    def serve(
        self,
        app: func.FunctionApp,
        *,
        route_prefix: str = "",
        threads: int = 2,
        access: Access | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Client:
        """Serves `app` and returns a client."""
        index = index_functions(app, route_prefix)
        self.unsupported = index.unsupported
        self.workers.append(WorkerPool(threads))
        self.host = Host(index.routes, self.workers[-1], access=access, headers=headers)
        return self.client

    def clear(self) -> None:
        """Removes the app."""
        self.host = None
        while self.workers:
            self.workers.pop().close()

    def exchange(self, sent: bytes, *, leave: bool = False) -> bytes:
        """Returns everything received on a new connection until the server closes it: because the client closed its
        end (`leave`), or because the last request in `sent` closes the connection.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT) as connection:
            connection.sendall(sent)
            if leave:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(partial(connection.recv, 65536), b""))


def echo(req: func.HttpRequest) -> func.HttpResponse:
    """A function that returns its request as JSON."""
    request = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route_params": dict(req.route_params),
    }
    return func.HttpResponse(json.dumps(request), mimetype="application/json")


def add(app: func.FunctionApp, name: str, route: str | None = None, methods: list[str] | None = None) -> None:
    """Adds a function that returns its own name."""

    @app.function_name(name)
    @app.route(route, methods=methods)
    def respond(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(name)
