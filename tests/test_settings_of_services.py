"""Sections of settings that services declare, the sample file, and the places that read settings."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

import function_app
import settings
from api import SERVICES
from api.calculator.schemas import CalculatorSettings
from api.points import PointsSettings
from api.users.settings import UsersSettings
from persistence.database import connections
from settings import SettingsError, load, number, parsed, switch, text
from tests.api.http.toy import ToySettings
from tests.support.serving import serving

PROJECT = Path(settings.__file__).resolve().parent
APP = sorted(
    [
        *PROJECT.glob("*.py"),
        *(path for folder in ("api", "domain", "persistence") for path in (PROJECT / folder).rglob("*.py")),
    ]
)


# ---- sections


def _parse_hours(text: str) -> tuple[int, ...]:
    if not re.fullmatch("[0-9]+-[0-9]+", text):
        raise ValueError("two hours, such as 9-17")
    return tuple(map(int, text.split("-")))


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section with a field of each kind, and one without a setting."""

    is_open: bool = switch("SHOP_OPEN", default=False)
    places: int = number("SHOP_PLACES", default=3, least=1, most=9)
    title: str = text("SHOP_TITLE", default="Shop")
    key: str = text("SHOP_KEY", secret=True)
    hours: tuple[int, ...] = parsed("SHOP_HOURS", default="9-17", parse=_parse_hours)
    fixed: str = "fixed"


def test_an_unset_section_has_its_defaults(tmp_path: Path) -> None:
    assert load({}, tmp_path).section(Section) == Section()
    assert Section() == Section(is_open=False, places=3, title="Shop", key="", hours=(9, 17), fixed="fixed")
    assert load({}, tmp_path).section(UsersSettings) == UsersSettings(pan_holder_check=True)
    assert load({}, tmp_path).section(PointsSettings) == PointsSettings(allow_flush=False)


