"""A local server that speaks random.org's protocol: generateStrings of https://api.random.org/json-rpc/4/basic."""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPMessage, parse_headers
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Final, NamedTuple

import orjson

API_KEY: Final = "00000000-0000-0000-0000-00000000c0de"
PATH: Final = "/json-rpc/4/invoke"


class Received(NamedTuple):
    """A request."""

    line: str
    headers: HTTPMessage
    content: Any


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Returns a response of HTTP/1.1."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def result(received: Received, data: Any, **members: Any) -> bytes:
    """Returns the response with these data and other members in place of the usual."""
    outcome = {
        "random": {"data": data, "completionTime": "2026-10-10 13:19:12Z"},
        "bitsUsed": 48,
        "bitsLeft": 199624,
        "requestsLeft": 9999,
        "advisoryDelay": 0,
    }
    return http(orjson.dumps({"jsonrpc": "2.0", "result": outcome, "id": received.content["id"], **members}))


def error(received: Received, code: int, message: str) -> bytes:
    """Returns the response to a request that failed."""
    body = {"jsonrpc": "2.0", "error": {"code": code, "message": message, "data": None}, "id": received.content["id"]}
    return http(orjson.dumps(body))


def generate_strings(received: Received) -> bytes:
    """Returns what random.org responds to a request."""
    if received.line != f"POST {PATH} HTTP/1.1":
        return http(b"", "405 Method Not Allowed")
    if received.headers["content-type"] != "application/json":
        return http(b"", "415 Unsupported Media Type")
    content, parameters = received.content, received.content["params"]
    if content["jsonrpc"] != "2.0" or content["method"] != "generateStrings":
        return error(received, -32601, "Method not found")
    if parameters["apiKey"] != API_KEY:
        return error(received, 400, "The API key you specified does not exist")
    if not (
        1 <= parameters["n"] <= 10_000 and 1 <= parameters["length"] <= 32 and len(parameters["characters"]) <= 128
    ):
        return error(received, 300, "Parameter is out of range")
    return result(received, ["".join(random.choices(parameters["characters"], k=parameters["length"]))])


Respond = Callable[[Received], bytes | Iterable[bytes]]
"""Returns a response, or its parts as they become ready."""


class RandomOrg:
    """The server. `respond` may be replaced; `received` has the requests in order."""

    def __init__(self) -> None:
        self.respond: Respond = generate_strings
        self.received: list[Received] = []
        self.stopped = threading.Event()
        """Set when the server stops: what waits for it ends then."""
        self.url = ""
        self.tls: ssl.SSLContext | None = None

    def serve(self, stream: StreamRequestHandler) -> None:
        """Reads one request and responds."""
        line = stream.rfile.readline().decode().strip()
        if not line:  # the client has gone after the handshake
            return
        headers = parse_headers(stream.rfile)
        content = stream.rfile.read(int(headers["content-length"] or 0))
        received = Received(line, headers, orjson.loads(content))
        self.received.append(received)
        response = self.respond(received)
        for part in [response] if isinstance(response, bytes) else response:
            stream.wfile.write(part)

    def stall(self, received: Received) -> Iterator[bytes]:
        """Sends nothing."""
        self.stopped.wait(60)
        yield generate_strings(received)

    def drip(self, received: Received) -> Iterator[bytes]:
        """Sends a byte of its good response every tenth of a second: no single read takes long."""
        for byte in generate_strings(received):
            yield bytes([byte])
            if self.stopped.wait(0.1):
                return


@contextmanager
def random_org() -> Iterator[RandomOrg]:
    """A new server, on a free port of 127.0.0.1."""
    server = RandomOrg()

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client has gone, as it must after its deadline
                server.serve(self)

        def setup(self) -> None:
            if server.tls is not None:
                self.request = server.tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

    class Listener(ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 50

    with Listener(("127.0.0.1", 0), Handler) as listener:
        server.url = f"http://127.0.0.1:{listener.server_address[1]}{PATH}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            listener.shutdown()
            thread.join()
