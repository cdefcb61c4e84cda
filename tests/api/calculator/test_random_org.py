"""The client for random.org, against a local server that speaks its protocol."""

from __future__ import annotations

import gzip
import logging
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.calculator.random_org import (
    ALPHABET,
    RESPONSE_LIMIT,
    RandomOrg,
    RandomSourceUnavailableError,
    fetch_string,
    local_string,
)
from tests.support.programs import PROJECT
from tests.support.random_org import API_KEY, Received, Respond, error, generate_strings, http, random_org, result
from tests.support.random_org import RandomOrg as Server
from tests.support.threads import at_once


@pytest.fixture
def server() -> Iterator[Server]:
    with random_org() as server:
        yield server


def fetch(server: Server, length: int = 8) -> str:
    return fetch_string(RandomOrg(server.url, API_KEY, 4), length)


def outcome(server: Server, *, most_waiting: int, url: str = "") -> str:
    """Returns the string, or an empty one if the source is unavailable."""
    try:
        return fetch_string(RandomOrg(url or server.url, API_KEY, most_waiting), 8)
    except RandomSourceUnavailableError:
        return ""


@pytest.mark.parametrize("length", [1, 8, 32])
def test_random_org_is_called_once_for_one_string_of_the_length(server: Server, length: int) -> None:
    assert re.fullmatch(f"[A-Za-z0-9]{{{length}}}", fetch(server, length))
    (received,) = server.received
    assert received.content["params"] == {"apiKey": API_KEY, "n": 1, "length": length, "characters": ALPHABET}
    assert sorted(ALPHABET) == sorted({*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *"abcdefghijklmnopqrstuvwxyz", *"0123456789"})


def test_each_call_has_an_id_of_its_own(server: Server) -> None:
    for _ in range(3):
        fetch(server)
    assert len({received.content["id"] for received in server.received}) == 3


def redirect(received: Received) -> bytes:
    if "elsewhere" in received.line:
        return generate_strings(received._replace(line=received.line.replace("/elsewhere", "")))
    return http(b"", "307 Temporary Redirect", "Location: /json-rpc/4/invoke/elsewhere")


GOOD = "aB3dE6gH"
UNUSABLE: dict[str, tuple[Respond, str]] = {
    "no such key": (lambda received: error(received, 400, "The API key you specified does not exist"), "error 400"),
    "requests are used up": (lambda received: error(received, 402, "no requests left"), "error 402"),
    "bits are used up": (lambda received: error(received, 403, "no bits left"), "error 403"),
    "error and result": (lambda received: result(received, [GOOD], error={"code": 1}), "error 1"),
    "error without a code": (lambda received: result(received, [GOOD], error="Sorry"), "an error without a code"),
    "another id": (lambda received: result(received, [GOOD], id="0"), "not the requested string"),
    "no id": (lambda received: result(received, [GOOD], id=None), "not the requested string"),
    "no data": (lambda received: result(received, []), "not the requested string"),
    "two strings": (lambda received: result(received, [GOOD, GOOD]), "not the requested string"),
    "a shorter string": (lambda received: result(received, [GOOD[1:]]), "not the requested string"),
    "a longer string": (lambda received: result(received, [GOOD + "x"]), "not the requested string"),
    "a line break": (lambda received: result(received, [GOOD[1:] + "\n"]), "not the requested string"),
    "a line break more": (lambda received: result(received, [GOOD + "\n"]), "not the requested string"),
    "another script's digit": (lambda received: result(received, ["aB3dE6g\u0663"]), "not the requested string"),
    "another letter": (lambda received: result(received, ["aB3dE6g\u00e4"]), "not the requested string"),
    "a number": (lambda received: result(received, [12345678]), "not the requested string"),
    "text for an array": (lambda received: result(received, GOOD), "not the requested string"),
    "null": (lambda _: http(b"null"), "not the requested string"),
    "an array": (lambda _: http(b"[]"), "not the requested string"),
    "no content": (lambda _: http(b""), "not JSON"),
    "HTML": (lambda _: http(b"<html>"), "not JSON"),
    "not UTF-8": (lambda _: http(b'"\xff"'), "not JSON"),
    "compressed": (
        lambda received: http(gzip.compress(body_of(result(received, [GOOD]))), "200 OK", "Content-Encoding: gzip"),
        "not JSON",
    ),
    "too large": (lambda received: http(body_of(result(received, [GOOD])) + b" " * RESPONSE_LIMIT), "too large"),
    "status 500": (lambda received: http(body_of(result(received, [GOOD])), "500 Internal Server Error"), "status 500"),
    "status 429": (lambda _: http(b"", "429 Too Many Requests"), "status 429"),
    "status 201": (lambda received: http(body_of(result(received, [GOOD])), "201 Created"), "status 201"),
    "a redirect": (redirect, "status 307"),
    "not HTTP": (lambda _: b"220 mail.example ESMTP\r\n", "RemoteProtocolError"),
    "a connection that ends": (lambda _: b"", "RemoteProtocolError"),
    "half a response": (lambda received: result(received, [GOOD])[:-40], "RemoteProtocolError"),
}


