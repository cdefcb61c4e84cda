"""The template has the resources that the app needs and exposes no more. No test calls Azure."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import settings
from api.invoices.settings import InvoicesSettings
from domain.invoices.low_stock import day_schedule
from tests.infra.template import (
    ALERT,
    APP,
    AZURE_YAML,
    EVERYTHING,
    HOOK,
    INFRA,
    MAIN,
    PARAMETERS,
    PROJECT,
    app_settings,
    default,
    modules,
    parameters,
)


def test_resources_are_plain_and_of_released_api_versions() -> None:
    types = re.findall(r"^resource \w+ '([^']+)'", MAIN + APP + ALERT, re.MULTILINE)
    assert len(types) > 17
    for kind in types:
        assert re.fullmatch(r"Microsoft\.\w+(/\w+)+@20\d\d-\d\d-\d\d", kind), kind
    used = re.findall(r"^module \w+ '([^']+)'", MAIN + APP + ALERT, re.MULTILINE)
    assert used == ["app.bicep", "alert.bicep", "alert.bicep", "alert.bicep"]
    assert not re.search(r"\b(br|ts)[:/]", MAIN + APP + ALERT)


def test_the_plan_is_flex_consumption_with_python_3_13() -> None:
    assert re.search(r"name: 'FC1'\s+tier: 'FlexConsumption'", APP)
    assert re.search(r"runtime: \{\s+name: 'python'\s+version: '3\.13'", APP)


def test_an_instance_gets_one_request_per_thread() -> None:
    assert re.search(r"perInstanceConcurrency: threads$", APP, re.MULTILINE)
    assert app_settings()["PYTHON_THREADPOOL_THREAD_COUNT"] == "string(threads)"
    assert "threads: threads" in MAIN


def test_there_is_one_secret_and_it_is_a_secure_parameter() -> None:
    secure = re.findall(r"@secure\(\)\nparam (\w+) string", MAIN + APP)
    assert secure == ["peerSiteSecret"] * 2
    assert [name for name, value in app_settings().items() if "peerSiteSecret" in value] == ["PEER_SITE_SECRET"]
    assert "secret" not in "".join(re.findall(r"^output .*$", MAIN + APP, re.MULTILINE)).lower()


def test_there_is_no_password_and_no_key() -> None:
    for word in (
        "listKeys",
        "listCredentials",
        "AccountKey",
        "SharedAccess",
        "administratorLoginPassword",
        "administratorLogin:",
        "getSecret",
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


def test_the_database_accepts_the_subnet_of_the_app_only() -> None:
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


def test_with_another_site_the_database_does_not_pause_between_ticks() -> None:
    assert modules(MAIN)["app"]["sqlAutoPauseDelay"] == "empty(peerSiteUrl) ? sqlAutoPauseDelay : -1"
    assert app_settings()["OUTBOX_SCHEDULE"] == "'0 */5 * * * *'"
    assert app_settings()["PEER_SITE_URL"] == "peerSiteUrl"


def test_every_setting_is_one_of_the_app_or_of_the_platform() -> None:
    sample = json.loads((PROJECT / "local.settings.sample.json").read_text("utf-8"))["Values"]
    platform = {
        "AzureWebJobsStorage__accountName",
        "AzureWebJobsStorage__credential",
        "AzureWebJobsStorage__clientId",
        "MALLOC_MMAP_THRESHOLD_",
        "OTEL_SERVICE_NAME",
        "OTEL_LOGS_EXPORTER",
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
        "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
    }
    # Flex Consumption rejects FUNCTIONS_WORKER_RUNTIME: the runtime is configured elsewhere.
    assert set(app_settings()) <= (set(sample) - {"FUNCTIONS_WORKER_RUNTIME"}) | platform


def _low_stock_ticks() -> dict[str, str]:
    """The schedules of the template by time zone; "" is any other."""
    found = re.search(r"^var lowStockTicks = timeZone == '(.+?)' \? '(.+?)' : '(.+?)'$", MAIN, re.MULTILINE)
    assert found
    return {found[1]: found[2], "": found[3]}


def test_the_timer_of_low_stock_runs_when_days_begin() -> None:
    zone = default("timeZone")
    assert InvoicesSettings.time_zone.key == zone
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert _low_stock_ticks() == {
        zone: day_schedule(now, InvoicesSettings.time_zone),
        "": InvoicesSettings.low_stock_schedule,
    }
    assert modules(MAIN)["app"]["lowStockSchedule"] == "empty(lowStockSchedule) ? lowStockTicks : lowStockSchedule"


def test_timers_use_the_storage_with_the_identity() -> None:
    """Their leases and last runs are blobs, for which the host needs the role Storage Blob Data Owner.

    learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
    """
    given = {name: value for name, value in app_settings().items() if name.startswith("AzureWebJobsStorage")}
    assert given == {
        "AzureWebJobsStorage__accountName": "storage.name",
        "AzureWebJobsStorage__credential": "'managedidentity'",
        "AzureWebJobsStorage__clientId": "identity.properties.clientId",
    }
    assert "var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'" in APP
    assert re.search(r"scope: storage\n  name: guid\(storage.id, identity.id, storageBlobDataOwner\)", APP)


def test_the_app_starts_with_the_settings_of_the_template(tmp_path: Path) -> None:
    values = {
        "string(threads)": default("threads"),
        "services": default("services"),
        "telemetrySampling": default("telemetrySampling"),
        "timeZone": default("timeZone"),
        "lowStockSchedule": _low_stock_ticks()[default("timeZone")],
        "peerSiteUrl": default("peerSiteUrl"),
        "peerSiteSecret": default("peerSiteSecret"),
        "${sqlServer.name}": "sql-rollbook-x",
        "${environment().suffixes.sqlServerHostname}": ".database.windows.net",
        "${databaseName}": "rollbook",
        "${identity.properties.clientId}": "11111111-1111-4111-8111-111111111111",
    }
    environment = {"WEBSITE_SITE_NAME": "rollbook-x"}  # Azure sets it
    for name, expression in app_settings().items():
        for part, value in values.items():
            expression = expression.replace(part, value)  # noqa: PLW2901
        environment[name] = expression.rpartition(" : ")[2].strip("'")  # with the defaults, no condition holds
    loaded = settings.load(environment, tmp_path)
    assert loaded.section(InvoicesSettings).low_stock_schedule == "0 30,45 18 * * *"
    assert loaded.on_azure
    assert loaded.services == ("users",)
    assert loaded.threads == 8
    assert (loaded.values["POINTS_ALLOW_FLUSH"], loaded.api_docs, loaded.timers) == ("off", False, True)
    assert (loaded.telemetry, loaded.telemetry_sampling) == (True, 0.1)
    assert loaded.values["LIST_ROWS_MAX"] == "200000"
    assert loaded.database_url == (
        "Driver={ODBC Driver 18 for SQL Server};Server=tcp:sql-rollbook-x.database.windows.net,1433;Database=rollbook;"
        "Encrypt=yes;Authentication=ActiveDirectoryMsi;UID=11111111-1111-4111-8111-111111111111"
    )
    assert environment["MALLOC_MMAP_THRESHOLD_"] in (PROJECT / "Makefile").read_text("utf-8")


def test_the_site_has_nothing_that_flex_consumption_rejects() -> None:
    # Azure CLI's list: excluded_settings of `az functionapp flex-migration`
    rejected = r"^(FUNCTIONS_(?!REQUEST_BODY_SIZE_LIMIT$)|WEBSITE_|SCM_|ENABLE_ORYX|AzureWebJobsStorage$|APPINSIGHTS_)"
    assert not [name for name in app_settings() if re.search(rejected, name)]
    _, _, text = APP.partition("siteConfig: {")
    assert re.findall(r"^      (\w+):", text, re.MULTILINE)[:5] == [
        "minTlsVersion",
        "scmMinTlsVersion",
        "http20Enabled",
        "cors",
        "appSettings",
    ]
    for word in ("linuxFxVersion", "alwaysOn", "ftpsState", "functionAppScaleLimit"):
        assert word not in APP


def test_azd_sets_every_parameter_with_the_same_default() -> None:
    declared = parameters(MAIN)
    assert set(PARAMETERS) == set(declared)
    for name, parameter in PARAMETERS.items():
        match = re.fullmatch(r"\$\{[A-Z_]+(?:=([^}]*))?\}", parameter["value"])
        assert match, name
        assert (match[1] or "") == declared[name].strip("'"), name


def test_the_module_gets_each_of_its_parameters() -> None:
    assert list(modules(MAIN)["app"]) == list(parameters(APP))
    for given in modules(APP).values():
        assert sorted(given) == sorted(parameters(ALERT))


def test_the_outputs_include_every_variable_of_the_hook() -> None:
    outputs = set(re.findall(r"^output (\w+) ", MAIN, re.MULTILINE))
    required = re.search(r"^for name in ([^;]+); do", HOOK, re.MULTILINE)
    assert required
    assert set(required[1].replace("\\", "").split()) - {"AZURE_SUBSCRIPTION_ID"} <= outputs
    assert "AZURE_CLIENT_ID" not in outputs  # azure-identity would log in as that identity
    for name in re.findall(r"= app\.outputs\.(\w+)", MAIN):
        assert f"\noutput {name} string" in APP


def test_azd_finds_the_app_and_the_hook() -> None:
    service = re.search(r"services:\n  (\w+):.*\n((?:    .+\n)+)", AZURE_YAML)
    assert service
    assert f"'azd-service-name': '{service[1]}'" in APP
    for line in ("project: .", "language: python", "host: function", "remoteBuild: true"):
        assert f"    {line}\n" in service[2]
    assert "'azd-env-name': environmentName" in MAIN
    assert re.search(r"postprovision:\n    shell: sh\n    run: infra/apply-sql\.sh\n", AZURE_YAML)
    assert os.access(INFRA / "apply-sql.sh", os.X_OK)


def test_the_package_leaves_out_what_production_does_not_need() -> None:
    ignored = (PROJECT / ".funcignore").read_text("utf-8").splitlines()
    assert {".venv*", "tests", "requirements-dev.txt", "local.settings.json", ".env", "*.db"} <= set(ignored)
    # The remote build reads the first; a deployment without remote build brings the second.
    assert not {"requirements.txt", "requirements*.txt", ".python_packages", ".*"} & set(ignored)
