"""`python -m admin`: the commands on accounts, what they leave in the database, and how a password is given."""

from __future__ import annotations

import io
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import settings
from admin.__main__ import build_parser
from admin.commands import CommandFailedError
from api.accounts.passwords import verify_password
from domain.accounts import (
    MAX_FAILURES,
    SAMPLE_PASSWORD,
    SAMPLE_ROLES,
    AccountNotFoundError,
    LastAdminError,
    PasswordInvalidError,
    UsernameInvalidError,
    UsernameTakenError,
)
from persistence import accounts as store
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from tests.conftest import PROJECT
from tests.support.programs import killing_if_stuck
from tests.support.projects import SECONDS, ProjectCopy

NOW, LATER = "2026-01-01T00:00:00.000000Z", "2026-01-01T01:00:00.000000Z"
JTI = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"
BRANCHES = ("shared", "accounts")
# `accounts` has no word of its own in SERVICES: a service that requires it enables it.
PROGRAM = "import api; api.SERVICES = (*api.SERVICES, 'accounts'); from admin.__main__ import main; main()"

Run = Callable[..., list[str]]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded database with the sample accounts, for copies."""
    path = tmp_path_factory.mktemp("accounts") / "accounts.db"
    connections.connect(f"sqlite:///{path}", threads=1)
    upgrade_embedded(BRANCHES, samples=True)
    connections.close()
    return path


@pytest.fixture
def database(tmp_path: Path, migrated: Path) -> Iterator[str]:
    """The URL of the database of this test, which is connected."""
    url = f"sqlite:///{shutil.copy(migrated, tmp_path)}"
    connections.connect(url, threads=1)
    yield url
    connections.close()


@pytest.fixture
def run(database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs a command, with bytes as its standard input, and returns the lines that it prints."""

    def run(*arguments: str, given: bytes = b"", **changes: Any) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "ascii"))
        parsed = build_parser(["accounts"]).parse_args(arguments)
        parsed.branches, parsed.settings = BRANCHES, replace(settings.load({}, tmp_path), **changes)
        parsed.run(parsed)
        return capsys.readouterr().out.splitlines()

    return run


def _find(username: str) -> store.Account:
    with connections.reading() as connection:
        account = store.find_account(connection, username)
    assert account is not None
    return account


def _sign_in(username: str, jti: str = JTI) -> store.Key:
    """The key that signs the token of a new session of this account."""
    account = _find(username)
    with connections.transaction() as connection:
        key = store.insert_session(
            connection, account.id, password_hash=account.password_hash, jti=jti, expires_at=LATER, now=NOW
        )
    assert key is not None
    return key


def _session(username: str, key: store.Key) -> store.Session | None:
    with connections.reading() as connection:
        return store.find_session(connection, kid=key.kid, jti=JTI, account_id=_find(username).id)


def _rows() -> list[Any]:
    with connections.reading() as connection:
        return [*connection.exec_driver_sql("SELECT * FROM accounts ORDER BY id")]


def _run_program(*arguments: str, given: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=PROJECT,
        env={**os.environ, "SERVICES": "accounts", "WEBSITE_SITE_NAME": "", **settings},
        input=given,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


# ---- passwords


@pytest.mark.parametrize(
    ("given", "password"),
    [
        (b"correct horse\n", "correct horse"),
        (b"correct horse\r\n", "correct horse"),
        (b"correct horse", "correct horse"),
        (b"correct horse\nbattery staple\n", "correct horse"),
        (b"  correct horse \t\n", "  correct horse \t"),
        (b"correct\rhorse\n", "correct\rhorse"),
        (b"correct horse\r\r\n", "correct horse\r"),
        ("pässwört 🐎\n".encode(), "pässwört 🐎"),
    ],
)
def test_an_admin_has_the_first_line_of_standard_input_as_password(run: Run, given: bytes, password: str) -> None:
    assert run("create-admin", "Asha.Rao", given=given) == ["asha.rao: added as an administrator"]
    account = _find("asha.rao")
    assert (account.role, account.is_active, account.is_sample) == ("ADMIN", True, False)
    assert verify_password(account.password_hash, password)


@pytest.mark.parametrize(
    ("name", "given", "error"),
    [
        ("asha.rao", b"", PasswordInvalidError),
        ("asha.rao", b"\ncorrect horse\n", PasswordInvalidError),
        ("asha.rao", b"7 chars\n", PasswordInvalidError),
        ("asha.rao", b"x" * 129, PasswordInvalidError),
        ("asha.rao", b"caf\xe9 au lait\n", CommandFailedError),
        ("asha.rao", b"\xed\xa0\x80 a lone surrogate\n", CommandFailedError),
        ("a", b"correct horse\n", UsernameInvalidError),
        ("asha rao", b"correct horse\n", UsernameInvalidError),
        ("asha.rao\n", b"correct horse\n", UsernameInvalidError),
        ("\u212aelvin", b"correct horse\n", UsernameInvalidError),
        ("admin", b"correct horse\n", UsernameTakenError),
        ("TestUser", b"correct horse\n", UsernameTakenError),
    ],
)
def test_an_invalid_admin_changes_nothing(run: Run, name: str, given: bytes, error: type[Exception]) -> None:
    before = _rows()
    with pytest.raises(error) as caught:
        run("create-admin", name, given=given)
    assert given.decode("utf-8", "replace").strip() not in str(caught.value) or not given
    assert _rows() == before


@pytest.mark.parametrize("command", ["create-admin", "deactivate", "activate", "clear-failures"])
def test_no_command_takes_a_password_as_an_argument(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([command], [command, "asha", "correct horse"], [command, "asha", "--password=correct horse"]):
        with pytest.raises(SystemExit) as caught:
            build_parser(["accounts"]).parse_args(arguments)
        assert caught.value.code == 2
    capsys.readouterr()


def _type_at_terminal(database: str, *typed: str) -> tuple[int, str]:
    """The exit code of `create-admin` at a terminal, and what it shows, when these lines are typed at its prompts."""
    terminal, end = pty.openpty()
    with (
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "create-admin", "asha"],
            cwd=PROJECT,
            env={**os.environ, "DATABASE_URL": database, "SERVICES": "accounts"},
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
            text=True,
        ) as process,
        killing_if_stuck(process),
    ):
        os.close(end)
        shown = b""
        for line in typed:
            while not shown.endswith(b": "):
                shown += os.read(terminal, 1000)
            shown += b"|"
            os.write(terminal, f"{line}\n".encode())
        shown += _read_rest(terminal)
    os.close(terminal)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def _read_rest(terminal: int) -> bytes:
    read = b""
    try:
        while part := os.read(terminal, 1000):
            read += part
    except OSError:  # Linux: the program has ended
        pass
    return read


