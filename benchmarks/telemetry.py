"""`python -m benchmarks.telemetry`: how many bytes of telemetry a request sends to Application Insights.

Starts the development host with a stand-in for Application Insights on loopback, and creates, reads, updates and
deletes users. The sizes are those of the JSON before compression, which is close to what Log Analytics bills.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.ingestion import QUIET, Ingestion, ingesting
from tests.support.programs import Program, new_user, running

ROUNDS = 500
BYTES_PER_DAY = 5e9
"""The cap of the template's workspace."""


def main() -> None:
    """Measures with the settings of the environment, such as TELEMETRY_SAMPLING, and prints a table."""
    with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder, ingesting() as server:
        settings: dict[str, Any] = {
            **QUIET,
            "TELEMETRY": "on",
            "APPLICATIONINSIGHTS_CONNECTION_STRING": server.connection_string,
        }
        settings |= {"APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true"}  # as the template sets it
        with running(Path(folder), **settings) as program:
            requests = _use(program)
            program.end(signal.SIGTERM)
        _print(server, requests)


def _use(program: Program) -> int:
    """Sends requests below random traces, as the host of Azure does, and returns their number."""
    for _ in range(ROUNDS):
        user = _call(program, "create_user", new_user())
        _call(program, "get_users", {"user_id": user})
        _call(program, "update_user", {"user_ids": [user], "update_data": {"full_name": "Asha Rao Iyer"}})
        _call(program, "delete_user", {"user_id": user})
    return 4 * ROUNDS


def _call(program: Program, function: str, body: object) -> str:
    trace = f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
    response = program.client.post(program.urls[function], json=body, headers={"traceparent": trace})
    assert response.is_success, response.text
    return str(response.json().get("user_id", ""))


def _print(server: Ingestion, requests: int) -> None:
    kinds = Counter(envelope["data"]["baseType"] for envelope in server.received)
    size = server.size / requests
    print(f"{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}, {requests:,} requests\n")
    print("| what | measured |\n|---|---|")
    print(f"| bytes per request | {size:,.0f} |")
    print(f"| envelopes per request | {sum(kinds.values()) / requests:.2f}: {dict(kinds)} |")
    print(f"| requests per second that send 5 GB a day | {BYTES_PER_DAY / 86_400 / size:,.0f} |")


if __name__ == "__main__":
    main()
