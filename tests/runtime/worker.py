"""Microsoft's worker runtime serving this app, with this program as its host.

Runs in a separate environment with Python 3.13, `requirements.txt` and `azure-functions-runtime`: nothing of
`.venv` may be imported here. Requests are JSON lines on stdin, responses are JSON lines on stdout.

On Azure, host and runtime exchange messages of classes that are generated from protobuf files. No package on PyPI has
the current ones, so the messages here are stand-ins: no serialization, only the fields that HTTP functions and
timers need, with the types that the generated classes enforce. Everything else raises, in the runtime or here, so a
runtime that reads other fields fails the tests instead of passing by chance. What the host does with a request before
and after the runtime (routes, query, chunked bodies) is implemented here too, after the host's public source
(GrpcMessageConversionExtensions.cs): for that part the tests show that two readings of it agree, and no more.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import make_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TextIO
from urllib.parse import parse_qsl, unquote

import azure.functions as func
import azure_functions_runtime as runtime

# ---- the messages


def _message(name: str, fields: Mapping[Any, str], constants: Mapping[str, object] | None = None) -> Any:
    """A message class with these fields by type; arguments are keywords. A field that is not given is None."""
    kinds = {field: kind for kind, names in fields.items() for field in names.split()}

    def check_types(message: object) -> None:
        for field, kind in kinds.items():
            value = getattr(message, field)
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name}.{field} is of {kind.__name__}, not of {type(value).__name__}")

    namespace = {"__post_init__": check_types, **(constants or {})}
    return make_dataclass(name, [(field, Any, None) for field in kinds], namespace=namespace, kw_only=True, slots=True)


def _one_of(group: str, *fields: str) -> dict[str, object]:
    def which_one_of(message: object, name: str) -> str | None:
        if name != group:
            raise ValueError(f"{type(message).__name__} has no group {name}")
        return next((field for field in fields if getattr(message, field) is not None), None)

    return {"WhichOneof": which_one_of}


_Exception = _message("RpcException", {str: "message stack_trace"})
_Result = _message("StatusResult", {int: "status", _Exception: "exception"}, {"Failure": 0, "Success": 1})
_TypedData = _message(
    "TypedData", {object: "http", bytes: "bytes", str: "json"}, _one_of("data", "http", "bytes", "json")
)
_Http = _message(
    "RpcHttp",
    {
        str: "method url status_code",
        dict: "headers params query",
        list: "cookies",
        bool: "enable_content_negotiation",
        _TypedData: "body",
    },
)
_Metadata = _message(
    "WorkerMetadata", {str: "runtime_name runtime_version worker_version worker_bitness", dict: "custom_properties"}
)

# Created by the runtime.
PROTOS = SimpleNamespace(
    BindingInfo=_message(
        "BindingInfo", {str: "type", int: "data_type direction"}, {"undefined": 0, "out": 1, "inout": 2}
    ),
    RpcFunctionMetadata=_message(
        "RpcFunctionMetadata",
        {
            str: "name function_id directory script_file entry_point language",
            bool: "managed_dependency_enabled is_proxy",
            dict: "bindings properties",
            list: "raw_bindings",
            type(None): "retry_options",
        },
    ),
    WorkerInitResponse=_message(
        "WorkerInitResponse", {dict: "capabilities", _Metadata: "worker_metadata", _Result: "result"}
    ),
    FunctionMetadataResponse=_message(
        "FunctionMetadataResponse",
        {bool: "use_default_metadata_indexing", list: "function_metadata_results", _Result: "result"},
    ),
    FunctionLoadResponse=_message("FunctionLoadResponse", {str: "function_id", _Result: "result"}),
    InvocationResponse=_message(
        "InvocationResponse",
        {str: "invocation_id", _TypedData: "return_value", list: "output_data", _Result: "result"},
    ),
    RpcException=_Exception,
    RpcHttp=_Http,
    StatusResult=_Result,
    TypedData=_TypedData,
    WorkerMetadata=_Metadata,
)

# Created by the host.
_Envelope = _message("WorkerRequest", {object: "request", dict: "properties"})
_InitRequest = _message("WorkerInitRequest", {dict: "capabilities", str: "function_app_directory"})
_LoadRequest = _message("FunctionLoadRequest", {str: "function_id"})
_ParameterBinding = _message("ParameterBinding", {str: "name", _TypedData: "data"}, _one_of("rpc_data", "data"))
_TraceContext = _message("RpcTraceContext", {str: "trace_parent trace_state", dict: "attributes"})
_RetryContext = _message("RetryContext", {int: "retry_count max_retry_count", _Exception: "exception"})
_InvocationRequest = _message(
    "InvocationRequest",
    {
        str: "invocation_id function_id",
        list: "input_data",
        dict: "trigger_metadata",
        _TraceContext: "trace_context",
        _RetryContext: "retry_context",
    },
)


async def _call(handle: Callable[[Any], Any], kind: str, message: object, **properties: object) -> Any:
    """The runtime's response to a message. Raises `RuntimeFailureError` where it reports a failure."""
    request = _message("StreamingMessage", {object: kind})(**{kind: message})
    response = await handle(_Envelope(request=request, properties=properties))
    if response.result.status != _Result.Success:
        raise RuntimeFailureError(f"{response.result.exception.message}\n{response.result.exception.stack_trace}")
    return response


