"""The values that `connect` accepts, and the engines before and after it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from persistence.database import connections
from settings import SettingsError


@pytest.mark.parametrize("content", [b"this is a text and no database, " * 100, None])
def test_a_file_that_cannot_be_a_database_is_rejected(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file.db" if content else tmp_path / "no" / "such" / "folder.db"
    if content:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="DATABASE_URL names a file that cannot be used as a database"):
        connections.connect(f"sqlite:///{path}", threads=1)
    connections.close()


def test_a_missing_driver_manager_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyodbc", None)  # as if its import failed
    with pytest.raises(SettingsError, match="install unixODBC"):
        connections.connect("Driver={ODBC Driver 18 for SQL Server};Server=s", threads=1)


def test_without_connect_there_is_no_connection_and_no_engine() -> None:
    connections.close()
    assert connections.engines() == ()
    with pytest.raises(RuntimeError), connections.reading():
        pass


def test_sqlite_has_one_engine(database_file: Path) -> None:
    (engine,) = connections.engines()
    assert engine.url.database == str(database_file)
    assert connections.is_embedded()
