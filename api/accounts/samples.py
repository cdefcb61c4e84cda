"""What the app does about sample accounts when it starts. Where they can sign in: `Settings.permits_samples`."""

from __future__ import annotations

import logging
import threading

from api.http.log import log_unexpected
from persistence.accounts import has_sample_accounts
from persistence.database.connections import reading
from persistence.database.retries import run_with_retries
from settings import Settings

logger = logging.getLogger("rollbook")


def report_samples(settings: Settings) -> None:
    """On Azure, logs an error if the database has sample accounts, whose password is public. Costs one statement.

    A thread of its own executes it, because a start must not wait for a database that is paused or cannot be reached.
    """
    if settings.on_azure:
        threading.Thread(target=_report, name="accounts-samples", daemon=True).start()


def _report() -> None:
    try:
        found = run_with_retries(_find)
    except Exception as error:  # noqa: BLE001 - of any kind: nothing else would log the error of a thread
        log_unexpected(error, "accounts_samples", "-")
    else:
        if found:
            logger.error(
                "The database has sample accounts, whose password is public. They cannot sign in; delete them."
            )


def _find() -> bool:
    with reading() as connection:
        return has_sample_accounts(connection)
