"""The lock files are complete, have hashes, fit every supported Python, and agree with one another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = {
    "requirements.txt": "requirements.in",
    "requirements-dev.txt": "requirements-dev.in",
    "requirements-tools.txt": "requirements-tools.in",
}
ENVIRONMENTS: Final = [
    {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": system, "platform_machine": cpu}
    for python in ("3.11", "3.12", "3.13")
    for system, cpu in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64"))
]


def _entries(lock: str) -> dict[str, list[str]]:
    """The pins of a lock, each with its hashes."""
    text = re.sub(r"^ *#.*\n", "", (PROJECT / lock).read_text("utf-8"), flags=re.MULTILINE)
    entries = (entry.split(" \\\n    ") for entry in re.split(r"\n(?! )", text.rstrip("\n")))
    return {pin: hashes for pin, *hashes in entries}


def _wanted(source: str) -> list[Requirement]:
    """Returns the requirements of a source file itself."""
    lines = (line.partition("  #")[0] for line in (PROJECT / source).read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def _pinned(lock: str, environment: dict[str, str]) -> list[tuple[str, str]]:
    """The names and versions that are installed in an environment."""
    pins = [Requirement(pin) for pin in _entries(lock)]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
    return [(canonicalize_name(pin.name), str(pin.specifier).removeprefix("==")) for pin in here]


@pytest.mark.parametrize("lock", SOURCES)
def test_every_line_of_a_lock_is_a_pin_with_hashes(lock: str) -> None:
    entries = _entries(lock)
    assert len(entries) > 40
    for pin, hashes in entries.items():
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9a-z.]*( ; .+)?", pin), pin
        assert hashes, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", hashed) for hashed in hashes), pin


@pytest.mark.parametrize("lock", SOURCES)
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: "-".join(environment.values()))
def test_a_lock_pins_each_requirement_once(lock: str, environment: dict[str, str]) -> None:
    pinned = _pinned(lock, environment)
    versions = dict(pinned)
    assert len(pinned) == len(versions)
    every = _wanted(SOURCES[lock])
    here = [wanted for wanted in every if wanted.marker is None or wanted.marker.evaluate(environment)]
    for wanted in here:
        assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)]), wanted
    assert not versions.keys() & ({wanted.name for wanted in every} - {wanted.name for wanted in here})


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-tools.txt"])
def test_the_tests_run_with_the_pins_of_production_and_tools(lock: str) -> None:
    development = _entries("requirements-dev.txt")
    assert [pin for pin, hashes in _entries(lock).items() if development.get(pin) != hashes] == []


def test_a_lock_names_no_index_and_no_folder_of_one_machine() -> None:
    for lock in SOURCES:
        text = (PROJECT / lock).read_text("utf-8")
        assert "#    make lock\n" in text
        assert not re.search(r"://|index-url|find-links|(?<![\w.-])/", text), lock
