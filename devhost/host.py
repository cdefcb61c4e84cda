"""A `FunctionApp` as an ASGI app, as faithful to the Azure Functions host as a client can tell.

Where it differs on purpose: function keys are not checked, and a chunked body is read whole (the real host hands
it over empty). Only functions with an HTTP trigger and no other binding are served.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import queue
import random
import re
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import azure.functions as func
from azure.functions.decorators.function_app import Function
from azure.functions.decorators.http import HttpOutput, HttpTrigger

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX: Final = 100 * 1024 * 1024
"""Largest body that reaches a function: the real host's default (FUNCTIONS_REQUEST_BODY_SIZE_LIMIT)."""

JOIN_SECONDS: Final = 1.0
"""How long the end of the program waits for the threads: the requests under way were waited for before."""

logger = logging.getLogger("devhost")


class HostJsonError(Exception):
    """A host.json that cannot be read."""


class DisconnectedError(Exception):
    """A client that left before the end of its request."""


class UnservableError(Exception):
    """A function that only the real host can serve."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a function is served. `methods` is empty where it answers every method."""

    function_name: str
    methods: frozenset[str]
    template: str
    pattern: re.Pattern[str]
    handler: Callable[..., Any]
    request_name: str
    takes_context: bool
    is_async: bool


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The caller's trace (W3C Trace Context), in which the real host would put a span of its own."""

    trace_parent: str
    trace_state: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What a function is told of its invocation: as `func.Context`, without retries."""

    function_name: str
    function_directory: str
    invocation_id: str = field(default_factory=lambda: str(uuid.UUID(int=random.getrandbits(128), version=4)))
    thread_local_storage: threading.local | None = None
    trace_context: TraceContext | None = None
    retry_context: None = None


def read_route_prefix(host_json: Path) -> str:
    """The prefix of every route: `extensions.http.routePrefix`, which is `api` where nothing is said."""
    try:
        settings = json.loads(host_json.read_text("utf-8-sig")) if host_json.exists() else {}
        return str(settings.get("extensions", {}).get("http", {}).get("routePrefix", "api")).strip("/")
    except (ValueError, AttributeError) as error:
        raise HostJsonError(f"{host_json.name} is not what the host reads: {error}.") from error


def find_routes(app: func.FunctionApp, route_prefix: str) -> tuple[list[Route], list[str]]:
    """The routes in the order in which they are tried, by function name, and why the other functions have none."""
    routes, unserved = [], []
    for function in sorted(app.get_functions(), key=lambda function: str(function.get_function_name())):
        try:
            routes.append(_route(function, route_prefix))
        except UnservableError as error:
            unserved.append(f"{function.get_function_name()}: {error}")
    return routes, unserved


def _route(function: Function, route_prefix: str) -> Route:
    name, trigger, handler = str(function.get_function_name()), function.get_trigger(), function.get_user_function()
    if not isinstance(trigger, HttpTrigger):
        raise UnservableError("it has no HTTP trigger")
    if any(not isinstance(binding, HttpTrigger | HttpOutput) for binding in function.get_bindings()):
        raise UnservableError("it has a binding besides HTTP")
    template = "/".join(part for part in (route_prefix, (trigger.route or name).strip("/")) if part)
    return Route(
        function_name=name,
        methods=frozenset(str(getattr(method, "value", method)) for method in trigger.methods or ()),
        template=template,
        pattern=_pattern(template),
        handler=handler,
        request_name=trigger.name,
        takes_context="context" in inspect.signature(handler).parameters,
        is_async=inspect.iscoroutinefunction(handler),
    )


def _pattern(template: str) -> re.Pattern[str]:
    """ASP.NET's route templates: `{id}` is a segment, `{id?}` may be missing, `{*rest}` is all that follows."""
    pattern = ""
    for segment in template.split("/"):
        if match := re.fullmatch(r"\{(\*?)([A-Za-z_]\w*)(\??)\}", segment):
            star, name, optional = match.groups()
            part = f"/(?P<{name}>{'.*' if star else '[^/]+'})"
            pattern += f"(?:{part})?" if star or optional else part
        elif "{" in segment:
            raise UnservableError(f"its route has a part that only the real host knows: {segment}")
        else:
            pattern += "/" + re.escape(segment)
    return re.compile(pattern + "/?", re.IGNORECASE)  # ASP.NET ignores case and a last slash


