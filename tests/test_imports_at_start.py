"""What a process imports when its app is built: each module makes every cold start slower."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import PROJECT

pytestmark = pytest.mark.slow


def imported(tmp_path: Path, package: str = "api", **environment: str) -> set[str]:
    """The modules of a package that a process has imported when its app is built."""
    program = f"import sys, function_app; print(sorted(name for name in sys.modules if name.startswith('{package}.')))"
    inherited = {name: os.environ[name] for name in ("PATH", "SETTINGS_FOLDER")}
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/alone.db", **inherited, **environment}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return {*ast.literal_eval(ran.stdout)}


@pytest.mark.parametrize(
    ("service", "modules"),
    [("users", {"api.users", "api.users.endpoints", "api.users.schemas"}), ("points", {"api.points"})],
)
def test_a_service_imports_no_other_service(tmp_path: Path, service: str, modules: set[str]) -> None:
    loaded = imported(tmp_path, SERVICES=service, API_DOCS="off")
    assert {name for name in loaded if name.split(".")[1] != "http"} == modules


@pytest.mark.parametrize(("setting", "module"), [("API_DOCS", "api.docs"), ("HEALTH_CHECK", "api.health")])
def test_a_part_that_is_off_is_not_imported(tmp_path: Path, setting: str, module: str) -> None:
    on, off, unset = (imported(tmp_path, SERVICES="users", **{setting: value}) for value in ("on", "off", ""))
    assert on - off == {module}
    assert off == unset < on


@pytest.mark.parametrize(
    ("package", "setting", "off", "on"),
    [("opentelemetry", "TELEMETRY", "off", "on"), ("numpy", "SERVICES", "users,points,calculator", "ecgs")],
)
def test_a_package_is_imported_only_where_used(tmp_path: Path, package: str, setting: str, off: str, on: str) -> None:
    assert imported(tmp_path, package, **{setting: off}) == set()
    assert imported(tmp_path, package, **{setting: on})


def test_the_page_imports_no_web_framework(tmp_path: Path) -> None:
    assert imported(tmp_path, "flask", API_DOCS="on") == set()
    assert imported(tmp_path, "azure", API_DOCS="on"), "an import would be found"


@pytest.mark.parametrize("package", ["typst", "httpx"])
def test_what_single_calls_need_is_not_imported_at_the_start(tmp_path: Path, package: str) -> None:
    peer = {"PEER_SITE_URL": "http://127.0.0.1", "PEER_SITE_SECRET": "s"}
    assert imported(tmp_path, package, SERVICES="invoices", **peer) == set()
