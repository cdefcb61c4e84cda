"""The sources of settings, and permitted values."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import settings
from settings import Settings, SettingsError, load

PROJECT = Path(settings.__file__).resolve().parent


def write_local_settings(folder: Path, **values: Any) -> None:
    """A `local.settings.json` with these `Values`."""
    (folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}), "utf-8")


def write_dotenv(folder: Path, *lines: str) -> None:
    """A `.env` with these lines."""
    (folder / ".env").write_text("".join(f"{line}\n" for line in lines), "utf-8")


# ---- sources


def test_an_unset_setting_has_its_default(tmp_path: Path) -> None:
    assert load({}, tmp_path) == Settings(
        database_url="sqlite:///rollbook.db",
        services=("users",),
        idempotency_hours=24,
        api_docs=False,
        health_check=False,
        telemetry=False,
        telemetry_sampling=0.1,
        applicationinsights_connection_string="",
        applicationinsights_authentication_string="",
        threads=min(32, (os.cpu_count() or 1) + 4),
        db_pool_recycle_seconds=1800,
        db_pool_idle_seconds=120,
        db_retry_seconds=20,
        db_read_seconds=30,
        db_write_seconds=10,
        on_azure=False,
        timers=False,
        host="127.0.0.1",
        port=7071,
    )


def test_each_source_alone_is_read(tmp_path: Path) -> None:
    assert load({"HOST": "variable"}, tmp_path).host == "variable"
    write_local_settings(tmp_path, HOST="values")
    assert load({}, tmp_path).host == "values"
    (tmp_path / "local.settings.json").unlink()
    write_dotenv(tmp_path, "HOST=dotenv")
    assert load({}, tmp_path).host == "dotenv"


def test_variables_precede_dotenv_and_dotenv_precedes_local_settings(tmp_path: Path) -> None:
    write_local_settings(tmp_path, HOST="values", PORT="1", SERVICES="values")
    write_dotenv(tmp_path, "HOST=dotenv", "PORT=2")
    loaded = load({"HOST": "variable"}, tmp_path)
    assert (loaded.host, loaded.port, loaded.services) == ("variable", 2, ("values",))


GIVEN = {
    "DATABASE_URL": "sqlite:///other.db",
    "SERVICES": "users,points",
    "IDEMPOTENCY_HOURS": "48",
    "API_DOCS": "true",
    "HEALTH_CHECK": "on",
    "TELEMETRY": "on",
    "TELEMETRY_SAMPLING": "0.25",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=x",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "Authorization=AAD",
    "PYTHON_THREADPOOL_THREAD_COUNT": "3",
    "DB_POOL_RECYCLE_SECONDS": "60",
    "DB_POOL_IDLE_SECONDS": "30",
    "DB_RETRY_SECONDS": "5",
    "DB_READ_SECONDS": "6",
    "DB_WRITE_SECONDS": "7",
    "TIMERS": "on",
    "HOST": "0.0.0.0",  # noqa: S104 - nothing listens here
    "PORT": "8080",
}
READ = Settings(
    database_url="sqlite:///other.db",
    services=("users", "points"),
    idempotency_hours=48,
    api_docs=True,
    health_check=True,
    telemetry=True,
    telemetry_sampling=0.25,
    applicationinsights_connection_string="InstrumentationKey=x",
    applicationinsights_authentication_string="Authorization=AAD",
    threads=3,
    db_pool_recycle_seconds=60,
    db_pool_idle_seconds=30,
    db_retry_seconds=5,
    db_read_seconds=6,
    db_write_seconds=7,
    on_azure=False,
    timers=True,
    host=GIVEN["HOST"],
    port=8080,
)


def test_every_setting_has_its_attribute(tmp_path: Path) -> None:
    assert load(GIVEN, tmp_path) == READ
    write_local_settings(tmp_path, **GIVEN)
    assert load({}, tmp_path) == READ


@pytest.mark.parametrize("blank", ["", " ", " \t "])
def test_a_blank_setting_counts_as_unset(tmp_path: Path, blank: str) -> None:
    names = ["DATABASE_URL", "SERVICES", "API_DOCS", "PYTHON_THREADPOOL_THREAD_COUNT", "HOST", "PORT"]
    default = load({}, tmp_path)
    assert load(dict.fromkeys(names, blank), tmp_path) == default
    write_local_settings(tmp_path, **dict.fromkeys(names, blank))
    assert load({}, tmp_path) == default
    write_dotenv(tmp_path, *(f'{name}="{blank}"' for name in names), "HOST=", "PORT")
    assert load({}, tmp_path) == default


def test_a_blank_setting_hides_nothing_of_the_next_source(tmp_path: Path) -> None:
    write_local_settings(tmp_path, DATABASE_URL="sqlite:///values.db", HOST="values", PORT="1")
    write_dotenv(tmp_path, "DATABASE_URL=", "HOST=dotenv", "PORT")
    loaded = load({"HOST": " "}, tmp_path)
    assert (loaded.database_url, loaded.host, loaded.port) == ("sqlite:///values.db", "dotenv", 1)


def test_blanks_around_a_value_are_trimmed(tmp_path: Path) -> None:
    loaded = load({"HOST": " localhost ", "PORT": " 80 ", "API_DOCS": "on "}, tmp_path)
    assert (loaded.host, loaded.port, loaded.api_docs) == ("localhost", 80, True)


def test_a_dotenv_file_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("HOST=first\r\nPORT=80\r\n".encode("utf-8-sig"))
    loaded = load({}, tmp_path)
    assert (loaded.host, loaded.port) == ("first", 80)


def test_an_odbc_connection_string_in_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    text = "Driver={ODBC Driver 18 for SQL Server};Server=tcp:x.database.windows.net,1433;Uid=app;Pwd=a=b#c$d;"
    write_dotenv(tmp_path, f"DATABASE_URL={text}")
    assert load({}, tmp_path).database_url == text
    (tmp_path / ".env").unlink()
    write_local_settings(tmp_path, DATABASE_URL=text)
    assert load({}, tmp_path).database_url == text


def test_a_dollar_sign_and_braces_in_a_dotenv_value_are_kept(tmp_path: Path) -> None:
    write_dotenv(tmp_path, "DATABASE_URL=Driver={ODBC Driver 18 for SQL Server};Pwd=a${PATH}b")
    assert load({}, tmp_path).database_url == "Driver={ODBC Driver 18 for SQL Server};Pwd=a${PATH}b"


def test_a_dotenv_file_that_is_not_utf_8_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"HOST=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env"):
        load({}, tmp_path)


def test_a_local_settings_file_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_bytes('{"Values": {"HOST": "first"}}'.encode("utf-8-sig"))
    assert load({}, tmp_path).host == "first"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"1", b"null", b"{}", b'{"values": {}}', b'{"Values": null}', b'{"Values": []}', b"\xff\xfe{"],
    ids=repr,
)
def test_a_malformed_local_settings_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "local.settings.json").write_bytes(content)
    with pytest.raises(SettingsError, match=r"local\.settings\.json .* Values"):
        load({}, tmp_path)


def test_numbers_and_booleans_of_local_settings_are_read_as_their_text(tmp_path: Path) -> None:
    write_local_settings(tmp_path, PORT=80, API_DOCS=True)
    loaded = load({}, tmp_path)
    assert (loaded.port, loaded.api_docs) == (80, True)


def test_a_null_of_local_settings_counts_as_unset(tmp_path: Path) -> None:
    write_local_settings(tmp_path, HOST=None, SERVICES=None, DATABASE_URL=None)
    assert load({}, tmp_path) == load({}, tmp_path / "nowhere")


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of this process, whose settings are read again."""
    settings.current.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    settings.current.cache_clear()