@pytest.mark.parametrize(
    ("typed", "code", "end"),
    [
        (["correct horse", "correct horse"], 0, "Password: |\nPassword again: |\nasha: added as an administrator\n"),
        (["correct horse", "correct horst"], 1, "Password: |\nPassword again: |\nStopped: the two passwords differ\n"),
        (["7 chars"], 1, f"Password: |\nStopped: {PasswordInvalidError.detail}\n"),
        (["\x04"], 1, "Password: |Stopped: no password was typed\n"),
    ],
)
def test_a_password_is_typed_twice_without_an_echo(database: str, typed: list[str], code: int, end: str) -> None:
    assert _type_at_terminal(database, *typed) == (code, end)
    assert len(_rows()) == len(SAMPLE_ROLES) + (code == 0)
    assert code or verify_password(_find("asha").password_hash, typed[0])


# ---- activation


def test_deactivation_ends_the_sessions_of_an_account(run: Run) -> None:
    key = _sign_in("testuser")
    other = _sign_in("user", jti=JTI.replace("7", "8"))
    assert run("deactivate", "TestUser") == ["testuser: inactive; its tokens are rejected"]
    assert run("deactivate", "testuser") == ["testuser: inactive; its tokens are rejected"]
    assert not _find("testuser").is_active
    assert _session("testuser", key) is None
    with connections.reading() as connection:
        assert store.find_session(connection, kid=other.kid, jti=JTI.replace("7", "8"), account_id=_find("user").id)
    assert run("activate", "testuser") == run("activate", "testuser") == ["testuser: active"]
    assert _find("testuser").is_active
    assert _session("testuser", key) is None, "a token that was rejected must not become valid again"


def test_the_last_active_admin_is_not_deactivated(run: Run) -> None:
    with pytest.raises(LastAdminError):
        run("deactivate", "admin")
    assert _find("admin").is_active
    run("create-admin", "asha", given=b"correct horse\n")
    run("deactivate", "admin")
    with pytest.raises(LastAdminError):
        run("deactivate", "asha")


@pytest.mark.parametrize("command", ["deactivate", "activate"])
def test_only_accounts_that_exist_are_changed(run: Run, command: str) -> None:
    before = _rows()
    with pytest.raises(AccountNotFoundError):
        run(command, "nobody")
    with pytest.raises(UsernameInvalidError):
        run(command, "no body")
    assert _rows() == before


# ---- failures and keys


@pytest.mark.parametrize("username", ["testuser", "nobody"])
def test_cleared_failures_unlock_a_username(run: Run, username: str) -> None:
    def attempt(name: str) -> int | None:
        with connections.transaction() as connection:
            return store.count_failure(connection, name, now=NOW)

    assert [attempt(name) for name in (username, "user") for _ in range(MAX_FAILURES)] == [None] * 2 * MAX_FAILURES
    assert run("clear-failures", username.upper()) == [f"{username}: failed sign-ins cleared"]
    assert attempt(username) is None
    assert attempt("user"), "the failures of others stay"


