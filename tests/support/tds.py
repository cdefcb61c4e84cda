"""A TDS server for Microsoft's real ODBC driver: it records requests, and sends the results that a test supplies.

It executes no SQL. Faults freeze it, delay a response, reset a connection, or raise errors. tds_packets.py
has the packets, tds_requests.py and tds_tokens.py parse and build what is in them.
"""

from __future__ import annotations

import itertools
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import tds_tokens as tokens
from tests.support.tds_packets import Channel, DisconnectedError, create_certificate
from tests.support.tds_requests import Handles, Request, parse_request
from tests.support.tds_tokens import Table


@dataclass(frozen=True)
class Failure:
    """The server responds with an error."""

    number: int
    text: str = "An error of the stand-in."


@dataclass(frozen=True)
class Freeze:
    """The connection sends nothing any more, not even the confirmation of a cancellation.

    With `after_rows` it first sends this many rows of the result, and a part of the next row.
    """

    after_rows: int | None = None


@dataclass(frozen=True)
class Delay:
    """The response is sent later. A cancellation ends the wait."""

    seconds: float


class Reset:
    """The server resets the connection."""


Result = Table | int | Failure
"""Columns and rows, or a number of affected rows, or an error."""
Respond = Callable[[str, list[Any]], Result]
"""From a statement and its values to its result."""


class TdsServer:
    """Listens on loopback. `faults` are by a part of a statement; of a login, commit or rollback by this word."""

    def __init__(self, respond: Respond, certificate: Path) -> None:
        self.respond = respond
        self.faults: dict[str, Failure | Freeze | Delay | Reset] = {}
        self.requests: list[Request] = []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)
        self.tls.maximum_version = ssl.TLSVersion.TLSv1_2  # TLS 1.3 needs TDS 8
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.clients: list[socket.socket] = []
        self.threads: list[threading.Thread] = []

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:  # shut down
                return
            self.clients.append(client)
            self.threads.append(threading.Thread(target=_Session(self, client).serve))
            self.threads[-1].start()

    def take(self) -> list[Request]:
        """Returns the requests since the last call, without those of pyodbc's first connection in a process."""
        taken, self.requests = self.requests, []
        return [request for request in taken if "sp_datatype_info" not in request.name]

    def disconnect(self) -> None:
        """Ends every connection, also a frozen one."""
        for client in self.clients:
            with suppress(OSError):  # closed by its session
                client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Disconnects every client, and returns when the threads have ended."""
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which a close does not
        self.threads[0].join()
        self.listener.close()
        self.disconnect()
        for thread in self.threads:
            thread.join()


@contextmanager
def tds_server(respond: Respond, folder: Path) -> Iterator[TdsServer]:
    """Yields a server with the results of `respond`. Its certificate is created in `folder`."""
    server = TdsServer(respond, create_certificate(folder))
    server.threads.append(threading.Thread(target=server.serve))
    server.threads[0].start()
    try:
        yield server
    finally:
        server.close()


class _Session:
    """One connection."""

    def __init__(self, server: TdsServer, client: socket.socket) -> None:
        self.server = server
        self.client = client
        self.channel = Channel(client)
        self.handles: Handles = {}
        self.numbers = itertools.count(1)
        self.transaction = 0
        self.is_implicit = False

    def serve(self) -> None:
        with self.client, suppress(DisconnectedError, OSError):
            self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.channel.start_tls(self.server.tls)
            while True:
                self._handle(self._next_request())

    def _next_request(self) -> Request:
        request = parse_request(*self.channel.receive(), self.handles)
        self.server.requests.append(request)
        return request

    def _handle(self, request: Request) -> None:
        text = f"{request.name} {request.statement}"
        fault = next((fault for part, fault in self.server.faults.items() if part in text), None)
        if isinstance(fault, Reset):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.client.close()
            raise DisconnectedError
        if isinstance(fault, Delay) and select.select([self.client], [], [], fault.seconds)[0]:
            return  # the next request is the cancellation
        if isinstance(fault, Freeze) and fault.after_rows is None:
            self._freeze()
        if isinstance(fault, Failure):
            self.channel.send(tokens.error(fault.number, fault.text))
        elif isinstance(fault, Freeze):
            self._send_in_part(request, fault.after_rows or 0)
        else:
            self.channel.send(self._response(request))

    def _freeze(self) -> None:
        while True:
            self._next_request()

    def _send_in_part(self, request: Request, count: int) -> None:
        result = self.server.respond(request.statement, request.values)
        assert isinstance(result, tuple)
        columns, rows = tokens.table(*result)
        self.channel.send(columns + b"".join(rows[:count]) + rows[count][:3], is_end=False)
        self._freeze()

    # ---- responses

    def _response(self, request: Request) -> bytes:
        if request.name == "attention":
            return tokens.done(status=tokens.ATTENTION_CONFIRMED)
        if request.name == "login":
            return tokens.login_accepted()
        if request.name in ("begin", "commit", "rollback"):
            return self._change_transaction(request) + tokens.done()
        if request.name == "sp_unprepare":
            return tokens.procedure_end()
        if request.name == "sp_prepare":
            return tokens.procedure_end(self._prepare(request))
        return self._begin_implicitly(request) + self._result(request)

    def _prepare(self, request: Request) -> int:
        handle = next(self.numbers)
        self.handles[handle] = request.statement, request.declared
        return handle

    def _change_transaction(self, request: Request) -> bytes:
        changes = b""
        if self.transaction:
            change = tokens.COMMIT if request.name == "commit" else tokens.ROLLBACK
            changes = tokens.transaction_change(change, self.transaction)
            self.transaction = 0
        return changes + (self._begin() if request.name == "begin" or request.begins else b"")

    def _begin(self) -> bytes:
        self.transaction = next(self.numbers)
        return tokens.transaction_change(tokens.BEGIN, self.transaction)

    def _begin_implicitly(self, request: Request) -> bytes:
        if "SET IMPLICIT_TRANSACTIONS ON" in request.statement:
            self.is_implicit = True
            return b""
        begins = self.is_implicit and not self.transaction and not request.statement.startswith("SET ")
        return self._begin() if begins else b""

    def _result(self, request: Request) -> bytes:
        result: Result | None = tokens.system_result(request)
        if result is None:
            result = self.server.respond(request.statement, request.values)
        if isinstance(result, Failure):
            return tokens.error(result.number, result.text)
        if isinstance(result, int):
            body, count = b"", result
        else:
            columns, rows = tokens.table(*result)
            body, count = columns + b"".join(rows), len(rows)
        if not request.is_call:
            return body + tokens.done(tokens.DONE, tokens.COUNT, count)
        handle = self._prepare(request) if request.name == "sp_prepexec" else None
        end = tokens.done(tokens.DONE_IN_PROCEDURE, tokens.MORE | tokens.COUNT, count)
        return body + end + tokens.procedure_end(handle)
