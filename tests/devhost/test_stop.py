"""How `python -m devhost` ends: by a signal, during requests, killed. Every test has its own database."""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import socket
import sqlite3
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import pytest

from tests.support.programs import WAIT_SECONDS, Program, new_user, running, unexpected


def rows(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    """Returns the rows of `statement` in the database of a program."""
    with closing(sqlite3.connect(folder / "x.db")) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0_and_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as program:
        assert program.post("get_users", {}).status_code == 200
        assert program.end(number) == 0
        assert unexpected(program.log) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_right_after_the_urls_are_printed_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    for _ in range(3):
        with running(tmp_path) as program:
            assert program.end(number) == 0
            assert unexpected(program.log) == []


def test_created_users_are_there_after_a_stop_and_a_second_start(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        user = program.post("create_user", new_user()).json()["user"]
        assert program.end(signal.SIGTERM) == 0
    with running(tmp_path) as program:
        assert program.post("get_users", {}).json() == {"users": [user]}


def test_a_request_in_progress_at_a_signal_is_completed(tmp_path: Path) -> None:
    lock = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    with (
        closing(lock),
        running(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/x.db?timeout={WAIT_SECONDS}") as program,
    ):
        url = httpx.URL(program.urls["create_user"])
        lock.execute("BEGIN IMMEDIATE")  # makes a writer wait
        with closing(http.client.HTTPConnection(url.host, url.port or 0, timeout=WAIT_SECONDS)) as connection:
            connection.request("POST", url.path, json.dumps(new_user()))
            for _ in range(3):  # queued behind it: when these are served, the writer is in progress
                assert program.post("get_users", {}).json() == {"users": []}
            program.process.send_signal(signal.SIGTERM)
            wait_until_it_stops_listening(url.host, url.port or 0)
            lock.execute("ROLLBACK")
            response = connection.getresponse()
            assert response.status == 201
            user_id = json.loads(response.read())["user_id"]
        assert program.process.wait(WAIT_SECONDS) == 0
        assert rows(tmp_path, "SELECT user_id FROM users") == [(user_id,)]
        assert unexpected(program.log) == []


def wait_until_it_stops_listening(host: str, port: int) -> None:
    """Returns when new connections fail."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=WAIT_SECONDS).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # it stopped listening between the two
            pass
        time.sleep(0.01)
    raise AssertionError("the program goes on listening")


Version = tuple[str, str]
"""A user and the manager of one version."""


def write_on(program: Program, managers: list[str], first_number: int, reported: SimpleQueue[Version | None]) -> None:
    """Creates users and moves them to another manager until the program ends.

    Reports each version that a response contained, and None at the end. Raises for a partial response.
    """

    def call(endpoint: str, sent: object) -> Any:
        request = program.client.build_request("POST", program.urls[endpoint], json=sent)
        try:
            response = program.client.send(request, stream=True)
        except httpx.TransportError:
            return None
        with closing(response):
            body = json.loads(response.read())
        assert response.status_code in (200, 201), body
        return body

    try:
        for number in itertools.count(first_number):
            created = call("create_user", new_user(mob_num=str(number), manager_id=managers[0]))
            if created is None:
                return
            user_id = created["user_id"]
            reported.put((user_id, managers[0]))
            if call("update_user", {"user_ids": [user_id], "update_data": {"manager_id": managers[1]}}) is None:
                return
            reported.put((user_id, managers[1]))
    finally:
        reported.put(None)


def end_while_writing(
    folder: Path, managers: list[str], number: signal.Signals
) -> tuple[int, list[Version], list[Any]]:
    """Returns the exit code after the signal `number` during writes of four threads, their reports and errors."""
    reported: SimpleQueue[Version | None] = SimpleQueue()
    with ThreadPoolExecutor(4) as pool, running(folder) as program:
        writers: list[Future[None]] = [
            pool.submit(write_on, program, managers, 7_000_000_000 + thread * 1_000_000, reported)
            for thread in range(4)
        ]
        versions: list[Version | None] = []
        while len(versions) < 200 and None not in versions:
            versions.append(reported.get(timeout=WAIT_SECONDS))
        exit_code = program.end(number)
        errors = [error for writer in writers if (error := writer.exception(WAIT_SECONDS)) is not None]
        if number != signal.SIGKILL:
            assert unexpected(program.log) == []
    versions += [reported.get() for _ in range(reported.qsize())]
    return exit_code, [version for version in versions if version is not None], errors


def test_a_stop_during_writes_loses_and_cuts_no_response(tmp_path: Path, managers: list[str]) -> None:
    exit_code, versions, errors = end_while_writing(tmp_path, managers, signal.SIGTERM)
    assert exit_code == 0
    assert errors == []
    assert len(set(versions)) == len(versions) >= 200
    assert set(versions) <= set(rows(tmp_path, "SELECT user_id, manager_id FROM users"))


def test_a_kill_during_writes_loses_nothing_and_leaves_one_active_version(tmp_path: Path, managers: list[str]) -> None:
    exit_code, versions, errors = end_while_writing(tmp_path, managers, signal.SIGKILL)
    assert exit_code == -signal.SIGKILL
    assert all(isinstance(error, httpx.TransportError) for error in errors)  # a kill may cut a response
    with running(tmp_path) as program:
        users = program.post("get_users", {}).json()["users"]
        assert set(versions) <= {(user["user_id"], user["manager_id"]) for user in users}
        assert program.post("create_user", new_user(mob_num="9999999999")).status_code == 201
    assert rows(tmp_path, "SELECT user_id FROM users GROUP BY user_id HAVING sum(is_active) <> 1") == []
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]
