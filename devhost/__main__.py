"""`python -m devhost`: serves `function_app.app` of the current folder until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import os
import signal
import socket
import sys
from ipaddress import ip_address
from pathlib import Path

import uvicorn

import settings
from devhost.host import Host, HostJsonError, Route, Workers, find_routes, read_route_prefix

DRAIN_SECONDS = 10
"""How long a stop waits for requests under way."""


class _Lines(logging.Handler):
    """Writes each record as one line with one call: a stock handler costs a request more than its query."""

    def handle(self, record: logging.LogRecord) -> bool:
        try:
            os.write(2, (self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except OSError:  # nobody reads: a request must not fail for its log line
            return False
        return True


def main() -> None:
    """Reads the command line and the settings, and serves."""
    try:
        configured = settings.current()
        arguments = _arguments(configured)
        _log_lines()
        app = importlib.import_module("function_app").app
        routes, unserved = find_routes(app, read_route_prefix(Path("host.json")))
    except (settings.SettingsError, HostJsonError) as error:
        sys.exit(f"Cannot start: {error}")
    listener = _listen(arguments.host, arguments.port)
    workers = Workers(configured.threads)
    server = _server(Host(routes, workers))
    # While it serves, uvicorn has handlers of its own: it finishes what is under way, then raises the signal again.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    _introduce(routes, unserved, *listener.getsockname()[:2])
    gc.freeze()  # what was imported stays: the collector need not look at it again
    server.run(sockets=[listener])
    workers.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror
    except OverflowError:
        reason = "a port is a number from 0 to 65535"
    sys.exit(f"Cannot listen on {host}:{port}: {reason}. PORT and HOST choose another.")


def _log_lines() -> None:
    logging.basicConfig(level=logging.INFO, handlers=[_Lines()], format="%(message)s")
    # The logging documentation's ways to leave out of a record what no line shows.
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _arguments(configured: settings.Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devhost", description="Serves this function app on this machine.")
    parser.add_argument("--host", default=configured.host, help="address to listen on (HOST, default %(default)s)")
    parser.add_argument(
        "--port", default=configured.port, type=int, help="0 picks a free one (PORT, default %(default)s)"
    )
    return parser.parse_args()


def _introduce(routes: list[Route], unserved: list[str], host: str, port: int) -> None:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    print("Functions:\n")
    for route in routes:
        methods = ",".join(sorted(route.methods)) or "any method"
        print(f"  {route.function_name}: [{methods}] http://{authority}/{route.template}")
    for reason in unserved:
        print(f"  not served: {reason}")
    print("\nFunction keys are not checked here; on Azure every call needs one. Ctrl-C stops.", flush=True)
    if not ip_address(host).is_loopback:
        print(f"Warning: listening on {host}: whoever reaches this port reads and changes everything.", flush=True)


def _server(host: Host) -> uvicorn.Server:
    config = uvicorn.Config(
        host,
        lifespan="off",
        interface="asgi3",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    return uvicorn.Server(config)


if __name__ == "__main__":
    main()
