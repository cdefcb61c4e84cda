"""The transport of a TDS server: packets, and TLS inside packets. What packets contain is in other modules."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.tds_requests import PRELOGIN, RESPONSE

_PACKET_SIZE: Final = 4096
_HEADER: Final = struct.Struct(">BBHHBB")


def create_certificate(folder: Path) -> Path:
    """Returns a file with a key and a certificate for `localhost`, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(1)).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = folder / "certificate.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + certificate.public_bytes(pem))
    return file


class DisconnectedError(Exception):
    """The client or the server ended the connection."""


class Channel:
    """Messages over one socket: packets, from the login on inside TLS ([MS-TDS] 2.2.3)."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.tls: ssl.SSLObject | None = None
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.received = b""

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Reads the client's first message, accepts encryption, and does the handshake in packets of its kind."""
        self.receive()
        options = {0: bytes([16, 0, 0x10, 0, 0, 0]), 1: b"\x01", 2: b"\x00", 3: b"", 4: b"\x00"}  # version, encrypted
        head, data = b"", b""
        for number, value in options.items():
            head += struct.pack(">BHH", number, 5 * len(options) + 1 + len(data), len(value))
            data += value
        self.send(head + b"\xff" + data)
        tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        is_done = False
        while not is_done:
            self.incoming.write(self.receive()[1])
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                is_done = True
            self.send(self.outgoing.read(), PRELOGIN)
        self.tls = tls

    def receive(self) -> tuple[int, bytes]:
        """Returns the kind and the body of the next message."""
        body = b""
        while True:
            kind, status, length, *_ = _HEADER.unpack(self._peek(_HEADER.size))
            body += self._peek(length)[_HEADER.size :]
            self.received = self.received[length:]
            if status & 1:
                return kind, body

    def _peek(self, count: int) -> bytes:
        while len(self.received) < count:
            data = self.client.recv(65536)
            if not data:
                raise DisconnectedError
            if self.tls is None:
                self.received += data
                continue
            self.incoming.write(data)
            with suppress(ssl.SSLWantReadError):
                while plain := self.tls.read(65536):
                    self.received += plain
        return self.received[:count]

    def send(self, body: bytes, kind: int = RESPONSE, *, is_end: bool = True) -> None:
        """Sends a message, or with `is_end=False` its beginning."""
        size = _PACKET_SIZE - _HEADER.size
        for number, start in enumerate(range(0, len(body), size), 1):
            part = body[start : start + size]
            status = int(is_end and start + size >= len(body))
            packet = _HEADER.pack(kind, status, _HEADER.size + len(part), 0, number % 256, 0) + part
            if self.tls is not None:
                self.tls.write(packet)
                packet = self.outgoing.read()
            self.client.sendall(packet)
