"""`python -m persistence --member NAME=CLIENT-ID` lets an identity of Entra into the database as the app."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

import settings
from persistence import __main__ as program
from persistence.database import connections
from persistence.scripts import SQL, ScriptFailedError, add_member, split_batches
from tests.support.tsql import check_tsql

PROJECT = SQL.parent
CLIENT_ID = "11111111-2222-3333-4444-555555555555"
SECONDS = 60
"""After which a program that should have ended is taken for stuck."""


class Cursor:
    """Notes what is executed, and finds nothing."""

    description = None
    rowcount = -1

    def __init__(self, server: Server) -> None:
        self.server = server

    def execute(self, statement: str, parameters: object = ()) -> None:
        self.server.told.append(statement)
        if self.server.faults and self.server.faults[0][0] in statement:
            raise self.server.faults.pop(0)[1]

    def close(self) -> None:
        pass


class Connected:
    """A connection to a server that takes any statement."""

    timeout = 0

    def __init__(self, server: Server) -> None:
        self.server = server

    def cursor(self, *_: Any) -> Cursor:
        return Cursor(self.server)

    def commit(self) -> None:
        self.server.told.append("commit")

    def rollback(self) -> None:
        self.server.told.append("rollback")

    def close(self) -> None:
        pass

    def create_function(self, *_: Any, **__: Any) -> None:
        pass


class Server:
    """What a SQL Server is told, in order; `faults` are what it raises at the next statement with a text."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.faults: list[tuple[str, Exception]] = []


@pytest.fixture
def server() -> Iterator[Server]:
    """The app's database: a server that notes what it is told."""
    server = Server()

    def engine() -> Engine:
        return create_engine(
            "sqlite://",
            creator=lambda: Connected(server),
            pool_reset_on_return=None,
            _initialize=False,
        )

    connections.connect_engines(engine(), engine(), retry_seconds=5)
    yield server
    connections.close()


def _fault(number: str) -> sqlite3.OperationalError:
    """An error as pyodbc raises it."""
    return sqlite3.OperationalError("42000", f"[42000] [Microsoft][SQL Server]Not so. ({number}) (SQLExecDirectW)")


# ---- what is executed


def test_the_batches_run_in_one_transaction_with_the_name_and_the_bytes_of_the_id(server: Server) -> None:
    add_member("rollbook-app", CLIENT_ID)
    first, drop, second, third, end = server.told
    assert first == "SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;"
    assert re.sub(r"(?m)^(--.*)?\n", "", drop) == (  # made anew, with another client id
        "IF EXISTS (SELECT 1 FROM sys.database_principals WHERE name = N'rollbook-app' "
        "AND sid <> 0x11111111222233334444555555555555)\nDROP USER [rollbook-app];"
    )
    assert second == (
        "IF DATABASE_PRINCIPAL_ID(N'rollbook-app') IS NULL\n"
        "CREATE USER [rollbook-app] WITH SID = 0x11111111222233334444555555555555, TYPE = E;"
    )
    assert third == "ALTER ROLE rollbook_app ADD MEMBER [rollbook-app];"
    assert end == "commit"


@pytest.mark.parametrize(
    ("client_id", "sid"),
    [
        (CLIENT_ID, "0x11111111222233334444555555555555"),
        ("01234567-89ab-cdef-0123-456789abcdef", "0x67452301AB89EFCD0123456789ABCDEF"),
        ("01234567-89AB-CDEF-0123-456789ABCDEF", "0x67452301AB89EFCD0123456789ABCDEF"),
        ("00000000-0000-0000-0000-000000000001", "0x00000000000000000000000000000001"),
    ],
)
def test_the_sid_is_the_client_id_with_the_bytes_of_its_first_three_groups_the_other_way_round(
    server: Server, client_id: str, sid: str
) -> None:
    add_member("app", client_id)
    assert re.findall(r"0x\w+", "".join(server.told)) == [sid, sid]


@pytest.mark.parametrize(
    "name", ["a", "7", "app", "id-rollbook-dev.eastus_2", "A.b-c_9", "x" * 128, "GO", "a--", "name", "sid", "0x1"]
)
def test_the_name_of_an_identity_is_accepted_and_what_is_executed_is_t_sql(server: Server, name: str) -> None:
    add_member(name, CLIENT_ID)
    batches = server.told[:-1]
    assert len(batches) == len(split_batches((SQL / "member.sql.template").read_text("utf-8"))) == 4
    for batch in batches:
        check_tsql(batch)
    assert " ".join(batches).count(f"[{name}]") == 3
    assert f"N'{name}'" in batches[1]
    assert f"N'{name}'" in batches[2]
    assert not re.search(r"[{}]", "".join(batches))


