"""A process that is killed before or after a statement of a purchase leaves nothing of it: neither lines nor a gap."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.persistence.invoices.conftest import (
    everything,
    new_customer,
    new_items,
    numbers,
    on_invoices,
    post,
    put,
    stock,
)
from tests.support.programs import PROJECT

pytestmark = pytest.mark.slow

PROGRAM = """
import itertools, os, signal, sys
from sqlalchemy import Engine, event
from persistence.database import connections
from tests.persistence.invoices.conftest import post, put

def buy(killed_at, call):
    connections.connect(sys.argv[1], threads=1)
    steps = itertools.count(1)
    def step(*_):
        if next(steps) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Engine, "before_cursor_execute", step)
    event.listen(Engine, "after_cursor_execute", step)
    call()
    os._exit(0)

customers, items = eval(sys.argv[2]), eval(sys.argv[3])
first = lambda: post(customers[0], *((item, 2) for item in items))
change = lambda: put(customers[1], (items[0], 0), (items[1], 5), *((item, 1) for item in items[2:]))
for call in (first, change):
    for killed_at in itertools.count(1):
        if not (child := os.fork()):
            buy(killed_at, call)
        status = os.waitpid(child, 0)[1]
        print("killed" if status == signal.SIGKILL else status, flush=True)
        if not status:
            break
        sys.stdin.readline()
"""
"""Repeats a first purchase, and a change of another one, and is killed a step later each time, until it is not."""


def test_a_kill_at_any_statement_leaves_nothing_of_the_purchase(database_file: Path) -> None:
    items, (ann, bob) = new_items(4), (new_customer().id, new_customer().id)
    post(bob, (items[0], 3), (items[1], 1))
    program = [sys.executable, "-c", PROGRAM, f"sqlite:///{database_file}", str([ann, bob]), str(items)]
    with subprocess.Popen(program, cwd=PROJECT, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for statements in (7, 7):
            before, kills = everything(), 0
            while process.stdout.readline() == "killed\n":
                assert everything() == before
                kills += 1
                print(file=process.stdin, flush=True)
            assert kills == 2 * statements
            assert everything() != before
    assert process.returncode == 0
    assert numbers() == [1, 2]
    in_stock, sold = stock(), on_invoices()
    assert [in_stock[item] + sold[item] for item in items] == [10] * 4
    assert put(ann, (items[0], 1)).number == 2
