"""Packages installed by the command of docs/deploy.md run the app; those of another Python are named at start."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.programs import PROJECT, environment

DOCUMENT: Final = (PROJECT / "docs" / "deploy.md").read_text("utf-8")
TARGET: Final = ".python_packages/lib/site-packages"

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the packages are those of Azure's system"
)


def _install(folder: Path, python: str) -> Path:
    """Runs the command of the document for a version of Python; returns the folder with the packages."""
    (command,) = re.findall(r"^    \.venv/bin/(uv pip install .+)$", DOCUMENT, re.MULTILINE)
    assert (command.count(TARGET), command.count("3.13")) == (1, 1)
    command = command.replace(TARGET, str(folder / TARGET)).replace("3.13", python)
    subprocess.run([sys.executable, "-m", *shlex.split(command), "--quiet"], cwd=PROJECT, check=True)
    return folder / TARGET


def _without_version(text: str) -> str:
    return re.sub(r"(?<=azure-functions )[\d.]+", "1.N", text)


def _run(python: Path, packages: Path, folder: Path, program: str, **settings: str) -> subprocess.CompletedProcess[str]:
    own = {"SERVICES": "users,points", "AzureWebJobsStorage": "UseDevelopmentStorage=true", **settings}
    variables = {**environment(folder, own), "PYTHONPATH": str(packages)}
    command = [str(python), "-B", "-c", program]
    return subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)


def test_prebuilt_packages_run_the_app(python_3_13: Path, tmp_path: Path) -> None:
    packages = _install(tmp_path, "3.13")
    done = _run(python_3_13, packages, tmp_path, "import function_app; print(len(function_app.app.get_functions()))")
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 5


def test_the_packages_of_another_python_are_named_in_one_sentence(python_3_13: Path, tmp_path: Path) -> None:
    packages = _install(tmp_path, "3.11")
    done = _run(python_3_13, packages, tmp_path, "import function_app", WEBSITE_SITE_NAME="rollbook")
    (documented,) = re.findall(r"^    (azure-functions \d.+)$", DOCUMENT, re.MULTILINE)
    assert _without_version(done.stderr.splitlines()[-1]) == _without_version(f"settings.SettingsError: {documented}")
