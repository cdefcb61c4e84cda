"""The boundary of every trigger: JSON in, JSON out, refusals as problem details, one log line per request.

Nothing about HTTP is known further in; nothing here knows a service.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeVar, cast

import azure.functions as func
import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

import settings
from api.problems import MIMETYPE, problem, problem_of, violations_of
from domain.errors import ConflictError, InvalidError, LengthRequiredError, RefusalError, TooLargeError, Violation
from domain.timestamps import format_timestamp
from persistence.database.connections import Connection, transaction
from persistence.database.errors import error_code
from persistence.database.idempotency import Key, StoredResponse, claim_key, store_response
from persistence.database.retries import run_with_retries

BODY_BYTES_MAX: Final = 1024 * 1024
"""Largest request body that is read."""

RETRY_AFTER_SECONDS: Final = 5
"""What a 503 advises its caller to wait."""

KEY_PATTERN: Final = r"[!-~](?:[ -~]{0,253}[!-~])?"
"""An idempotency key: 1 to 255 printable ASCII characters, no blank at either end."""

logger = logging.getLogger("rollbook")

R = TypeVar("R", bound="Request")


Examples = Mapping[str, object]
"""Bodies to try, by their titles."""


class Request(BaseModel):
    """A request body: unknown keys are refused, nothing is coerced, and no message repeats what was sent."""

    EXAMPLES: ClassVar[Examples] = {}
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    @classmethod
    def check_keys(cls, keys: frozenset[str]) -> Iterator[Violation]:
        """The broken rules among keys that come or stay away together, whatever their values."""
        yield from ()


Body = Mapping[str, object] | Sequence[Mapping[str, object]] | bytes
"""A JSON object or array, or its encoded bytes."""


class Answer(NamedTuple):
    """What a handler answers. Under an idempotency key only body and status are kept."""

    body: Body
    status: int = 200
    mimetype: str = "application/json"
    headers: Mapping[str, str] = MappingProxyType({})


class Trigger(Protocol):
    """A function as the worker calls it, with what it takes; `operation` is noted by its description."""

    __name__: str
    request_model: type[Request] | None
    takes_key: bool
    operation: Any

    def __call__(self, req: Any, context: Any) -> func.HttpResponse:
        """Answers a request, whatever happens."""


Told = tuple[func.HttpResponse, str]
"""A response, and the code of the problem that it tells of, or nothing."""

observe_request: Callable[[str, func.Context, Callable[[], Told]], Told] | None = None
"""Called around the work of every request, where somebody observes."""


def endpoint(request_model: type[R]) -> Callable[[Callable[[R], Answer]], Trigger]:
    """Makes a handler of parsed requests into a function that Azure Functions can call.

    The handler runs again as a whole when its transaction lost a race.
    """

    def decorate(handler: Callable[[R], Answer]) -> Trigger:
        return _trigger(handler, lambda req: partial(handler, _read(req, request_model)), request_model)

    return decorate


def endpoint_without_body(handler: Callable[[], Answer]) -> Trigger:
    """As `endpoint`, for a handler that takes nothing: whatever body comes is not looked at."""
    return _trigger(handler, lambda _: handler)


def endpoint_of_query(handler: Callable[[Mapping[str, str]], Answer]) -> Trigger:
    """As `endpoint_without_body`, for a handler that takes the parameters of the query."""
    return _trigger(handler, lambda req: partial(handler, req.params))


def idempotent_endpoint(request_model: type[R]) -> Callable[[Callable[[R, Connection], Answer]], Trigger]:
    """As `endpoint`, for a handler that writes inside the transaction that it is given, and whose caller may repeat it.

    A request with an `Idempotency-Key` has its effect once: its answer is kept in the same transaction, and given
    again, byte for byte, to whoever sends the same request with the same key within `IDEMPOTENCY_HOURS`. Another
    request under that key is refused. Refusals are not kept.
    """

    def decorate(handler: Callable[[R, Connection], Answer]) -> Trigger:
        def prepare(req: func.HttpRequest) -> Callable[[], Answer]:
            request = _read(req, request_model)
            key = _read_key(req)
            if key is None:
                return partial(_in_transaction, partial(handler, request))
            return partial(_once, partial(handler, request), Key(handler.__name__, key), _hash(request))

        return _trigger(handler, prepare, request_model, takes_key=True)

    return decorate


def _in_transaction(work: Callable[[Connection], Answer]) -> Answer:
    with transaction() as connection:
        return work(connection)


def _once(work: Callable[[Connection], Answer], key: Key, request_hash: str) -> Answer:
    now = datetime.now(UTC)
    times = {
        "now": format_timestamp(now),
        "expired_at": format_timestamp(now - timedelta(hours=settings.current().idempotency_hours)),
    }
    with transaction() as connection:
        kept = claim_key(connection, key, request_hash=request_hash, **times)
        if kept is None:
            answer = work(connection)
            kept = StoredResponse(request_hash, answer.status, _encode(answer.body))
            store_response(connection, key, kept)
    if kept.request_hash != request_hash:
        raise ConflictError("idempotency-key-reused", "This Idempotency-Key was used for another request.")
    return Answer(kept.body, kept.status)


def _trigger(
    handler: Callable[..., Answer],
    prepare: Callable[[func.HttpRequest], Callable[[], Answer]],
    request_model: type[Request] | None = None,
    *,
    takes_key: bool = False,
) -> Trigger:
    """The boundary around what `prepare` makes of a request: the handler's work, which can be run again."""

    def respond(req: func.HttpRequest, invocation_id: str) -> Told:
        try:
            return _respond(run_with_retries(prepare(req))), ""
        except RefusalError as refusal:
            code = ":".join(filter(None, (refusal.code, error_code(refusal.__cause__))))
            return _refuse(problem_of(refusal, invocation_id)), code
        except Exception as error:  # noqa: BLE001 - the one place where anything ends as a problem
            _log_unexpected(error, invoke.__name__, invocation_id)
            return _refuse(problem(500, "internal-error", "The request failed.", invocation_id)), "internal-error"

    # Not functools.wraps: the worker would read the handler's parameters in place of these.
    def invoke(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        started = time.perf_counter_ns()
        if observe_request is None:
            response, code = respond(req, context.invocation_id)
        else:
            response, code = observe_request(invoke.__name__, context, partial(respond, req, context.invocation_id))
        _log_request(invoke.__name__, response.status_code, code, started, context.invocation_id)
        return response

    invoke.__name__ = invoke.__qualname__ = handler.__name__
    invoke.__module__ = handler.__module__
    invoke.__doc__ = handler.__doc__
    trigger = cast("Trigger", invoke)
    trigger.request_model, trigger.takes_key = request_model, takes_key
    return trigger


def encode_list(key: str, batches: Iterable[list[Any]]) -> bytes:
    """The JSON object `{key: [...]}` of all that the batches hold, encoded batch by batch.

    A buffer that grows holds the answer once; joining its parts would hold it twice and stop every other thread.
    """
    buffer = BytesIO()
    buffer.write(b'{"' + key.encode() + b'":[')
    separator = b""
    for batch in batches:
        buffer.write(separator)
        buffer.write(memoryview(orjson.dumps(batch))[1:-1])
        separator = b","
    buffer.write(b"]}")
    return buffer.getvalue()


# ---- in


def _read(req: func.HttpRequest, request_model: type[R]) -> R:
    body = req.get_body()
    if not body and "transfer-encoding" in req.headers:
        # The host hands a chunked body over empty: it must not be read as a request without one.
        raise LengthRequiredError("length-required", "Send the body with a Content-Length, not in chunks.")
    if len(body) > BODY_BYTES_MAX:
        raise TooLargeError("body-too-large", f"The body has more than {BODY_BYTES_MAX:,} bytes.")
    try:
        content = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise InvalidError("body-not-json", "The body cannot be read as JSON in UTF-8.") from None
    if not isinstance(content, dict):
        raise InvalidError("body-not-object", "The body is not a JSON object.")
    violations = list(request_model.check_keys(frozenset(content)))
    try:
        request = request_model.model_validate(content)
    except ValidationError as error:
        violations += [violation for details in error.errors(include_url=False) for violation in violations_of(details)]
    if violations:
        raise InvalidError("body-invalid", "The body breaks the rules that errors lists.", violations=violations)
    return request


def _read_key(req: func.HttpRequest) -> str | None:
    given = req.headers.get("idempotency-key")
    if given is None:
        return None
    key = str(given).strip(" \t")
    if not re.fullmatch(KEY_PATTERN, key):
        raise InvalidError("idempotency-key-invalid", "Idempotency-Key must be 1 to 255 printable ASCII characters.")
    return key


def _hash(request: Request) -> str:
    """What two requests have in common that ask for the same, however their JSON is written."""
    return hashlib.sha256(request.model_dump_json().encode()).hexdigest()


# ---- out


def _encode(body: Body) -> bytes:
    return body if isinstance(body, bytes) else orjson.dumps(body)


def _respond(answer: Answer) -> func.HttpResponse:
    return func.HttpResponse(
        _encode(answer.body),
        status_code=answer.status,
        headers={"Cache-Control": "no-store", **answer.headers},
        mimetype=answer.mimetype,
    )


def _refuse(body: Mapping[str, Any]) -> func.HttpResponse:
    status = body["status"]
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}
    return _respond(Answer(body, status, MIMETYPE, headers))


# ---- log: never names, numbers, PANs, or the texts of exceptions, which repeat values


def _log_request(function: str, status: int, code: str, started: int, invocation_id: str) -> None:
    milliseconds = (time.perf_counter_ns() - started) / 1e6
    outcome = "ok" if status < 400 else "refused" if status < 500 else "failed"
    logger.info("%s %s %d %.1f ms %s %s", function, outcome, status, milliseconds, invocation_id, code)


def _log_unexpected(error: BaseException, function: str, invocation_id: str) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    logger.error("%s error %s %s %s %s", function, type(error).__name__, error_code(error) or "-", where, invocation_id)
