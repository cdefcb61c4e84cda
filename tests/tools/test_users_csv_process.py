"""`python -m tools.users_csv` as a process: interrupted, killed, and at a terminal."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.tools.conftest import PROJECT, Fault, Front, end, environment, typed
from tools.users_csv import KEY_VARIABLE

pytestmark = pytest.mark.slow

CREATE: Final = "/create_users"
ROWS: Final = 3_500


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A file of 3,500 users; the number of every 500th is not valid."""
    path = tmp_path / "users.csv"
    lines = (
        f"User,{number if number % 500 else 1},ABCPE1234F" for number in range(9_000_000_000, 9_000_000_000 + ROWS)
    )
    path.write_text("\n".join(["full_name,mob_num,pan_num", *lines, ""]))
    return path


def command(front: Front, path: Path) -> list[str]:
    return [sys.executable, "-m", "tools.users_csv", "import", str(path), "--url", front.url]


def start(front: Front, path: Path) -> subprocess.Popen[str]:
    options: dict[str, Any] = {"cwd": PROJECT, "env": {**environment(), KEY_VARIABLE: ""}, "text": True}
    return subprocess.Popen(command(front, path), stderr=subprocess.PIPE, **options)


def count_users(front: Front) -> int:
    return len(httpx.post(f"{front.url}/get_users", json={}, trust_env=False, timeout=60).json()["users"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("takes_effect", [False, True])
def test_an_import_that_was_ended_is_run_again(
    number: signal.Signals, takes_effect: bool, users: Path, front: Front
) -> None:
    front.faults = [Fault(CREATE, passes=True)] * 5 + [Fault(CREATE, hangs=True, takes_effect=takes_effect)]
    process = start(front, users)
    try:
        assert front.hanging.wait(60)
        _, err = end(process, number)
    finally:
        process.kill()
    errors = users.with_name("users.csv.errors.csv")
    assert [line.split(",")[0] for line in errors.read_text().splitlines()] == ["line", "2", "502", "1002", "1502"]
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert err.splitlines() == [
            "Stopped: interrupted.",
            f"Created: 1,996. Unchanged: 0. Rows with errors: 4, see {errors}.",
            "The next rows may have been created too: run the same command again.",
        ]
    again = start(front, users)
    _, err = again.communicate(timeout=120)
    there = 1996 + takes_effect * 998
    assert err == f"Created: {ROWS - 7 - there:,}. Unchanged: {there:,}. Rows with errors: 7, see {errors}.\n"
    assert (again.returncode, count_users(front)) == (1, ROWS - 7)


def test_the_key_is_read_from_a_terminal_or_the_environment_alone(users: Path, front: Front) -> None:
    options: dict[str, Any] = {"cwd": PROJECT, "env": environment(), "start_new_session": True}
    piped = subprocess.run(
        command(front, users), input=b"secret\n", capture_output=True, timeout=60, check=False, **options
    )
    message = f"No terminal to read the function key from: set {KEY_VARIABLE}.\n"
    assert (piped.returncode, piped.stderr.decode(), front.calls) == (2, message, [])
    code, shown = typed(command(front, users), "Function key: ", b"secret\n")
    assert code == 1
    assert b"secret" not in shown
    assert set(front.headers(CREATE, "x-functions-key")) == {"secret"}
    assert "Created: 3,493." in shown.decode()
    assert b"\xe2\x94\x81" in shown, "a progress bar"
    assert b" rows, " in shown


def test_ctrl_c_at_the_key_sends_nothing(users: Path, front: Front) -> None:
    code, shown = typed(command(front, users), "Function key: ", b"\x03")
    assert (code, shown.decode().splitlines()[-1], front.calls) == (130, "Stopped: interrupted.", [])
    assert not users.with_name("users.csv.errors.csv").exists()