def test_settings_folder_names_the_folder_of_both_files(tmp_path: Path, process: pytest.MonkeyPatch) -> None:
    write_local_settings(tmp_path, HOST="values", PORT="1", SETTINGS_FOLDER="/nowhere")
    write_dotenv(tmp_path, "HOST=dotenv", "SETTINGS_FOLDER=/nowhere")
    for name in ("HOST", "PORT"):
        process.delenv(name)
    process.setenv("SETTINGS_FOLDER", f" {tmp_path} ")
    assert (settings.current().host, settings.current().port) == ("dotenv", 1)


@pytest.mark.parametrize("unset", [None, "", " "])
def test_without_settings_folder_the_files_are_those_of_the_project(tmp_path: Path, unset: str | None) -> None:
    shutil.copy(PROJECT / "settings.py", tmp_path)
    write_local_settings(tmp_path, PORT="1234")
    environment = {"PATH": os.environ["PATH"], **({} if unset is None else {"SETTINGS_FOLDER": unset})}
    program = "import settings; print(settings.current().port)"
    printed = subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path, env=environment, text=True)
    assert printed == "1234\n"


# ---- values


@pytest.mark.parametrize(
    ("text", "services"),
    [
        ("users", ("users",)),
        ("users,points", ("users", "points")),
        ("points,users", ("points", "users")),
        (" users , points ", ("users", "points")),
        ("users,,points,", ("users", "points")),
        ("users,points,users", ("users", "points")),
        ("users, users", ("users",)),
    ],
)
def test_services_are_a_list_in_order_each_once(tmp_path: Path, text: str, services: tuple[str, ...]) -> None:
    assert load({"SERVICES": text}, tmp_path).services == services


