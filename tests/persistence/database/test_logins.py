"""The arguments of pyodbc's `connect` and the statements sent to a server, with a stand-in for `connect`."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from azure.core.exceptions import ClientAuthenticationError
from sqlalchemy import text

from persistence.database import retries
from persistence.database.connection_string import parse_database_url, read_odbc
from persistence.database.connections import close, connect, engines, reading, transaction
from persistence.database.errors import DatabaseLoginError, OutcomeUnknownError, TransientError
from persistence.database.retries import run_with_retries
from persistence.database.sqlserver import LOGIN_SECONDS, Limits
from settings import SettingsError
from tests.support.odbc import SECRETS, Credential, StandInDriver, read, unreachable, write

ACCESS_TOKEN = 1256
"""SQL_COPT_SS_ACCESS_TOKEN of msodbcsql.h."""
COMMIT, ROLLBACK = "IF @@TRANCOUNT > 0 COMMIT", "IF @@TRANCOUNT > 0 ROLLBACK"
MARGIN = 15
"""Seconds within which a call ends, for a budget of 3 and a busy machine."""


def _last_login(driver: StandInDriver) -> dict[str, str]:
    """The keywords of the last login."""
    return read_odbc(parse_database_url(driver.logins[-1].text))


def test_encryption_is_the_default(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=1)
    read()
    assert _last_login(driver)["encrypt"] == "yes"
    assert f"pwd={SECRETS['PWD']};" in driver.logins[-1].text + ";"


def test_off_azure_a_certificate_may_stay_unverified(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(TrustServerCertificate="yes"), threads=1)
    read()
    assert _last_login(driver)["trustservercertificate"] == "yes"


def test_a_managed_identity_is_left_to_the_driver(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(Authentication="ActiveDirectoryMsi", UID="some-client-id", PWD=None), threads=1)
    read()
    keywords = _last_login(driver)
    assert keywords["authentication"] == "ActiveDirectoryMsi"
    assert keywords["uid"] == "some-client-id"
    assert not hasattr(driver.logins[-1], "attrs_before")


@pytest.mark.parametrize("keyword", ["authentication", "Authentication"])
def test_a_url_without_a_user_may_name_an_authentication(
    driver_file: Path, driver: StandInDriver, credential: type[Credential], keyword: str
) -> None:
    for authentication in ("ActiveDirectoryMsi", "ActiveDirectoryDefault"):
        try:
            connect(f"mssql+pyodbc://server/db?driver={driver_file}&{keyword}={authentication}", threads=1)
            read()
        finally:
            close()
        assert "trusted_connection" not in _last_login(driver)  # the driver accepts one kind of authentication
    assert len(credential.requested) == 1


def test_a_pool_keeps_a_connection_for_every_thread(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=3, limits=Limits(connection_age=77))
    for block in (reading, transaction):
        for _ in range(2):
            with block(), block(), block():
                pass
    assert len(driver.logins) == 6
    for engine in engines():
        assert engine.pool.size() == 3  # type: ignore[attr-defined]
        assert engine.pool._recycle == 77
        assert not engine.pool._pre_ping
    assert all(connection.autocommit for connection in driver.connections)


def test_a_partly_read_result_cannot_end_a_transaction(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=1)
    read()
    assert not any("SET XACT_ABORT OFF" in statement for statement in driver.statements)
    write()
    write()
    assert sum("SET XACT_ABORT OFF" in statement for statement in driver.statements) == 1


def test_nothing_is_sent_to_test_or_reset_a_connection(odbc: Callable[..., str], driver: StandInDriver) -> None:
    def fail() -> None:
        with transaction() as connection:
            connection.execute(text("UPDATE users SET version = 2"))
            raise LookupError

    connect(odbc(), threads=1)
    for work in (read, write):  # SQLAlchemy's initial queries
        work()
    driver.sent.clear()
    read()
    assert driver.sent == ["execute"]
    driver.sent.clear()
    write()
    assert driver.sent == ["execute", COMMIT]
    driver.sent.clear()
    with pytest.raises(LookupError):
        fail()
    assert driver.sent == ["execute", ROLLBACK]
    assert len(driver.logins) == 2


def test_a_connection_lost_in_a_commit_is_closed(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=1)
    write()
    driver.sent.clear()
    driver.fault = unreachable()
    with pytest.raises(OutcomeUnknownError):
        write()
    assert driver.sent == ["execute", COMMIT, "close"]


@pytest.mark.parametrize(("budget", "expected"), [(1, {9}), (-5, {3, 4}), (-100, {1})])
def test_the_end_of_a_transaction_after_the_budget_has_the_rest_of_both(
    odbc: Callable[..., str], driver: StandInDriver, budget: int, expected: set[int]
) -> None:
    connect(odbc(), threads=1, limits=Limits(write=9))
    write()
    retries.set_budget(budget)
    try:
        write()
    finally:
        retries.set_budget(retries.DEFAULT_BUDGET_SECONDS)
    assert driver.sent[-1] == COMMIT
    assert driver.timeouts[-1] in expected
    write()
    assert driver.timeouts[-1] == 9


def test_every_statement_has_a_timeout_also_those_of_a_login(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=1, limits=Limits(read=8, write=9))
    read()
    assert set(driver.timeouts) == {8}
    write()
    assert set(driver.timeouts) == {8, 9}


@pytest.mark.parametrize("budget", [3, 60])
def test_a_login_is_limited_to_the_rest_of_the_budget(
    odbc: Callable[..., str], driver: StandInDriver, budget: int
) -> None:
    connect(odbc(), threads=1, retry_seconds=budget)
    if budget == 3:
        driver.fault = unreachable()
    started = time.monotonic()
    if driver.fault is None:
        run_with_retries(read)
    else:
        with pytest.raises(TransientError):
            run_with_retries(read)
    assert driver.logins
    for login in driver.logins:
        assert 1 <= login.timeout <= LOGIN_SECONDS
        assert isinstance(login.timeout, int)
        assert login.at - started + login.timeout < budget + 1  # the minimum is a whole second
    if driver.fault is not None:
        assert len(driver.logins) == 2  # at the start, and 2 s later
        assert time.monotonic() - started < MARGIN


# ---- a developer's own login


@pytest.fixture
def own_login(odbc: Callable[..., str]) -> str:
    """The connection string for a developer's login to Azure."""
    return odbc(Authentication="ActiveDirectoryDefault", UID=None, PWD=None)


