"""The sizes of functions, files and test names, and where JSON Pointers may not be; see also test_imports.py."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
FILE_LINES, TEST_FILE_LINES, FUNCTION_LINES, NAME_CHARACTERS = 300, 400, 30, 70
LONG_FILES: Final = {"persistence/users/records.py"}  # it follows the order of a request
FIRST_READ: Final = (
    "function_app.py",
    "api/users/endpoints.py",
    "domain/users/versions.py",
    "domain/users/fields.py",
    "domain/users/errors.py",
    "persistence/users/records.py",
    "docs/architecture.md",
)
"""The files that a newcomer reads first."""


def _files(folder: Path) -> Iterator[Path]:
    """Yields the Python files below a folder, except in hidden folders and virtual environments."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and not (path / "pyvenv.cfg").exists():
            yield from _files(path)
        elif path.suffix == ".py":
            yield path


@cache
def _test_files() -> list[Path]:
    return [*_files(PROJECT / "tests")]


@cache
def _files_of_the_project() -> list[Path]:
    """The other files."""
    tests = {*_test_files()}
    return [path for path in _files(PROJECT) if path not in tests]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def _lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def _functions(paths: Iterable[Path]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in paths:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{_name(path)}:{node.lineno}", node


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Returns the number of lines from `def` to the end: with the docstring, without decorators."""
    return (function.end_lineno or 0) - function.lineno + 1


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yields string literals that are statements: docstrings, including those of attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _pointers(tree: ast.AST) -> list[int]:
    """The lines of string literals that begin with a slash."""
    ignored = {id(constant) for constant in _docstrings(tree)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and id(node) not in ignored and str(node.value).startswith("/")
    ]


def _listed(offenders: Iterable[str]) -> str:
    """Returns all offenders as text: pytest would shorten a list."""
    return "\n" + "\n".join(offenders)


def test_the_files_of_every_part_are_checked() -> None:
    names = {_name(path) for path in (*_files_of_the_project(), *_test_files())}
    assert names >= {"function_app.py", "api/http/endpoint.py", "persistence/points.py", "tests/test_structure.py"}


def test_no_json_pointer_is_written_in_domain_or_persistence() -> None:
    paths = [path for path in _files_of_the_project() if _name(path).startswith(("domain/", "persistence/"))]
    found = [f"{_name(path)}:{line}" for path in paths for line in _pointers(_tree(path))]
    assert not found, _listed(found)
    text = '"""/a"""\nb = "/b"\nc = f"/{b}"\nd = {"d": ["/d"]}\nb"/e"\n"f/"'
    assert _pointers(ast.parse(text)) == [2, 3, 4], "such literals would be found"


def test_functions_are_short() -> None:
    functions = [*_functions(_files_of_the_project())]
    long = [f"{place} {function.name}" for place, function in functions if _length(function) > FUNCTION_LINES]
    assert not long, _listed(long)
    lengths = [_length(function) for _, function in functions]
    assert statistics.median(lengths) <= 6
    assert statistics.quantiles(lengths, n=10)[-1] <= 18


def test_files_are_short() -> None:
    long = [path for path in _files_of_the_project() if _lines(path) > FILE_LINES and _name(path) not in LONG_FILES]
    assert not long, _listed(f"{_name(path)} {_lines(path)}" for path in long)


def test_test_files_are_short() -> None:
    long = [path for path in _test_files() if _lines(path) > TEST_FILE_LINES]
    assert not long, _listed(f"{_name(path)} {_lines(path)}" for path in long)


def test_names_of_tests_have_at_most_70_characters() -> None:
    definition = re.compile(r"^ *(?:async )?def test_(\w+)", re.MULTILINE)
    names = [
        f"{_name(path)} {name}"
        for path in _test_files()
        for name in definition.findall(path.read_text("utf-8"))
        if len(name) > NAME_CHARACTERS
    ]
    assert not names, _listed(names)


def test_what_a_newcomer_reads_first_has_less_than_1000_lines() -> None:
    lines = {_name(path): _lines(path) for pattern in FIRST_READ for path in PROJECT.glob(pattern)}
    assert len(lines) >= len(FIRST_READ) - 1  # docs/architecture.md may be missing
    assert sum(lines.values()) < 1000, lines
