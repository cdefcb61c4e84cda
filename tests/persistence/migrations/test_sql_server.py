"""Migrations and scripts on a SQL Server, as far as that can be shown without one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from persistence.migrations.adoption import RELEASE_0_1_0
from persistence.migrations.attempts import MigrationFailedError, MigrationOutcomeUnknownError
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.heads import HEADS
from persistence.migrations.history import list_migrations
from persistence.migrations.scripts import SCRIPTS, SQL, apply_scripts
from persistence.migrations.upgrade import upgrade
from tests.conftest import BRANCHES
from tests.support.recording_server import Server, fault, recording_server
from tests.support.tsql import check_tsql, inner_statement
from tests.support.tsql_schema import script_statements

MIGRATIONS = [path for branch in BRANCHES for path in sorted((SQL / branch).glob("[0-9]*.sql"))]


@pytest.fixture
def server() -> Iterator[Server]:
    """The app's database: a new server."""
    with recording_server() as server:
        yield server


def _words(statement: str) -> str:
    return " ".join(re.sub(r"(?m)^--.*$|;\s*\Z| OUTPUT inserted\.version_num", "", statement).split())


def _upgrade() -> list[str]:
    lines: list[str] = []
    upgrade(BRANCHES, lines.append)
    return [line.rpartition(" in ")[0] for line in lines if not line.endswith(": running")]


# ---- migrations


def test_each_migration_is_one_transaction_of_the_statements_of_its_script(server: Server) -> None:
    assert len(_upgrade()) == len(MIGRATIONS)
    assert server.transactions[0].pop(0).strip().startswith("CREATE TABLE alembic_version")
    executed = [[_words(statement) for statement in transaction] for transaction in server.transactions]
    assert executed == [
        [
            _words(inner_statement(batch).removeprefix("IF @@TRANCOUNT > 0\n"))
            for batch in script_statements(path)
            if batch.startswith("IF @@TRANCOUNT > 0\n") and "COMMIT" not in batch
        ]
        for path in MIGRATIONS
    ]
    assert server.versions == [HEADS[branch] for branch in BRANCHES]
    for statement in server.executed:
        check_tsql(statement.strip())


def test_a_current_database_gets_no_statement_that_writes(server: Server) -> None:
    _upgrade()
    server.transactions.clear()
    assert _upgrade() == []
    assert server.transactions == []


def test_each_transaction_takes_the_lock_before_it_reads_or_changes(server: Server) -> None:
    _upgrade()
    apply_scripts(BRANCHES, lambda _: None)
    assert len(server.locks) == len(server.transactions)  # the stand-in rejects one behind a change
    assert re.search(r"N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 60000;", server.locks[0])


def test_a_process_that_waited_for_another_one_finds_nothing_to_do(server: Server) -> None:
    def migrate_elsewhere() -> None:
        server.names.add("alembic_version")
        server.versions = [HEADS[branch] for branch in BRANCHES]

    server.on_lock = migrate_elsewhere
    assert {line.rpartition(": ")[2] for line in _upgrade()} == {"already applied"}
    assert server.transactions == []


def test_a_lock_that_is_not_granted_ends_the_run(server: Server) -> None:
    server.lock_result = -1
    with pytest.raises(MigrationFailedError, match=r"^shared_0001_baseline failed: the lock .* \(sp_getapplock: -1\)$"):
        _upgrade()
    assert (server.transactions, len(server.locks)) == ([], 1)


def test_what_release_0_1_0_made_is_adopted(server: Server) -> None:
    for schema in RELEASE_0_1_0.values():
        server.names |= {*schema.tables, *schema.indexes}
    server.names.add("schema_scripts")
    baselines = {f"{branch}_0001_baseline" for branch in RELEASE_0_1_0}
    assert _upgrade() == [
        f"{migration.name}: {'adopted from release 0.1.0' if migration.name in baselines else 'done'}"
        for migration in list_migrations(BRANCHES)
    ]
    assert server.versions == [HEADS[branch] for branch in BRANCHES]
    assert not [statement for statement in server.executed if "schema_scripts" in statement]
    adopted = "|".join(table for schema in RELEASE_0_1_0.values() for table in schema.tables)
    assert not re.search(f"CREATE TABLE ({adopted}) ", "".join(server.executed))


def test_a_part_of_release_0_1_0_is_named_and_left_as_it_is(server: Server) -> None:
    server.names |= {"idempotency_keys", "ux_idempotency_keys_key"}
    with pytest.raises(
        MigrationFailedError, match=r"shared_0001_baseline failed: .* not ix_idempotency_keys_created_at"
    ):
        _upgrade()
    assert server.versions == []


