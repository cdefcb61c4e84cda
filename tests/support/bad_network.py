"""A proxy of HTTP that loses, delays, repeats, reorders and cuts what it forwards."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import cycle
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Final

FAULTS: Final = ("none", "drop", "delay", "duplicate", "late", "cut request", "cut response", "lose response", "hold")
_SECONDS: Final = 20


class Proxy:
    """The proxy. `target` is the port of the server; requests with `rejected` in them get 422 from the proxy itself."""

    def __init__(self, seed: int, rejected: bytes) -> None:
        self.target = 0
        self.url = ""
        self.rejected = rejected
        self.is_bad = True
        self.seen: dict[str, int] = dict.fromkeys(FAULTS, 0)
        self.stall: threading.Event | None = None
        """If set, the next response is never returned, and the event is set when it is there."""
        self._random = random.Random(seed)
        self._faults = cycle(self._random.sample(FAULTS, len(FAULTS)))
        self._held: list[bytes] = []
        self._lock = threading.Lock()

    def serve(self, client: socket.socket) -> None:
        """Forwards one request, with a fault."""
        request = _receive(client)
        if self.rejected in request:
            client.sendall(b"HTTP/1.1 422 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        with self._lock:
            fault = next(self._faults) if self.is_bad else "none"
            self.seen[fault] += 1
            stall, self.stall = self.stall, None
        if stall is not None:
            self._forward(request)
            stall.set()
            client.recv(1)  # until the client goes away
            return
        response = self._fault(fault, request)
        client.sendall(response)

    def _fault(self, fault: str, request: bytes) -> bytes:
        """Returns what the client gets."""
        if fault == "drop":
            return b""
        if fault == "cut request":
            self._forward(request[: len(request) * 3 // 4], wait=False)
            return b""
        if fault == "hold":  # arrives later, after others
            self._held.append(request)
            return b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        if fault == "delay":
            time.sleep(0.3)
        response = self._forward(request)
        if fault == "duplicate":
            return self._forward(request)
        if fault == "late":
            self._held.append(request)
        if fault == "lose response":
            return b""
        return response[:30] if fault == "cut response" else response

    def release(self) -> None:
        """Forwards what was held back, in any order."""
        while self._held:
            self._forward(self._held.pop(self._random.randrange(len(self._held))))

    def _forward(self, request: bytes, *, wait: bool = True) -> bytes:
        received = b""
        # While the server is down, this is what the client sees: a connection without a response.
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.target), _SECONDS)) as server:
            server.settimeout(_SECONDS)
            server.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            while wait and (part := server.recv(65536)):
                received += part
        return received


def _receive(client: socket.socket) -> bytes:
    """Returns a request with its body."""
    client.settimeout(_SECONDS)
    received = b""
    while b"\r\n\r\n" not in received:
        if not (part := client.recv(65536)):
            raise ConnectionError
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += client.recv(65536)
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextmanager
def bad_network(seed: int, rejected: bytes) -> Iterator[Proxy]:
    """Yields a proxy on a free port of 127.0.0.1."""
    proxy = Proxy(seed, rejected)

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client has gone, or was killed
                proxy.serve(self.request)

    server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wait_until(condition: Callable[[], bool], step: Callable[[], None] = lambda: None) -> None:
    """Waits for a condition, with a step before each check. Raises `TimeoutError`."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        step()
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError
