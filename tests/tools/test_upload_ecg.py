"""The command `python -m tools.upload_ecg` on the development host."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.accounts import PASSWORD, WRONG, count_sessions
from tests.support.wfdb_files import write_header, write_record
from tests.tools.conftest import CTRL_C, PROJECT, Fault, Front, Run, end, environment, typed
from tools.http_calls import describe
from tools.upload_ecg import PASSWORD_VARIABLE, main

Upload = Callable[..., Run]
Read = Callable[..., Any]

SIGNAL: Final = [1, -2, 0, 3, -4, 0, 0, 5, 6, -7]
COLUMNS: Final = ["record", "ecg_id", "lead", "zero_crossings", "minimum", "maximum", "mean", "rms"]


@pytest.fixture
def record(tmp_path: Path) -> str:
    """The path of a record with one lead."""
    return write_record(tmp_path, "r", SIGNAL)


def test_good_records_are_uploaded_and_bad_ones_reported(tmp_path: Path, front: Front, run: Upload, read: Read) -> None:
    good = write_record(tmp_path, "good", SIGNAL, SIGNAL[::-1], names=["V1", "V1"])
    broken = write_header(tmp_path, "broken", "broken 1 100 9", "broken.dat 16")
    other = write_record(tmp_path, "other", [7, 7], fmt="212", baseline=[7])
    done = run(good, broken, str(tmp_path / "none"), f"{other}.hea", "--centre")
    assert (front.paths()[0], front.paths()[-1]) == ("/api/v1/sign-in", "/api/v1/sign-out")
    latest, first = (ecg["ecg_id"] for ecg in read()["ecgs"])
    assert done.rows() == [
        COLUMNS,
        [good, first, "V1", "5", "-7", "6", "0.2", "3.741657"],
        [good, first, "V1", "2", "5", "-7", "6", "0.2", "3.741657"],
        [f"{other}.hea", latest, "I", "0", "0", "0", "0.0", "0.0"],
    ]
    summary, *reasons = done.err.splitlines()
    assert summary == "2 of 4 records uploaded."
    assert reasons[0].startswith(f"  {broken}: not a readable record (")
    assert reasons[1] == f"  {tmp_path}/none: No such file or directory: {tmp_path}/none.hea"
    assert "\x1b" not in done.out + done.err, "pipes get no colours"
    assert done.code == 1


def test_the_ecg_is_the_record(tmp_path: Path, run: Upload, read: Read) -> None:
    path = write_header(tmp_path, "r", "r 1 100 2 12:00:00.5 01/07/2020", "r.dat 16 200", samples=b"\1\0\0\x80")
    assert run(path, "--zone", "Europe/Berlin").code == 0
    (ecg,) = read()["ecgs"]
    assert read(f"/{ecg['ecg_id']}") == {
        "ecg_id": ecg["ecg_id"],
        "date": "2020-07-01T10:00:00.500000Z",
        "leads": [{"name": "signal 1", "number_of_samples": 2, "signal": [1, -32768]}],
    }


def test_a_second_run_stores_nothing_twice(record: str, run: Upload, read: Read) -> None:
    assert run(record).out == run(record).out
    assert len(read()["ecgs"]) == 1


@pytest.mark.parametrize("takes_effect", [False, True])
def test_an_upload_is_repeated_with_its_key(
    takes_effect: bool, record: str, front: Front, run: Upload, read: Read
) -> None:
    front.faults = [Fault("/ecgs", takes_effect=takes_effect)]
    done = run(record)
    assert (done.code, done.err.splitlines()) == (
        0,
        ["503 Service Unavailable; attempt 2 of 5 in 0 s", "1 of 1 records uploaded."],
    )
    first, second = front.headers("/ecgs", "idempotency-key")
    assert first == second
    assert len(read()["ecgs"]) == 1


def test_a_service_that_stays_unavailable_fails_the_record(record: str, front: Front, run: Upload) -> None:
    front.faults = [Fault("/ecgs")] * 5
    done = run(record)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-2:] == ["0 of 1 records uploaded.", f"  {record}: 503 Service Unavailable"]


def test_an_expired_token_is_replaced(record: str, front: Front, run: Upload) -> None:
    front.faults = [Fault("/ecgs", status=401)]
    assert run(record).code == 0
    first, second = front.headers("/ecgs", "authorization")
    assert first != second


def test_redirects_are_not_followed(record: str, front: Front, run: Upload) -> None:
    front.faults = [Fault("/ecgs", status=307, headers=((b"location", front.url.encode() + b"/elsewhere"),))]
    assert f"  {record}: 307 Temporary Redirect" in run(record).err
    assert "/elsewhere" not in front.paths()


def test_proxies_are_not_used_for_this_machine(record: str, run: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert run(record).code == 0


def test_a_deleted_ecg_is_named(record: str, front: Front, run: Upload) -> None:
    ecg_id = run(record).rows()[1][1]
    front.faults = [Fault(f"/ecgs/{ecg_id}/insights", status=404)]
    assert "it was uploaded before and then deleted" in run(record).err


def test_a_problem_of_the_service_is_printed(tmp_path: Path, run: Upload) -> None:
    path = write_record(tmp_path, "r", *([[1]] * 65), names=[str(number) for number in range(65)])
    expected = f"  {path}: 400 "
    reason = run(path).err.splitlines()[-1]
    assert reason.startswith(expected), reason
    assert "/leads" in reason


@pytest.mark.parametrize("errors", [[{}], [1], [{"pointer": "/a"}], [None, {"pointer": "/leads", "detail": "Few."}]])
def test_a_problem_of_another_server_is_printed(errors: list[Any]) -> None:
    response = httpx.Response(400, json={"type": "about:blank", "detail": "No.", "errors": errors})
    assert describe(response).startswith("400 about:blank: No.")


def test_a_wrong_password_uploads_nothing(record: str, front: Front, run: Upload, monkeypatch: Any) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, WRONG)
    text = "Stopped: 401 sign-in-failed: The username or the password is wrong. Nothing was uploaded.\n"
    assert run(record) == (1, "", text)
    assert front.paths() == ["/api/v1/sign-in"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(429, "429 Too Many Requests"), (200, "the response has no token; check the URL")],
)
def test_a_sign_in_without_a_token_uploads_nothing(
    status: int, reason: str, record: str, front: Front, run: Upload
) -> None:
    front.faults = [Fault("/api/v1/sign-in", status=status)]
    assert run(record) == (1, "", f"Stopped: {reason}. Nothing was uploaded.\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["r"], "the following arguments are required: --url, --username"),
        (["--url", "http://127.0.0.1", "--username", "a"], "the following arguments are required: RECORD"),
        (["r", "--url", "http://example.org", "--username", "a"], "http:// would send the password"),
        (["r", "--url", "http://127.0.0.1.example.org", "--username", "a"], "http:// would send the password"),
        (["r", "--url", "example.org", "--username", "a"], "not a URL like"),
        (["r", "--url", "https://a:b@example.org", "--username", "a"], "not a URL like"),
        (["r", "--url", "https://a:x", "--username", "a"], "not a URL: "),
        (["r", "--url", "https://[::1]", "--username", "a", "--zone", "Europe/Nowhere"], "unknown time zone"),
        (["r", "--url", "https://[::1]", "--username", "a", "--zone", "Europe"], "unknown time zone"),
        (["r", "--url", "https://[::1]", "--username", "a", "--zone", "../x"], "unknown time zone"),
    ],
)
def test_wrong_arguments_are_usage_errors(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tools.upload_ecg", *arguments]


@pytest.mark.slow
def test_the_password_is_read_from_a_terminal_or_the_environment_alone(record: str, front: Front, asha: Any) -> None:
    arguments = command(record, "--url", front.url, "--username", asha.username)
    options: dict[str, Any] = {"cwd": PROJECT, "env": environment(), "start_new_session": True}
    piped = subprocess.run(arguments, input=PASSWORD.encode(), capture_output=True, timeout=60, check=False, **options)
    message = f"No terminal to read the password from: set {PASSWORD_VARIABLE}.\n"
    assert (piped.returncode, piped.stderr.decode()) == (2, message)
    code, shown = typed(arguments, "Password: ", f"{PASSWORD}\n".encode())
    assert code == 0
    assert b"1 of 1 records uploaded." in shown
    assert PASSWORD.encode() not in shown
    assert b"\xe2\x94\x81" in shown, "a progress bar"


@pytest.mark.slow
def test_ctrl_c_at_the_password_names_no_record(record: str, front: Front, asha: Any) -> None:
    code, shown = typed(command(record, "--url", front.url, "--username", asha.username), "Password: ", CTRL_C)
    assert code == 130
    assert shown.decode().splitlines()[-2:] == ["Stopped: interrupted.", "0 of 1 records uploaded."]
    assert front.calls == []


@pytest.mark.slow
def test_ctrl_c_prints_what_was_uploaded_and_signs_out(tmp_path: Path, front: Front, asha: Any) -> None:
    records = [write_record(tmp_path, name, [number, 1]) for number, name in enumerate("abc")]
    front.faults = [Fault("/ecgs", passes=True), Fault("/ecgs", hangs=True)]
    process = subprocess.Popen(
        command(*records, "--url", front.url, "--username", asha.username),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert front.hanging.wait(60)
        out, err = end(process, signal.SIGINT)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert [line.split()[0] for line in out.splitlines()] == ["record", records[0]]
    assert err.splitlines() == [
        "Stopped: interrupted.",
        "1 of 3 records uploaded.",
        f"  {records[1]}: interrupted; the service may have stored it, and a new run does not store it again",
    ]
    assert count_sessions() == 0
