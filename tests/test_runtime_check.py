"""With packages of another Python the app does not start on Azure, and reports it in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

import runtime_check
from settings import SettingsError

PROJECT: Final = Path(__file__).resolve().parent.parent
VERSIONS: Final = ["1.25.0", "1.26.0", "1.27.3", "2.0.0", "2.2.9", "2.3.0", "2.4.0", "2.10.1", "3.0.0"]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates an installed version of azure-functions that fits no interpreter."""
    metadata = tmp_path / "azure_functions-0.9.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: azure-functions\nVersion: 0.9.0\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_versions_that_fit_are_those_of_the_requirements(version: str, python: str) -> None:
    lines = (PROJECT / "requirements.in").read_text("utf-8").splitlines()
    ranges = [Requirement(line) for line in lines if line.startswith("azure-functions")]
    (wanted,) = [one for one in ranges if one.marker and one.marker.evaluate({"python_version": python})]
    major, minor = python.split(".")
    assert runtime_check.fits(version, (int(major), int(minor))) == wanted.specifier.contains(version)


def test_the_packages_that_are_installed_here_fit() -> None:
    runtime_check.check_interpreter(on_azure=True)


@pytest.mark.usefixtures("install")
def test_packages_of_another_python_are_rejected_on_azure() -> None:
    with pytest.raises(SettingsError) as raised:
        runtime_check.check_interpreter(on_azure=True)
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert str(raised.value) == (
        f"azure-functions 0.9.0 is installed, which does not belong to Python {python}: the build, usually the "
        "remote one, ran another Python than this app; deploy again, or with prebuilt packages (docs/deploy.md)."
    )


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.3b1", True), ("2.10rc1", True), ("2", False), ("2.x", False), ("3b1", False), ("", False), ("None", False)],
)
def test_the_leading_digits_of_an_unusual_version_count(version: str, *, expected: bool) -> None:
    assert runtime_check.fits(version, (3, 13)) is expected


def test_packages_without_their_metadata_are_rejected_on_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(SettingsError) as raised:
        runtime_check.check_interpreter(on_azure=True)
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert str(raised.value) == (
        f"azure-functions has no dist-info where Python {python} looks for packages: the build, usually the remote "
        "one, ran another Python than this app; deploy again, or with prebuilt packages (docs/deploy.md)."
    )


@pytest.mark.usefixtures("install")
def test_packages_are_not_checked_elsewhere() -> None:
    runtime_check.check_interpreter(on_azure=False)


def test_it_loads_nothing_that_a_wrong_build_breaks() -> None:
    program = (
        "import sys, runtime_check; runtime_check.check_interpreter(on_azure=False); "
        "print(*{m for m in sys.modules if m in sys.argv[1:]})"
    )
    modules = ["importlib.metadata", "orjson", "pydantic_core", "sqlalchemy", "pyodbc"]
    done = subprocess.run(
        [sys.executable, "-c", program, *modules], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
