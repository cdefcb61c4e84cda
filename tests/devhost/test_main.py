"""`python -m devhost` as a separate process: its output, functions, addresses and start errors.

Settings are passed in the environment, so local files do not matter; every test has its own database.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import settings
from function_app import build
from persistence.database import connections
from tests.support.programs import LOG_LINE, PROJECT, WAIT_SECONDS, Program, environment, new_user, running, start_error

ENDPOINTS = [
    *("create_user", "create_users", "delete_user", "get_changes", "get_user_history", "get_users", "get_users_masked"),
    "update_user",
]


def failed_start(folder: Path, *arguments: str, project: Path = PROJECT, **settings: str) -> str:
    """Returns the line that the program prints when it does not start."""
    return start_error(environment(folder, settings, project), *arguments, project=project)


def error_of_the_app(folder: Path, **variables: str) -> str:
    """Returns the line of the error of an app with these settings, without the start of a program."""
    try:
        with pytest.raises(settings.SettingsError) as caught:
            build(settings.load({"DATABASE_URL": f"sqlite:///{folder}/x.db", "SERVICES": "users", **variables}, folder))
    finally:
        connections.close()
    (line,) = str(caught.value).splitlines()
    return line


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A program for tests that do not stop it."""
    with running(tmp_path_factory.mktemp("program")) as program:
        yield program


# ---- what it prints, serves and logs


def test_it_prints_the_urls_and_that_of_their_description(program: Program) -> None:
    base = program.urls["create_user"].removesuffix("/create_user")
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", base)
    endpoints = {endpoint: f"{base}/{endpoint}" for endpoint in ENDPOINTS}
    assert program.urls == endpoints | {"openapi_json": f"{base}/openapi.json"}
    assert program.printed.count("[POST]") == len(ENDPOINTS)
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


