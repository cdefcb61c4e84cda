"""A copy of the project, to which a test adds migrations."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 60
"""Seconds after which a program that has not ended counts as hanging."""
_PARTS: Final = ("admin", "api", "domain", "persistence", "sql", "settings.py")
UPGRADE: Final = """\
import logging, sys
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
logging.basicConfig(level=logging.INFO, format="%(message)s")
connections.connect(f"sqlite:///{sys.argv[1]}", threads=1)
upgrade_embedded(sys.argv[2:])
print("alembic" in sys.modules)
"""
"""A program that upgrades an embedded database, the first argument, as the app does when it starts."""


class ProjectCopy:
    """The app in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in _PARTS:
            if (PROJECT / part).is_file():
                shutil.copy(PROJECT / part, folder)
            else:
                shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))

    def add_migration(self, revision: str, name: str, *statements: str) -> Path:
        """Adds a migration behind the last one of its branch, or as the first of a new branch, and returns its file."""
        branch, number = revision[:-5], int(revision[-4:])
        lines = [f'revision = "{revision}"', f"down_revision = {f'{branch}_{number - 1:04}' if number > 1 else None!r}"]
        lines += [f'branch_labels = ("{branch}",)'] if number == 1 else []
        body = textwrap.indent("\n".join(statements), "    ")
        text = "\n".join(['"""A test\'s."""', "import sqlalchemy as sa", "from alembic import op", *lines, ""])
        path = self.folder / "persistence" / "migrations" / branch / f"{revision}_{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}\ndef upgrade() -> None:\n{body}\n", "utf-8")
        done = self.run("-m", "persistence.migrations")
        assert done.returncode == 0, done.stderr
        return path

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Python in this folder, as a process.

        It keeps no bytecode: a file that is written twice within a second, with the same size, would not be read again.
        """
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Python in this folder, to its end."""
        with self.start(*arguments, **environment) as process:
            printed, errors = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(arguments, process.returncode, printed, errors)

    def start_upgrade(self, database: Path, *branches: str, **environment: str) -> subprocess.Popen[str]:
        """A process that upgrades an embedded database as the app does when it starts."""
        return self.start("-c", UPGRADE, str(database), *branches, **environment)

    def upgrade(self, database: Path, *branches: str) -> subprocess.CompletedProcess[str]:
        """The same, to its end. It prints whether it imported Alembic."""
        return self.run("-c", UPGRADE, str(database), *branches)