class RuntimeFailureError(Exception):
    """A failure that the runtime reported; on Azure an app that does not start, or a 500 without a body."""


# ---- the host


class Function(NamedTuple):
    """A function as the runtime reported it. `methods` is empty where it takes every method."""

    name: str
    function_id: str
    parameter: str
    route: str
    methods: list[str]
    auth_level: str


class Timer(NamedTuple):
    """A timer as the runtime reported it."""

    name: str
    function_id: str
    parameter: str
    schedule: str


class Host:
    """The parts of Azure between a client, or the clock, and the runtime."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.functions: list[Function] = []
        self.timers: dict[str, Timer] = {}

    async def start(self) -> dict[str, object]:
        """Makes the runtime index the app and load its functions; returns what it reported."""
        runtime.start_threadpool_executor()
        init = await _call(
            runtime.worker_init_request,
            "worker_init_request",
            _InitRequest(capabilities={}, function_app_directory=str(self.project)),
            host="127.0.0.1",
            protos=PROTOS,
        )
        indexed = await _call(runtime.functions_metadata_request, "functions_metadata_request", None)
        host_json = json.loads((self.project / "host.json").read_text("utf-8"))
        prefix = host_json["extensions"]["http"]["routePrefix"].strip("/")
        self.headers = {name.lower(): value for name, value in host_json["extensions"]["http"]["customHeaders"].items()}
        found = [_function(metadata, prefix) for metadata in indexed.function_metadata_results]
        self.functions = sorted(function for function in found if isinstance(function, Function))
        self.timers = {timer.name: timer for timer in found if isinstance(timer, Timer)}
        for function in found:
            load = _LoadRequest(function_id=function.function_id)
            await _call(runtime.function_load_request, "function_load_request", load)
        return {
            "capabilities": init.capabilities,
            "python": init.worker_metadata.runtime_version,
            "azure_functions": func.__version__,
            "functions": [function._asdict() for function in self.functions],
            "timers": {timer.name: timer.schedule for timer in self.timers.values()},
        }

    async def respond(self, request: Mapping[str, Any]) -> dict[str, object]:
        """The response to a request: from the function at its route, or the host's own."""
        path, _, query = request["target"].partition("?")
        function, params = self._find(request["method"], path)
        if function is None:
            return {"status": 404, "headers": self.headers, "body": ""}
        headers: dict[str, str] = {}
        for name, value in request["headers"]:
            key = name.lower()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        body = base64.b64decode(request["body"])
        data = _Http(
            method=request["method"],
            url=f"http://{headers['host']}{request['target']}",
            headers=headers,
            query=_query(query),
            params=params,
            # Without a Content-Length the host passes no body on.
            body=_TypedData(bytes=body) if int(headers.get("content-length", 0)) > 0 else _TypedData(),
        )
        response = await self._invoke(request["id"], function, _TypedData(http=data), headers)
        return _read(response.return_value.http, request["method"], self.headers)

    async def run(self, tick: Mapping[str, Any]) -> dict[str, object]:
        """Runs a timer, with the JSON that the host makes of its TimerInfo (azure-webjobs-sdk-extensions: Timers)."""
        status = {"Last": "2026-11-20T18:15:00+00:00", "Next": "2026-11-20T18:30:00+00:00"}
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": tick["past_due"]}
        response = await self._invoke(tick["id"], self.timers[tick["timer"]], _TypedData(json=json.dumps(info)), {})
        if response.return_value is not None:
            raise RuntimeFailureError("a timer returned a value")
        return {"status": 200, "headers": {}, "body": ""}

    async def _invoke(self, invocation_id: str, function: Function | Timer, data: Any, headers: dict[str, str]) -> Any:
        response = await _call(
            runtime.invocation_request,
            "invocation_request",
            _InvocationRequest(
                invocation_id=invocation_id,
                function_id=function.function_id,
                input_data=[_ParameterBinding(name=function.parameter, data=data)],
                trigger_metadata={},  # the capability RpcHttpTriggerMetadataRemoved
                # The real host puts its own span there, in the caller's trace.
                trace_context=_TraceContext(
                    trace_parent=headers.get("traceparent", ""),
                    trace_state=headers.get("tracestate", ""),
                    attributes={},
                ),
                retry_context=_RetryContext(retry_count=0, max_retry_count=0),
            ),
        )
        if response.invocation_id != invocation_id or response.output_data:
            raise RuntimeFailureError("the response belongs to another request, or has other outputs")
        return response

    def _find(self, method: str, path: str) -> tuple[Function | None, dict[str, str]]:
        decoded = unquote(re.sub("%2f", "%252F", path, flags=re.IGNORECASE))  # a slash in a segment stays encoded
        wanted = decoded.removeprefix("/").removesuffix("/")
        for function in self.functions:
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(function.route))
            match = re.fullmatch(pattern, wanted, re.IGNORECASE)
            if match and (not function.methods or method in function.methods):
                return function, match.groupdict()
        return None, {}


