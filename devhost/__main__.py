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
from typing import Final

import uvicorn

import settings
from devhost.access import access_for
from devhost.host import DRAIN_SECONDS, Host
from devhost.indexing import HostJsonError, Index, index_functions, read_custom_headers, read_route_prefix
from devhost.schedules import next_occurrence
from devhost.timers import utc_now
from devhost.workers import WorkerPool


class _LineHandler(logging.Handler):
    """Writes each record as one line with one system call: the stock handler takes longer than a query."""

    def handle(self, record: logging.LogRecord) -> bool:
        try:
            os.write(2, (self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except OSError:  # a closed terminal must not make requests fail
            return False
        return True


KEEP_ALIVE_SECONDS: Final = 75
"""How long a connection may be idle. With uvicorn's 5 s a request often meets a connection that is being closed."""


def main() -> None:
    """Reads command line and settings, and serves until it is stopped. Exits with one sentence if it cannot start."""
    try:
        settings.enable_timers()
        configured, cors = settings.current(), settings.load_cors()
        arguments = _parse_arguments(configured)
        _configure_logging()
        app = importlib.import_module("function_app").app
        host_json = Path("host.json")
        index = index_functions(app, read_route_prefix(host_json), configured.values)
        headers = read_custom_headers(host_json)
    except (settings.SettingsError, HostJsonError) as error:
        sys.exit(f"Cannot start: {error}")
    listener = _listen(arguments.host, arguments.port)
    address, port = listener.getsockname()[:2]
    workers = WorkerPool(configured.threads)
    access = access_for(arguments.host, address, cors)
    server = _server(Host(index.routes, workers, timers=index.timers, access=access, headers=headers))
    # While serving, uvicorn has its own handlers: it completes requests in progress, then raises the signal again.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    _print_banner(index, address, port, cors)
    gc.freeze()  # imported objects stay: the garbage collector need not scan them again
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


def _configure_logging() -> None:
    logging.basicConfig(level=logging.INFO, handlers=[_LineHandler()], format="%(message)s")
    # Documented ways to omit record attributes that no line shows.
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _parse_arguments(configured: settings.Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devhost", description="Serves this function app on this machine.")
    parser.add_argument("--host", default=configured.host, help="address to listen on (HOST, default %(default)s)")
    parser.add_argument(
        "--port", default=configured.port, type=int, help="0 picks a free one (PORT, default %(default)s)"
    )
    return parser.parse_args()


def _print_banner(index: Index, address: str, port: int, cors: settings.Cors) -> None:
    authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    print("Functions:\n")
    for route in index.routes:
        methods = ",".join(sorted(route.methods)) or "any method"
        print(f"  {route.function.name}: [{methods}] http://{authority}/{route.template}")
    for timer in index.timers:
        due = next_occurrence(timer.schedule, utc_now())
        print(f"  {timer.function.name}: [timer] {timer.expression}, next at {due:%Y-%m-%dT%H:%M:%SZ}")
    for reason in index.unsupported:
        print(f"  unsupported: {reason}")
    if cors.origins:
        print(f"\nPages of these origins may call it (Host.CORS): {', '.join(cors.origins)}")
    print("\nFunction keys are not checked here; on Azure calls without a token need one. Ctrl-C stops.", flush=True)
    _print_warning(address)


def _print_warning(address: str) -> None:
    if ip_address(address).is_loopback:
        return
    warning = f"Warning: listening on {address}: every machine that reaches this port can read and change everything"
    if ip_address(address).is_unspecified:
        warning += ", and so can web pages by DNS rebinding, because any Host header is accepted"
    print(f"{warning}.", flush=True)


def _server(host: Host) -> uvicorn.Server:
    config = uvicorn.Config(
        host,
        lifespan="on",
        interface="asgi3",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    return uvicorn.Server(config)


if __name__ == "__main__":
    main()