def test_every_login_gets_a_token_of_its_own(
    own_login: str, driver: StandInDriver, credential: type[Credential]
) -> None:
    connect(own_login, threads=1)
    assert credential.requested == []
    read()
    read()
    write()
    assert credential.requested == [("https://database.windows.net/.default",)] * 2
    for number, login in enumerate(driver.logins, 1):
        token = f"token-{number}".encode("utf-16-le")
        assert login.attrs_before == {ACCESS_TOKEN: struct.pack("<I", len(token)) + token}
        assert "authentication" not in login.text.lower()
    assert len(driver.logins) == 2


def test_a_developers_own_login_may_stand_in_braces(
    odbc: Callable[..., str], driver: StandInDriver, credential: type[Credential]
) -> None:
    connect(odbc(Authentication="{ActiveDirectoryDefault}", UID=None, PWD=None), threads=1)
    read()
    assert "authentication" not in _last_login(driver)
    assert len(credential.requested) == 1


@pytest.mark.parametrize("keywords", [{"PWD": None}, {"UID": None}])
@pytest.mark.usefixtures("credential")
def test_a_developers_own_login_beside_another_is_rejected(odbc: Callable[..., str], keywords: dict[str, None]) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL says Authentication=ActiveDirectoryDefault"):
        connect(odbc(Authentication="ActiveDirectoryDefault", **keywords), threads=1)


def test_a_developer_without_a_login_gets_an_error_that_says_so(
    own_login: str, driver: StandInDriver, credential: type[Credential]
) -> None:
    credential.fault = ClientAuthenticationError("no credential of secret@example.com worked")
    connect(own_login, threads=1)
    with pytest.raises(DatabaseLoginError) as caught:
        run_with_retries(read)
    assert caught.value.code == "database-login"
    assert "secret" not in caught.value.detail
    assert len(credential.requested) == 1  # a retry would get the same result
    assert driver.logins == []


def test_a_missing_azure_identity_is_one_sentence(own_login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)  # as if its import failed
    with pytest.raises(SettingsError, match="pip install azure-identity"):
        connect(own_login, threads=1)
