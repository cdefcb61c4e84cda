"""Properties of every error of a domain, and how an error names its fields."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import domain
from domain.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, RollbookError, Violation

PROJECT = Path(__file__).resolve().parents[2]
KINDS = (InvalidError, ForbiddenError, NotFoundError, ConflictError)


def _subclasses(error: type[RollbookError]) -> Iterator[type[RollbookError]]:
    for subclass in error.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _declared() -> list[type[RollbookError]]:
    """Returns the error classes of all domains, without the kinds."""
    for module in pkgutil.walk_packages(domain.__path__, "domain."):
        importlib.import_module(module.name)
    of_a_domain = {one for one in _subclasses(RollbookError) if one.__module__.split(".")[0] == "domain"}
    return sorted(of_a_domain - {*KINDS}, key=lambda one: (one.__module__, one.__name__))


DECLARED = _declared()


@pytest.mark.parametrize("error", DECLARED, ids=lambda error: error.__name__)
def test_a_domain_error_is_of_one_kind_with_a_code_and_plain_field_names(error: type[RollbookError]) -> None:
    assert sum(issubclass(error, kind) for kind in KINDS) == 1
    assert error.__name__.endswith("Error")
    assert re.fullmatch("[a-z]+(-[a-z0-9]+)+", vars(error).get("code", "")), "each class declares its own code"
    assert isinstance(error.fields, tuple)
    for name in (*error.fields, *error.members):
        assert name.isidentifier(), "an error names fields and members; the edge makes pointers"


def test_every_code_belongs_to_one_class() -> None:
    assert len(DECLARED) > 15
    assert [code for code, count in Counter(error.code for error in DECLARED).items() if count > 1] == []


def _raised_without_detail(tree: ast.AST, names: set[str]) -> Iterator[str]:
    """Returns which of these errors are raised or created without a detail."""
    for node in ast.walk(tree):
        used = node.exc if isinstance(node, ast.Raise) else node if isinstance(node, ast.Call) else None
        named = used.func if isinstance(used, ast.Call) else used
        name = getattr(named, "id", getattr(named, "attr", ""))
        if name in names and not (isinstance(used, ast.Call) and used.args):
            yield f"{name} in line {node.lineno}"  # type: ignore[attr-defined]  # both kinds of nodes have one


def test_an_error_without_a_detail_is_given_one_where_it_is_raised() -> None:
    assert all(error.detail for error in DECLARED)
    without = {error.__name__ for error in DECLARED if error.detail == RollbookError.detail}
    assert {"WrongTypeError", "UserNotFoundError"} <= without
    sources = [path for layer in ("domain", "persistence", "api") for path in (PROJECT / layer).rglob("*.py")]
    raised = {path: [*_raised_without_detail(ast.parse(path.read_text("utf-8")), without)] for path in sources}
    assert {path: found for path, found in raised.items() if found} == {}


class TeaColdError(ConflictError):
    """An example."""

    code = "tea-cold"
    detail = "The tea is cold."
    fields = ("cup", "pot")


def test_an_error_names_the_fields_of_its_class_or_those_it_is_given() -> None:
    error = TeaColdError()
    assert error.violations == [Violation((name,), "tea-cold", "The tea is cold.") for name in ("cup", "pot")]
    assert (error.member_values, error.header_values) == ({}, {})
    assert TeaColdError(fields=[]).violations == []
    other = TeaColdError("Too cold.", fields=["can"])
    assert (str(other), other.detail, TeaColdError.detail) == ("Too cold.", "Too cold.", "The tea is cold.")
    assert other.violations == [Violation(("can",), "tea-cold", "Too cold.")]


def test_given_violations_stand_before_those_of_fields() -> None:
    given = Violation(("cups", 1), "cup-missing", "There is no cup.")
    error = TeaColdError(violations=[given], fields=["pot"], member_values={"degrees": 4})
    assert error.violations == [given, Violation(("pot",), "tea-cold", "The tea is cold.")]
    assert error.member_values == {"degrees": 4}


def test_pydantic_collects_every_error_of_a_domain() -> None:
    assert all(issubclass(error, ValueError) for error in DECLARED)