def test_a_list_of_services_that_names_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^SERVICES names no service"):
        load({"SERVICES": " , "}, tmp_path)


@pytest.mark.parametrize(
    ("text", "is_on"),
    [("on", True), ("ON", True), ("true", True), ("True", True), ("off", False), ("Off", False), ("false", False)],
)
def test_a_switch_is_on_or_off_in_either_case(tmp_path: Path, text: str, is_on: bool) -> None:
    assert load({"TELEMETRY": text}, tmp_path).telemetry is is_on


@pytest.mark.parametrize("text", ["yes", "0", "1", "offf", "o n", "none"])
def test_a_switch_that_is_neither_on_nor_off_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^TELEMETRY must be on or off") as caught:
        load({"TELEMETRY": text}, tmp_path)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(("name", "least", "most"), [("PORT", 0, 65535), ("PYTHON_THREADPOOL_THREAD_COUNT", 1, 1000)])
def test_a_number_outside_of_its_bounds_is_an_error_that_names_it(
    tmp_path: Path, name: str, least: int, most: int
) -> None:
    for number in (least, most):
        loaded = load({name: str(number)}, tmp_path)
        assert number == (loaded.port if name == "PORT" else loaded.threads)
    beyond = [str(least - 1), str(most + 1), "9" * 5000]
    for text in [*beyond, "x", "1.0", "1e3", "+5", "0x50", "5 5", "1_0", "\u0665", "\uff15", "\u00b2"]:
        with pytest.raises(SettingsError, match=f"^{name} must be a whole number from {least} to {most}"):
            load({name: text}, tmp_path)


