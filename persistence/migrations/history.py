"""The migrations as Alembic reads them: its configuration, which has no file, and each branch in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from persistence.migrations.state import parse_versions

FOLDER: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Migration:
    """One migration of a branch."""

    branch: str
    script: Script
    scripts: ScriptDirectory

    @property
    def name(self) -> str:
        """The name of its file, such as `users_0001_baseline`."""
        return Path(self.script.path).stem

    @property
    def number(self) -> int:
        """Its place in the branch, from 1."""
        return parse_versions([self.script.revision])[self.branch]


def alembic_config(**attributes: object) -> Config:
    """The configuration of Alembic, with attributes for `env.py`."""
    config = Config(attributes=attributes)
    options = {
        "script_location": str(FOLDER),
        "version_locations": "\n".join(str(FOLDER / branch) for branch in list_branches()),
        "path_separator": "newline",
        "file_template": "%(rev)s_%(slug)s",
    }
    for name, value in options.items():
        config.set_main_option(name, value.replace("%", "%%"))
    return config


def list_branches() -> list[str]:
    """The names of all branches: the folders that have a first migration."""
    return sorted({path.parent.name for path in FOLDER.glob("*/*_0001_*.py")})


def list_migrations(branches: Iterable[str]) -> list[Migration]:
    """The migrations of these branches, branch by branch, each from the first to the last."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return [
        Migration(branch, script, scripts)
        for branch in branches
        for script in reversed([*scripts.walk_revisions("base", f"{branch}@head")])
    ]
