"""An environment for Microsoft's worker runtime, and the app served by it and by the development host.

The runtime needs Python 3.13, the version that the template deploys. Its environment is kept beside `.venv`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.runtime.process import SETTINGS, Runtime, running_worker
from tests.support.programs import PROJECT, Program, running

RUNTIME: Final = "azure-functions-runtime"
ENVIRONMENTS: Final = PROJECT / ".venv-runtime"
REQUIREMENTS: Final = PROJECT / "requirements.txt"
CONSTRAINTS: Final = PROJECT / "requirements-dev.txt"


def _find_python() -> Path | None:
    """A Python 3.13 with venv: on the PATH, installed by pyenv, or beside the interpreter that runs this."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    folders = (pyenv, Path(sys.base_prefix).parent)
    installed = [str(path) for folder in folders for path in sorted(folder.glob("3.13.*/bin/python3.13"), reverse=True)]
    check = "import sys, venv; sys.exit(sys.version_info[:2] != (3, 13))"
    # The shim that pyenv puts on the PATH works only where this version is selected.
    for path in filter(None, [shutil.which("python3.13"), *installed]):
        if subprocess.run([path, "-I", "-c", check], capture_output=True, check=False).returncode == 0:
            return Path(path)
    return None


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def python_3_13() -> Path:
    """A Python of the version that the template deploys."""
    python = _find_python()
    if python is None:
        missing = "Azure's runtime needs python3.13 with venv, on the PATH or from pyenv"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return python


@pytest.fixture(scope="session")
def worker_python(python_3_13: Path) -> Path:
    """The Python of an environment with production's requirements and the runtime, kept until one of them changes."""
    locks = REQUIREMENTS.read_bytes() + CONSTRAINTS.read_bytes()
    stamp = hashlib.sha256(f"{python_3_13.resolve()} ".encode() + locks).hexdigest()[:16]
    environment = ENVIRONMENTS / stamp
    if not environment.exists():
        ENVIRONMENTS.mkdir(exist_ok=True)
        # Renamed last, so that an interrupted installation starts over.
        new = Path(tempfile.mkdtemp(prefix="new-", dir=ENVIRONMENTS))
        try:
            _run(python_3_13, "-I", "-m", "venv", "--without-pip", new)
            install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(new / "bin/python")]
            _run(*install, "-r", REQUIREMENTS, "-c", CONSTRAINTS, RUNTIME)
            for outdated in ENVIRONMENTS.glob("[0-9a-f]*"):
                if outdated != environment:  # which another test run may have made meanwhile
                    shutil.rmtree(outdated, ignore_errors=True)
            with suppress(OSError):  # another test run was faster
                new.rename(environment)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return environment / "bin/python"


@pytest.fixture(scope="module")
def runtime(worker_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """The worker runtime with the app, with a separate database."""
    with running_worker(tmp_path_factory.mktemp("runtime"), worker_python) as runtime:
        assert "failure" not in runtime.report, runtime.report
        assert runtime.report, runtime.log
        yield runtime


@pytest.fixture(scope="module")
def devhost(worker_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The development host with the app, on another database."""
    with running(tmp_path_factory.mktemp("devhost"), PROJECT, **SETTINGS) as program:
        yield program


@pytest.fixture
def request_for(devhost: Program) -> Callable[..., httpx.Request]:
    """A function that builds a request to the development host, which the runtime receives unchanged."""
    base = devhost.urls["create_user"].removesuffix("/create_user")
    return lambda method, path, **options: httpx.Request(method, base + path, **options)
