"""The deployment, as far as it can be tested without Azure: checkov, the app's own settings, and a stand-in for az."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

import settings

PROJECT: Final = Path(__file__).resolve().parent.parent
INFRA: Final = PROJECT / "infra"
CHECKOV: Final = "checkov~=3.3"
# Of its own, beside the project's: it pins many packages, some of them those of the app, to other versions.
CHECKOV_ENVIRONMENT: Final = PROJECT / ".venv-checkov"


def _without_comments(text: str) -> str:
    return re.sub(r"^\s*(//|#(?!!)).*\n", "", text, flags=re.MULTILINE)


MAIN: Final = _without_comments((INFRA / "main.bicep").read_text("utf-8"))
APP: Final = _without_comments((INFRA / "app.bicep").read_text("utf-8"))
HOOK: Final = _without_comments((INFRA / "apply-sql.sh").read_text("utf-8"))
AZURE_YAML: Final = _without_comments((PROJECT / "azure.yaml").read_text("utf-8"))
PARAMETERS: Final[dict[str, dict[str, str]]] = json.loads((INFRA / "main.parameters.json").read_text("utf-8"))[
    "parameters"
]
EVERYTHING: Final = "\n".join((MAIN, APP, HOOK, AZURE_YAML, json.dumps(PARAMETERS)))


# ---- checkov


@pytest.fixture(scope="module")
def checkov_python() -> Path:
    """The interpreter of an environment that has checkov; made when it is first asked for."""
    stamp = CHECKOV_ENVIRONMENT / "installed"
    wanted = f"{CHECKOV} on Python {sys.version} in {sys.base_prefix}\n"
    if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
        missing = _install_checkov(wanted)
        if missing and os.environ.get("CI"):
            pytest.fail(missing)
        if missing:
            pytest.skip(missing)
    return CHECKOV_ENVIRONMENT / "bin" / "python"


def _install_checkov(stamp: str) -> str:
    """Makes the environment under another name, and renames it when it is whole. Answers why it could not."""
    new = Path(tempfile.mkdtemp(prefix=f"{CHECKOV_ENVIRONMENT.name}-", dir=PROJECT))
    try:
        (new / ".gitignore").write_text("*\n", "utf-8")  # for git, and for ruff, which reads it too
        subprocess.run([sys.executable, "-m", "venv", new], check=True, capture_output=True, text=True)
        pip = [str(new / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", CHECKOV]
        subprocess.run(pip, check=True, capture_output=True, text=True)
        (new / "installed").write_text(stamp, "utf-8")
        shutil.rmtree(CHECKOV_ENVIRONMENT, ignore_errors=True)
        new.rename(CHECKOV_ENVIRONMENT)
    except subprocess.CalledProcessError as error:
        return f"{CHECKOV} cannot be installed: {''.join(error.stderr.strip().splitlines()[-1:])}"
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return ""


# What checkov would have to say if the template were worse: a line of it, the line in its place, the check.
VIOLATIONS: Final = (
    ("httpsOnly: true", "httpsOnly: false", "CKV_AZURE_14"),
    ("minTlsVersion: '1.2'\n      scm", "minTlsVersion: '1.0'\n      scm", "CKV_AZURE_15"),
    ("supportsHttpsTrafficOnly: true", "supportsHttpsTrafficOnly: false", "CKV_AZURE_3"),
    ("minimumTlsVersion: 'TLS1_2'", "minimumTlsVersion: 'TLS1_0'", "CKV_AZURE_44"),
    ("defaultAction: 'Deny'", "defaultAction: 'Allow'", "CKV_AZURE_35"),
    ("minimalTlsVersion: '1.2'", "minimalTlsVersion: '1.0'", "CKV_AZURE_52"),
    ("publicAccess: 'None'", "publicAccess: 'Blob'", "CKV_AZURE_34"),
)


@pytest.fixture(scope="module")
def report(checkov_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What checkov says of infra/, of a worse copy of it, and of a file that nobody can read: it starts slowly."""
    folder = tmp_path_factory.mktemp("checkov")
    shutil.copytree(INFRA, folder / "infra")
    (folder / "worse").mkdir()
    text = (INFRA / "app.bicep").read_text("utf-8")
    for line, worse_line, _ in VIOLATIONS:
        assert text.count(line) == 1, line
        text = text.replace(line, worse_line)
    (folder / "worse" / "app.bicep").write_text(text, "utf-8")
    (folder / "worse" / "unreadable.bicep").write_text("resource {", "utf-8")
    command = [str(checkov_python), "-m", "checkov.main", "--directory", ".", "--config-file", "infra/.checkov.yaml"]
    done = subprocess.run(
        [*command, "--output", "json"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 1, "the worse copy has to fail"
    return answer


def _records(report: Mapping[str, Any], outcome: str, folder: str) -> list[tuple[str, str]]:
    return [
        (record["check_id"], record["resource"])
        for record in report["results"][outcome]
        if record["file_path"].startswith(f"/{folder}/")
    ]


def test_checkov_reads_the_template_and_finds_nothing(report: dict[str, Any]) -> None:
    assert _records(report, "failed_checks", "infra") == []
    assert _records(report, "skipped_checks", "infra") == []  # exceptions stand in .checkov.yaml, nowhere else
    passed = _records(report, "passed_checks", "infra")
    assert len(passed) >= 20
    assert {resource.rpartition(".")[2] for _, resource in passed} >= {"network", "storage", "sqlServer", "site"}
    # The rest of infra/ was read: a file that is not is told of.
    assert [Path(path).name for path in report["results"]["parsing_errors"]] == ["unreadable.bicep"]


def test_checkov_finds_what_is_worse(report: dict[str, Any]) -> None:
    failed = {check for check, _ in _records(report, "failed_checks", "worse")}
    assert failed >= {check for _, _, check in VIOLATIONS}


def test_every_check_that_is_left_out_has_a_reason() -> None:
    _, _, left_out = (INFRA / ".checkov.yaml").read_text("utf-8").partition("skip-check:\n")
    lines = [line for line in left_out.splitlines() if not line.lstrip().startswith("#")]
    assert len(lines) > 5
    for line in lines:
        assert re.fullmatch(r"  - CKV2?_AZURE_\d+  # \S.{15,}", line), line


# ---- the template


def test_there_are_plain_resources_of_released_versions() -> None:
    types = re.findall(r"^resource \w+ '([^']+)'", MAIN + APP, re.MULTILINE)
    assert len(types) > 15
    for kind in types:
        assert re.fullmatch(r"Microsoft\.\w+(/\w+)+@20\d\d-\d\d-\d\d", kind), kind
    assert re.findall(r"^module \w+ '([^']+)'", MAIN + APP, re.MULTILINE) == ["app.bicep"]
    assert not re.search(r"\b(br|ts)[:/]", MAIN + APP)


def test_it_is_flex_consumption_with_python_312() -> None:
    assert re.search(r"name: 'FC1'\s+tier: 'FlexConsumption'", APP)
    assert re.search(r"runtime: \{\s+name: 'python'\s+version: '3\.12'", APP)


def test_an_instance_gets_as_many_requests_as_it_has_threads() -> None:
    assert re.search(r"perInstanceConcurrency: threads$", APP, re.MULTILINE)
    assert _app_settings()["PYTHON_THREADPOOL_THREAD_COUNT"] == "string(threads)"
    assert "threads: threads" in MAIN


def test_there_is_no_password_and_no_key() -> None:
    for word in (
        "listKeys",
        "listCredentials",
        "AccountKey",
        "SharedAccess",
        "administratorLoginPassword",
        "administratorLogin:",
        "getSecret",
        "@secure",
        "PWD=",
        "InstrumentationKey",
        "StorageAccountConnectionString",
        "TrustServerCertificate",
        "SystemAssigned",
    ):
        assert word.lower() not in EVERYTHING.lower()
    assert "allowSharedKeyAccess: false" in APP
    assert "allowBlobPublicAccess: false" in APP
    assert "azureADOnlyAuthentication: true" in APP
    assert APP.count("isableLocalAuth: true") == 2  # Application Insights and its workspace
    assert len(re.findall(r"basicPublishingCredentialsPolicies@[^{]+\{[^{]+\{\s+allow: false", APP)) == 2
    assert re.search(r"authentication: \{\s+type: 'UserAssignedIdentity'", APP)


def test_the_database_lets_in_the_apps_subnet_alone() -> None:
    assert "firewallRules" not in MAIN + APP
    assert not re.search(r"(?<!\d)0\.0\.0\.0", EVERYTHING)
    assert "virtualNetworkSubnetId: subnetId\n    ignoreMissingVnetServiceEndpoint: false" in APP
    assert "serviceName: 'Microsoft.App/environments'" in APP
    assert set(re.findall(r"service: '([^']+)'", APP)) == {"Microsoft.Sql", "Microsoft.Storage"}


def test_the_database_is_serverless_and_pauses() -> None:
    assert "name: 'GP_S_Gen5'" in APP
    assert "autoPauseDelay: sqlAutoPauseDelay" in APP
    assert "param sqlAutoPauseDelay int = 60" in MAIN
    assert "minCapacity: json('0.5')" in APP


def _app_settings() -> dict[str, str]:
    """The settings of the function app, as expressions."""
    _, _, text = APP.partition("appSettings: [")
    pairs = re.findall(r"name: '([^']+)'\s+value: (.+)", text.partition("]")[0])
    assert len(pairs) == len(dict(pairs)) > 10
    return dict(pairs)


def test_its_settings_are_those_that_the_app_or_the_platform_knows() -> None:
    sample = json.loads((PROJECT / "local.settings.sample.json").read_text("utf-8"))["Values"]
    platform = {
        "AzureWebJobsStorage__accountName",
        "AzureWebJobsStorage__credential",
        "AzureWebJobsStorage__clientId",
        "MALLOC_MMAP_THRESHOLD_",
        "OTEL_SERVICE_NAME",
        "OTEL_LOGS_EXPORTER",
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    }
    # Flex Consumption refuses it: it has the runtime elsewhere.
    assert set(_app_settings()) <= (set(sample) - {"FUNCTIONS_WORKER_RUNTIME"}) | platform


def test_the_app_starts_with_its_settings(tmp_path: Path) -> None:
    values = {
        "string(threads)": _default("threads"),
        "services": _default("services"),
        "${sqlServer.name}": "sql-rollbook-x",
        "${environment().suffixes.sqlServerHostname}": ".database.windows.net",
        "${databaseName}": "rollbook",
        "${identity.properties.clientId}": "11111111-1111-4111-8111-111111111111",
    }
    environment = {"WEBSITE_SITE_NAME": "rollbook-x"}  # Azure sets it
    for name, expression in _app_settings().items():
        for part, value in values.items():
            expression = expression.replace(part, value)  # noqa: PLW2901
        environment[name] = expression.strip("'")
    loaded = settings.load(environment, tmp_path)
    assert loaded.on_azure
    assert loaded.services == ("users",)
    assert loaded.threads == 8
    assert (loaded.points_allow_flush, loaded.api_docs) == (False, False)
    assert loaded.database_url == (
        "Driver={ODBC Driver 18 for SQL Server};Server=tcp:sql-rollbook-x.database.windows.net,1433;Database=rollbook;"
        "Encrypt=yes;Authentication=ActiveDirectoryMsi;UID=11111111-1111-4111-8111-111111111111"
    )
    assert environment["MALLOC_MMAP_THRESHOLD_"] in (PROJECT / "Makefile").read_text("utf-8")


def test_flex_consumption_is_told_nothing_that_it_refuses() -> None:
    refused = r"^(FUNCTIONS_|WEBSITE_|SCM_|ENABLE_ORYX|AzureWebJobsStorage$|APPINSIGHTS_)"
    assert not [name for name in _app_settings() if re.search(refused, name)]
    _, _, text = APP.partition("siteConfig: {")
    assert re.findall(r"^      (\w+):", text, re.MULTILINE)[:4] == [
        "minTlsVersion",
        "scmMinTlsVersion",
        "http20Enabled",
        "appSettings",
    ]
    for word in ("linuxFxVersion", "alwaysOn", "ftpsState", "functionAppScaleLimit"):
        assert word not in APP


# ---- what fits together


def _parameters(text: str) -> dict[str, str]:
    """The parameters of a template, and their defaults as they stand there."""
    return {name: default or "" for name, default in re.findall(r"^param (\w+) \w+(?: = (.+))?$", text, re.MULTILINE)}


def _default(name: str) -> str:
    return _parameters(MAIN)[name].strip("'")


def test_azd_sets_the_templates_parameters_and_has_the_same_defaults() -> None:
    declared = _parameters(MAIN)
    assert set(PARAMETERS) == set(declared)
    for name, parameter in PARAMETERS.items():
        match = re.fullmatch(r"\$\{[A-Z_]+(?:=([^}]*))?\}", parameter["value"])
        assert match, name
        assert (match[1] or "") == declared[name].strip("'"), name


def test_the_module_gets_each_of_its_parameters() -> None:
    given = re.search(r"params: \{\n(.*?)\n  \}", MAIN, re.DOTALL)
    assert given
    assert re.findall(r"^    (\w+):", given[1], re.MULTILINE) == list(_parameters(APP))


def test_the_template_gives_the_hook_what_it_asks_for() -> None:
    outputs = set(re.findall(r"^output (\w+) ", MAIN, re.MULTILINE))
    asked = re.search(r"^for name in ([^;]+); do", HOOK, re.MULTILINE)
    assert asked
    assert set(asked[1].replace("\\", "").split()) - {"AZURE_SUBSCRIPTION_ID"} <= outputs
    assert "AZURE_CLIENT_ID" not in outputs  # azure-identity would log in as that identity
    for name in re.findall(r"= app\.outputs\.(\w+)", MAIN):
        assert f"\noutput {name} string" in APP


def test_azd_finds_the_app_and_the_hook() -> None:
    service = re.search(r"services:\n  (\w+):.*\n((?:    .+\n)+)", AZURE_YAML)
    assert service
    assert f"'azd-service-name': '{service[1]}'" in APP
    for line in ("project: .", "language: python", "host: function"):
        assert f"    {line}\n" in service[2]
    assert "'azd-env-name': environmentName" in MAIN
    assert re.search(r"postprovision:\n    shell: sh\n    run: infra/apply-sql\.sh\n", AZURE_YAML)
    assert os.access(INFRA / "apply-sql.sh", os.X_OK)


def test_the_hook_calls_a_program_that_knows_its_options() -> None:
    command = [sys.executable, "-m", "persistence", "--help"]
    usage = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for option in re.findall(r"-m persistence(.+?) 2>", HOOK)[0].split()[::2]:
        assert option in usage


# ---- the hook, with stand-ins for az and for what it starts

HOOK_ENVIRONMENT: Final = {
    "AZURE_SUBSCRIPTION_ID": "33333333-3333-4333-8333-333333333333",
    "AZURE_RESOURCE_GROUP": "rg-x",
    "AZURE_SQL_SERVER": "sql-x",
    "AZURE_SQL_HOST": "sql-x.database.windows.net",
    "AZURE_SQL_DATABASE": "rollbook",
    "APP_IDENTITY_NAME": "id-x",
    "APP_IDENTITY_CLIENT_ID": "11111111-1111-4111-8111-111111111111",
    "SERVICES": "users",
    "DEPLOYER_ADDRESS": "20.50.2.1",
}
CREATE: Final = "az sql server firewall-rule create"
DELETE: Final = "az sql server firewall-rule delete"
APPLY: Final = "python -m persistence --wait 300 --member id-x=11111111-1111-4111-8111-111111111111"
NOT_YET: Final = (
    'n=$(grep -c "^python" "$CALLS"); [ "$n" -gt 2 ] || { echo "(40615) Client with IP address" >&2; exit 1; }'
)


class Hook:
    """A copy of the hook in a folder of its own, where every program that it starts writes down how it was called."""

    def __init__(self, folder: Path, persistence: str = "", az: str = "") -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()
        (folder / "infra").mkdir()
        shutil.copy(INFRA / "apply-sql.sh", folder / "infra")
        self._program(folder / "bin" / "az", az)
        self._program(folder / "bin" / "sleep", "")
        python = folder / ".venv" / "bin" / "python"
        self._program(python, persistence, f'[ "$1" != - ] || exec "{sys.executable}" "$@"')
        (folder / ".venv" / "installed").touch()

    def _program(self, path: Path, then: str, first: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\n{first}\necho "{path.name} $*" >> "$CALLS"\n{then}\n', "utf-8")
        path.chmod(0o755)

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """The hook as a process; `environment` adds to what azd gives it."""
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        return subprocess.Popen(
            ["sh", self.folder / "infra" / "apply-sql.sh"],
            env=HOOK_ENVIRONMENT | {"PATH": path, "CALLS": str(self.calls)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, **environment: str) -> tuple[int, str, list[str]]:
        """Its exit code, what it printed, and the calls that it made after it had looked for the login."""
        with self.start(**environment) as process:
            printed, _ = process.communicate(timeout=60)
        calls = self.calls.read_text("utf-8").splitlines()
        return process.returncode, printed, [call for call in calls if not call.startswith("az account")]


def _commands(calls: list[str]) -> list[str]:
    """The calls without what stands behind the name of the command of az."""
    return [" ".join(call.split()[:5]) if call.startswith("az ") else call for call in calls]


def test_the_hook_opens_the_firewall_applies_sql_and_closes_it(tmp_path: Path) -> None:
    tell = 'echo "$DATABASE_URL $SERVICES"'
    code, printed, calls = Hook(tmp_path, persistence=tell).run()
    assert (code, _commands(calls)) == (0, [CREATE, APPLY, DELETE]), printed
    assert "--start-ip-address 20.50.2.1 --end-ip-address 20.50.2.1" in calls[0]
    for call in (calls[0], calls[2]):
        assert f"--subscription {HOOK_ENVIRONMENT['AZURE_SUBSCRIPTION_ID']} --resource-group rg-x" in call
        assert "--server sql-x --name deployer-20-50-2-1 " in call
    assert (
        "Driver={ODBC Driver 18 for SQL Server};Server=tcp:sql-x.database.windows.net,1433;Database=rollbook;"
        "Encrypt=yes;Authentication=ActiveDirectoryDefault users\n"
    ) in printed


def test_the_hook_waits_until_the_rule_holds(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path, persistence=NOT_YET).run()
    assert (code, _commands(calls)) == (0, [CREATE, APPLY, "sleep 10", APPLY, "sleep 10", APPLY, DELETE]), printed


def test_the_hook_closes_the_firewall_when_sql_fails(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path, persistence="echo 'Stopped: it failed' >&2; exit 1").run()
    assert (code, _commands(calls)) == (1, [CREATE, APPLY, DELETE])
    assert "Stopped: it failed\nStopped: sql/ is not applied." in printed


def test_the_hook_closes_the_firewall_when_it_is_ended(tmp_path: Path) -> None:
    hook = Hook(tmp_path, persistence="echo started; read -r _ < forever || :")
    os.mkfifo(tmp_path / "forever")
    with hook.start() as process:
        assert process.stdout is not None
        while process.stdout.readline() != "started\n":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)  # a shell looks at it when what it started has ended
        (tmp_path / "forever").write_text("\n", "utf-8")
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert _commands(hook.calls.read_text("utf-8").splitlines())[-1] == DELETE


def test_the_hook_says_so_when_the_firewall_stays_open(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path, az='[ "$4" != delete ]').run()
    assert (code, _commands(calls)) == (1, [CREATE, APPLY, DELETE])
    assert "deployer-20-50-2-1 of sql-x could not be removed" in printed


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.4", "20.50.2.0/24", "2603:1020::1", "none"])  # noqa: S104
def test_the_hook_lets_in_nothing_but_one_address(address: str, tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path).run(DEPLOYER_ADDRESS=address)
    assert (code, calls) == (1, [])
    assert "Stopped: this machine's address is not known." in printed


def test_the_hook_names_what_azd_did_not_give_it(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path).run(APP_IDENTITY_CLIENT_ID="")
    assert (code, calls) == (1, [])
    assert "Stopped: APP_IDENTITY_CLIENT_ID is not set." in printed


def test_the_hook_is_plain_shell() -> None:
    subprocess.run(["sh", "-n", INFRA / "apply-sql.sh"], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, INFRA / "apply-sql.sh"], check=True)
