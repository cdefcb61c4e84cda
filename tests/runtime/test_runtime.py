"""The app under the worker runtime that Azure starts: what it indexes, and that its answers are those of devhost.

`worker.py` runs the runtime, with a stand-in for its host and for the messages between them; its docstring says what
that leaves open. The runtime needs Python 3.13, and gets an environment of its own beside `.venv`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest

from api.http import BODY_BYTES_MAX
from tests.programs import LOG_LINE, PATIENCE, PROJECT, Program, environment, killing_if_stuck, running

RUNTIME: Final = "azure-functions-runtime>=1.3,<2"
ENVIRONMENTS: Final = PROJECT / ".venv-runtime"
SETTINGS: Final = {"SERVICES": "users,points", "POINTS_ALLOW_FLUSH": "on", "API_DOCS": "off", "HEALTH_CHECK": "on"}
THREADS: Final = 4

# ---- the environment


def _find_python() -> Path | None:
    """A Python 3.13 that can make environments: on the PATH, one that pyenv installed, or a neighbour of this one."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    folders = (pyenv, Path(sys.base_prefix).parent)
    installed = [str(path) for folder in folders for path in sorted(folder.glob("3.13.*/bin/python3.13"), reverse=True)]
    check = "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 13))"
    # What pyenv puts on the PATH under that name only works where this version is chosen.
    for path in filter(None, [shutil.which("python3.13"), *installed]):
        if subprocess.run([path, "-I", "-c", check], capture_output=True, check=False).returncode == 0:
            return Path(path)
    return None


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def worker_python() -> Path:
    """The Python of an environment with the runtime and what the app needs; it is kept until one of them changes."""
    python = _find_python()
    if python is None:
        missing = "Azure's runtime needs python3.13 with venv, on the PATH or from pyenv"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    requirements = PROJECT / "requirements.txt"
    stamp = hashlib.sha256(f"{python.resolve()} {RUNTIME} {requirements.read_text('utf-8')}".encode()).hexdigest()[:16]
    made = ENVIRONMENTS / stamp
    if not made.exists():
        ENVIRONMENTS.mkdir(exist_ok=True)
        # Renamed last, so that an installation that was interrupted starts over.
        making = Path(tempfile.mkdtemp(prefix="making-", dir=ENVIRONMENTS))
        try:
            _run(python, "-I", "-m", "venv", making)
            pip: list[str | Path] = [
                making / "bin/python",
                "-I",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            _run(*pip, "-r", requirements, RUNTIME)
            for outdated in ENVIRONMENTS.glob("[0-9a-f]*"):
                shutil.rmtree(outdated, ignore_errors=True)
            with suppress(OSError):  # another run was first
                making.rename(made)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return made / "bin/python"


# ---- the two ways to an answer


class Answer(NamedTuple):
    """What a client gets."""

    status: int
    headers: dict[str, str]
    body: bytes


class Runtime:
    """The runtime at work on the app, as a process of its own."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.folder = folder
        self._process = process
        self._waiting: dict[str, Future[Answer]] = {}
        with killing_if_stuck(process):
            self.told: dict[str, Any] = json.loads(self._stdout.readline() or "{}")
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def _stdout(self) -> Any:
        return self._process.stdout

    @property
    def log(self) -> str:
        """All that was logged."""
        return (self.folder / "stderr.txt").read_text("utf-8")

    def send(self, request: httpx.Request, invocation_id: str) -> Future[Answer]:
        """What the app answers; an AssertionError where its function raised."""
        assert self._process.stdin is not None
        answer = self._waiting[invocation_id] = Future()
        line = {
            "id": invocation_id,
            "method": request.method,
            "target": request.url.raw_path.decode("ascii"),
            "headers": request.headers.multi_items(),
            "body": base64.b64encode(request.read()).decode("ascii"),
        }
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        return answer

    def answer(self, request: httpx.Request) -> Answer:
        """As `send`, and waits."""
        return self.send(request, str(uuid.uuid4())).result(PATIENCE)

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._reader.join()

    def _read(self) -> None:
        for line in self._stdout:
            given = json.loads(line)
            answer = self._waiting.pop(given["id"])
            if "failure" in given:
                answer.set_exception(AssertionError(given["failure"]))
            else:
                headers = {name.lower(): value for name, value in given["headers"].items()}
                answer.set_result(Answer(given["status"], headers, base64.b64decode(given["body"])))
        for answer in self._waiting.values():
            answer.set_exception(AssertionError("the runtime has ended"))


@contextmanager
def working(folder: Path, python: Path, **settings: str) -> Iterator[Runtime]:
    """The runtime, which has told of its functions or of its failure; it is gone when the block ends."""
    with (
        (folder / "stderr.txt").open("w") as log,
        subprocess.Popen(
            [python, "-I", "-B", Path(__file__).with_name("worker.py"), PROJECT],
            env=environment(folder, {**SETTINGS, "PYTHON_THREADPOOL_THREAD_COUNT": str(THREADS), **settings}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        runtime = Runtime(process, folder)
        try:
            yield runtime
        finally:
            runtime.end()


@pytest.fixture(scope="module")
def runtime(worker_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """The runtime with the app, on a database of its own."""
    with working(tmp_path_factory.mktemp("runtime"), worker_python) as runtime:
        assert "failure" not in runtime.told, runtime.told
        assert runtime.told, runtime.log
        yield runtime


@pytest.fixture(scope="module")
def devhost(worker_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The development host with the app, on another database."""
    with running(tmp_path_factory.mktemp("devhost"), PROJECT, **SETTINGS) as program:
        yield program


@pytest.fixture
def request_for(devhost: Program) -> Callable[..., httpx.Request]:
    """A function that makes a request to devhost, which the runtime gets as it is."""
    base = devhost.urls["create_user"].removesuffix("/create_user")
    return lambda method, path, **options: httpx.Request(method, base + path, **options)


def _deliver(devhost: Program, request: httpx.Request) -> Answer:
    response = devhost.client.send(request)
    return Answer(response.status_code, dict(response.headers), response.content)


# ---- what the runtime tells


def test_the_runtime_is_the_one_of_python_3_13_with_the_second_major_version_of_the_sdk(runtime: Runtime) -> None:
    assert runtime.told["python"] == "3.13"
    assert re.fullmatch(r"2\.\d+\.\d+", runtime.told["azure_functions"])


def test_the_runtime_asks_of_its_host_what_the_stand_in_does(runtime: Runtime) -> None:
    """Another capability may change what the host sends: then `worker.py` has to follow."""
    capabilities = {"RawHttpBodyBytes", "RpcHttpBodyOnly", "RpcHttpTriggerMetadataRemoved", "SharedMemoryDataTransfer"}
    capabilities |= {"TypedDataCollection", "WorkerStatus"}
    assert runtime.told["capabilities"] == dict.fromkeys(capabilities, "true")


def test_the_runtime_indexes_the_functions_that_devhost_serves(runtime: Runtime, devhost: Program) -> None:
    served = re.findall(r"^  (\w+): \[([\w ,]+)\] http://[^/]+/(\S+)$", devhost.printed, re.MULTILINE)
    indexed = [
        (function["name"], ",".join(function["methods"]) or "any method", function["route"])
        for function in runtime.told["functions"]
    ]
    assert indexed == served
    assert {"create_user", "spend", "openapi_json"} <= {name for name, _, _ in indexed}
    open_to_all = [function["name"] for function in runtime.told["functions"] if function["auth_level"] != "FUNCTION"]
    assert open_to_all == ["health"]


def test_an_app_that_refuses_its_settings_does_not_start_there_either(tmp_path: Path, worker_python: Path) -> None:
    with working(tmp_path, worker_python, SERVICES="users,cookies") as runtime:
        assert runtime.told["failure"].startswith("SettingsError: SERVICES names cookies; the services are: ")


# ---- the same requests, the same answers

MANAGERS: Final = [f"11111111-1111-4111-8111-11111111111{digit}" for digit in range(1, 6)]
NOBODY: Final = "99999999-9999-4999-8999-999999999999"
NAMES: Final = ["Asha Unmistakable", "अशोक कुमार", "Zoë 李 🙂", "Meera Ravi"]
NUMBERS: Final = ["9876543210", "9876543211", "9876543212", "9876543213"]
PANS: Final = ["ABCPE1234F", "AAACB1234C", "ABCHE4321K", "ZZZTZ9999Z"]
PAYERS: Final = ["DANNON", "UNILEVER", "मिलर & Söhne"]

# Of the connection and not of the answer.
_OF_THE_SERVER: Final = {"date", "server", "connection", "content-length", "transfer-encoding"}
# The ids of the seed and of NOBODY stay: they are the same everywhere.
_RANDOM: Final = re.compile(
    r"(?P<uuid>(?!([0-9a-f])\2{7})[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|"
    r"(?P<instant>20(?!20-)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"
)


class Exchange(NamedTuple):
    """A request and its answer, without what chance and the clock put into it."""

    request: str
    status: int
    headers: dict[str, str]
    body: str


class Client:
    """Sends requests one way, and notes the exchanges."""

    def __init__(self, request_for: Callable[..., httpx.Request], deliver: Callable[[httpx.Request], Answer]) -> None:
        self.exchanges: list[Exchange] = []
        self._request_for = request_for
        self._deliver = deliver
        self._met: dict[str, str] = {}

    def send(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """The body of the answer, parsed; None where it is empty."""
        if body is not None:
            options["json"] = body
        request = self._request_for(method, path, **options)
        told = f"{len(self.exchanges)}: {method} {path} {request.read().decode(errors='replace')}"
        answer = self._deliver(request)
        headers = {name: value for name, value in answer.headers.items() if name not in _OF_THE_SERVER}
        body = self._same(answer.body.decode())
        self.exchanges.append(Exchange(self._same(told)[:300], answer.status, headers, body))
        return json.loads(answer.body) if answer.body else None

    def post(self, trigger: str, body: object = None, **options: Any) -> Any:
        """As `send`, to a trigger."""
        return self.send("POST", f"/{trigger}", body, **options)

    def _same(self, text: str) -> str:
        """The text with each random id and each instant replaced by a number, in the order in which they appeared."""
        text = re.sub(r'(?<=cursor":")[^"]+', lambda match: base64.urlsafe_b64decode(match[0]).decode(), text)
        return _RANDOM.sub(lambda match: self._met.setdefault(match[0], f"<{match.lastgroup} {len(self._met)}>"), text)


def _users(client: Client) -> None:
    for name, number, pan, manager in zip(NAMES, NUMBERS, PANS, [*MANAGERS[:2], None, None], strict=True):
        client.post("create_user", {"full_name": name, "mob_num": number, "pan_num": pan, "manager_id": manager})
    user = {"full_name": f"  {NAMES[0]} ", "mob_num": "+91 98765-43219", "pan_num": PANS[0].lower()}
    created = client.post("create_user", user)["user"]
    client.post("create_user", {**user, "mob_num": NUMBERS[0]})
    client.post("create_user", {**user, "manager_id": NOBODY})
    client.post("create_user", {**user, "manager_id": MANAGERS[4]})
    client.post("create_user", {"full_name": "", "mob_num": "12", "pan_num": 7, "manager_id": "x", "unknown": NAMES[2]})
    listed = client.post("get_users", {})["users"]
    client.post("get_users")
    client.post("get_users", {"manager_id": MANAGERS[0], "is_active": True})
    client.post("get_users", {"mob_num": NUMBERS[1]})
    page = client.post("get_users", {"limit": 2})
    while page["next_cursor"]:
        page = client.post("get_users", {"limit": 2, "cursor": page["next_cursor"]})
    client.post("get_users", {"limit": 2, "cursor": "bm8="})
    client.post("get_users", {"cursor": "bm8="})
    ids = [user["user_id"] for user in listed]
    client.post("update_user", {"user_ids": ids[:1], "update_data": {"full_name": NAMES[2]}})
    client.post("update_user", {"user_ids": ids[:1], "update_data": {"full_name": NAMES[2]}})
    client.post("update_user", {"user_ids": ids[:1], "update_data": {"mob_num": NUMBERS[1]}})
    client.post("update_user", {"user_ids": ids[:3], "update_data": {"manager_id": MANAGERS[3]}})
    client.post("update_user", {"user_ids": [NOBODY, *ids[1:5]], "update_data": {"manager_id": MANAGERS[1]}})
    client.post("update_user", {"user_ids": [NOBODY], "update_data": {"full_name": NAMES[1]}})
    client.post("update_user", {"user_ids": ids[:2], "update_data": {"pan_num": PANS[1]}})
    client.post("update_user", {"user_ids": ids[:2], "update_data": {}})
    client.post("get_users", {"user_id": ids[0]})
    client.post("get_users", {"is_active": False})
    client.post("delete_user", {"user_id": created["user_id"]})
    client.post("delete_user", {"user_id": created["user_id"]})
    client.post("delete_user", {"mob_num": f"0{NUMBERS[3]}"})
    client.post("delete_user", {"mob_num": NUMBERS[3], "user_id": NOBODY})
    client.post("get_users", {})


def _points(client: Client) -> None:
    for number, (payer, points) in enumerate(zip([*PAYERS, PAYERS[0]], [300, 200, 10_000, -200], strict=True)):
        added = {"payer": payer, "points": points, "timestamp": f"2020-10-31T1{number}:00:00+01:00"}
        for _ in range(2):
            client.post("addTransaction", added, headers={"Idempotency-Key": f"add {number}"})
    client.post("addTransaction", {**added, "points": 1}, headers={"Idempotency-Key": "add 1"})
    client.post("addTransaction", added, headers={"Idempotency-Key": "k" * 256})
    client.post("addTransaction", {**added, "points": -2000})
    client.post("addTransaction", {**added, "points": 2**63 - 1})
    client.post("addTransaction", {"payer": " ", "points": 0, "timestamp": "2020-02-30T00:00:00Z"})
    client.send("GET", "/balance")
    for _ in range(2):
        client.post("spend", {"points": 5000}, headers={"idempotency-key": "spend"})
    client.post("spend", {"points": 1})
    client.post("spend", {"points": 50_000})
    client.send("GET", "/balance?payer=&payer=%C3%A9&x&payer=2", headers={"Accept": "text/html"})
    client.send("HEAD", "/flushDB")
    client.send("DELETE", "/flushDB", content=b"not looked at")
    client.post("spend", {"points": 5000}, headers={"idempotency-key": "spend"})
    client.send("GET", "/balance")


def _edges(client: Client) -> None:
    client.post("flushDB")
    client.send("GET", "/openapi.json", headers={"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01", "tracestate": "x=1"})
    for content in (b"", b"{", b"[]", b'"\xff"', b'\xef\xbb\xbf{"limit":1}', b'{"limit":1,"limit":2}'):
        client.post("get_users", content=content)
        client.post("create_user", content=content, headers={"Content-Type": "text/plain; charset=utf-16"})
    client.post("get_users", content=iter([b""]))
    client.post("get_users", content=b" " * (BODY_BYTES_MAX + 1))
    client.post("get_users", content=b"{}" + b" " * (BODY_BYTES_MAX - 2))
    client.post("CREATE_user/", {"full_name": NAMES[0]}, headers=[("X-Twice", "1"), ("X-Twice", "2")])
    client.send("GET", "/b%61lance/?%")
    for method, path in (
        *[(method, "/get_users") for method in ("GET", "HEAD", "PUT", "OPTIONS")],
        *[("HEAD", "/balance"), ("POST", "/balance"), ("HEAD", "/openapi.json"), ("PATCH", "/openapi.json")],
        *[
            ("GET", "/balance/x"),
            ("GET", "/nowhere"),
            ("POST", "/api/get_users"),
            ("GET", "/balance%2F"),
            ("GET", "/%E0%A4%85?y=%F0"),
        ],
    ):
        client.send(method, path)


@pytest.mark.parametrize("talk", [_users, _points, _edges])
def test_the_runtime_answers_as_devhost_does(
    talk: Callable[[Client], None], runtime: Runtime, devhost: Program, request_for: Callable[..., httpx.Request]
) -> None:
    ours = Client(request_for, lambda request: _deliver(devhost, request))
    theirs = Client(request_for, runtime.answer)
    before, devhost_before = len(runtime.log), len(devhost.log)
    talk(theirs)
    talk(ours)
    assert theirs.exchanges == ours.exchanges
    logged = [line.split(" ", 2) for line in runtime.log[before:].splitlines() if line.startswith("rollbook ")]
    lines = [(invocation_id, LOG_LINE.fullmatch(line)) for _, invocation_id, line in logged]
    assert all(line and invocation_id == line[4] for invocation_id, line in lines), logged
    assert [line.group(1, 2, 3, 5) for _, line in lines if line] == [
        line.group(1, 2, 3, 5) for line in map(LOG_LINE.fullmatch, devhost.log[devhost_before:].splitlines()) if line
    ]
    assert not [text for text in (*NAMES, *NUMBERS, *PANS, *PAYERS) if text in runtime.log]


def test_the_invocation_id_of_the_host_is_the_instance_of_a_problem(
    runtime: Runtime, request_for: Callable[..., httpx.Request]
) -> None:
    invocation_id = str(uuid.uuid4())
    answer = runtime.send(request_for("POST", "/spend", json={"points": 0}), invocation_id).result(PATIENCE)
    assert (answer.status, json.loads(answer.body)["instance"]) == (400, invocation_id)


def test_a_body_in_chunks_is_refused_there_and_read_by_devhost(
    runtime: Runtime, devhost: Program, request_for: Callable[..., httpx.Request]
) -> None:
    """The one difference on purpose: the host hands such a body over empty."""

    def chunked() -> httpx.Request:
        return request_for("POST", "/get_users", content=iter([b'{"limit":1}']))

    assert runtime.answer(chunked()).status == 411
    assert _deliver(devhost, chunked()).status == 200


def test_a_failure_that_nobody_foresaw_is_an_answer_and_not_an_exception(
    runtime: Runtime, devhost: Program, request_for: Callable[..., httpx.Request]
) -> None:
    clients = [Client(request_for, runtime.answer), Client(request_for, lambda request: _deliver(devhost, request))]
    for client, folder in zip(clients, (runtime.folder, devhost.log_file.parent), strict=True):
        with closing(sqlite3.connect(folder / "x.db", isolation_level=None)) as database:
            database.execute("ALTER TABLE idempotency_keys RENAME TO elsewhere")
            try:
                problem = client.post("spend", {"points": 1}, headers={"Idempotency-Key": "1"})
            finally:
                database.execute("ALTER TABLE elsewhere RENAME TO idempotency_keys")
        assert problem["type"] == "/problems/internal-error"
    assert clients[0].exchanges == clients[1].exchanges
    (line,) = [line for line in runtime.log.splitlines() if line.startswith("rollbook ") and " error " in line]
    assert " spend error OperationalError " in line


# ---- the threads


def test_requests_run_side_by_side_on_as_many_threads_as_the_setting_says(
    runtime: Runtime, request_for: Callable[..., httpx.Request]
) -> None:
    def send(method: str, path: str, **options: Any) -> Future[Answer]:
        return runtime.send(request_for(method, path, **options), str(uuid.uuid4()))

    with closing(sqlite3.connect(runtime.folder / "x.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")  # whoever writes waits now
        writers = [send("POST", "/flushDB") for _ in range(THREADS - 1)]
        assert send("GET", "/balance").result(PATIENCE).status == 200
        assert not [writer for writer in writers if writer.done()]
        writers.append(send("POST", "/flushDB"))
        reader = send("GET", "/balance")
        assert not wait([reader], timeout=0.2).done
        database.execute("ROLLBACK")
    assert [answer.result(PATIENCE).status for answer in (*writers, reader)] == [200] * (THREADS + 1)
