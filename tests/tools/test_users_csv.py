"""The command `python -m tools.users_csv` on the development host."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.users import NORTH, SOUTH
from tests.tools.conftest import Fault, Front, Run
from tools import users_csv_progress
from tools.users_csv import KEY_VARIABLE, main

Command = Callable[..., Run]
Post = Callable[..., Any]

HEADER: Final = "full_name,mob_num,pan_num,manager_id"
RETIRED: Final = "11111111-1111-4111-8111-111111111115"
CREATE, GET = "/create_users", "/get_users"


@pytest.fixture
def run(front: Front, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs the command on the host."""
    monkeypatch.setenv(KEY_VARIABLE, "a-function-key")

    def command(name: str, path: Path, *arguments: str) -> Run:
        capsys.readouterr()
        code = main([name, str(path), *arguments, "--url", front.url])
        return Run(code, *capsys.readouterr())

    return command


@pytest.fixture
def post(front: Front) -> Post:
    """A function that returns the JSON of a successful call, which is not counted."""

    def call(path: str, **content: object) -> Any:
        response = httpx.post(f"{front.url}{path}", json=content, trust_env=False)
        assert response.status_code < 300, response.text
        front.calls.pop()
        return response.json()

    return call


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A file of three users; a test may add lines."""
    return write(tmp_path, *(line(number) for number in range(3)))


def line(number: int, name: str = "User", pan_num: str = "ABCPE1234F", manager_id: str = "") -> str:
    return f"{name},{9_000_000_000 + number},{pan_num},{manager_id}"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "users.csv"
    path.write_text("\n".join([HEADER, *lines, ""]))
    return path


def errors_of(path: Path) -> list[list[str]]:
    """The rows of the error file below its header, without the details."""
    with path.with_name(f"{path.name}.errors.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["line", "field", "code", "detail"]
    assert all(row.pop() for row in rows)
    return rows


def summary(created: int, unchanged: int, failed: int = 0, path: Path | None = None) -> str:
    see = f", see {path}.errors.csv" if path else ""
    return f"Created: {created:,}. Unchanged: {unchanged:,}. Rows with errors: {failed:,}{see}.\n"


def is_listed(path: Path, suffix: str) -> bool:
    return any(entry.name.endswith(suffix) for entry in path.parent.iterdir())


def test_an_exported_file_imports_again_unchanged(run: Command, post: Post, tmp_path: Path) -> None:
    lines = ["=1+1,+91 98765-43210,abcpe1234f,", f'" Rao; ""Asha"", M",09876543211,ABCPE1234F,{NORTH}']
    imported = write(tmp_path, *lines, line(1))
    assert run("import", imported) == (0, "", summary(3, 0))
    post("/update_user", user_ids=[user_id(post, 9_876_543_211)], update_data={"manager_id": SOUTH})
    exported = tmp_path / "exported.csv"
    done = run("export", exported)
    warning = "Names that a spreadsheet would evaluate, since they begin with =, +, - or @: 1."
    assert done.err == f"Users written to {exported}: 3.\n{warning} Import the columns there as text.\n"
    assert sorted(exported.read_text().splitlines()) == sorted(
        [HEADER, "=1+1,9876543210,ABCPE1234F,", f'"Rao; ""Asha"", M",9876543211,ABCPE1234F,{SOUTH}', line(1)]
    )
    assert exported.stat().st_mode & 0o077 == 0, "personal data are the owner's alone"
    assert run("import", exported) == (0, "", summary(0, 3))
    assert not is_listed(exported, ".errors.csv")


def user_id(post: Post, number: int) -> str:
    (user,) = post(GET, mob_num=str(number), is_active=True)["users"]
    return str(user["user_id"])


def test_an_export_reads_pages_and_is_masked_or_of_a_time(run: Command, front: Front, tmp_path: Path) -> None:
    run("import", write(tmp_path, *(line(number) for number in range(1001))))
    exported = tmp_path / "exported.csv"
    assert run("export", exported).code == 0
    assert exported.read_text().splitlines() == [HEADER, *(line(number) for number in range(1001))]
    assert front.paths()[-2:] == [GET, GET]
    assert run("export", exported, "--masked").code == 0
    assert exported.read_text().splitlines()[:2] == [HEADER, "User,90XXXXXX00,XXXXX1234X,"]
    stopped = run("export", exported, "--as-of", "2000-01-01T00:00:00Z")
    assert (stopped.code, stopped.err.split(":")[:2]) == (2, ["Stopped", " 400 before-history"])


def test_an_export_replaces_its_file_when_it_is_complete(run: Command, front: Front, tmp_path: Path) -> None:
    run("import", write(tmp_path, *(line(number) for number in range(1001))))
    exported = tmp_path / "exported.csv"
    exported.write_text("as it was")
    front.faults = [Fault(GET, passes=True), Fault(GET, status=500)]
    assert run("export", exported) == (2, "", "Stopped: 500 Internal Server Error.\n")
    assert exported.read_text() == "as it was"
    assert not is_listed(exported, ".part")


def test_rows_with_errors_do_not_stop_the_others(run: Command, post: Post, front: Front, tmp_path: Path) -> None:
    post("/create_user", full_name="Other", mob_num="9000000000", pan_num="ABCPE1234F")
    bad = [
        line(0),
        line(1, name=" ", pan_num="x"),
        '"two',
        f'lines",{line(2)[5:]}',
        "short",
        line(3, manager_id="12"),
        line(4, manager_id=RETIRED),
    ]
    good = [line(number) for number in range(5, 1200)]
    path = write(tmp_path, *bad, *good, line(5), line(0))
    assert run("import", path) == (1, "", summary(1195, 0, 8, path))
    assert errors_of(path) == [
        ["2", "mob_num", "mob-num-taken"],
        ["3", "full_name", "full-name-invalid"],
        ["3", "pan_num", "pan-num-invalid"],
        ["4", "full_name", "full-name-invalid"],
        ["6", "", "column-count"],
        ["7", "manager_id", "uuid-invalid"],
        ["8", "manager_id", "manager-inactive"],
        ["1204", "mob_num", "mob-num-repeated"],
        ["1205", "mob_num", "mob-num-repeated"],
    ]
    assert "line breaks included. (lines 4 to 5)" in path.with_name("users.csv.errors.csv").read_text()
    assert len(post(GET)["users"]) == 1196
    keys = [headers["idempotency-key"] for _, called, headers in front.calls if called == CREATE]
    assert len(keys) == len(set(keys)) == 5, "a batch with errors is sent again without them"
    assert front.headers(CREATE, "x-functions-key") == ["a-function-key"] * 5


def test_a_second_run_changes_nothing(users: Path, run: Command, post: Post, front: Front) -> None:
    run("import", users)
    assert run("import", users) == (0, "", summary(0, 3))
    first, second = front.headers(CREATE, "idempotency-key")
    assert first == second
    users.write_text(users.read_text() + line(3) + "\n")  # another body, another key
    assert run("import", users) == (0, "", summary(1, 3))
    assert len(post(GET)["users"]) == 4


def test_a_user_with_other_data_is_an_error(users: Path, run: Command, post: Post) -> None:
    run("import", users)
    post("/update_user", user_ids=[user_id(post, 9_000_000_001)], update_data={"full_name": "Renamed"})
    post("/update_user", user_ids=[user_id(post, 9_000_000_002)], update_data={"mob_num": "8000000000"})
    assert run("import", users) == (1, "", summary(0, 1, 2, users))
    assert errors_of(users) == [["3", "mob_num", "mob-num-taken"], ["4", "mob_num", "mob-num-changed"]]
    assert len(post(GET)["users"]) == 3


def test_a_superseded_version_is_not_a_user(tmp_path: Path, run: Command, post: Post) -> None:
    path = write(tmp_path, line(0, manager_id=NORTH), line(1, name="Other"))
    run("import", path)
    first, second = user_id(post, 9_000_000_000), user_id(post, 9_000_000_001)
    post("/update_user", user_ids=[second], update_data={"mob_num": "8000000000"})
    post("/update_user", user_ids=[first], update_data={"mob_num": "9000000001", "manager_id": SOUTH})
    assert run("import", path) == (1, "", summary(0, 0, 2, path))
    assert errors_of(path) == [["2", "mob_num", "mob-num-changed"], ["3", "mob_num", "mob-num-taken"]]


def test_a_deleted_user_is_not_created_again(users: Path, run: Command, post: Post) -> None:
    run("import", users)
    post("/delete_user", user_id=user_id(post, 9_000_000_001))
    assert run("import", users) == (1, "", summary(0, 2, 1, users))
    assert errors_of(users) == [["3", "", "response-erased"]]
    assert len(post(GET)["users"]) == 2


def test_nor_is_one_from_a_file_with_errors(tmp_path: Path, run: Command, post: Post) -> None:
    post("/create_user", full_name="Other", mob_num="9000000000", pan_num="ABCPE1234F")
    path = write(tmp_path, *(line(number) for number in range(3)), line(3, name=""))
    assert run("import", path) == (1, "", summary(2, 0, 2, path))
    post("/delete_user", user_id=user_id(post, 9_000_000_001))
    assert run("import", path) == (1, "", summary(0, 1, 3, path))
    assert errors_of(path) == [
        ["2", "mob_num", "mob-num-taken"],
        ["3", "", "response-erased"],
        ["5", "full_name", "full-name-invalid"],
    ]


def test_users_who_are_there_are_unchanged_under_any_error(tmp_path: Path, run: Command, database_file: Path) -> None:
    lines = [line(number, manager_id=SOUTH) for number in range(2)]
    run("import", write(tmp_path, *lines))
    with sqlite3.connect(database_file) as connection:
        connection.execute("UPDATE managers SET is_active = 0 WHERE manager_id = ?", [SOUTH])
    connection.close()
    path = write(tmp_path, *lines, line(2, manager_id=SOUTH))
    assert run("import", path) == (1, "", summary(0, 2, 1, path))
    assert errors_of(path) == [["4", "manager_id", "manager-inactive"]]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("takes_effect", [False, True])
def test_a_batch_is_repeated_with_its_key(
    status: int, takes_effect: bool, users: Path, front: Front, run: Command, post: Post
) -> None:
    front.faults = [Fault(CREATE, status=status, takes_effect=takes_effect)]
    done = run("import", users)
    assert done.code == 0
    assert "; attempt 2 of 5 in 0 s\n" in done.err
    assert done.err.endswith(summary(3, 0))
    first, second = front.headers(CREATE, "idempotency-key")
    assert first == second
    assert len(post(GET)["users"]) == 3


def test_an_import_whose_responses_were_lost_is_run_again(tmp_path: Path, front: Front, run: Command) -> None:
    path = write(tmp_path, *(line(number) for number in range(2500)))
    lost = [Fault(CREATE, takes_effect=True), *[Fault(CREATE)] * 4]
    front.faults = [Fault(CREATE, passes=True), *lost]
    done = run("import", path)
    assert done.code == 1
    assert done.err.splitlines()[-3:] == [
        "Stopped: 503 Service Unavailable.",
        summary(1000, 0).strip(),
        "The next rows may have been created too: run the same command again.",
    ]
    assert run("import", path) == (0, "", summary(500, 2000))


def test_a_dry_run_creates_nothing(users: Path, run: Command, post: Post) -> None:
    users.write_text(users.read_text() + line(3, name="") + "\n")
    assert run("import", users, "--dry-run") == (1, "", f"Would be c{summary(3, 0, 1, users)[1:]}")
    assert errors_of(users) == [["5", "full_name", "full-name-invalid"]]
    assert post(GET)["users"] == []


def test_all_or_nothing_checks_the_whole_file_first(tmp_path: Path, run: Command, post: Post, front: Front) -> None:
    good = [line(number) for number in range(1500)]
    path = write(tmp_path, *good, line(0))
    nothing = f"Rows with errors: 1, see {path}.errors.csv. Nothing was imported.\n"
    assert run("import", path, "--all-or-nothing") == (1, "", nothing)
    assert errors_of(path) == [["1502", "mob_num", "mob-num-repeated"]]
    assert post(GET)["users"] == []
    front.reset()
    assert run("import", write(tmp_path, *good), "--all-or-nothing") == (0, "", summary(1500, 0))
    assert front.paths() == [CREATE] * 4
    assert not is_listed(path, ".errors.csv")


def test_the_log_has_who_imported_and_why(users: Path, run: Command, database_file: Path) -> None:
    assert run("import", users, "--changed-by", "Ravi", "--reason", "Migration").code == 0
    with sqlite3.connect(database_file) as connection:
        query = "SELECT changed_by, reason FROM user_changes JOIN user_change_values USING (change_id)"
        assert connection.execute(query).fetchall() == [("Ravi", "Migration")] * 3
    connection.close()


def test_without_a_terminal_lines_show_the_progress(
    tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_csv_progress, "LINE_SECONDS", 0)
    done = run("import", write(tmp_path, *(line(number) for number in range(1500))))
    first, second, _ = done.err.splitlines()
    assert first.startswith("Importing users.csv: 1,000 rows, ")
    assert first.endswith(" left")
    assert second.startswith("Importing users.csv: 1,500 rows, ")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "Stopped: 401 Unauthorized; check the function key.\n"),
        (403, "Stopped: 403 Forbidden; check the function key.\n"),
        (404, "Stopped: 404 Not Found; check the URL.\n"),
        (201, "Stopped: the response has no users; check the URL.\n"),
        (400, "Stopped: 400 Bad Request.\n"),
        (307, "Stopped: 307 Temporary Redirect.\n"),
    ],
)
def test_a_service_that_creates_no_users_ends_the_import(
    status: int, expected: str, users: Path, front: Front, run: Command
) -> None:
    front.faults = [Fault(CREATE, status=status)]
    assert run("import", users) == (2, "", expected)
    assert front.paths() == [CREATE]


def test_a_key_with_other_characters_is_not_sent(
    users: Path, front: Front, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("kéy", "key\n"):
        monkeypatch.setenv(KEY_VARIABLE, key)
        assert run("import", users) == (2, "", "Stopped: the function key has characters that no key has.\n")
    assert front.calls == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_ends_the_import(users: Path, run: Command) -> None:
    users.with_name("users.csv.errors.csv").symlink_to("/dev/full")
    done = run("import", users)
    assert (done.code, done.err) == (2, "Stopped: [Errno 28] No space left on device.\n")


def test_an_option_that_the_service_rejects_ends_the_import(users: Path, run: Command, post: Post) -> None:
    done = run("import", users, "--reason", "x" * 501)
    assert (done.code, "/reason: " in done.err) == (2, True)
    assert post(GET)["users"] == []


def test_files_that_cannot_be_read_or_written_end_the_command(tmp_path: Path, run: Command, front: Front) -> None:
    def stopped(name: str, path: Path) -> str:
        done = run(name, path)
        assert done.code == 2
        return done.err

    assert stopped("import", tmp_path) == f"Stopped: {tmp_path}: not a regular file.\n"
    assert stopped("export", tmp_path) == f"Stopped: {tmp_path}: not a regular file.\n"
    assert stopped("import", tmp_path / "none") == f"Stopped: {tmp_path}/none: No such file or directory.\n"
    assert stopped("export", tmp_path / "none" / "a") == f"Stopped: {tmp_path}/none/a: No such file or directory.\n"
    path = write(tmp_path)
    path.with_name("users.csv.errors.csv").mkdir()
    assert stopped("import", path) == f"Stopped: cannot write {path}.errors.csv: Is a directory.\n"
    assert front.calls == []


def test_a_file_without_rows_is_imported(tmp_path: Path, run: Command) -> None:
    assert run("import", write(tmp_path)) == (0, "", summary(0, 0))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "arguments are required: export|import"),
        (["import", "--url", "https://a"], "arguments are required: FILE"),
        (["export", "a.csv"], "arguments are required: --url"),
        (["export", "a.csv", "--url", "http://example.org"], "http:// would send the key and the users unencrypted"),
        (["import", "a.csv", "--url", "https://a", "--key", "k"], "unrecognized arguments: --key"),
    ],
)
def test_wrong_arguments_are_usage_errors(
    arguments: Iterable[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err