def test_a_rotated_key_signs_and_the_one_before_it_is_still_known(run: Run) -> None:
    before = _sign_in("testuser")
    assert run("rotate-keys") == ["A new key signs tokens; the one before it is accepted for one hour."]
    after = _sign_in("testuser", jti=JTI.replace("7", "8"))
    assert (after.kid, after.secret) != (before.kid, before.secret)
    session = _session("testuser", before)
    assert session is not None
    assert session.secret == before.secret
    assert session.replaced_at is not None


def test_keys_can_be_rotated_before_the_first_sign_in(run: Run) -> None:
    run("rotate-keys")
    assert _session("testuser", _sign_in("testuser"))


# ---- samples


@pytest.fixture
def no_samples(database: str) -> None:
    """Removes the sample accounts."""
    with connections.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM accounts")


def test_missing_sample_accounts_are_added(run: Run, no_samples: None) -> None:
    run("create-admin", "user2", given=b"correct horse\n")
    assert run("add-samples") == [
        *(f"{name}: added with the role USER" for name in ("testuser", "testuser2", "user")),
        "user2: is there already",
        "admin: added with the role ADMIN",
    ]
    assert run("add-samples") == [f"{name}: is there already" for name in SAMPLE_ROLES]
    accounts = {name: _find(name) for name in SAMPLE_ROLES}
    mine = accounts.pop("user2")
    assert (mine.role, mine.is_sample) == ("ADMIN", False)
    for name, account in accounts.items():
        assert (account.role, account.is_active, account.is_sample) == (SAMPLE_ROLES[name], True, True)
        assert verify_password(account.password_hash, SAMPLE_PASSWORD)


@pytest.mark.parametrize("changes", [{"on_azure": True}, {"host": "0.0.0.0"}, {"host": "rollbook.example"}])  # noqa: S104
def test_sample_accounts_are_added_on_loopback_alone(run: Run, no_samples: None, changes: dict[str, Any]) -> None:
    with pytest.raises(CommandFailedError, match="not made on Azure, or where HOST is not loopback"):
        run("add-samples", **changes)
    assert _rows() == []


def test_the_samples_of_all_enabled_services_are_added_in_one_transaction(tmp_path: Path) -> None:
    project = ProjectCopy(tmp_path)
    services = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "SERVICES": "accounts,points"}
    part = tmp_path / "admin" / "points.py"
    for body, printed in (
        ("connection.exec_driver_sql('DELETE FROM accounts WHERE id = 1'); yield now[:2]; 1 / 0", []),
        (
            "yield str(connection.exec_driver_sql('SELECT count(*) FROM accounts').scalar())",
            [*(f"{name}: is there already" for name in SAMPLE_ROLES), "5"],
        ),
    ):
        part.write_text(
            f"def add_commands(commands):\n    pass\ndef add_samples(connection, *, now):\n    {body}\n", "utf-8"
        )
        done = project.run("-c", PROGRAM, "add-samples", **services)
        assert done.stdout.splitlines() == printed, done.stderr


@pytest.mark.parametrize(("host", "count"), [("localhost", len(SAMPLE_ROLES)), ("0.0.0.0", 0)])  # noqa: S104
@pytest.mark.parametrize("command", ["migrate", "rotate-keys"])
def test_a_command_that_migrates_makes_samples_on_loopback_alone(
    tmp_path: Path, command: str, host: str, count: int
) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    assert _run_program(command, DATABASE_URL=url, HOST=host).returncode == 0
    connections.connect(url, threads=1)
    assert len(_rows()) == count
    connections.close()


# ---- the commands


def test_the_commands_come_with_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("create-admin", "deactivate", "activate", "clear-failures", "rotate-keys", "add-samples")
    for name in names:
        with pytest.raises(SystemExit) as caught:
            build_parser(["accounts"]).parse_args([name, "--help"])
        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: python -m admin {name} ")


@pytest.mark.parametrize(
    ("arguments", "given", "code", "printed", "error"),
    [
        (["create-admin", "asha"], "correct horse\n", 0, "asha: added as an administrator\n", ""),
        (["create-admin", "asha"], "short\n", 1, "", f"Stopped: {PasswordInvalidError.detail}\n"),
        (["create-admin", "admin"], "correct horse\n", 1, "", f"Stopped: {UsernameTakenError.detail}\n"),
        (["deactivate", "nobody"], "", 1, "", f"Stopped: {AccountNotFoundError.detail}\n"),
        (["deactivate", "admin"], "", 1, "", f"Stopped: {LastAdminError.detail}\n"),
    ],
)
def test_a_command_ends_with_its_code_and_one_line(
    database: str, arguments: list[str], given: str, code: int, printed: str, error: str
) -> None:
    done = _run_program(*arguments, given=given, DATABASE_URL=database)
    assert (done.returncode, done.stdout, done.stderr) == (code, printed, error)
