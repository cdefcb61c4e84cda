"""Where a setting is read from, what it may be, and that nobody else reads the environment."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
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


# ---- where a setting comes from


def test_without_any_setting_everything_has_its_default(tmp_path: Path) -> None:
    assert load({}, tmp_path) == Settings(
        database_url="sqlite:///rollbook.db",
        services=("users",),
        pan_holder_check=True,
        points_allow_flush=False,
        idempotency_hours=24,
        api_docs=False,
        health_check=False,
        telemetry=False,
        applicationinsights_connection_string="",
        applicationinsights_authentication_string="",
        threads=min(32, (os.cpu_count() or 1) + 4),
        db_pool_recycle_seconds=1800,
        db_retry_seconds=20,
        on_azure=False,
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


def test_variables_come_before_dotenv_and_dotenv_before_local_settings(tmp_path: Path) -> None:
    write_local_settings(tmp_path, HOST="values", PORT="1", SERVICES="values")
    write_dotenv(tmp_path, "HOST=dotenv", "PORT=2")
    loaded = load({"HOST": "variable"}, tmp_path)
    assert (loaded.host, loaded.port, loaded.services) == ("variable", 2, ("values",))


def test_every_setting_reaches_its_place(tmp_path: Path) -> None:
    given = {
        "DATABASE_URL": "sqlite:///other.db",
        "SERVICES": "users,points",
        "PAN_HOLDER_CHECK": "off",
        "POINTS_ALLOW_FLUSH": "true",
        "IDEMPOTENCY_HOURS": "48",
        "API_DOCS": "true",
        "HEALTH_CHECK": "on",
        "TELEMETRY": "on",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=x",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "Authorization=AAD",
        "PYTHON_THREADPOOL_THREAD_COUNT": "3",
        "DB_POOL_RECYCLE_SECONDS": "60",
        "DB_RETRY_SECONDS": "5",
        "HOST": "0.0.0.0",  # noqa: S104 - nothing listens here
        "PORT": "8080",
    }
    expected = Settings(
        database_url="sqlite:///other.db",
        services=("users", "points"),
        pan_holder_check=False,
        points_allow_flush=True,
        idempotency_hours=48,
        api_docs=True,
        health_check=True,
        telemetry=True,
        applicationinsights_connection_string="InstrumentationKey=x",
        applicationinsights_authentication_string="Authorization=AAD",
        threads=3,
        db_pool_recycle_seconds=60,
        db_retry_seconds=5,
        on_azure=False,
        host=given["HOST"],
        port=8080,
    )
    assert load(given, tmp_path) == expected
    write_local_settings(tmp_path, **given)
    assert load({}, tmp_path) == expected


@pytest.mark.parametrize("blank", ["", " ", " \t "])
def test_a_blank_setting_counts_as_unset(tmp_path: Path, blank: str) -> None:
    names = ["DATABASE_URL", "SERVICES", "PAN_HOLDER_CHECK", "PYTHON_THREADPOOL_THREAD_COUNT", "HOST", "PORT"]
    default = load({}, tmp_path)
    assert load(dict.fromkeys(names, blank), tmp_path) == default
    write_local_settings(tmp_path, **dict.fromkeys(names, blank))
    assert load({}, tmp_path) == default
    write_dotenv(tmp_path, *(f'{name}="{blank}"' for name in names), "HOST=", "PORT")
    assert load({}, tmp_path) == default


def test_a_blank_setting_gives_way_to_the_next_source(tmp_path: Path) -> None:
    write_local_settings(tmp_path, DATABASE_URL="sqlite:///values.db", HOST="values", PORT="1")
    write_dotenv(tmp_path, "DATABASE_URL=", "HOST=dotenv", "PORT")
    loaded = load({"HOST": " "}, tmp_path)
    assert (loaded.database_url, loaded.host, loaded.port) == ("sqlite:///values.db", "dotenv", 1)


def test_blanks_around_a_value_are_trimmed(tmp_path: Path) -> None:
    loaded = load({"HOST": " localhost ", "PORT": " 80 ", "PAN_HOLDER_CHECK": "off "}, tmp_path)
    assert (loaded.host, loaded.port, loaded.pan_holder_check) == ("localhost", 80, False)


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


def test_a_dotenv_file_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
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
def test_a_malformed_local_settings_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "local.settings.json").write_bytes(content)
    with pytest.raises(SettingsError, match=r"local\.settings\.json .* Values"):
        load({}, tmp_path)


def test_numbers_and_booleans_of_local_settings_are_read_as_their_text(tmp_path: Path) -> None:
    write_local_settings(tmp_path, PORT=80, PAN_HOLDER_CHECK=False)
    loaded = load({}, tmp_path)
    assert (loaded.port, loaded.pan_holder_check) == (80, False)


def test_a_null_of_local_settings_counts_as_unset(tmp_path: Path) -> None:
    write_local_settings(tmp_path, HOST=None, SERVICES=None, DATABASE_URL=None)
    assert load({}, tmp_path) == load({}, tmp_path / "nowhere")


# ---- what a setting may be


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


def test_a_list_of_services_that_names_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^SERVICES names no service"):
        load({"SERVICES": " , "}, tmp_path)


@pytest.mark.parametrize(
    ("text", "is_on"),
    [("on", True), ("ON", True), ("true", True), ("True", True), ("off", False), ("Off", False), ("false", False)],
)
def test_a_switch_is_on_or_off_in_either_case(tmp_path: Path, text: str, is_on: bool) -> None:
    assert load({"PAN_HOLDER_CHECK": text}, tmp_path).pan_holder_check is is_on


@pytest.mark.parametrize("text", ["yes", "0", "1", "offf", "o n", "none"])
def test_a_switch_that_is_neither_on_nor_off_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^PAN_HOLDER_CHECK must be on or off") as caught:
        load({"PAN_HOLDER_CHECK": text}, tmp_path)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(("name", "least", "most"), [("PORT", 0, 65535), ("PYTHON_THREADPOOL_THREAD_COUNT", 1, 1000)])
def test_a_number_within_its_bounds_is_read_and_any_other_is_refused_by_name(
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


@pytest.mark.parametrize("given", [{}, {"DATABASE_URL": ""}, {"DATABASE_URL": "  "}])
def test_on_azure_a_missing_database_url_is_refused_by_name(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
        load({"WEBSITE_SITE_NAME": "rollbook-app", **given}, tmp_path)


def test_on_azure_local_settings_are_not_read(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "local.settings.sample.json", tmp_path / "local.settings.json")
    assert load({}, tmp_path).database_url.startswith("sqlite:")
    with pytest.raises(SettingsError, match=r"^DATABASE_URL is not set"):
        load({"WEBSITE_SITE_NAME": "rollbook-app"}, tmp_path)


def test_a_blank_name_of_a_site_is_not_azure(tmp_path: Path) -> None:
    write_local_settings(tmp_path, PORT="8080")
    loaded = load({"WEBSITE_SITE_NAME": " "}, tmp_path)
    assert not loaded.on_azure
    assert loaded.port == 8080


def test_on_azure_a_given_database_url_is_taken(tmp_path: Path) -> None:
    url = "mssql+pyodbc://server/database"
    loaded = load({"WEBSITE_SITE_NAME": "rollbook-app", "DATABASE_URL": url}, tmp_path)
    assert loaded.database_url == url
    assert loaded.on_azure
    write_dotenv(tmp_path, f"DATABASE_URL={url}")
    assert load({"WEBSITE_SITE_NAME": "rollbook-app"}, tmp_path).database_url == url


def test_no_refusal_of_another_setting_repeats_the_database_url(tmp_path: Path) -> None:
    given = {"DATABASE_URL": "mssql+pyodbc://app:hunter2@server/database", "PORT": "x"}
    with pytest.raises(SettingsError) as caught:
        load(given, tmp_path)
    assert "hunter2" not in str(caught.value)


# ---- the sample


def names_of_settings() -> set[str]:
    """Every name that settings.py reads: its string constants in capitals."""
    tree = ast.parse((PROJECT / "settings.py").read_text("utf-8"))
    constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in constants if isinstance(text, str) and re.fullmatch("[A-Z][A-Z0-9_]{2,}", text)}


def test_the_sample_names_every_setting_that_can_be_set_by_hand() -> None:
    sample = json.loads((PROJECT / "local.settings.sample.json").read_text("utf-8"))
    names = names_of_settings()
    assert {"DATABASE_URL", "PORT", "WEBSITE_SITE_NAME"} <= names
    assert names - {"WEBSITE_SITE_NAME"} <= set(sample["Values"])
    assert "WEBSITE_SITE_NAME" not in sample["Values"], "Azure sets it"


def test_the_sample_is_what_core_tools_expect_of_a_python_app() -> None:
    sample = json.loads((PROJECT / "local.settings.sample.json").read_text("utf-8"))
    assert sample["IsEncrypted"] is False
    assert sample["Values"]["FUNCTIONS_WORKER_RUNTIME"] == "python"
    assert all(isinstance(value, str) for value in sample["Values"].values())


def test_the_sample_says_the_defaults_and_turns_on_what_is_there_to_be_tried(tmp_path: Path) -> None:
    default = load({}, tmp_path)
    (tmp_path / "local.settings.json").write_bytes((PROJECT / "local.settings.sample.json").read_bytes())
    assert load({}, tmp_path) == replace(
        default, services=("users", "points"), points_allow_flush=True, api_docs=True, health_check=True
    )


# ---- the only reader

ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def readings_of_the_environment(tree: ast.AST) -> Iterator[int]:
    """The lines that read or write environment variables, or import what does."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=attr) if attr in ENVIRONMENT:
                yield node.lineno
            case ast.Import(names=names) if any(name.name.split(".")[0] == "dotenv" for name in names):
                yield node.lineno
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] == "dotenv" or any(name.name in ENVIRONMENT for name in names):
                    yield node.lineno


def test_nobody_but_settings_reads_the_environment() -> None:
    files = [
        *(path for path in PROJECT.glob("*.py") if path.name != "settings.py"),
        *(path for folder in ("api", "domain", "persistence", "devhost") for path in (PROJECT / folder).rglob("*.py")),
    ]
    assert {"function_app.py", "http.py", "errors.py", "database.py", "host.py"} <= {path.name for path in files}
    readings = [
        f"{path.relative_to(PROJECT)}:{line}"
        for path in files
        for line in readings_of_the_environment(ast.parse(path.read_text("utf-8")))
    ]
    assert readings == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['PORT']",
        "import os as o\no.getenv('PORT')",
        "from os import environ",
        "from os import getenv as get",
        "import dotenv",
        "from dotenv import load_dotenv",
        "from dotenv.main import dotenv_values",
        "def f():\n    import dotenv.main",
    ],
)
def test_each_way_to_read_the_environment_would_be_seen(source: str) -> None:
    assert list(readings_of_the_environment(ast.parse(source)))
