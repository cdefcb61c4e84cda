"""Serves one call of an endpoint or a timer: the only place where requests, transactions, errors and log lines meet.

authorize → parse → check → transaction with retries → respond → log. Nothing here refers to a service.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from itertools import count
from typing import Any

import azure.functions as func

from api.http.idempotency import Keyed, call_hash, find_stored, read_key, run_idempotent
from api.http.log import log_call, log_observer_error, log_unexpected
from api.http.problems import MEDIA_TYPE, InternalError, headers_for, pointer, problem_from, status_of
from api.http.requests import (
    BodyInvalidError,
    Read,
    Request,
    RequestInvalidError,
    body_reader,
    header_reader,
    locate,
    path_reader,
    query_reader,
    read_body,
    read_parts,
    require_no_body,
)
from api.http.responses import Response, http_response
from api.http.service import Endpoint, Tick, Timer, parameters
from domain.errors import RollbookError
from persistence.database.connections import Connection, reading, transaction
from persistence.database.errors import problem_code
from persistence.database.idempotency import Key
from persistence.database.retries import retry_budget, run_with_retries, take_retry_cause

Outcome = tuple[func.HttpResponse, str]
"""A response, and the code of its problem (empty without one)."""

Observer = Callable[[str, func.Context, Callable[[], Outcome]], None]
"""A hook around every call: gets the function's name, its context and the work, which runs once. An error of the hook
is logged, once per type, and changes no response.
"""

Reject = Callable[[RollbookError, str], func.HttpResponse]
"""Turns an error and the invocation id into a response."""

_observer: Observer | None = None

Repeat = Callable[[Callable[[], Response]], Response]
"""Runs work, and repeats it after lost races and transient errors."""


class TimerFailedError(Exception):
    """A timer failed. The host gets this error instead of the cause, whose text may contain personal data."""


def set_request_observer(observer: Observer | None) -> None:
    """Sets the hook around every endpoint and timer call; None removes it."""
    global _observer
    _observer = observer
    log_observer_error.cache_clear()


def endpoint_function(endpoint: Endpoint, *, idempotency_hours: int) -> Callable[..., func.HttpResponse]:
    """Returns the function that Azure Functions calls for an endpoint. It never raises: every error is a problem."""
    run = _prepare(endpoint, idempotency_hours)
    declared = {"": endpoint.body or endpoint.form, "query": endpoint.query, "path": endpoint.path}
    find = partial(locate, {prefix: model for prefix, model in declared.items() if model is not None})
    problem = partial(problem_from, locate=find, max_violations=endpoint.max_violations)
    reject = partial(_problem_response, endpoint.problem_members, problem)

    # Not functools.wraps: the worker would read the handler's parameters instead of these.
    def invoke(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return _invoke(endpoint.name, context, partial(run, req), reject)[0]

    return _named(invoke, endpoint)


def timer_function(declared: Timer) -> Callable[..., None]:
    """Returns the function that Azure Functions calls for a timer. It raises `TimerFailedError`."""
    reject = partial(_problem_response, {}, partial(problem_from, locate=pointer))

    def run(tick: Tick) -> Response:
        given = {"tick": tick, "settings": declared.settings}
        if declared.before:
            given["prepared"] = run_with_retries(_work(declared.before, given, writes=False))
            if given["prepared"] is None:
                return Response(b"")
        given["result"] = run_with_retries(_work(declared.handler, given, writes=declared.writes))
        if declared.after:
            _call(declared.after, given)
        return Response(b"")

    def invoke(timer: func.TimerRequest, context: func.Context) -> None:
        tick = Tick(bool(timer.past_due))
        response, code = _invoke(declared.name, context, partial(run, tick), reject)
        if response.status_code >= 400:
            raise TimerFailedError(f"{declared.name}: {code}")

    return _named(invoke, declared)


def _named(invoke: Callable[..., Any], declared: Endpoint | Timer) -> Callable[..., Any]:
    invoke.__name__ = invoke.__qualname__ = declared.name
    invoke.__module__, invoke.__doc__ = declared.handler.__module__, declared.handler.__doc__
    return invoke


def _invoke(function: str, context: func.Context, run: Callable[[], Response], reject: Reject) -> Outcome:
    started = time.perf_counter_ns()
    take_retry_cause()  # of what ran on this thread outside a call
    respond = partial(_respond, function, context.invocation_id, run, reject)
    outcome = respond() if _observer is None else _observe(_observer, function, context, respond)
    log_call(function, outcome[0].status_code, outcome[1], started, context.invocation_id)
    return outcome


def _observe(observer: Observer, function: str, context: func.Context, respond: Callable[[], Outcome]) -> Outcome:
    once = cache(respond)  # whether the observer calls it never, once or twice
    try:
        observer(function, context, once)
    except BaseException as error:  # noqa: BLE001 - like a handler's error: whatever it is, the call gets a response
        log_observer_error(type(error).__name__)
    return once()


def _respond(function: str, invocation_id: str, run: Callable[[], Response], reject: Reject) -> Outcome:
    try:
        return _respond_or_reject(invocation_id, run, reject)
    # BaseException, because a panic of a Rust extension is one: the worker would log its text and never respond.
    except BaseException as error:  # noqa: BLE001 - the only place that turns every exception into a problem
        log_unexpected(error, function, invocation_id)
        return reject(InternalError(), invocation_id), InternalError.code


def _respond_or_reject(invocation_id: str, run: Callable[[], Response], reject: Reject) -> Outcome:
    try:
        return http_response(run()), ""
    except RollbookError as error:
        if status_of(type(error)) == 500:
            raise
        return reject(error, invocation_id), problem_code(error)


def _problem_response(
    members: Mapping[int, Mapping[str, Any]], problem: Callable[..., Any], error: RollbookError, invocation_id: str
) -> func.HttpResponse:
    body = problem(error, invocation_id)
    body = {**members.get(body["status"], {}), **body}
    return http_response(Response(body, body["status"], MEDIA_TYPE, headers_for(error)))


# ---- one call of an endpoint


def _prepare(endpoint: Endpoint, idempotency_hours: int) -> Callable[[func.HttpRequest], Response]:
    """Returns the function that runs one request; computes here, once, what depends only on the declaration."""
    parts = _readers(endpoint)
    takes_body = "request" in parts or endpoint.ignore_body
    serve = _prepare_parts(endpoint, parts, idempotency_hours)
    auth = endpoint.auth

    def run(req: func.HttpRequest) -> Response:
        authenticate = partial(auth.authenticate, req)
        caller = run_with_retries(authenticate) if auth.reads_database else authenticate()
        if not takes_body:
            require_no_body(req)
        # A caller who was rejected meanwhile has no effect.
        repeat = partial(_retry_checked, authenticate) if auth.reads_database else run_with_retries
        known = {"caller": caller, "settings": endpoint.settings}
        with _limit_body(endpoint, known, req) if endpoint.limits_body else nullcontext():
            return serve(req, known, repeat)

    if not endpoint.steps and not auth.reads_database:  # a single retried step, which brings its own budget
        return run
    return retry_budget()(run)


def _prepare_parts(endpoint: Endpoint, parts: Mapping[str, Read], idempotency_hours: int) -> Callable[..., Response]:
    """Returns the function that reads the parts of a request, whose caller is known, and runs the rest of the call."""
    invalid = BodyInvalidError if "request" in parts else RequestInvalidError
    checked = [name for name in parts if getattr(_declared(endpoint, name), "check", Request.check) != Request.check]

    def serve(req: func.HttpRequest, known: dict[str, Any], repeat: Repeat) -> Response:
        read = read_parts(req, parts, invalid)
        key = read_key(req, supported=endpoint.idempotent)
        for name in checked:
            read[name].check()
        request_hash = call_hash(endpoint.name, _hashed(endpoint, read, req)) if key else ""
        given = read | known
        writes = _call(endpoint.writes, given) if callable(endpoint.writes) else endpoint.writes
        owner = Key(known["caller"].id, endpoint.name, key) if key and writes else None
        with _call(endpoint.limit, given) if endpoint.limit and not endpoint.limits_body else nullcontext():
            if owner:
                return _run_keyed(endpoint, given, repeat, Keyed(owner, request_hash, idempotency_hours))
            return _run_once(endpoint, given, repeat, writes=writes)

    return serve


def _limit_body(endpoint: Endpoint, known: Mapping[str, Any], req: func.HttpRequest) -> AbstractContextManager[None]:
    size = len(read_body(req, endpoint.body_limit))  # a body that is too large neither waits nor counts
    return _call(endpoint.limit, {**known, "body_size": size}) if endpoint.limit else nullcontext()


def _declared(endpoint: Endpoint, part: str) -> Any:
    if part != "request":
        return getattr(endpoint, part)
    return None if endpoint.parse else endpoint.body or endpoint.form


def _hashed(endpoint: Endpoint, given: Mapping[str, Any], req: func.HttpRequest) -> dict[str, Any]:
    """Returns what identifies a call: parsed path, query and body, or the raw bytes of a body with `parse=`."""
    parts = {name: value for name, value in given.items() if name != "headers"}
    return parts if endpoint.parse is None else {**parts, "request": req.get_body()}


def _readers(endpoint: Endpoint) -> dict[str, Read]:
    readers: dict[str, Read | None] = {
        "request": body_reader(endpoint.body, endpoint.parse, endpoint.form, endpoint.body_limit),
        "query": query_reader(endpoint.query) if endpoint.query else None,
        "path": path_reader(endpoint.path) if endpoint.path else None,
        "headers": header_reader(endpoint.headers) if endpoint.headers else None,
    }
    return {name: reader for name, reader in readers.items() if reader is not None}


def _retry_checked(check: Callable[[], Any], work: Callable[[], Response]) -> Response:
    """Returns the result of `work`, as `run_with_retries` does, with a check before each repetition."""
    attempts = count()

    def attempt() -> Response:
        if next(attempts):
            check()
        return work()

    return run_with_retries(attempt)


def _run_once(endpoint: Endpoint, given: dict[str, Any], repeat: Repeat, *, writes: bool) -> Response:
    _run_steps(endpoint, given)
    response: Response = repeat(_work(endpoint.handler, given, writes=writes))
    return response if endpoint.render is None else response._replace(body=endpoint.render(response.body))


def _run_keyed(endpoint: Endpoint, given: dict[str, Any], repeat: Repeat, keyed: Keyed) -> Response:
    sweeps = True
    if endpoint.steps:
        stored, sweeps = run_with_retries(partial(_find_stored, keyed))
        if stored is not None:
            return stored
        _run_steps(endpoint, given)

    def work() -> Response:
        with transaction() as connection:
            work_once = partial(_call, endpoint.handler, given, connection)
            response = run_idempotent(connection, keyed, work_once, sweeps=sweeps)
        if isinstance(response, RollbookError):
            raise response
        return response

    return repeat(work)


def _find_stored(keyed: Keyed) -> tuple[Response | None, bool]:
    with reading() as connection:
        return find_stored(connection, keyed)


def _run_steps(endpoint: Endpoint, given: dict[str, Any]) -> None:
    for step in endpoint.steps:
        writes = endpoint.before_writes and "connection" in parameters(step)
        given["prepared"] = run_with_retries(_work(step, given, writes=writes))


def _work(function: Callable[..., Any], given: Mapping[str, Any], *, writes: bool) -> Callable[[], Any]:
    """Returns what is retried as a whole: the function, in a transaction if it writes, otherwise in autocommit."""
    if writes:
        return partial(_in_connection, transaction, function, given)
    if "connection" in parameters(function):
        return partial(_in_connection, reading, function, given)
    return partial(_call, function, given)


def _in_connection(
    connect: Callable[[], AbstractContextManager[Connection]], function: Callable[..., Any], given: Mapping[str, Any]
) -> Any:
    with connect() as connection:
        return _call(function, given, connection)


def _call(function: Callable[..., Any], given: Mapping[str, Any], connection: Connection | None = None) -> Any:
    """Calls a function with the values that its parameters name."""
    return function(**{name: connection if name == "connection" else given[name] for name in parameters(function)})
