"""The server and the empty function app of the tests of the development host."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import azure.functions as func
import pytest

from tests.devhost.server import TIMEOUT, AppServer
from tests.support.programs import PROJECT
from tests.support.serving import serving_asgi


@pytest.fixture(scope="module")
def _server() -> Iterator[AppServer]:
    server = AppServer()
    with serving_asgi(server, timeout=TIMEOUT) as server.client:
        yield server


@pytest.fixture
def server(_server: AppServer) -> Iterator[AppServer]:
    """The server, without an app."""
    yield _server
    _server.clear()


@pytest.fixture
def app() -> func.FunctionApp:
    """A function app without functions."""
    return func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@pytest.fixture
def bare_project(tmp_path: Path) -> Path:
    """A folder with the development host, and neither an app nor settings in files."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "devhost", project / "devhost", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "settings.py", project)
    return project


@pytest.fixture
def other_project(bare_project: Path) -> Path:
    """A project of one function and one timer."""
    (bare_project / "function_app.py").write_text(
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
    return bare_project
