"""Upgrades the embedded database when the app starts. Alembic is imported only where there is something to migrate."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence

from persistence.database.connections import is_embedded
from persistence.migrations.attempts import MigrationFailedError, attempt
from persistence.migrations.state import compare_versions, describe_newer, find_versions
from settings import SettingsError

logger = logging.getLogger("rollbook")


def upgrade_embedded(branches: Sequence[str], *, samples: bool = False) -> None:
    """Migrates these branches of an embedded database; leaves a SQL Server alone, and does not contact it.

    `samples`: as in `upgrade`.

    Raises `SettingsError` for a database that is newer than this version of the app, and for one that cannot be
    migrated: what was migrated before the failure is kept, and nothing of the rest.
    """
    if not is_embedded():
        return
    try:
        versions = attempt("Reading alembic_version", find_versions)
        if newer := describe_newer(versions, branches):
            raise SettingsError(
                f"DATABASE_URL names a database that a newer version of Rollbook has migrated ({newer}): run that "
                "version, or restore the copy that it left beside the file."
            )
        if compare_versions(versions, branches) == "outdated":
            module = importlib.import_module("persistence.migrations.upgrade")
            is_empty = attempt("Reading the tables", module.is_empty)
            module.upgrade(branches, logger.debug if is_empty else logger.info, samples=samples)
    except MigrationFailedError as error:
        raise SettingsError(f"DATABASE_URL names a database that cannot be migrated: {error}.") from error
