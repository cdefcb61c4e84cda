"""The development host as an ASGI app: an app's HTTP functions and timers, as the Azure Functions host runs them.

Intended differences: function keys are not checked, requests of other sites are rejected, and a chunked body is read
completely (the real host passes it on empty).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Final

import azure.functions as func
from azure.functions.timer import TimerRequest

from devhost.access import Access, AccessError, check_host, cors_headers, is_preflight, preflight_headers
from devhost.functions import FAILED, Context, Function, TraceContext, invoke
from devhost.requests import (
    DisconnectedError,
    Receive,
    Scope,
    build_request,
    decode_path,
    read_body,
    read_headers,
)
from devhost.routes import Route, match_route
from devhost.timers import Timer, run_timer
from devhost.workers import WorkerPool

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

DRAIN_SECONDS: Final = 10
"""How long a stop waits for requests in progress, and then for timers."""

logger = logging.getLogger("devhost")


class Host:
    """The ASGI app. Plain functions (not `async`) run on `workers`, as in the worker on Azure.

    Timers run between startup and shutdown of the ASGI lifespan. Every response that does not have them gets `headers`,
    whose names are in lower case.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        workers: WorkerPool,
        *,
        timers: Sequence[Timer] = (),
        access: Access | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.routes = routes
        self.workers = workers
        self.timers = timers
        self.access = access or Access()
        self.headers = headers or {}
        self.directory = str(Path.cwd())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or the lifespan of the server."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
            return
        headers = read_headers(scope)
        try:
            check_host(self.access, headers)
            origin_headers = cors_headers(self.access, scope["scheme"], headers)
        except AccessError as error:
            logger.warning("Rejected %s %s: %s", scope["method"], ascii(scope["path"]), error)
            await self._send(send, _rejection(error))
            return
        if origin_headers and is_preflight(scope["method"], headers):
            response: func.HttpResponse | None = _preflight(headers)
        else:
            response = await self._serve(scope, headers, receive)
        if response is not None:
            await self._send(send, response, origin_headers)

    async def _serve(self, scope: Scope, headers: dict[str, str], receive: Receive) -> func.HttpResponse | None:
        """Returns the response of the requested function or of the host itself; None if the client disconnected."""
        route, route_params = match_route(self.routes, scope["method"], decode_path(scope))
        if route is None:
            return _empty(404)
        try:
            body = await read_body(receive)
        except DisconnectedError:
            return None
        if body is None:
            return _empty(413)
        request = build_request(scope, headers, route_params, body)
        trace = TraceContext(headers.get("traceparent", ""), headers.get("tracestate", ""))
        return _response(route.function, await self._invoke(route.function, request, trace))

    async def _invoke(self, function: Function, value: object, trace: TraceContext) -> Any:
        arguments: dict[str, Any] = {function.trigger_name: value}
        if function.takes_context:
            arguments["context"] = Context(function.name, self.directory, trace_context=trace)
        return await invoke(function, arguments, self.workers)

    async def _send(
        self, send: Send, response: func.HttpResponse, origin_headers: Mapping[str, str] | None = None
    ) -> None:
        body = response.get_body()
        headers = _encode(response.headers.items())
        if response.mimetype and not any(name == b"content-type" for name, _ in headers):
            charset = f"; charset={response.charset}" if response.mimetype.startswith("text/") else ""
            headers.append((b"content-type", f"{response.mimetype}{charset}".encode("latin-1")))
        if origin_headers:  # the host's headers replace those of the function, except Vary, which may be repeated
            taken = {name.encode() for name in origin_headers} - {b"vary"}
            headers = [header for header in headers if header[0] not in taken] + _encode(origin_headers.items())
        present = {name for name, _ in headers}
        headers += [header for header in _encode(self.headers.items()) if header[0] not in present]
        if response.status_code != 204:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _run_timer_function(self, timer: Timer, request: TimerRequest) -> None:
        await self._invoke(timer.function, request, TraceContext())

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        stopping = asyncio.Event()
        tasks = [
            asyncio.create_task(run_timer(timer, self._run_timer_function, stopping), name=timer.function.name)
            for timer in self.timers
        ]
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        stopping.set()
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            for task in unfinished:
                logger.warning("%s was still running %d seconds after the stop", task.get_name(), DRAIN_SECONDS)
                task.cancel()
        await send({"type": "lifespan.shutdown.complete"})


def _response(function: Function, returned: object) -> func.HttpResponse:
    if isinstance(returned, func.HttpResponse):
        return returned
    if isinstance(returned, str):
        return func.HttpResponse(returned)
    if returned is not FAILED:
        logger.error("%s must return HttpResponse or str, not %s", function.name, type(returned).__name__)
    return _empty(500)


def _preflight(headers: Mapping[str, str]) -> func.HttpResponse:
    return func.HttpResponse(status_code=204, headers=preflight_headers(headers), mimetype="")


def _empty(status: int) -> func.HttpResponse:
    """Returns a response of the host itself."""
    return func.HttpResponse(status_code=status, mimetype="")


def _rejection(error: AccessError) -> func.HttpResponse:
    return func.HttpResponse(f"{error}\n", status_code=error.status, headers={"x-content-type-options": "nosniff"})


def _encode(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