@pytest.mark.parametrize("text", ["0000000000" + "99999", "0" * 9 + "9" * 5000], ids=["too large", "too long"])
def test_a_number_with_leading_zeros_has_the_same_bounds(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^PORT must be a whole number from 0 to 65535"):
        load({"PORT": text}, tmp_path)


@pytest.mark.parametrize(
    "text", ["-0.1", "1.1", "1.01", "2", ".", ".5", "1e-1", "0,1", "10%", "nan", "\u0661", "0." + "1" * 99]
)
def test_a_fraction_outside_of_0_to_1_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    for valid, fraction in (("0", 0), ("0.05", 0.05), ("1", 1), ("1.0", 1)):
        assert load({"TELEMETRY_SAMPLING": valid}, tmp_path).telemetry_sampling == fraction
    with pytest.raises(SettingsError, match=r"^TELEMETRY_SAMPLING must be a number from 0 to 1"):
        load({"TELEMETRY_SAMPLING": text}, tmp_path)


@pytest.mark.parametrize("given", [{}, {"DATABASE_URL": ""}, {"DATABASE_URL": "  "}])
def test_on_azure_a_missing_database_url_is_an_error_that_names_it(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
        load({"WEBSITE_SITE_NAME": "rollbook-app", **given}, tmp_path)


def test_on_azure_local_settings_are_not_read(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "local.settings.sample.json", tmp_path / "local.settings.json")
    assert load({}, tmp_path).database_url.startswith("sqlite:")
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
        load({"WEBSITE_SITE_NAME": "rollbook-app"}, tmp_path)


def test_a_blank_site_name_is_not_azure(tmp_path: Path) -> None:
    write_local_settings(tmp_path, PORT="8080")
    loaded = load({"WEBSITE_SITE_NAME": " "}, tmp_path)
    assert not loaded.on_azure
    assert loaded.port == 8080


def test_on_azure_a_database_url_is_read_from_variables_and_dotenv(tmp_path: Path) -> None:
    url = "mssql+pyodbc://server/database"
    loaded = load({"WEBSITE_SITE_NAME": "rollbook-app", "DATABASE_URL": url}, tmp_path)
    assert loaded.database_url == url
    assert loaded.on_azure
    write_dotenv(tmp_path, f"DATABASE_URL={url}")
    assert load({"WEBSITE_SITE_NAME": "rollbook-app"}, tmp_path).database_url == url


def test_a_text_that_is_not_utf_8_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^HOST is not text in UTF-8\.$"):
        load({"HOST": os.fsdecode(b"caf\xe9")}, tmp_path)


def test_no_error_of_another_setting_repeats_the_database_url(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "mssql+pyodbc://app:hunter2@server/database", "PORT": "x"}
    with pytest.raises(SettingsError) as caught:
        load(given, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_repr_has_no_secret(tmp_path: Path) -> None:
    loaded = load(
        {
            "DATABASE_URL": "mssql+pyodbc://app:hunter2@server/database",
            "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=hunter2",
            "SOME_SECRET": "hunter2",
            "HOST": "shown",
        },
        tmp_path,
    )
    assert "hunter2" not in f"{loaded!r} {loaded}"
    assert "shown" in repr(loaded)


@pytest.mark.parametrize(
    ("given", "timers"),
    [
        ({}, False),
        ({"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, True),
        ({"AzureWebJobsStorage__accountName": "storage"}, True),
        ({"AzureWebJobsStorage": " ", "AzureWebJobsStorage__accountName": ""}, False),
        ({"TIMERS": "on"}, True),
        ({"TIMERS": "off"}, False),
        ({"TIMERS": "off", "AzureWebJobsStorage__accountName": "storage"}, False),
        ({"TIMERS": "", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}, True),
    ],
)
def test_timers_run_where_storage_is_unless_timers_decides(tmp_path: Path, given: dict[str, str], timers: bool) -> None:
    assert load(given, tmp_path).timers is timers
    write_local_settings(tmp_path, **given)
    assert load({}, tmp_path).timers is timers


def test_timers_is_a_switch_whose_errors_name_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^TIMERS must be on or off"):
        load({"TIMERS": "sometimes"}, tmp_path)


@pytest.mark.parametrize(
    ("given", "permitted"),
    [
        ({}, True),
        *[
            ({"HOST": host}, True)
            for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost", "LocalHost", " 127.0.0.1 ")
        ],
        *[
            ({"HOST": host}, False)
            for host in ("0.0.0.0", "::", "10.0.0.4", "localhost.example", "x", "127.1", "[::1]")  # noqa: S104 - it is not bound
        ],
        ({"WEBSITE_SITE_NAME": "rollbook", "DATABASE_URL": "sqlite:///x.db"}, False),
        ({"WEBSITE_SITE_NAME": "rollbook", "DATABASE_URL": "sqlite:///x.db", "HOST": "127.0.0.1"}, False),
    ],
)
def test_samples_are_permitted_on_loopback_and_not_on_azure(
    tmp_path: Path, given: dict[str, str], permitted: bool
) -> None:
    assert load(given, tmp_path).permits_samples is permitted