def test_a_section_is_read_from_the_sources_of_all_settings(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text('{"Values": {"SHOP_TITLE": "values", "SHOP_PLACES": 4}}', "utf-8")
    (tmp_path / ".env").write_text("SHOP_TITLE=dotenv\nSHOP_KEY=a${b}#c\n", "utf-8")
    section = load({"SHOP_OPEN": " on ", "SHOP_TITLE": " ", "SHOP_HOURS": "8-20"}, tmp_path).section(Section)
    assert section == Section(is_open=True, places=4, title="dotenv", key="a${b}#c", hours=(8, 20))


HEADER_NAME = "the name of a request header: letters, digits and hyphens, such as X-MS-CLIENT-PRINCIPAL-NAME"


@pytest.mark.parametrize(
    ("section", "given", "message"),
    [
        (Section, {"SHOP_OPEN": "ajar"}, "SHOP_OPEN must be on or off, not 'ajar'."),
        (Section, {"SHOP_PLACES": "10"}, "SHOP_PLACES must be a whole number from 1 to 9, not '10'."),
        (UsersSettings, {"PAN_HOLDER_CHECK": "no"}, "PAN_HOLDER_CHECK must be on or off, not 'no'."),
        (
            UsersSettings,
            {"CHANGED_BY_HEADER": "X_USER"},
            f"CHANGED_BY_HEADER must be {HEADER_NAME}, not 'X_USER'.",
        ),
        (PointsSettings, {"POINTS_ALLOW_FLUSH": "1"}, "POINTS_ALLOW_FLUSH must be on or off, not '1'."),
        (Section, {"SHOP_HOURS": "Caf\udce9"}, "SHOP_HOURS must be two hours, such as 9-17, not 'Caf\\udce9'."),
        (Section, {"SHOP_TITLE": "Caf\udce9"}, "SHOP_TITLE is not text in UTF-8."),
        (CalculatorSettings, {"RANDOM_ORG_API_KEY": "key\udcff"}, "RANDOM_ORG_API_KEY is not text in UTF-8."),
        (ToySettings, {"TOY_NIGHTLY": "maybe"}, "TOY_NIGHTLY must be on or off, not 'maybe'."),
    ],
)
def test_an_error_of_a_section_names_its_setting(
    tmp_path: Path, section: type[object], given: dict[str, str], message: str
) -> None:
    loaded = load(given, tmp_path)
    with pytest.raises(SettingsError) as caught:
        loaded.section(section)
    assert str(caught.value) == message


def test_repr_of_a_section_has_no_secret(tmp_path: Path) -> None:
    section = load({"SHOP_KEY": "hunter2", "SHOP_TITLE": "shown"}, tmp_path).section(Section)
    assert section.key == "hunter2"
    assert "hunter2" not in repr(section)
    assert "shown" in repr(section)


# ---- apps of one process


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The OpenAPI documents of two apps that were built one after the other, with PAN_HOLDER_CHECK on and off."""
    with ExitStack() as stack:
        strict, lenient = (stack.enter_context(serving(build(tmp_path, check))) for check in ("on", "off"))
        yield strict.get("/openapi.json").json(), lenient.get("/openapi.json").json()
    connections.close()


def build(folder: Path, holder_check: str) -> func.FunctionApp:
    """An app of the users service."""
    given = {"DATABASE_URL": f"sqlite:///{folder}/rollbook.db", "PAN_HOLDER_CHECK": holder_check}
    return function_app.build(load(given, folder))


def test_apps_of_one_process_have_their_own_settings(tmp_path: Path) -> None:
    strict, lenient = build(tmp_path, "on"), build(tmp_path, "off")
    user = {"full_name": "Asha Rao", "mob_num": "9876543210", "pan_num": "ABCDE1234F"}
    with serving(strict) as client, serving(lenient) as lenient_client:
        rejected = client.post("/create_user", json=user)
        assert rejected.status_code == 400
        assert [error["code"] for error in rejected.json()["errors"]] == ["pan-holder-invalid"]
        created = lenient_client.post("/create_user", json=user)
        assert created.status_code == 201
        update = {"user_ids": [created.json()["user_id"]], "update_data": {"pan_num": "ABCDE9999F"}}
        assert client.post("/update_user", json=update).status_code == 400
        assert lenient_client.post("/update_user", json=update).status_code == 200
    connections.close()


def test_openapi_has_the_rule_of_its_app_under_the_same_names(documents: tuple[dict[str, Any], ...]) -> None:
    strict, lenient = (document["components"]["schemas"] for document in documents)
    assert list(strict) == list(lenient)
    assert {name for name in strict if strict[name] != lenient[name]} == {"CreateUser", "NewUser", "UpdateData"}
    for name in ("CreateUser", "NewUser", "UpdateData"):
        rules = [schemas[name]["properties"].pop("pan_num") for schemas in (strict, lenient)]
        assert [bool(re.search(rule["pattern"], "ABCDE1234F")) for rule in rules] == [False, True]
        assert all(re.search(rule["pattern"], "ABCPE1234F") for rule in rules)
        assert ["pan-holder-invalid" in json.dumps(rule) for rule in rules] == [True, False]
        assert strict[name] == lenient[name]
    assert documents[0] == documents[1], "nothing else differs"


# ---- the sample


def names_in(path: Path) -> Iterator[str]:
    """The names of settings that a file reads or declares: constants in calls of `switch`, `values.get` and such."""
    for call in (node for node in ast.walk(parse(path)) if isinstance(node, ast.Call)):
        match call.func:
            case ast.Name(id="switch" | "number" | "fraction" | "text" | "parsed" | "_switch" | "_number"):
                pass
            case ast.Attribute(value=ast.Name(id="values" | "environment") | ast.Attribute(attr="environ"), attr="get"):
                pass
            case _:
                continue
        constants = [node.value for node in call.args if isinstance(node, ast.Constant)]
        yield from (str(name) for name in constants if re.fullmatch("[A-Z][A-Z0-9_]+", str(name)))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


NOT_IN_THE_SAMPLE = {
    "WEBSITE_SITE_NAME",  # Azure sets it
    "SETTINGS_FOLDER",  # names the folder of the file that the sample is copied to: read from the environment alone
    "TIMERS",  # storage decides, or the development host; "on" without storage keeps Core Tools from starting the app
}


def test_the_sample_names_every_setting_that_people_set() -> None:
    sample = set(json.loads((PROJECT / "local.settings.sample.json").read_text("utf-8"))["Values"])
    files = [PROJECT / "settings.py", *(PROJECT / "api").rglob("*.py")]
    names = {name for path in files for name in names_in(path)}
    assert names >= {"DATABASE_URL", "PORT", "PAN_HOLDER_CHECK", "POINTS_ALLOW_FLUSH", *NOT_IN_THE_SAMPLE}
    assert names - sample == NOT_IN_THE_SAMPLE
    assert sample - names == {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}, "the host reads these"


def test_the_sample_has_the_form_that_core_tools_expects() -> None:
    sample = json.loads((PROJECT / "local.settings.sample.json").read_text("utf-8"))
    assert sample["IsEncrypted"] is False
    assert sample["Values"]["FUNCTIONS_WORKER_RUNTIME"] == "python"
    assert all(isinstance(value, str) for value in sample["Values"].values())


def test_the_sample_has_the_defaults_and_enables_what_can_be_tried(tmp_path: Path) -> None:
    default = load({}, tmp_path)
    (tmp_path / "local.settings.json").write_bytes((PROJECT / "local.settings.sample.json").read_bytes())
    sample = load({}, tmp_path)
    assert sample == replace(default, services=SERVICES, api_docs=True, health_check=True)
    assert sample.section(UsersSettings) == default.section(UsersSettings)
    assert sample.section(PointsSettings) == PointsSettings(allow_flush=True)


# ---- where settings are read

ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def readings_of_the_environment(tree: ast.AST) -> Iterator[int]:
    """The lines that read or write environment variables, or import a function or module for it."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=attr) if attr in ENVIRONMENT:
                yield node.lineno
            case ast.Import(names=names) if any(name.name.split(".")[0] == "dotenv" for name in names):
                yield node.lineno
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] == "dotenv" or any(name.name in ENVIRONMENT for name in names):
                    yield node.lineno


