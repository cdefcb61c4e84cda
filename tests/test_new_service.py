"""Adding a service to a copy of the project requires its files and its name in SERVICES and in the layer contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import PROJECT, WAIT_SECONDS, Program, running

pytestmark = pytest.mark.slow

FILES = {
    "domain/notes.py": '''\
"""The rules of the notes service."""

from domain.errors import InvalidError


class TextEmptyError(InvalidError):
    """A note without text."""

    code = "text-empty"
    detail = "text must not be empty."


def parse_text(value: object) -> str:
    """A text, trimmed. Raises `TextEmptyError`."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise TextEmptyError
    return text
''',
    "persistence/notes.py": '''\
"""The table of notes, and the statements over it."""

from typing import ClassVar, Final

from sqlalchemy import Connection, Table, Unicode, insert, select
from sqlmodel import Field, SQLModel

from persistence.database.types import RowId


class NoteRow(SQLModel, table=True):
    """A note."""

    __tablename__: ClassVar[str] = "notes"

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    text: str = Field(sa_type=Unicode(400))


NOTES: Final[Table] = SQLModel.metadata.tables["notes"]


def insert_note(connection: Connection, text: str) -> None:
    """Stores a note."""
    connection.execute(insert(NOTES).inline(), {"text": text})


def list_notes(connection: Connection) -> list[str]:
    """The texts of all notes."""
    return list(connection.execute(select(NOTES.c.text).order_by(NOTES.c.id)).scalars())
''',
    "persistence/migrations/notes/notes_0001_baseline.py": '''\
"""Notes."""

import sqlalchemy as sa
from alembic import op

from persistence.database.types import RowId

revision = "notes_0001"
down_revision = None
branch_labels = ("notes",)


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("id", RowId, nullable=False),
        sa.Column("text", sa.Unicode(400), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
''',
    "api/notes.py": '''\
"""The endpoints of the notes service."""

from typing import Annotated

from pydantic import BeforeValidator

from api.http.requests import Request, field
from api.http.responses import Response
from api.http.service import Service
from domain.notes import TextEmptyError, parse_text
from persistence import notes as store
from persistence.database.connections import Connection

service = Service("notes")


class AddNote(Request):
    """The body of `notes_add`."""

    text: Annotated[str, BeforeValidator(parse_text), field("Any text", TextEmptyError)]


@service.endpoint("notes_add", body=AddNote, writes=True, idempotent=True, returns={201: list[str]})
def notes_add(request: AddNote, connection: Connection) -> Response:
    """Adds a note and returns all."""
    store.insert_note(connection, request.text)
    return Response(store.list_notes(connection), 201)
''',
    "sql/notes/permissions.sql": """\
SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Permissions of the notes service. Idempotent.
GRANT SELECT, INSERT ON dbo.notes TO rollbook_app;
GO
""",
    "tests/api/test_notes.py": '''\
"""The notes service over HTTP, with the fixtures of every service's tests."""


def test_a_note_is_stored(api, count_statements):
    count_statements()
    response = api.post("notes_add", {"text": " first "})
    assert (response.status_code, response.json()) == (201, ["first"])
    assert count_statements() == 2
''',
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with one more service, and nothing else edited by hand."""
    project = tmp_path_factory.mktemp("new-service") / "project"
    ignored = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", "*.db*", ".coverage*", ".hypothesis")
    shutil.copytree(PROJECT, project, ignore=ignored)
    (project / "local.settings.json").unlink(missing_ok=True)
    for name, text in FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    _edit(project / "api/__init__.py", '"invoices")', '"invoices", "notes")')
    _edit(project / "pyproject.toml", "(users) | (points)", "(users) | (points) | (notes)")
    _run(project, "-m", "persistence.migrations")  # heads.py and the T-SQL are generated
    return project


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def _run(project: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def program(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The development host of that project, with the new service alone."""
    with running(tmp_path_factory.mktemp("running"), project=project, SERVICES="notes") as program:
        yield program


def test_a_new_service_is_served_and_its_table_migrated(program: Program) -> None:
    assert program.post("notes_add", {"text": " first "}).json() == ["first"]
    assert program.post("notes_add", {"text": " "}).json()["errors"][0]["code"] == "text-empty"
    headers = {"Idempotency-Key": "k"}
    url = program.urls["notes_add"]
    again = [program.client.post(url, json={"text": "x"}, headers=headers).json() for _ in range(2)]
    assert again == [["first", "x"]] * 2


def test_a_new_service_is_described(program: Program) -> None:
    document: Any = program.client.get(program.urls["openapi_json"]).json()
    assert list(document["paths"]) == ["/notes_add"]
    assert "text-empty" in document["components"]["schemas"]["AddNote"]["properties"]["text"]["description"]


def test_a_new_service_keeps_the_import_contracts(project: Path) -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    assert "0 broken" in _run(project, "-c", program)


def test_a_new_service_is_tested_with_the_fixtures_of_all(project: Path) -> None:
    # Without a SQL Server: its database has the tables of this run already.
    _run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/api/test_notes.py", TEST_DATABASE_URL="")


def test_a_new_service_gets_its_sql(project: Path) -> None:
    text = (project / "sql/notes/001_baseline.sql").read_text("utf-8")
    assert "CREATE TABLE notes" in text
    assert "notes_0001" in text