@pytest.mark.parametrize(
    "name",
    [
        "", " ", " app", "app ", "app\n", "\napp", "a b", "-app", ".app", "_app", "x" * 129,
        "a]", "a[", "a]]", "a'", "a''", 'a"', "a;b", "a/*", "a*/b", "a=b", "a,b", "a(b)", "a\\b", "a%s", "a?",
        "a:b", "a@b", "a#b", "a$b", "a{sid}", "{name}", "a\x00b", "a\nGO\nb", "a\r\nGO\r\nDROP TABLE users", "ä", "аpp",
        "１", "app] WITH PASSWORD = 'x'; DROP TABLE users --", "x'; DROP TABLE users; --", "ａpp",
        "a\u2028b", "a\u02bcb",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_and_nothing_is_executed(server: Server, name: str) -> None:
    with pytest.raises(ScriptFailedError, match="is no name of an identity") as caught:
        add_member(name, CLIENT_ID)
    assert "\n" not in str(caught.value)
    assert server.told == []


@pytest.mark.parametrize(
    "client_id",
    [
        "", "1", "me", CLIENT_ID[:-1], f"{CLIENT_ID}5", CLIENT_ID.replace("5", "g"), "rollbook-app",
        f"{CLIENT_ID}; DROP TABLE users", "0x11111111222233334444555555555555", f"{CLIENT_ID}\nGO\nDROP TABLE users",
        f"{CLIENT_ID}={CLIENT_ID}", "00000000-0000-0000-0000-00000000000'",
    ],
)  # fmt: skip
def test_what_is_no_client_id_is_refused_and_nothing_is_executed(server: Server, client_id: str) -> None:
    with pytest.raises(ScriptFailedError, match="is no client id: a UUID") as caught:
        add_member("app", client_id)
    assert "\n" not in str(caught.value)
    assert server.told == []


@pytest.mark.usefixtures("database_file")
def test_a_sqlite_knows_no_members() -> None:
    with pytest.raises(ScriptFailedError, match="SQLite, which knows no members"):
        add_member("app", CLIENT_ID)


@pytest.mark.usefixtures("database_file")
def test_what_is_wrong_with_the_name_is_told_before_what_is_wrong_with_the_database() -> None:
    with pytest.raises(ScriptFailedError, match="is no name"):
        add_member("a]", CLIENT_ID)
    with pytest.raises(ScriptFailedError, match="is no client id"):
        add_member("app", "1")


@pytest.mark.parametrize("place", ["CREATE USER", "ALTER ROLE"])
def test_what_the_server_does_not_take_is_told_and_nothing_is_kept(server: Server, place: str) -> None:
    server.faults = [(place, _fault("15247"))]
    with pytest.raises(ScriptFailedError, match=r"^member\.sql failed: .*Not so.*\(15247\)"):
        add_member("app", CLIENT_ID)
    assert server.told[-1] == "rollback"
    assert "commit" not in server.told


@pytest.mark.parametrize("number", ["40613", "1205"])
def test_a_server_that_is_waking_up_is_waited_for_and_told_everything_again(server: Server, number: str) -> None:
    server.faults = [("ALTER ROLE", _fault(number)), ("CREATE USER", _fault(number))]
    add_member("app", CLIENT_ID)
    assert server.told.count("commit") == 1
    assert server.told[-1] == "commit"
    last = server.told[-5:-1]
    assert ["SET QUOTED" in last[0], "DROP" in last[1], "CREATE" in last[2], "ALTER" in last[3]] == [True] * 4


# ---- the program


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A function that runs `python -m persistence` with arguments, on a SQLite of this test."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        own = {"DATABASE_URL": f"sqlite:///{tmp_path}/program.db", "SERVICES": "users", "WEBSITE_SITE_NAME": ""}
        return subprocess.run(
            [sys.executable, "-m", "persistence", *arguments],
            cwd=PROJECT,
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (f"app={CLIENT_ID}", "DATABASE_URL names a SQLite, which knows no members"),
        ("app", "'' is no client id: a UUID"),
        ("app=", "'' is no client id: a UUID"),
        (f"={CLIENT_ID}", "'' is no name of an identity: "),
        ("", "'' is no name of an identity: "),
        (f"a]={CLIENT_ID}", "'a]' is no name of an identity: "),
        (f"app={CLIENT_ID}=", f"'{CLIENT_ID}=' is no client id"),
    ],
)
def test_the_program_stops_with_one_line_after_the_scripts(run: Run, member: str, reason: str) -> None:
    done = run("--member", member)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Stopped: {reason}")
    told = done.stdout.splitlines()
    assert told
    assert all(each.endswith(".sql: done") for each in told)
    assert not [each for each in told if "member" in each]


def test_the_program_asks_for_the_members_name_and_id(run: Run) -> None:
    done = run("--member")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--member: expected one argument" in done.stderr
    assert "--member NAME=CLIENT-ID" in run("--help").stdout


def test_without_a_member_the_program_makes_none(run: Run) -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "member" not in done.stdout


@pytest.fixture
def on_a_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The program's database is the server of this test."""

    def connect_as(configured: settings.Settings) -> None:
        assert configured.db_retry_seconds == 180

    monkeypatch.setattr(connections, "connect_from_settings", connect_as)  # the engines are there already
    monkeypatch.setattr(sys, "argv", ["persistence", "--member", f"rollbook-app={CLIENT_ID}"])
    return server


def test_the_member_is_made_after_the_scripts_and_told_of(
    on_a_server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Of the scripts and of what is in them, the tests of the scripts tell.
    monkeypatch.setattr(program, "apply_scripts", lambda *_: print("the scripts"))  # noqa: T201
    program.main()
    assert capsys.readouterr() == ("the scripts\nrollbook-app: member of rollbook_app\n", "")
    assert len(on_a_server.told) == 5
    assert connections.engines() == ()


def test_a_member_that_the_server_does_not_take_is_not_told_of(
    on_a_server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "apply_scripts", lambda *_: None)
    on_a_server.faults = [("CREATE USER", _fault("15247"))]
    with pytest.raises(SystemExit, match=r"^Stopped: member\.sql failed: .*\(15247\)"):
        program.main()
    assert capsys.readouterr().out == ""
    assert connections.engines() == ()
