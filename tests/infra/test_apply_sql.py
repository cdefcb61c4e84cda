"""The hook that azd runs after provisioning, with stand-ins for az and the other programs that it starts."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.infra.template import HOOK, INFRA, PROJECT

CLIENT_ID: Final = "11111111-1111-4111-8111-111111111111"
ENVIRONMENT: Final = {
    "AZURE_SUBSCRIPTION_ID": "33333333-3333-4333-8333-333333333333",
    "AZURE_RESOURCE_GROUP": "rg-x",
    "AZURE_SQL_SERVER": "sql-x",
    "AZURE_SQL_HOST": "sql-x.database.windows.net",
    "AZURE_SQL_DATABASE": "rollbook",
    "APP_IDENTITY_NAME": "id-x",
    "APP_IDENTITY_CLIENT_ID": CLIENT_ID,
    "SERVICES": "users",
    "DEPLOYER_ADDRESS": "20.50.2.1",
}
CREATE: Final = "az sql server firewall-rule create"
DELETE: Final = "az sql server firewall-rule delete"
MIGRATE: Final = "python -m admin migrate --wait 300"
GRANT: Final = f"python -m admin grant-access id-x {CLIENT_ID}"
NOT_YET: Final = (
    'n=$(grep -c "^python" "$CALLS"); [ "$n" -gt 2 ] || { echo "(40615) Client with IP address" >&2; exit 1; }'
)


class Hook:
    """A copy of the hook in its own folder, where every program that it starts records how it was called.

    `admin` and `az` are shell code that the stand-ins for `python -m admin` and for az run.
    """

    def __init__(self, folder: Path, admin: str = "", az: str = "") -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()
        (folder / "infra").mkdir()
        shutil.copy(INFRA / "apply-sql.sh", folder / "infra")
        self._program(folder / "bin" / "az", az)
        self._program(folder / "bin" / "sleep", "")
        python = folder / ".venv" / "bin" / "python"
        self._program(python, admin, f'[ "$1" != - ] || exec "{sys.executable}" "$@"')
        (folder / ".venv" / "installed").touch()

    def _program(self, path: Path, then: str, first: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\n{first}\necho "{path.name} $*" >> "$CALLS"\n{then}\n', "utf-8")
        path.chmod(0o755)

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """Starts the hook; `environment` extends the variables of azd."""
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        return subprocess.Popen(
            ["sh", self.folder / "infra" / "apply-sql.sh"],
            env=ENVIRONMENT | {"PATH": path, "CALLS": str(self.calls)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, **environment: str) -> tuple[int, str, list[str]]:
        """Returns exit code, output, and the calls after the check of the login."""
        with self.start(**environment) as process:
            printed, _ = process.communicate(timeout=60)
        calls = self.calls.read_text("utf-8").splitlines()
        return process.returncode, printed, [call for call in calls if not call.startswith("az account")]


def _commands(calls: list[str]) -> list[str]:
    """The calls; those of az without their options."""
    return [" ".join(call.split()[:5]) if call.startswith("az ") else call for call in calls]


def test_it_opens_the_firewall_migrates_grants_access_and_closes_it(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path, admin='echo "$DATABASE_URL $SERVICES"').run()
    assert (code, _commands(calls)) == (0, [CREATE, MIGRATE, GRANT, DELETE]), printed
    assert "--start-ip-address 20.50.2.1 --end-ip-address 20.50.2.1" in calls[0]
    for call in (calls[0], calls[-1]):
        assert f"--subscription {ENVIRONMENT['AZURE_SUBSCRIPTION_ID']} --resource-group rg-x" in call
        assert "--server sql-x --name deployer-20-50-2-1 " in call
    connection = (
        "Driver={ODBC Driver 18 for SQL Server};Server=tcp:sql-x.database.windows.net,1433;Database=rollbook;"
        "Encrypt=yes;Authentication=ActiveDirectoryDefault users\n"
    )
    assert printed.count(connection) == 2


def test_it_waits_until_the_firewall_rule_is_in_effect(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path, admin=NOT_YET).run()
    attempts = [MIGRATE, "sleep 10", MIGRATE, "sleep 10", MIGRATE]
    assert (code, _commands(calls)) == (0, [CREATE, *attempts, GRANT, DELETE]), printed


def test_it_closes_the_firewall_when_a_migration_fails(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path, admin="echo 'Stopped: it failed' >&2; exit 1").run()
    assert (code, _commands(calls)) == (1, [CREATE, MIGRATE, DELETE])
    assert "Stopped: it failed\nStopped: the database is not migrated." in printed


def test_it_closes_the_firewall_when_access_cannot_be_granted(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path, admin='[ "$3" != grant-access ]').run()
    assert (code, _commands(calls)) == (1, [CREATE, MIGRATE, GRANT, DELETE])
    assert "Stopped: the database is migrated, but id-x has no access to it." in printed


def test_it_closes_the_firewall_when_it_is_terminated(tmp_path: Path) -> None:
    hook = Hook(tmp_path, admin="echo started; read -r _ < forever || :")
    os.mkfifo(tmp_path / "forever")
    with hook.start() as process:
        assert process.stdout is not None
        while process.stdout.readline() != "started\n":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)  # the shell handles it when the command that it waits for has ended
        (tmp_path / "forever").write_text("\n", "utf-8")
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert _commands(hook.calls.read_text("utf-8").splitlines())[-2:] == [MIGRATE, DELETE]


def test_it_reports_a_firewall_rule_that_it_cannot_remove(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path, az='[ "$4" != delete ]').run()
    assert (code, _commands(calls)) == (1, [CREATE, MIGRATE, GRANT, DELETE])
    assert "deployer-20-50-2-1 of sql-x could not be removed" in printed


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.4", "20.50.2.0/24", "2603:1020::1", "none"])  # noqa: S104
def test_it_allows_only_a_single_public_address(address: str, tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path).run(DEPLOYER_ADDRESS=address)
    assert (code, calls) == (1, [])
    assert "Stopped: this machine's public address is unknown." in printed


def test_it_names_a_variable_that_azd_did_not_set(tmp_path: Path) -> None:
    code, printed, calls = Hook(tmp_path).run(APP_IDENTITY_CLIENT_ID="")
    assert (code, calls) == (1, [])
    assert "Stopped: APP_IDENTITY_CLIENT_ID is not set." in printed


def test_it_calls_commands_of_admin_with_options_that_they_know() -> None:
    calls = re.findall(r"-m admin ([\w-]+)([^|;\n]*)", HOOK)
    assert [command for command, _ in calls] == ["migrate", "grant-access"]
    for command, arguments in calls:
        program = [sys.executable, "-m", "admin", command, "--help"]
        usage = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
        for option in re.findall(r"--\w+", arguments):
            assert option in usage


def test_it_is_valid_posix_shell() -> None:
    subprocess.run(["sh", "-n", INFRA / "apply-sql.sh"], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, INFRA / "apply-sql.sh"], check=True)
