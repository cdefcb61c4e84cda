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
from devhost.host import Host, Route, Workers, find_routes, read_route_prefix

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
        sys.path.insert(0, str(Path.cwd()))
        app = importlib.import_module("function_app").app
        family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
        listener = socket.create_server((arguments.host, arguments.port), family=family, backlog=2048)
    except settings.SettingsError as error:
        sys.exit(f"Cannot start: {error}")
    except OSError as error:
        sys.exit(f"Cannot listen on {arguments.host}:{arguments.port}: {error.strerror}. PORT and HOST choose another.")
    routes, unserved = find_routes(app, read_route_prefix(Path("host.json")))
    _introduce(routes, unserved, *listener.getsockname()[:2])
    _serve(routes, listener, configured.threads)


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


def _serve(routes: list[Route], listener: socket.socket, thread_count: int) -> None:
    # uvicorn finishes what is under way and then raises the signal again: end as a program that was asked to.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    workers = Workers(thread_count)
    config = uvicorn.Config(
        Host(routes, workers),
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    gc.freeze()  # what was imported stays: the collector need not look at it again
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        sys.exit(0)
    finally:
        workers.close()


if __name__ == "__main__":
    main()
