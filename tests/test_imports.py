"""The import rules that import-linter cannot express. It reads packages; this reads every file of the project."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = {"admin", "api", "domain", "persistence", "devhost"}
MODULES = {path.stem for path in PROJECT.glob("*.py")}

NOT_IN_DOMAIN = {"os", "time", "random", "logging", "sqlite3", "json"}
CLOCKS = {"now", "utcnow", "today"}
FUNCTIONS_WITH_IO = {"open", "print", "input", "__import__"}


def imports(tree: ast.AST, package: str = "") -> Iterator[str]:
    """The dotted name of everything that is imported, down to the name in `from module import name`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*parents, *([module] if module else [])])
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def begins(name: str, *packages: str) -> bool:
    """Returns whether `name` is one of the packages or inside one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def files(*folders: str) -> list[Path]:
    """Returns the Python files of the folders. Every folder must have one, or a rule would check nothing."""
    found = {folder: sorted((PROJECT / folder).rglob("*.py")) for folder in folders}
    assert all(found.values()), found
    return [path for paths in found.values() for path in paths]


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def breaches(paths: list[Path], is_forbidden: Callable[[str], bool]) -> list[str]:
    """Returns the forbidden imports, as `file: name`."""
    return [
        f"{path.relative_to(PROJECT)}: {name}"
        for path in paths
        for name in imports(parse(path), ".".join(path.relative_to(PROJECT).parent.parts))
        if is_forbidden(name)
    ]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import os.path", ["os.path"]),
        ("import os as o, sys", ["os", "sys"]),
        ("from azure import identity", ["azure.identity"]),
        ("import azure.functions as func", ["azure.functions"]),
        ("def f():\n    from os import environ", ["os.environ"]),
        ("try:\n    import json\nexcept ImportError:\n    pass", ["json"]),
        ("from . import errors", ["domain.errors"]),
        ("from .errors import InvalidError", ["domain.errors.InvalidError"]),
        ("from .. import devhost", [".devhost"]),
        ("import importlib\nimportlib.import_module('devhost.host')", ["importlib", "devhost.host"]),
        ("__import__('os')", ["os"]),
    ],
)
def test_every_spelling_of_an_import_is_found(source: str, names: list[str]) -> None:
    assert sorted(name.lstrip(".") for name in imports(ast.parse(source), "domain")) == sorted(
        name.lstrip(".") for name in names
    )


def test_domain_imports_only_the_standard_library_without_its_io() -> None:
    allowed = sys.stdlib_module_names - NOT_IN_DOMAIN - {"importlib"} | {"domain"}
    ecgs = PROJECT / "domain" / "ecgs.py"
    others = [path for path in files("domain") if path != ecgs]
    assert breaches(others, lambda name: not begins(name, *allowed)) == []
    assert breaches([ecgs], lambda name: not begins(name, *allowed, "numpy")) == []


def test_domain_reads_no_clock_and_no_file() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path in files("domain")
        for node in ast.walk(parse(path))
        if (isinstance(node, ast.Attribute) and node.attr in CLOCKS)
        or (isinstance(node, ast.Name) and node.id in FUNCTIONS_WITH_IO)
    ]
    assert found == []


def test_persistence_imports_only_logins_of_azure() -> None:
    logins = ("azure.identity", "azure.core.exceptions")
    paths = files("persistence")
    assert breaches(paths, lambda name: begins(name, "azure") and not name.startswith(logins)) == []


def test_api_imports_only_azure_functions_of_azure() -> None:
    paths = files("api")
    assert breaches(paths, lambda name: begins(name, "azure") and not begins(name, "azure.functions")) == []
    assert breaches(paths, lambda name: begins(name, "azure.functions")), "such an import would be found"


def test_settings_imports_nothing_of_the_project() -> None:
    project = PACKAGES | MODULES | {"tests", "benchmarks"}
    assert breaches([PROJECT / "settings.py"], lambda name: begins(name, *project)) == []


def folders() -> set[str]:
    """The folders of the project with Python files, except virtual environments."""
    return {
        folder.name
        for folder in PROJECT.iterdir()
        if folder.is_dir()
        and not folder.name.startswith(".")
        and not (folder / "pyvenv.cfg").exists()
        and any(folder.rglob("*.py"))
    }


@pytest.mark.parametrize("program", ["devhost", "admin", "tools"])
def test_the_app_does_not_import_its_programs(program: str) -> None:
    assert folders() >= PACKAGES
    assert {"function_app", "settings", "telemetry"} <= MODULES
    modules = [PROJECT / f"{module}.py" for module in MODULES]
    paths = [*modules, *files(*(folders() - {program, "tests", "benchmarks"}))]
    assert breaches(paths, lambda name: begins(name, program)) == []


def test_an_import_of_a_program_would_be_found() -> None:
    assert breaches(files("devhost"), lambda name: begins(name, "devhost"))


def test_the_tools_import_nothing_of_the_project() -> None:
    project = PACKAGES | MODULES | {"tests", "benchmarks"}
    assert breaches(files("tools"), lambda name: begins(name, *project)) == []


def test_the_development_host_imports_nothing_of_the_app_but_settings() -> None:
    app = PACKAGES - {"devhost"} | MODULES - {"settings", "function_app"} | {"admin", "tests"}
    paths = [
        path for path in files("devhost") if path.name != "openapi.py"
    ]  # which writes the document of all services
    assert breaches(paths, lambda name: begins(name, *app)) == []
