"""`grant-access` makes an identity of Microsoft Entra a member of the app's role."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from persistence.migrations.attempts import MigrationFailedError
from persistence.migrations.scripts import grant_access
from tests.support.recording_server import Server, fault, recording_server
from tests.support.tsql import check_tsql

CLIENT_ID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def server() -> Iterator[Server]:
    """The app's database: a server that records its statements."""
    with recording_server() as server:
        yield server


def test_the_batches_run_in_one_transaction(server: Server) -> None:
    grant_access("rollbook-app", CLIENT_ID)
    ((settings, *batches),) = server.transactions
    assert settings == "SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;"
    sid = "0x11111111222233334444555555555555"
    known = f"IF EXISTS (SELECT 1 FROM sys.database_principals WHERE name = N'rollbook-app' AND sid <> {sid})"
    assert [re.sub(r"(?m)^(--.*)?\n", "", batch).replace("\n", " ") for batch in batches] == [
        f"{known} DROP USER [rollbook-app];",
        f"IF DATABASE_PRINCIPAL_ID(N'rollbook-app') IS NULL CREATE USER [rollbook-app] WITH SID = {sid}, TYPE = E;",
        "ALTER ROLE rollbook_app ADD MEMBER [rollbook-app];",
    ]


@pytest.mark.parametrize(
    ("client_id", "sid"),
    [
        (CLIENT_ID, "0x11111111222233334444555555555555"),
        ("01234567-89ab-cdef-0123-456789abcdef", "0x67452301AB89EFCD0123456789ABCDEF"),
        ("01234567-89AB-CDEF-0123-456789ABCDEF", "0x67452301AB89EFCD0123456789ABCDEF"),
        ("00000000-0000-0000-0000-000000000001", "0x00000000000000000000000000000001"),
    ],
)
def test_the_sid_has_the_bytes_of_the_client_id_as_a_guid_stores_them(server: Server, client_id: str, sid: str) -> None:
    grant_access("app", client_id)
    assert re.findall(r"0x\w+", "".join(server.executed)) == [sid, sid]


@pytest.mark.parametrize(
    "name", ["a", "7", "id-rollbook-dev.eastus_2", "A.b-c_9", "x" * 128, "GO", "a--", "name", "sid", "0x1"]
)
def test_a_valid_name_makes_valid_t_sql(server: Server, name: str) -> None:
    grant_access(name, CLIENT_ID)
    for batch in server.executed:
        check_tsql(batch)
    assert "".join(server.executed).count(f"[{name}]") == 3
    assert not re.search(r"[{}]", "".join(server.executed))


@pytest.mark.parametrize(
    "name",
    [
        "", " ", " app", "app ", "app\n", "\napp", "a b", "-app", ".app", "_app", "x" * 129, "a]", "a[", "a]]", "a'",
        'a"', "a;b", "a/*", "a=b", "a,b", "a(b)", "a\\b", "a%s", "a?", "a:b", "a@b", "a#b", "a$b", "a{sid}", "{name}",
        "a\x00b", "a\nGO\nb", "a\r\nGO\r\nDROP TABLE users", "ä", "аpp", "１", "app] WITH PASSWORD = 'x'; --",
        "x'; DROP TABLE users; --", "a\u2028b", "a\u02bcb",
    ],
)  # fmt: skip
def test_an_invalid_name_is_rejected_before_anything_runs(server: Server, name: str) -> None:
    with pytest.raises(MigrationFailedError, match="is not the name of an identity") as caught:
        grant_access(name, CLIENT_ID)
    assert "\n" not in str(caught.value)
    assert server.logins == 0


@pytest.mark.parametrize(
    "client_id",
    [
        "", "1", "me", CLIENT_ID[:-1], f"{CLIENT_ID}5", CLIENT_ID.replace("5", "g"), f"{CLIENT_ID}; DROP TABLE users",
        "0x11111111222233334444555555555555", f"{CLIENT_ID}\nGO\nDROP TABLE users", f"{CLIENT_ID[:-1]}'",
    ],
)  # fmt: skip
def test_an_invalid_client_id_is_rejected_before_anything_runs(server: Server, client_id: str) -> None:
    with pytest.raises(MigrationFailedError, match="is not a client id: a UUID") as caught:
        grant_access("app", client_id)
    assert "\n" not in str(caught.value)
    assert server.logins == 0


@pytest.mark.parametrize("place", ["CREATE USER", "ALTER ROLE"])
def test_what_the_server_rejects_is_rolled_back(server: Server, place: str) -> None:
    server.faults = [(place, fault("15247", "User does not have permission"))]
    with pytest.raises(MigrationFailedError, match=r"^sql/member\.sql\.template failed: .* permission \(15247\)"):
        grant_access("app", CLIENT_ID)
    assert server.transactions == []


@pytest.mark.parametrize("number", ["40613", "1205"])
def test_a_transaction_with_a_transient_error_is_retried(server: Server, number: str) -> None:
    server.faults = [("ALTER ROLE", fault(number)), ("CREATE USER", fault(number))]
    grant_access("app", CLIENT_ID)
    assert len(server.transactions) == 1
    assert len(server.executed) == 4