def test_each_request_is_one_log_line_without_personal_data(program: Program) -> None:
    secrets = {"full_name": "Unmistakable Name", "mob_num": "9876501234", "pan_num": "ABCPE9876Z"}
    before = len(program.log)
    responses = [
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
    assert [int(line[3]) for line in lines if line] == [response.status_code for response in responses]
    ids = [line[4] for line in lines if line]
    assert len(set(ids)) == len(ids)
    problems = [response.json()["instance"] for response in responses if response.status_code >= 400]
    assert problems == [ids[1], ids[2], ids[5]]
    for secret in (*secrets.values(), "Unmistakable"):
        assert secret not in program.log + program.printed


def test_a_switch_of_a_rule_is_read(program: Program, tmp_path: Path) -> None:
    body = new_user(pan_num="ABCXE1234F")  # no holder type is X
    assert program.post("create_user", body).status_code == 400
    with running(tmp_path, PAN_HOLDER_CHECK="off") as lenient:
        assert lenient.post("create_user", body).json()["user"]["pan_num"] == "ABCXE1234F"


def test_it_serves_the_app_of_the_current_folder(other_project: Path, tmp_path: Path) -> None:
    with running(tmp_path, project=other_project) as program:
        assert list(program.urls) == ["greet"]
        assert "greet: [GET,POST] http://127.0.0.1:" in program.printed
        assert re.search(
            r"^  tick: \[timer\] 0 0 \* \* \* \*, next at [\d-]+T\d\d:00:00Z$", program.printed, re.MULTILINE
        )
        assert "unsupported" not in program.printed
        assert program.client.get(program.urls["greet"].replace("{name}", "Asha")).text == "Hello Asha"


def test_help_describes_the_options(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "devhost", "--help"],
        cwd=PROJECT,
        env=environment(tmp_path, {"HOST": "127.0.0.9", "PORT": "8099"}),
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
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


def test_listening_on_every_address_accepts_any_host_and_is_warned_of(other_project: Path, tmp_path: Path) -> None:
    with running(tmp_path, project=other_project, HOST="0.0.0.0") as program:  # noqa: S104 - what the warning is for
        url = program.urls["greet"].replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert program.client.get(url, headers={"Host": "evil.example"}).status_code == 200
        program.end(signal.SIGTERM)
        assert re.search(r"^Warning: listening on 0\.0\.0\.0.*\bDNS rebinding\b", program.printed, re.MULTILINE)


def test_a_foreign_host_or_origin_is_a_403_and_a_log_line(other_project: Path, tmp_path: Path) -> None:
    with running(tmp_path, project=other_project) as program:
        url = program.urls["greet"]
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert program.client.get(url, headers=headers).status_code == 403
        own = url.split("/api/")[0]
        assert program.client.get(url, headers={"Origin": own}).status_code == 200
        assert program.log.count("Rejected GET '/api/hello/") == program.log.count("\n") == 3


def test_origins_listed_in_local_settings_are_printed_and_served(other_project: Path, tmp_path: Path) -> None:
    local = {"Values": {}, "Host": {"CORS": "https://app.example, http://localhost:3000", "CORSCredentials": True}}
    (other_project / "local.settings.json").write_text(json.dumps(local), "utf-8")
    with running(tmp_path, project=other_project) as program:
        assert "(Host.CORS): https://app.example, http://localhost:3000\n" in program.printed
        response = program.client.get(program.urls["greet"], headers={"Origin": "https://app.example"})
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        assert response.headers["access-control-allow-credentials"] == "true"


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
        assert f":{port}:" in failed_start(tmp_path, PORT=port)
        assert f":{port}:" in failed_start(tmp_path, "--port", port, PORT="0")  # an option precedes its setting


@pytest.mark.parametrize("port", ["65536", "-1"])
def test_a_port_that_no_machine_has_is_one_line_that_names_it(tmp_path: Path, port: str) -> None:
    assert f":{port}:" in failed_start(tmp_path, "--port", port)


def test_a_host_json_that_cannot_be_read_is_one_line(other_project: Path, tmp_path: Path) -> None:
    for content in (
        "{ // a comment\n}",
        '{"extensions": {"http": []}}',
        '{"extensions": {"http": {"customHeaders": 1}}}',
    ):
        (other_project / "host.json").write_text(content, "utf-8")
        assert failed_start(tmp_path, project=other_project).startswith("Cannot start: host.json ")


# ---- settings it cannot start with


def test_origins_that_cannot_be_read_are_one_line(other_project: Path, tmp_path: Path) -> None:
    (other_project / "local.settings.json").write_text('{"Values": {}, "Host": {"CORS": ["*"]}}', "utf-8")
    assert failed_start(tmp_path, project=other_project).startswith("Cannot start: Host.CORS in local.settings.json ")


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
    line = error_of_the_app(tmp_path, **{name: value})
    assert line.startswith(f"{name} ")
    assert value in line


def test_an_error_of_the_settings_is_the_line_that_is_printed(tmp_path: Path) -> None:
    line = failed_start(tmp_path, PYTHON_THREADPOOL_THREAD_COUNT="0")
    assert line.startswith("Cannot start: PYTHON_THREADPOOL_THREAD_COUNT ")


def test_the_page_without_its_package_is_one_line_that_names_both(tmp_path: Path) -> None:
    (tmp_path / "flask_swagger_ui.py").touch()  # found first, but without Swagger UI
    line = failed_start(tmp_path, API_DOCS="on", PYTHONPATH=str(tmp_path))
    assert re.fullmatch(r"Cannot start: API_DOCS .*\bflask-swagger-ui\b.*", line)
    assert list(tmp_path.glob("*.db")) == []


def test_an_unknown_service_is_one_line_with_the_known_ones(tmp_path: Path) -> None:
    line = failed_start(tmp_path, SERVICES="users,ponts")
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
def test_an_unusable_database_is_one_line_without_its_password(tmp_path: Path, url: str) -> None:
    text = tmp_path / "text.txt"
    text.write_text("This is no database. " * 100, "utf-8")
    line = error_of_the_app(tmp_path, DATABASE_URL=url.format(folder=tmp_path))
    assert line.startswith("DATABASE_URL ")
    assert "secret" not in line
    assert text.read_text("utf-8") == "This is no database. " * 100


def test_a_database_that_is_not_supported_is_one_line_without_its_password(tmp_path: Path) -> None:
    line = failed_start(tmp_path, DATABASE_URL="postgresql://user:secret@host/db")
    assert line.startswith("Cannot start: DATABASE_URL ")
    assert "secret" not in line


def test_on_azure_it_does_not_start_without_a_database_url(other_project: Path, tmp_path: Path) -> None:
    line = failed_start(tmp_path, project=other_project, WEBSITE_SITE_NAME="rollbook", DATABASE_URL="")
    assert line.startswith("Cannot start: DATABASE_URL is not set. On Azure")
    assert list(tmp_path.rglob("*.db")) == []
