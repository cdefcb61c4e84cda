"""Messages of the other site, as it signs them, and a stand-in of it."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import orjson

SECRET: Final = "correct horse battery staple 0123456789"  # noqa: S105 - of the tests


def message(**changes: Any) -> dict[str, Any]:
    """Returns a message with other values for some keys; a key whose value is `...` is left out."""
    content = {"id": str(uuid.uuid4()), "name": "Asha Rao", "phone": "+919876543210", "address": "1 Street", **changes}
    return {key: value for key, value in content.items() if value is not ...}


def signed(body: bytes, *, secret: str = SECRET, skew: int = 0) -> dict[str, str]:
    """Returns the headers of a body that is sent so many seconds after the present."""
    sent_at = str(int(time.time()) + skew)
    signature = hmac.new(secret.encode(), sent_at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Rollbook-Time": sent_at, "X-Rollbook-Signature": signature}


def encoded(content: Any) -> bytes:
    """Returns JSON."""
    return orjson.dumps(content)


Respond = Callable[[BaseHTTPRequestHandler, bytes], None]


class PeerSite:
    """A stand-in of the other site, which records what it gets. `statuses` are of the next responses, then 200.

    With a `content` it is the body of all responses; otherwise they have the id of the customer, as those of a site.
    """

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.content: bytes | None = None
        self.respond: Respond | None = None
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.clients: set[Any] = set()
        self.url = ""

    @property
    def names(self) -> list[str]:
        """The names of all received customers, in order."""
        return [orjson.loads(body)["name"] for _, _, body in self.received]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Reads one request and responds."""
        self.clients.add(handler.client_address)
        body = handler.rfile.read(int(handler.headers["content-length"]))
        self.received.append((handler.path, {name.lower(): value for name, value in handler.headers.items()}, body))
        if self.respond is not None:
            self.respond(handler, body)
            return
        content = orjson.dumps({"id": orjson.loads(body)["id"]}) if self.content is None else self.content
        handler.send_response(self.statuses.pop(0) if self.statuses else 200)
        handler.send_header("Location", f"{self.url}/elsewhere")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


@contextmanager
def peer_site() -> Iterator[PeerSite]:
    """Yields a stand-in on a free port of 127.0.0.1."""
    site = PeerSite()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet per response: otherwise each waits for a delayed acknowledgement

        def do_POST(self) -> None:
            site.serve(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.block_on_close = False  # a connection may be kept by a client
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