def test_a_statement_that_fails_rolls_its_migration_back_and_ends_the_run(server: Server) -> None:
    server.faults = [("CREATE INDEX ix_users_created_at", fault("1505", "Duplicate\nkey."))]
    lines: list[str] = []
    with pytest.raises(MigrationFailedError) as caught:
        upgrade(BRANCHES, lines.append)
    assert re.fullmatch(r"users_0001_baseline failed: .*Duplicate key\. \(1505\).*", str(caught.value))
    assert server.versions == [HEADS["shared"]]
    assert len(server.rollbacks) == 1
    assert lines[-1] == "users_0001_baseline: running"
    _upgrade()
    assert server.versions == [HEADS[branch] for branch in BRANCHES]


@pytest.mark.parametrize("place", ["login", "CREATE TABLE users", "GRANT UNMASK"])
@pytest.mark.parametrize("number", ["40613", "40197"])
def test_a_database_that_is_resuming_is_retried(server: Server, place: str, number: str) -> None:
    server.faults = [(place, fault(number)), (place, fault(number))]
    _upgrade()
    apply_scripts(BRANCHES, lambda _: None)
    assert server.faults == []
    assert server.versions == [HEADS[branch] for branch in BRANCHES]
    assert len([statement for statement in server.executed if "CREATE TABLE users" in statement]) == 1


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (fault("18456", "Login failed for user 'app'.", "28000"), "Login failed for user 'app'."),
        (fault("4060", "Cannot open database 'x' requested by the login."), "Cannot open database 'x'"),
        (fault("40615", "Client with IP address '20.0.0.1' is not allowed to access the server."), "40615"),
        (
            fault("-1", "SSL Provider: [error:0A000086:SSL routines::certificate verify failed:self-signed]", "08001"),
            "certificate verify failed",
        ),
        (fault("-1", "SSL Provider: The target principal name is incorrect.", "08001"), "target principal name"),
    ],
)
def test_a_rejection_is_reported_at_once(server: Server, error: Exception, cause: str) -> None:
    server.faults = [("login", error), ("login", AssertionError("a second attempt"))]
    with pytest.raises(MigrationFailedError) as caught:
        _upgrade()
    assert cause in str(caught.value)
    assert str(caught.value).startswith("Reading alembic_version failed: ")
    assert server.logins == 1


def test_a_commit_that_is_lost_is_not_repeated(server: Server) -> None:
    # The first makes the migration begin again, so that the others do not meet the commits before it.
    server.faults = [("CREATE TABLE alembic_version", fault("40613")), *[("commit", fault("40613"))] * 2]
    with pytest.raises(MigrationOutcomeUnknownError) as caught:
        _upgrade()
    assert re.fullmatch(
        r"shared_0001_baseline: the connection was lost during the commit \(.*40613.*\): it was applied as a whole or "
        "not at all; run this again",
        str(caught.value),
    )
    assert (server.transactions, len(server.faults)) == ([], 1)
    server.faults = []
    assert len(_upgrade()) == len(MIGRATIONS)


def test_a_login_whose_tables_would_be_elsewhere_is_rejected(server: Server) -> None:
    server.schema = "guest"
    with pytest.raises(MigrationFailedError, match="The default schema of this login is guest; it must be dbo"):
        _upgrade()
    assert server.transactions == []


def test_a_database_newer_than_the_app_is_rejected(server: Server) -> None:
    server.names, server.versions = {"alembic_version"}, ["shared_0003", "users_0099"]
    with pytest.raises(MigrationFailedError, match=r"a newer version of Rollbook .* \(users_0099, while this version "):
        _upgrade()
    assert server.transactions == []


def test_a_sql_server_is_not_contacted_when_the_app_starts(server: Server) -> None:
    upgrade_embedded(BRANCHES)
    assert server.logins == 0


# ---- scripts


def test_the_scripts_are_applied_every_time_each_in_one_transaction(server: Server) -> None:
    names = [
        f"{branch}/{script}" for branch in BRANCHES for script in SCRIPTS if (SQL / branch / f"{script}.sql").exists()
    ]
    assert {"users/seed", "users/masks"} < {*names}
    assert "accounts/samples" not in names
    for _ in range(2):
        server.transactions.clear()
        lines: list[str] = []
        apply_scripts(BRANCHES, lines.append)
        assert lines == [f"sql/{name}.sql: applied" for name in names]
        assert server.transactions == [script_statements(SQL / f"{name}.sql") for name in names]


def test_a_script_that_fails_is_named_and_rolled_back(server: Server) -> None:
    server.faults = [("THROW 50000", fault("50000", "dbo.users: mob_num or pan_num is not masked."))]
    lines: list[str] = []
    with pytest.raises(MigrationFailedError, match=r"^sql/users/masks\.sql failed: .*mob_num or pan_num is not masked"):
        apply_scripts(BRANCHES, lines.append)
    assert lines[-1] == "sql/users/seed.sql: applied"
