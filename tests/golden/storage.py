"""The recordings as files: one line per request, statements by name, so that `git diff` shows changes."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from tests.golden.observing import Statement

FOLDER: Final = Path(__file__).resolve().parent / "recordings"
_STATEMENTS: Final = "statements"
_SHOWN: Final = 5
"""Maximum number of differing requests that are shown per scenario."""


def load(name: str) -> dict[str, Any]:
    """Returns the content of a file of recordings; empty if there is no file."""
    path = FOLDER / f"{name}.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def save(name: str, recorded: Mapping[str, Any]) -> None:
    """Writes a file of recordings, one entry of each list on a line."""
    parts = []
    for key, value in recorded.items():
        entries = ",\n".join(_line(entry) for entry in value) if isinstance(value, list) else ""
        parts.append(f"{_line(key)}: " + (f"[\n{entries}\n]" if entries else _line(value)))
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)


def statement_name(statement: Statement) -> str:
    """Returns a name that depends only on the texts."""
    sqlite, sql_server = statement
    if not sql_server:
        return sqlite
    digest = hashlib.sha256(repr(statement).encode()).hexdigest()
    return f"{sqlite.split()[0]} {digest[:8]}"


def with_texts(exchange: Mapping[str, Any], texts: Mapping[str, list[str]]) -> dict[str, Any]:
    """Returns the recording of a request with the texts of its statements."""
    return {**exchange, "sql": [texts.get(name, [name]) for name in exchange["sql"]]}


def difference(recorded: list[Any], actual: list[Any]) -> str:
    """Returns a description of the differences, or an empty string."""
    parts = []
    for number, (before, after) in enumerate(zip_longest(recorded, actual), 1):
        lines = difflib.unified_diff(_readable(before), _readable(after), "recorded", "now", lineterm="", n=2)
        if difference := "\n".join(lines):
            name = (after or before).get("request", (after or before).get("name"))
            parts.append(f"{number}. {name}\n{difference}\n")
    rest = f"... and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return "\n".join([*parts[:_SHOWN], *filter(None, [rest])])


def _readable(entry: Any) -> list[str]:
    return json.dumps(entry, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace").decode().splitlines()


class Recordings:
    """The results of this run, to be compared or written."""

    def __init__(self, *, is_recording: bool) -> None:
        self.is_recording = is_recording
        self.texts: dict[str, list[str]] = load(_STATEMENTS)
        self._files: dict[str, dict[str, Any]] = {}

    def check(self, file: str, key: str, played: list[dict[str, Any]]) -> str:
        """Returns the differences from the recording; none if it is being recorded again."""
        named = []
        for exchange in played:
            statements = [(statement_name(statement), statement) for statement in exchange.get("sql", ())]
            named.append({**exchange, "sql": [name for name, _ in statements]} if "sql" in exchange else exchange)
            if self.is_recording:
                self.texts |= {name: [*statement] for name, statement in statements if statement[1]}
        recordings = self._files.setdefault(file, load(file))
        if self.is_recording:
            recordings[key] = named
            return ""
        now = [{**exchange, "sql": self._now(exchange)} if "sql" in exchange else exchange for exchange in played]
        return difference([self._then(exchange) for exchange in recordings.get(key, [])], now)

    def _then(self, exchange: dict[str, Any]) -> dict[str, Any]:
        return with_texts(exchange, self.texts) if "sql" in exchange else exchange

    @staticmethod
    def _now(exchange: Mapping[str, Any]) -> list[list[str]]:
        return [[*statement] if statement[1] else [statement[0]] for statement in exchange["sql"]]

    def write(self, keys: Mapping[str, list[str]]) -> None:
        """Writes the files, with these keys in this order, and the statements that they use."""
        for file, names in keys.items():
            recordings = self._files.get(file, load(file))
            self._files[file] = {name: recordings[name] for name in names if name in recordings}
            save(file, self._files[file])
        used = {
            name
            for recordings in self._files.values()
            for played in recordings.values()
            for exchange in played
            for name in exchange.get("sql", ())
        }
        save(_STATEMENTS, {name: self.texts[name] for name in sorted(used & self.texts.keys())})
