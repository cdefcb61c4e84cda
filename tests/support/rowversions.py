"""SQL Server's rowversion on the SQLite file of a stand-in driver: the column, its counter and MIN_ACTIVE_ROWVERSION().

SQLite has one writer at a time. A transaction that has taken a number and is still open is therefore simulated: its
number is held back, and given to a row that is written later.
"""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE name = 'user_changes'"
_ADD: Final = """
    ALTER TABLE user_changes ADD COLUMN feed_position BLOB;
    UPDATE user_changes SET feed_position = CAST(printf('%08d', change_id) AS BLOB);
    CREATE TRIGGER next_rowversion AFTER INSERT ON user_changes BEGIN
        UPDATE user_changes SET feed_position = next_rowversion() WHERE change_id = NEW.change_id;
    END;
"""


class Rowversions:
    """The counter of a database. Numbers are eight bytes and increase; in a new database they begin with 1."""

    def __init__(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            first = 1
            if connection.execute(_TABLE).fetchone():
                connection.executescript(_ADD)
                first += connection.execute("SELECT coalesce(max(change_id), 0) FROM user_changes").fetchone()[0]
        self._numbers = itertools.count(first)
        self._next = next(self._numbers)
        self._open: list[bytes] = []
        self._ending: list[bytes] = []

    def define(self, connection: sqlite3.Connection) -> None:
        """Defines the functions for a connection."""
        connection.create_function("next_rowversion", 0, self._take)
        connection.create_function("MIN_ACTIVE_ROWVERSION", 0, self._lowest)

    def hold(self) -> bytes:
        """Returns the number of a row that a transaction has written, which is open until `release`."""
        self._open.append(self._increment())
        return self._open[-1]

    def release(self, number: bytes) -> None:
        """Ends that transaction: the next row that is written has its number."""
        self._ending.append(number)

    def _take(self) -> bytes:
        if not self._ending:
            return self._increment()
        number = self._ending.pop()
        self._open.remove(number)
        return number

    def _increment(self) -> bytes:
        number, self._next = self._next, next(self._numbers)
        return _bytes(number)

    def _lowest(self) -> bytes:
        return min([*self._open, _bytes(self._next)])


def _bytes(number: int) -> bytes:
    return b"%08d" % number
