"""`python -m devhost` as people run it: a process of its own, started, called, stopped and killed.

Settings travel in the environment, so that nobody's own files matter; every test has a database of its own.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import pytest

from tests.programs import LOG_LINE, PATIENCE, PROJECT, Program, environment, refused_start, running, unexpected

TRIGGERS = ["create_user", "delete_user", "get_users", "update_user"]


def refusal(folder: Path, *arguments: str, project: Path = PROJECT, **settings: str) -> str:
    """The one line with which the program declines to start."""
    return refused_start(environment(folder, settings, project), *arguments, project=project)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A program for tests that do not end it."""
    with running(tmp_path_factory.mktemp("program")) as program:
        yield program


@pytest.fixture
def other_project(tmp_path: Path) -> Path:
    """A folder with the development host, an app of one function, and no settings in files."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "devhost", project / "devhost", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "settings.py", project)
    (project / "function_app.py").write_text(
        "import azure.functions as func\n"
        "app = func.FunctionApp()\n"
        "@app.route('hello/{name}', methods=['GET', 'POST'])\n"
        "def greet(req: func.HttpRequest) -> func.HttpResponse:\n"
        "    return func.HttpResponse('Hello ' + req.route_params['name'])\n"
        "@app.timer_trigger('timer', schedule='0 0 * * * *')\n"
        "def tick(timer: func.TimerRequest) -> None:\n"
        "    pass\n",
        "utf-8",
    )
    return project


_numbers = itertools.count(6_000_000_000)


def new_user(**fields: Any) -> dict[str, Any]:
    """A body for create_user with a number that no other has."""
    return {"full_name": "Asha Rao", "mob_num": str(next(_numbers)), "pan_num": "ABCPE1234F", **fields}


def rows(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    """What the database of a program answers to `statement`."""
    with closing(sqlite3.connect(folder / "x.db")) as connection:
        return connection.execute(statement).fetchall()


# ---- what it prints, answers and logs


def test_it_prints_the_four_urls_and_that_of_their_description(program: Program) -> None:
    base = program.urls["create_user"].removesuffix("/create_user")
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", base)
    triggers = {trigger: f"{base}/{trigger}" for trigger in TRIGGERS}
    assert program.urls == triggers | {"openapi_json": f"{base}/openapi.json"}
    assert program.printed.count("[POST]") == 4
    assert program.printed.count("[GET]") == 1


def test_it_says_that_function_keys_are_not_checked(program: Program) -> None:
    assert [line for line in program.printed.splitlines() if "keys are not checked" in line]


def test_the_printed_urls_work_with_a_post(program: Program) -> None:
    body = new_user()
    created = program.post("create_user", body)
    assert created.status_code == 201
    user_id = created.json()["user_id"]
    updated = program.post("update_user", {"user_ids": [user_id], "update_data": {"full_name": "Asha Rao Iyer"}})
    assert updated.json()["updated"] == [user_id]
    (user,) = program.post("get_users", {"mob_num": body["mob_num"]}).json()["users"]
    assert (user["user_id"], user["full_name"]) == (user_id, "Asha Rao Iyer")
    assert program.post("delete_user", {"user_id": user_id}).status_code == 200
    assert program.post("get_users", {"user_id": user_id}).json() == {"users": []}


def test_each_request_is_one_log_line_with_nobodys_data(program: Program) -> None:
    secrets = {"full_name": "Unmistakable Name", "mob_num": "9876501234", "pan_num": "ABCPE9876Z"}
    before = len(program.log)
    answers = [
        program.post("create_user", secrets),
        program.post("create_user", secrets),
        program.post("create_user", {**secrets, "pan_num": "Unmistakable PAN"}),
        program.post("get_users", {"mob_num": secrets["mob_num"]}),
        program.post("delete_user", {"mob_num": secrets["mob_num"]}),
        program.post("delete_user", {"mob_num": secrets["mob_num"]}),
    ]
    lines = [LOG_LINE.fullmatch(line) for line in program.log[before:].splitlines()]
    assert [line and line.group(1, 2, 3, 5) for line in lines] == [
        ("create_user", "ok", "201", ""),
        ("create_user", "refused", "409", "mob-num-taken"),
        ("create_user", "refused", "400", "body-invalid"),
        ("get_users", "ok", "200", ""),
        ("delete_user", "ok", "200", ""),
        ("delete_user", "refused", "404", "user-not-found"),
    ]
    assert [int(line[3]) for line in lines if line] == [answer.status_code for answer in answers]
    ids = [line[4] for line in lines if line]
    assert len(set(ids)) == len(ids)
    refused = [answer.json()["instance"] for answer in answers if answer.status_code >= 400]
    assert refused == [ids[1], ids[2], ids[5]]
    for secret in (*secrets.values(), "Unmistakable"):
        assert secret not in program.log + program.printed


def test_the_holder_type_of_a_pan_is_checked_unless_the_setting_is_off(program: Program, tmp_path: Path) -> None:
    body = new_user(pan_num="ABCXE1234F")  # no holder type is X
    assert program.post("create_user", body).status_code == 400
    with running(tmp_path, PAN_HOLDER_CHECK="off") as lenient:
        assert lenient.post("create_user", body).json()["user"]["pan_num"] == "ABCXE1234F"


def test_it_serves_the_app_of_the_current_folder_and_says_what_it_leaves_out(
    other_project: Path, tmp_path: Path
) -> None:
    with running(tmp_path, project=other_project) as program:
        assert list(program.urls) == ["greet"]
        assert "greet: [GET,POST] http://127.0.0.1:" in program.printed
        assert "not served: tick: it has no HTTP trigger" in program.printed
        assert program.client.get(program.urls["greet"].replace("{name}", "Asha")).text == "Hello Asha"


def test_help_describes_the_options(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "devhost", "--help"],
        cwd=PROJECT,
        env=environment(tmp_path, {"HOST": "127.0.0.9", "PORT": "8099"}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "usage: python -m devhost" in done.stdout
    for word in ("--host", "HOST", "127.0.0.9", "--port", "PORT", "8099"):
        assert word in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []  # and opened no database


# ---- where it listens


def test_without_settings_it_listens_on_loopback_only(other_project: Path, tmp_path: Path) -> None:
    with running(tmp_path, project=other_project, HOST="") as program:
        url = httpx.URL(program.urls["greet"])
        assert url.host == "127.0.0.1"
        with pytest.raises(OSError, match=r"refused|timed out|unreachable|assign"):
            socket.create_connection(("127.0.0.2", url.port or 0), timeout=5)
        program.client.get(str(url))
        program.end(signal.SIGTERM)
        assert "Warning" not in program.printed


def test_listening_on_every_address_is_warned_of(tmp_path: Path) -> None:
    with running(tmp_path, HOST="0.0.0.0") as program:  # noqa: S104 - what the warning is for
        program.client.post(program.urls["get_users"].replace("0.0.0.0", "127.0.0.1"))  # noqa: S104
        program.end(signal.SIGTERM)
        assert re.search(r"^Warning: listening on 0\.0\.0\.0", program.printed, re.MULTILINE)


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_listened_on_and_printed_in_brackets(tmp_path: Path) -> None:
    with running(tmp_path, HOST="::1") as program:
        assert program.urls["get_users"].startswith("http://[::1]:")
        assert program.post("get_users", {}).json() == {"users": []}


def test_a_port_in_use_is_one_line_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f":{port}:" in refusal(tmp_path, PORT=port)
        assert f":{port}:" in refusal(tmp_path, "--port", port, PORT="0")  # an option comes before its setting


@pytest.mark.parametrize("port", ["65536", "-1"])
def test_a_port_that_no_machine_has_is_one_line_that_names_it(tmp_path: Path, port: str) -> None:
    assert f":{port}:" in refusal(tmp_path, "--port", port)


def test_a_host_json_that_cannot_be_read_is_one_line_that_names_it(other_project: Path, tmp_path: Path) -> None:
    (other_project / "host.json").write_text("{ // a comment\n}", "utf-8")
    assert refusal(tmp_path, project=other_project).startswith("Cannot start: host.json ")


# ---- settings it cannot start with


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "65536"),
        ("PYTHON_THREADPOOL_THREAD_COUNT", "0"),
        ("PAN_HOLDER_CHECK", "maybe"),
        ("API_DOCS", "maybe"),
    ],
)
def test_a_setting_that_cannot_be_read_is_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    settings = {name: value}
    line = refusal(tmp_path, project=PROJECT, **settings)
    assert line.startswith(f"Cannot start: {name} ")
    assert value in line


def test_the_page_without_its_package_is_one_line_that_names_both(tmp_path: Path) -> None:
    (tmp_path / "flask_swagger_ui.py").touch()  # found first, and no package that has Swagger UI
    line = refusal(tmp_path, API_DOCS="on", PYTHONPATH=str(tmp_path))
    assert re.fullmatch(r"Cannot start: API_DOCS .*\bflask-swagger-ui\b.*", line)
    assert list(tmp_path.glob("*.db")) == []


def test_an_unknown_service_is_one_line_that_names_it_and_the_known_ones(tmp_path: Path) -> None:
    line = refusal(tmp_path, SERVICES="users,ponts")
    assert re.fullmatch(r"Cannot start: SERVICES .*\bponts\b.*: .*\busers\b.*", line)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///{folder}/text.txt",
        "sqlite:///{folder}/missing/x.db",
        "sqlite:///{folder}",
        ":memory:",
        "sqlite:///:memory:",
        "postgresql://user:secret@host/db",
        "mssql+pyodbc://user:secret@host:port/db",
        "Server=host;Database=db;Uid=user;Pwd=secret",
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_without_its_password(tmp_path: Path, url: str) -> None:
    text = tmp_path / "text.txt"
    text.write_text("This is no database. " * 100, "utf-8")
    line = refusal(tmp_path, DATABASE_URL=url.format(folder=tmp_path))
    assert line.startswith("Cannot start: DATABASE_URL ")
    assert "secret" not in line
    assert text.read_text("utf-8") == "This is no database. " * 100


def test_on_azure_it_does_not_start_without_a_database_url(other_project: Path, tmp_path: Path) -> None:
    line = refusal(tmp_path, project=other_project, WEBSITE_SITE_NAME="rollbook", DATABASE_URL="")
    assert line.startswith("Cannot start: DATABASE_URL is not set. On Azure")
    assert list(tmp_path.rglob("*.db")) == []


# ---- how it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0_and_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as program:
        assert program.post("get_users", {}).status_code == 200
        assert program.end(number) == 0
        assert unexpected(program.log) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_as_soon_as_the_urls_are_printed_ends_it_all_the_same(
    tmp_path: Path, number: signal.Signals
) -> None:
    for _ in range(3):
        with running(tmp_path) as program:
            assert program.end(number) == 0
            assert unexpected(program.log) == []


def test_what_was_created_is_there_after_a_stop_and_a_second_start(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        user = program.post("create_user", new_user()).json()["user"]
        assert program.end(signal.SIGTERM) == 0
    with running(tmp_path) as program:
        assert program.post("get_users", {}).json() == {"users": [user]}


def test_a_request_that_is_under_way_at_a_signal_is_still_answered(tmp_path: Path) -> None:
    lock = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    with (
        closing(lock),
        running(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/x.db?timeout={PATIENCE}") as program,
    ):
        url = httpx.URL(program.urls["create_user"])
        lock.execute("BEGIN IMMEDIATE")  # a writer has to wait
        with closing(http.client.HTTPConnection(url.host, url.port or 0, timeout=PATIENCE)) as connection:
            connection.request("POST", url.path, json.dumps(new_user()))
            for _ in range(3):  # behind it in the program's queue: when they are answered, it has been taken up
                assert program.post("get_users", {}).json() == {"users": []}
            program.process.send_signal(signal.SIGTERM)
            wait_until_nobody_listens(url.host, url.port or 0)
            lock.execute("ROLLBACK")
            response = connection.getresponse()
            assert response.status == 201
            user_id = json.loads(response.read())["user_id"]
        assert program.process.wait(PATIENCE) == 0
        assert rows(tmp_path, "SELECT user_id FROM users") == [(user_id,)]
        assert unexpected(program.log) == []


def wait_until_nobody_listens(host: str, port: int) -> None:
    """Returns when a connection is refused."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # it stopped listening between the two
            pass
        time.sleep(0.01)
    raise AssertionError("the program goes on listening")


