"""`python -m persistence`: applies `sql/` to the database of the setting `DATABASE_URL`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import settings
from domain.errors import RollbookError
from persistence.database import connections
from persistence.scripts import SQL, ScriptChangedError, ScriptFailedError, add_member, apply_scripts


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
    parser.add_argument(
        "--member",
        metavar="NAME=CLIENT-ID",
        type=lambda text: text.partition("="),
        help="an identity of Entra that becomes a member of the app's role afterwards",
    )
    arguments = parser.parse_args()
    if not 1 <= arguments.wait <= 3600:
        parser.error("--wait takes 1 to 3600 seconds")
    try:
        configured = settings.current()
        connections.connect_from_settings(replace(configured, db_retry_seconds=arguments.wait))
        apply_scripts(SQL, configured.services, print)
        if arguments.member:
            name, _, client_id = arguments.member
            add_member(name, client_id)
            print(f"{name}: member of rollbook_app")
    except (settings.SettingsError, ScriptChangedError, ScriptFailedError) as error:
        sys.exit(f"Stopped: {error}")
    except RollbookError as error:
        sys.exit(f"Stopped: {error.detail}")
    finally:
        connections.close()


if __name__ == "__main__":
    main()
