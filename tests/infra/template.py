"""The files of the deployment as text without comments, and functions that parse them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent.parent
INFRA: Final = PROJECT / "infra"


def _without_comments(path: Path) -> str:
    return re.sub(r"^\s*(//|#(?!!)).*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)


MAIN: Final = _without_comments(INFRA / "main.bicep")
APP: Final = _without_comments(INFRA / "app.bicep")
ALERT: Final = _without_comments(INFRA / "alert.bicep")
HOOK: Final = _without_comments(INFRA / "apply-sql.sh")
AZURE_YAML: Final = _without_comments(PROJECT / "azure.yaml")
PARAMETERS: Final[dict[str, dict[str, str]]] = json.loads((INFRA / "main.parameters.json").read_text("utf-8"))[
    "parameters"
]
EVERYTHING: Final = "\n".join((MAIN, APP, ALERT, HOOK, AZURE_YAML, json.dumps(PARAMETERS)))


def app_settings() -> dict[str, str]:
    """The settings of the function app, as Bicep expressions."""
    _, _, text = APP.partition("appSettings: [")
    pairs = re.findall(r"name: '([^']+)'\s+value: (.+)", text.partition("]")[0])
    assert len(pairs) == len(dict(pairs)) > 10
    return dict(pairs)


def parameters(text: str) -> dict[str, str]:
    """The parameters of a Bicep file, with their defaults as Bicep expressions."""
    return {name: default or "" for name, default in re.findall(r"^param (\w+) \w+(?: = (.+))?$", text, re.MULTILINE)}


def modules(text: str) -> dict[str, dict[str, str]]:
    """The parameters of each module of a Bicep file, as Bicep expressions."""
    found = re.findall(r"^module (\w+) '[^']+' = \{\n.*?params: \{\n(.*?)\n  \}", text, re.MULTILINE | re.DOTALL)
    return {name: dict(re.findall(r"^    (\w+): (.+)$", given, re.MULTILINE)) for name, given in found}


def default(name: str) -> str:
    """The default of a parameter of main.bicep."""
    return parameters(MAIN)[name].strip("'")