Version = tuple[str, str]
"""A user and the manager of one version."""


def write_on(program: Program, managers: list[str], first_number: int, answered: SimpleQueue[Version | None]) -> None:
    """Creates users and moves them to another manager until the program is gone.

    Puts each version that was answered, and None at its end. Raises where half an answer came.
    """

    def call(trigger: str, body: object) -> Any:
        request = program.client.build_request("POST", program.urls[trigger], json=body)
        try:
            response = program.client.send(request, stream=True)
        except httpx.TransportError:
            return None
        with closing(response):
            answer = json.loads(response.read())
        assert response.status_code in (200, 201), answer
        return answer

    try:
        for number in itertools.count(first_number):
            created = call("create_user", new_user(mob_num=str(number), manager_id=managers[0]))
            if created is None:
                return
            user_id = created["user_id"]
            answered.put((user_id, managers[0]))
            if call("update_user", {"user_ids": [user_id], "update_data": {"manager_id": managers[1]}}) is None:
                return
            answered.put((user_id, managers[1]))
    finally:
        answered.put(None)


def end_while_writing(
    folder: Path, managers: list[str], number: signal.Signals
) -> tuple[int, list[Version], list[Any]]:
    """The exit code after `number` arrived amid the writes of four threads, what they were answered, their errors."""
    answered: SimpleQueue[Version | None] = SimpleQueue()
    with ThreadPoolExecutor(4) as pool, running(folder) as program:
        writers: list[Future[None]] = [
            pool.submit(write_on, program, managers, 7_000_000_000 + thread * 1_000_000, answered)
            for thread in range(4)
        ]
        versions: list[Version | None] = []
        while len(versions) < 200 and None not in versions:
            versions.append(answered.get(timeout=PATIENCE))
        exit_code = program.end(number)
        errors = [error for writer in writers if (error := writer.exception(PATIENCE)) is not None]
        if number != signal.SIGKILL:
            assert unexpected(program.log) == []
    versions += [answered.get() for _ in range(answered.qsize())]
    return exit_code, [version for version in versions if version is not None], errors


def test_a_stop_amid_writes_loses_nothing_that_was_answered_and_cuts_no_answer(
    tmp_path: Path, managers: list[str]
) -> None:
    exit_code, versions, errors = end_while_writing(tmp_path, managers, signal.SIGTERM)
    assert exit_code == 0
    assert errors == []
    assert len(set(versions)) == len(versions) >= 200
    assert set(versions) <= set(rows(tmp_path, "SELECT user_id, manager_id FROM users"))


def test_a_kill_amid_writes_loses_nothing_that_was_answered_and_leaves_each_user_one_active_version(
    tmp_path: Path, managers: list[str]
) -> None:
    exit_code, versions, errors = end_while_writing(tmp_path, managers, signal.SIGKILL)
    assert exit_code == -signal.SIGKILL
    assert all(isinstance(error, httpx.TransportError) for error in errors)  # a kill may cut an answer
    with running(tmp_path) as program:
        users = program.post("get_users", {}).json()["users"]
        assert set(versions) <= {(user["user_id"], user["manager_id"]) for user in users}
        assert program.post("create_user", new_user(mob_num="9999999999")).status_code == 201
    assert rows(tmp_path, "SELECT user_id FROM users GROUP BY user_id HAVING sum(is_active) <> 1") == []
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]
