"""`python -m persistence`: applies `sql/` to the database of the setting `DATABASE_URL`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import settings
from domain.errors import RefusalError
from persistence import database
from persistence.scripts import SQL, ScriptChangedError, ScriptFailedError, apply_scripts


def main() -> None:
    """Applies the scripts of the enabled services, telling of each; ends with 1 and one line where one cannot run."""
    parser = argparse.ArgumentParser(prog="python -m persistence", description="Applies sql/ to the database.")
    parser.add_argument(
        "--wait",
        default=180,
        type=int,
        metavar="SECONDS",
        help="how long a database that is waking up is waited for, and the longest a statement may take (default 180)",
    )
    arguments = parser.parse_args()
    if not 1 <= arguments.wait <= 3600:
        parser.error("--wait takes 1 to 3600 seconds")
    try:
        configured = settings.current()
        database.connect_as(replace(configured, db_retry_seconds=arguments.wait))
        apply_scripts(SQL, configured.services, print)
    except (settings.SettingsError, ScriptChangedError, ScriptFailedError) as error:
        sys.exit(f"Stopped: {error}")
    except RefusalError as error:
        sys.exit(f"Stopped: {error.detail}")
    finally:
        database.close()


if __name__ == "__main__":
    main()
