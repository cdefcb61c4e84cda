"""What a process imports when its app is built: each module makes every cold start slower."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
import tempfile

import pytest

from tests.support.programs import PROJECT

pytestmark = pytest.mark.slow


def imported(package: str = "api", **environment: str) -> set[str]:
    """The modules of a package that a process has imported when its app is built."""
    return {name for name in _modules(tuple(sorted(environment.items()))) if name.startswith(f"{package}.")}


@functools.cache
def _modules(environment: tuple[tuple[str, str], ...]) -> list[str]:
    program = "import sys, function_app; print(sorted(sys.modules))"
    inherited = {name: os.environ[name] for name in ("PATH", "SETTINGS_FOLDER")}
    with tempfile.TemporaryDirectory() as folder:
        own = {"DATABASE_URL": f"sqlite:///{folder}/alone.db", **inherited, **dict(environment)}
        ran = subprocess.run(
            [sys.executable, "-c", program], cwd=PROJECT, env=own, capture_output=True, text=True, check=True
        )
    return [*ast.literal_eval(ran.stdout)]


@pytest.mark.parametrize("service", ["users", "points"])
def test_a_service_imports_no_other_service(service: str) -> None:
    loaded = imported(SERVICES=service, API_DOCS="off")
    assert {name.split(".")[1] for name in loaded} - {"http", "purge"} == {service}


@pytest.mark.parametrize(("setting", "module"), [("API_DOCS", "api.docs"), ("HEALTH_CHECK", "api.health")])
def test_a_part_that_is_off_is_not_imported(setting: str, module: str) -> None:
    on, off, unset = (imported(SERVICES="users", **{setting: value}) for value in ("on", "off", ""))
    assert on - off == {module}
    assert off == unset < on


@pytest.mark.parametrize(
    ("package", "setting", "off", "on"),
    [("opentelemetry", "TELEMETRY", "off", "on"), ("numpy", "SERVICES", "users,points,calculator", "ecgs")],
)
def test_a_package_is_imported_only_where_used(package: str, setting: str, off: str, on: str) -> None:
    assert imported(package, **{setting: off}) == set()
    assert imported(package, **{setting: on})


def test_the_page_imports_no_web_framework() -> None:
    assert imported("flask", API_DOCS="on") == set()
    assert imported("azure", API_DOCS="on"), "an import would be found"


@pytest.mark.parametrize("package", ["typst", "httpx"])
def test_what_single_calls_need_is_not_imported_at_the_start(package: str) -> None:
    peer = {"PEER_SITE_URL": "http://127.0.0.1", "PEER_SITE_SECRET": "s"}
    assert imported(package, SERVICES="invoices", **peer) == set()
