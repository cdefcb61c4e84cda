"""The functions of an app and how they are called: handler, arguments, context.

Triggers are read in routes.py (HTTP) and timers.py.
"""

from __future__ import annotations

import inspect
import logging
import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from azure.functions.decorators import function_app
from azure.functions.decorators.core import Trigger

from devhost.workers import WorkerPool

FAILED: Final = object()
"""The result of `invoke` for a function that raised."""

logger = logging.getLogger("devhost")


class UnsupportedError(Exception):
    """Only the real host can run the function; the message says why."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the app. `trigger_name` is the parameter for the value of the trigger (request or timer)."""

    name: str
    handler: Callable[..., Any]
    trigger_name: str
    takes_context: bool
    is_async: bool


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The caller's trace (W3C Trace Context). The real host would add its own span."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """The context of an invocation, like `func.Context`, without retries."""

    function_name: str
    function_directory: str
    invocation_id: str = field(default_factory=lambda: str(uuid.UUID(int=random.getrandbits(128), version=4)))
    thread_local_storage: threading.local | None = None
    trace_context: TraceContext | None = None
    retry_context: None = None


def read_function(indexed: function_app.Function, trigger: Trigger) -> Function:
    """Returns the function that the decorators of azure-functions describe."""
    handler = indexed.get_user_function()
    return Function(
        name=str(indexed.get_function_name()),
        handler=handler,
        trigger_name=trigger.name,
        takes_context="context" in inspect.signature(handler).parameters,
        is_async=inspect.iscoroutinefunction(handler),
    )


async def invoke(function: Function, arguments: dict[str, Any], workers: WorkerPool) -> Any:
    """Returns the result of the function; logs an error and returns `FAILED` if it raises.

    Plain functions run on `workers`.
    """
    if function.is_async:
        return await _await(function, arguments)
    return await workers.run(partial(_call, function, arguments))


def _call(function: Function, arguments: dict[str, Any]) -> Any:
    try:
        return function.handler(**arguments)
    except BaseException:  # noqa: BLE001 - an exception would end the thread
        return _log_failure(function)


async def _await(function: Function, arguments: dict[str, Any]) -> Any:
    try:
        return await function.handler(**arguments)
    except Exception:  # noqa: BLE001 - a failed function must not end the host
        return _log_failure(function)


def _log_failure(function: Function) -> object:
    logger.exception("%s raised", function.name)  # noqa: LOG004 - called by exception handlers
    return FAILED
