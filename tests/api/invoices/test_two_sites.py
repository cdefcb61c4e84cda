"""Two sites in processes of their own, with a bad network between them, one of them killed during a delivery."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from domain.timestamps import shift_timestamp
from tests.support.bad_network import FAULTS, Proxy, bad_network, wait_until
from tests.support.peers import SECRET, peer_site
from tests.support.programs import PROJECT, Program, running

pytestmark = pytest.mark.slow

COUNT = 10
REJECTED = "Rejected"
"""The name of a customer that the other site rejects: here the proxy does."""


def settings(peer_url: str) -> dict[str, str]:
    """The settings of a site."""
    return {
        "SERVICES": "invoices",
        "PEER_SITE_URL": peer_url,
        "PEER_SITE_SECRET": SECRET,
        "OUTBOX_SCHEDULE": "* * * * * *",
    }


@contextmanager
def site(folder: Path, proxy_to_peer: Proxy, proxy_to_it: Proxy) -> Iterator[Program]:
    """Runs a site on the database in a folder."""
    folder.mkdir(exist_ok=True)
    with running(folder, PROJECT, **settings(proxy_to_peer.url)) as program:
        proxy_to_it.target = urlsplit(program.urls["invoices_customers_create"]).port or 0
        yield program


def create(program: Program, names: list[str]) -> None:
    """Creates customers."""
    for name in names:
        body = {"name": name, "phone": "+91 98765 43210", "address": f"{name} Street"}
        assert program.post("invoices_customers_create", body).status_code == 201


def query(folder: Path, statement: str) -> list[tuple[str, ...]]:
    """Returns the rows of a statement on the database of a site."""
    with closing(sqlite3.connect(folder / "x.db", timeout=30)) as connection:
        return connection.execute(statement).fetchall()


def let_time_pass(*folders: Path) -> None:
    """Lets two hours pass for the waits and claims of sites."""
    for folder in folders:
        with closing(sqlite3.connect(folder / "x.db", timeout=30)) as connection, connection:
            connection.create_function("earlier", 1, lambda text: text and shift_timestamp(text, -7200))
            connection.execute(
                "UPDATE invoices_outbox SET next_attempt_at = earlier(next_attempt_at), "
                "claimed_until = earlier(claimed_until)"
            )


def customers(folder: Path) -> list[tuple[str, ...]]:
    """All customers of a site but those that the other one rejects."""
    columns = "customer_uid, name, phone, address"
    return query(folder, f"SELECT {columns} FROM invoices_customers WHERE name <> '{REJECTED}' ORDER BY 1")


def names(prefix: str) -> list[str]:
    """The names of customers to create."""
    return [f"{prefix} {number}" for number in range(COUNT)]


def test_two_sites_end_with_the_same_customers(tmp_path: Path) -> None:
    north, south = tmp_path / "north", tmp_path / "south"
    both_wait = partial(let_time_pass, north, south)
    with (
        bad_network(1, REJECTED.encode()) as to_south,
        bad_network(2, REJECTED.encode()) as to_north,
        site(south, to_north, to_south) as southern,
    ):
        stalled = threading.Event()
        with site(north, to_south, to_north) as northern:
            create(northern, [*names("north"), REJECTED])
            create(southern, names("south"))
            wait_until(lambda: sum(to_south.seen.values()) > 5)
            to_south.stall = stalled
            wait_until(stalled.is_set, partial(let_time_pass, north))
            assert northern.end(signal.SIGKILL) == -signal.SIGKILL
        assert query(north, "SELECT 1 FROM invoices_outbox WHERE claim IS NOT NULL"), "killed during a delivery"
        create(southern, names("meanwhile"))  # the other site is down
        with site(north, to_south, to_north) as northern:
            create(northern, names("afterwards"))
            wait_until(lambda: min(to_south.seen.values()) > 0, both_wait)
            to_south.release()
            to_north.release()
            to_south.is_bad = to_north.is_bad = False
            wait_until(
                lambda: waiting(north) == waiting(south) == 0,
                both_wait,
            )
            to_south.release()
            to_north.release()
    assert customers(north) == customers(south)
    assert len(customers(north)) == 4 * COUNT
    set_aside = "SELECT name, set_aside_reason FROM invoices_outbox JOIN invoices_customers c ON c.id = customer_id"
    assert query(north, set_aside) == [(REJECTED, "status 422")]
    assert query(south, set_aside) == []
    assert {fault for fault in FAULTS if to_south.seen[fault]} == {*FAULTS}


def waiting(folder: Path) -> int:
    """The number of customers that wait for their delivery."""
    return len(query(folder, "SELECT 1 FROM invoices_outbox WHERE set_aside_reason IS NULL"))


def test_a_second_process_delivers_what_the_first_one_queued(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/shared.db"
    with peer_site() as peer:
        shared = {**settings(peer.url), "DATABASE_URL": database}
        with running(tmp_path, PROJECT, **shared, TIMERS="off") as program:
            create(program, ["Asha", "Ravi"])
            assert peer.received == []
            (tmp_path / "second").mkdir()
            with running(tmp_path / "second", PROJECT, **shared):
                wait_until(lambda: len(peer.received) == 2)
    assert peer.names == ["Asha", "Ravi"]
