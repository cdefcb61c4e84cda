"""The setting `DATABASE_URL`: a SQLAlchemy URL or an ODBC connection string, and how a connection is secured.

No error repeats a part of the setting that may contain a password.
"""

from __future__ import annotations

import re

from sqlalchemy.dialects.mssql import pyodbc as sql_server
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from settings import SettingsError


def parse_database_url(text: str) -> URL:
    """Returns the SQLAlchemy URL for a URL or for an ODBC connection string of SQL Server.

    Raises `SettingsError` for other texts, other engines, and SQLite in memory.
    """
    if re.search(r"(^|;)\s*driver\s*=", text, re.IGNORECASE):
        return URL.create("mssql+pyodbc", query={"odbc_connect": text})
    if "://" not in text:
        raise SettingsError(
            "DATABASE_URL is neither a SQLAlchemy URL (sqlite:///rollbook.db) nor an ODBC connection string "
            "(Driver={ODBC Driver 18 for SQL Server};Server=…;Database=…)."
        )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # from None: the text may contain a password
        raise SettingsError("DATABASE_URL cannot be parsed as a SQLAlchemy URL.") from None
    if url.drivername not in ("sqlite", "sqlite+pysqlite", "mssql", "mssql+pyodbc"):
        raise SettingsError(f"DATABASE_URL names {url.drivername}; Rollbook supports sqlite and mssql+pyodbc.")
    if url.get_backend_name() == "sqlite":
        _check_sqlite(url)
    return url


def _check_sqlite(url: URL) -> None:
    if not url.database or ":memory:" in url.database:
        raise SettingsError("DATABASE_URL names no file: SQLite in memory is a separate database for each thread.")
    timeout = url.query.get("timeout")
    if timeout is not None and not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", str(timeout)):
        raise SettingsError("DATABASE_URL has a timeout that is not a number of seconds.")


def read_odbc(url: URL) -> dict[str, str]:
    """Returns the keywords (in lower case) and values of the ODBC connection string for `url`."""
    if "odbc_connect" not in url.query and "driver" not in url.query:
        url = url.update_query_dict({"driver": "ODBC Driver 18 for SQL Server"})
    (text,), _ = sql_server.dialect().create_connect_args(url)  # type: ignore[no-untyped-call]
    # A value in braces may contain semicolons and doubled closing braces.
    pairs = re.findall(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)", text)
    # The driver uses the first of several occurrences of a keyword.
    return {keyword.lower(): value.strip() for keyword, value in reversed(pairs)}


def unquote_odbc(odbc: dict[str, str], keyword: str) -> str:
    """Returns a value for comparison: in lower case and without braces, which the driver removes too."""
    return odbc.get(keyword, "").removeprefix("{").removesuffix("}").lower()


def login_keywords(url: URL, *, on_azure: bool) -> dict[str, str]:
    """Returns the keywords of `url` for the driver: encrypted, and with passwordless login to Azure SQL by default.

    Raises `SettingsError` for an unencrypted connection, for an unverified server certificate on Azure, and for two
    kinds of authentication at once.
    """
    return _secure_odbc(read_odbc(url), on_azure=on_azure)


def _secure_odbc(odbc: dict[str, str], *, on_azure: bool) -> dict[str, str]:
    odbc["encrypt"] = odbc.get("encrypt") or "yes"
    odbc.setdefault("connectretrycount", "0")  # the driver's own retries respect neither budget nor transaction
    if unquote_odbc(odbc, "encrypt") not in ("yes", "mandatory", "strict"):
        raise SettingsError(
            "DATABASE_URL says Encrypt= with another value than yes, mandatory or strict: connections to SQL Server "
            "are always encrypted."
        )
    on_azure_sql = ".database.windows.net" in unquote_odbc(odbc, "server")
    if (on_azure or on_azure_sql) and unquote_odbc(odbc, "trustservercertificate") not in ("", "no"):
        raise SettingsError(
            "DATABASE_URL says TrustServerCertificate=yes: on Azure the server's certificate is always verified."
        )
    if not odbc.keys() & {"uid", "pwd", "authentication"} and (on_azure or on_azure_sql):  # passwordless by default
        odbc["authentication"] = "ActiveDirectoryMsi" if on_azure else "ActiveDirectoryDefault"
    if unquote_odbc(odbc, "authentication"):
        odbc.pop("trusted_connection", None)  # SQLAlchemy adds it to a URL without a user
    if unquote_odbc(odbc, "authentication") == "activedirectorydefault" and odbc.keys() & {"uid", "pwd"}:
        raise SettingsError(
            "DATABASE_URL says Authentication=ActiveDirectoryDefault (the login of `az login`) and also names a user "
            "or a password: remove one of the two."
        )
    return odbc