def body_of(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


def test_a_good_response_is_accepted_as_the_table_needs(server: Server) -> None:
    server.respond = lambda received: result(received, [GOOD])
    assert fetch(server) == GOOD


@pytest.mark.parametrize("name", UNUSABLE)
def test_any_other_response_is_no_random_string(server: Server, name: str, caplog: Any) -> None:
    server.respond, reason = UNUSABLE[name]
    with caplog.at_level(logging.DEBUG), pytest.raises(RandomSourceUnavailableError):
        fetch(server)
    assert len(server.received) == 1
    (line,) = [record.getMessage() for record in caplog.records if record.name in ("rollbook", "httpx")]
    assert line.startswith("random.org: ")
    assert line.endswith(reason)
    assert API_KEY not in caplog.text


@pytest.mark.parametrize(
    "url", ["http://xn--/", "http://127.0.0.1:{port}/", "http://", "http://[", "ftp://127.0.0.1/", "http://\x00/"]
)
def test_no_server_is_no_random_string(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(RandomSourceUnavailableError):
        fetch_string(RandomOrg(url.format(port=port), API_KEY, 4), 8)


def test_a_server_with_an_unknown_certificate_gets_no_request(server: Server, tmp_path: Path) -> None:
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(self_signed("127.0.0.1", tmp_path))
    with pytest.raises(RandomSourceUnavailableError):
        fetch_string(RandomOrg(server.url.replace("http:", "https:"), API_KEY, 4), 8)
    assert not server.received


def self_signed(address: str, folder: Path) -> Path:
    """A certificate and its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / "server.pem"
    path.write_bytes(
        certificate.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password)
    )
    return path


def endless_header(received: Received) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nX-Endless: "
    while True:
        yield b"x"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_late_response_ends_after_five_seconds_however_it_comes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if "localhost" in str(host):
            server.stopped.wait(8)
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ways: Iterator[Respond] = iter([server.stall, server.drip, endless_header])

    def respond(received: Received) -> bytes | Iterable[bytes]:
        return next(ways)(received)

    server.respond = respond
    unresolved = server.url.replace("127.0.0.1", "localhost")
    began = time.monotonic()
    assert at_once(4, lambda number: outcome(server, most_waiting=4, url=["", "", "", unresolved][number])) == [""] * 4
    assert 4.9 < time.monotonic() - began < 7.5
    server.respond = generate_strings
    end = time.monotonic() + 10  # threads end a little later than the calls that waited for them
    while not outcome(server, most_waiting=4):
        assert time.monotonic() < end, "those who waited have given their places back"


def test_calls_beyond_the_limit_fail_at_once_and_send_nothing(server: Server) -> None:
    places = 2

    def respond(received: Received) -> Iterator[bytes]:
        server.stopped.wait(1)
        yield generate_strings(received)

    server.respond = respond
    strings = at_once(6, lambda _: outcome(server, most_waiting=places))
    assert sum(map(bool, strings)) == places == len(server.received)
    assert all(at_once(places, lambda _: outcome(server, most_waiting=places))), "the places are free again"


@pytest.mark.slow  # starts a program
def test_httpx_is_imported_at_the_first_call_of_random_org() -> None:
    program = """
import sys
import api.calculator
from api.calculator.random_org import RandomOrg, fetch_string, local_string
local_string(8)
assert not {"httpx", "httpcore", "anyio"} & {*sys.modules}
try:
    fetch_string(RandomOrg("http://127.0.0.1:1/", "", 1), 8)
except Exception:
    assert "httpx" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT, timeout=60)


def test_the_local_source_has_the_same_alphabet() -> None:
    strings = [local_string(32) for _ in range(200)]
    assert {*map(len, strings)} == {32}
    assert {*"".join(strings)} == {*ALPHABET}
    assert len({*strings}) == 200
