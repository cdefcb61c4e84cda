"""Permitted values of `DATABASE_URL`, and the keywords that reach the driver."""

from __future__ import annotations

import pytest
from sqlalchemy.dialects.mssql import pyodbc as sql_server_dialect

from persistence.database import connections
from persistence.database.connection_string import parse_database_url, read_odbc
from settings import SettingsError

PORTAL = (
    "Driver={ODBC Driver 18 for SQL Server};Server=tcp:rollbook.database.windows.net,1433;Database=rollbook;"
    "Encrypt=yes;TrustServerCertificate=no;Connection Timeout=30;Authentication=ActiveDirectoryMsi"
)


def test_the_portals_connection_string_reaches_the_driver_unchanged() -> None:
    url = parse_database_url(PORTAL)
    assert url.drivername == "mssql+pyodbc"
    arguments, _ = sql_server_dialect.dialect().create_connect_args(url)  # type: ignore[no-untyped-call]
    assert arguments == (PORTAL,)


def test_a_password_may_look_like_a_url() -> None:
    text = "Server=x;Driver={ODBC Driver 18 for SQL Server};Pwd=a://b"
    assert parse_database_url(text).query["odbc_connect"] == text


@pytest.mark.parametrize("url", ["mssql+pyodbc://server/rollbook?driver=ODBC+Driver+18+for+SQL+Server", "sqlite:///x"])
def test_a_sqlalchemy_url_is_accepted(url: str) -> None:
    assert parse_database_url(url).render_as_string(hide_password=False) == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rollbook.db", "SQLAlchemy URL"),
        ("Server=tcp:x.database.windows.net;Initial Catalog=rollbook;Password=secret;", "ODBC connection string"),
        ("postgresql://user:secret@host/rollbook", "postgresql"),
        ("mssql+pymssql://user:secret@host/rollbook", "mssql+pymssql"),
        ("://secret", "SQLAlchemy URL"),
        ("mssql+pyodbc://user:secret@host:port/rollbook", "SQLAlchemy URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file::memory:?uri=true", "names no file"),
        ("sqlite:///x.db?timeout=soon", "timeout"),
    ],
)
def test_any_other_url_is_rejected_without_its_password(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_database_url(text)
    assert reason in str(caught.value)
    assert "DATABASE_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_url_without_a_driver_gets_microsofts() -> None:
    assert read_odbc(parse_database_url("mssql+pyodbc://user:secret@server/db")) == {
        "driver": "{ODBC Driver 18 for SQL Server}",
        "server": "server",
        "database": "db",
        "uid": "user",
        "pwd": "secret",
    }


def test_a_password_in_braces_keeps_its_semicolons_and_braces() -> None:
    url = parse_database_url("Driver=X;PWD={a;b}}c=d;};Server=s")
    assert read_odbc(url) == {"driver": "X", "pwd": "{a;b}}c=d;}", "server": "s"}
    url = parse_database_url("mssql+pyodbc://user:a%3Bb%7Dc@server/db")
    assert read_odbc(url).items() >= {"uid": "user", "pwd": "{a;b}}c}"}.items()


def test_the_first_of_two_equal_keywords_counts_as_in_the_driver() -> None:
    assert read_odbc(parse_database_url("Driver=X;Server=s;UID=first;uid=second"))["uid"] == "first"


@pytest.mark.parametrize(
    "value",
    ["no", "No", "optional", "Optional", "false", "0", "{no}", "{Optional}", "{}", "soon"],
)
@pytest.mark.parametrize("form", ["Driver=X;Server=s;PWD=secret;Encrypt={}", "mssql+pyodbc://u:secret@s/d?Encrypt={}"])
def test_an_unencrypted_connection_is_rejected(form: str, value: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL says Encrypt=") as caught:
        connections.connect(form.replace("{}", value), threads=1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["yes", "Yes", "{yes}"])
def test_an_unverified_certificate_is_rejected_on_azure(value: str) -> None:
    text = f"Driver=X;Server=s;PWD=secret;Encrypt=yes;TrustServerCertificate={value}"
    with pytest.raises(SettingsError, match="DATABASE_URL says TrustServerCertificate=yes") as caught:
        connections.connect(text, threads=1, on_azure=True)
    assert "secret" not in str(caught.value)