def test_only_settings_reads_the_environment() -> None:
    programs = [path for folder in ("devhost", "admin") for path in (PROJECT / folder).rglob("*.py")]
    files = [path for path in (*APP, *programs) if path != PROJECT / "settings.py"]
    assert {"function_app.py", "endpoint.py", "errors.py", "connections.py", "host.py"} <= {path.name for path in files}
    found = [
        f"{path.relative_to(PROJECT)}:{line}" for path in files for line in readings_of_the_environment(parse(path))
    ]
    assert found == []


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
def test_each_way_to_read_the_environment_is_found(source: str) -> None:
    assert list(readings_of_the_environment(ast.parse(source)))


def uses_of_current(tree: ast.AST) -> Iterator[int]:
    """The lines that use or import `settings.current`."""
    modules = {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
        if name.name == "settings"
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr="current") if module in modules:
                yield node.lineno
            case ast.ImportFrom(module="settings", names=names) if any(name.name in ("current", "*") for name in names):
                yield node.lineno


def test_settings_are_passed_down_and_not_fetched() -> None:
    programs = {"function_app.py", "__main__.py"}
    found = [
        f"{path.relative_to(PROJECT)}:{line}"
        for path in APP
        for line in uses_of_current(parse(path))
        if path.name not in programs
    ]
    assert found == []
    assert list(uses_of_current(parse(PROJECT / "function_app.py"))), "such a use is found"


@pytest.mark.parametrize(
    "source",
    [
        "import settings\nsettings.current()",
        "import settings as s\nread = s.current",
        "from settings import current",
        "from settings import Settings, current as now",
        "from settings import *",
        "def f():\n    import settings\n    return settings.current().port",
    ],
)
def test_each_way_to_fetch_settings_is_found(source: str) -> None:
    assert list(uses_of_current(ast.parse(source)))
