"""Recorded telemetry, and the app over a driver that raises faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_driver import Faults, connect_with_faults
from tests.support.telemetry import Observed, observing


@pytest.fixture
def observed(api: Any) -> Iterator[Observed]:
    """The telemetry recorded from now on."""
    with observing() as observed:
        yield observed


@pytest.fixture
def faults(database_file: Path) -> Faults:
    """The app on the engines of SQL Server, over a driver that raises faults."""
    return connect_with_faults(database_file)


@pytest.fixture
def warm(faults: Faults, api: Any) -> Faults:
    """`faults` with engines in use: SQLAlchemy queries a new one without events."""
    api.create(mob_num="9999999999")
    api.get()
    return faults