def _function(metadata: Any, prefix: str) -> Function | Timer:
    bindings = [json.loads(binding) for binding in metadata.raw_bindings]
    (trigger,) = [binding for binding in bindings if binding["type"].endswith("Trigger")]
    if trigger["type"] == "timerTrigger":
        return Timer(metadata.name, metadata.function_id, trigger["name"], trigger["schedule"])
    route = "/".join(filter(None, (prefix, trigger.get("route", metadata.name).strip("/"))))
    if re.search(r"{\w*[^\w}]", route):
        raise NotImplementedError(f"{metadata.name} has a parameter with a constraint, a default or a star")
    methods = sorted(trigger.get("methods") or [])
    return Function(metadata.name, metadata.function_id, trigger["name"], route, methods, trigger["authLevel"])


def _query(query: str) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: ",".join(given) for name, given in values.items() if given != [""]}


def _read(http: Any, method: str, custom: Mapping[str, str]) -> dict[str, object]:
    """The runtime's response as the host sends it: no content negotiation, and no body for HEAD.

    The host adds its custom headers unless the function sent them (azure-functions-host: CustomHttpHeadersMiddleware).
    """
    if http.enable_content_negotiation or http.cookies:
        raise NotImplementedError("a response with content negotiation or cookies")
    if not all(isinstance(text, str) for header in http.headers.items() for text in header):
        raise TypeError("RpcHttp.headers has names or values that are not text")
    body = b"" if method == "HEAD" else http.body.bytes
    headers = {**custom, **http.headers}
    return {"status": int(http.status_code), "headers": headers, "body": base64.b64encode(body).decode()}


# ---- the program


class _LineHandler(logging.Handler):
    """A line for each record: its logger, the invocation that the runtime's own log would name, and the message."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{record.name} {runtime.invocation_id_cv.get()} {self.format(record)}\n")


async def _serve(project: Path, output: TextIO) -> None:
    def write(message: dict[str, object]) -> None:
        output.write(json.dumps(message) + "\n")
        output.flush()

    async def respond(request: dict[str, Any]) -> None:
        try:
            response = await (host.run(request) if "timer" in request else host.respond(request))
        except Exception:  # noqa: BLE001 - the sender of the request gets it
            response = {"failure": traceback.format_exc()}
        write({"id": request["id"], **response})

    host = Host(project)
    try:
        write(await host.start())
    except RuntimeFailureError as error:
        write({"failure": str(error)})
        return
    async with asyncio.TaskGroup() as tasks:
        while line := await asyncio.to_thread(sys.stdin.readline):
            tasks.create_task(respond(json.loads(line)))
    runtime.stop_threadpool_executor()


def main() -> None:
    """Serves the project given on the command line until stdin ends."""
    # Anything that a handler prints must not mix with the responses.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_LineHandler()])
    project = Path(sys.argv[1])
    sys.path.insert(0, str(project))
    os.chdir(project)
    with output:
        asyncio.run(_serve(project, output))


if __name__ == "__main__":
    main()