class Workers:
    """Threads that run plain functions for an event loop.

    An Executor would do, but its future, its locks and their waiters cost a request a quarter of its throughput
    and let single requests starve.
    """

    def __init__(self, count: int) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """What `call`, which must not raise, returns."""
        done = asyncio.get_running_loop().create_future()
        self._jobs.put((call, done))
        return done

    def close(self) -> None:
        """Ends the threads, each after its job; one whose job does not end is left behind."""
        for _ in self._threads:
            self._jobs.put(None)
        until = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while job := self._jobs.get():
            call, done = job
            done.get_loop().call_soon_threadsafe(done.set_result, call())
            del job, call, done  # a waiting thread must not keep its last answer alive


class Host:
    """The ASGI app. Handlers that are plain functions run on `workers`, as they do in the worker on Azure."""

    def __init__(self, routes: list[Route], workers: Workers) -> None:
        self.routes = routes
        self.workers = workers
        self.directory = str(Path.cwd())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        route, route_params = self._match(scope["method"], _decoded_path(scope))
        if route is None:
            await _send(send, func.HttpResponse(status_code=404), function_answered=False)
            return
        try:
            body = await _read_body(receive)
        except DisconnectedError:
            return
        if body is None:
            await _send(send, func.HttpResponse(status_code=413), function_answered=False)
            return
        request = _request(scope, route_params, body)
        arguments: dict[str, Any] = {route.request_name: request}
        if route.takes_context:
            trace = TraceContext(request.headers.get("traceparent", ""), request.headers.get("tracestate", ""))
            arguments["context"] = Context(route.function_name, self.directory, trace_context=trace)
        if route.is_async:
            response = await _call_async(route, arguments)
        else:
            response = await self.workers.run(partial(_call, route, arguments))
        await _send(send, response)

    def _match(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        for route in self.routes:  # a method that is not listed is not found, as on the real host: never 405
            if (not route.methods or method in route.methods) and (match := route.pattern.fullmatch(path)):
                return route, {name: value for name, value in match.groupdict().items() if value}
        return None, {}


def _call(route: Route, arguments: dict[str, Any]) -> func.HttpResponse:
    try:
        return _response(route.handler(**arguments))
    except BaseException:  # noqa: BLE001 - a thread that died would take no more jobs
        return _failure(route)


async def _call_async(route: Route, arguments: dict[str, Any]) -> func.HttpResponse:
    try:
        return _response(await route.handler(**arguments))
    except Exception:  # noqa: BLE001 - as the real host: 500 with an empty body
        return _failure(route)


def _response(answer: object) -> func.HttpResponse:
    if isinstance(answer, func.HttpResponse):
        return answer
    if isinstance(answer, str):
        return func.HttpResponse(answer)
    raise TypeError(f"a function must return HttpResponse or str, not {type(answer).__name__}")


def _failure(route: Route) -> func.HttpResponse:
    logger.exception("%s raised", route.function_name)  # noqa: LOG004 - called where an exception is handled
    return func.HttpResponse(status_code=500)


def _request(scope: Scope, route_params: dict[str, str], body: bytes) -> func.HttpRequest:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:  # ASGI lower-cases the names
        text = value.decode("latin-1")
        key = name.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    query = scope["query_string"].decode("latin-1")
    server, port = scope["server"]
    authority = headers.get("host") or f"{server}:{port}"
    path = scope["raw_path"].decode("latin-1") if scope.get("raw_path") else scope["path"]
    return func.HttpRequest(
        scope["method"],
        f"{scope['scheme']}://{authority}{path}{'?' + query if query else ''}",
        headers=headers,
        params=_params(query) if query else {},
        route_params=route_params,
        body=body,
    )


def _decoded_path(scope: Scope) -> str:
    """The path to match. The real host's server leaves an encoded slash as it is."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%" not in raw:
        return str(scope["path"])
    return unquote(re.sub("%2f", "%252F", raw.decode("latin-1"), flags=re.IGNORECASE))


def _params(query: str) -> dict[str, str]:
    """The parameters of a query: those of one name joined, as ASP.NET joins them, and empty ones dropped."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: ",".join(given) for name, given in values.items() if given != [""]}


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, however it was sent, or None where it is larger than the real host takes.

    Raises `DisconnectedError` where the client left before its end: half a body must not reach a function.
    """
    parts: list[bytes] = []
    size = 0
    more_body = True
    while more_body:
        message = await receive()
        if message["type"] != "http.request":
            raise DisconnectedError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES_MAX:
            return None
        more_body = message.get("more_body", False)
    return b"".join(parts)


async def _send(send: Send, response: func.HttpResponse, *, function_answered: bool = True) -> None:
    body = response.get_body()
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if function_answered and not any(name == b"content-type" for name, _ in headers):
        charset = f"; charset={response.charset}" if response.mimetype.startswith("text/") else ""
        headers.append((b"content-type", f"{response.mimetype}{charset}".encode("latin-1")))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
