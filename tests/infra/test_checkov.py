"""The template passes checkov, and checkov finds each weakness."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.infra.template import INFRA, PROJECT

CHECKOV: Final = "checkov~=3.3"
# Separate from the project's environment: checkov pins many packages, some of them to versions other than the app's.
ENVIRONMENT: Final = PROJECT / ".venv-checkov"


@pytest.fixture(scope="module")
def checkov_python() -> Path:
    """The interpreter of an environment with checkov, created on first use."""
    stamp = ENVIRONMENT / "installed"
    wanted = f"{CHECKOV} on Python {sys.version} in {sys.base_prefix}\n"
    if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
        missing = _install_checkov(wanted)
        if missing and os.environ.get("CI"):
            pytest.fail(missing)
        if missing:
            pytest.skip(missing)
    return ENVIRONMENT / "bin" / "python"


def _install_checkov(stamp: str) -> str:
    """Creates the environment under a temporary name and renames it when complete. Returns why that failed, or ""."""
    new = Path(tempfile.mkdtemp(prefix=f"{ENVIRONMENT.name}-", dir=PROJECT))
    try:
        (new / ".gitignore").write_text("*\n", "utf-8")  # for git, and for ruff, which reads it too
        subprocess.run([sys.executable, "-m", "venv", new], check=True, capture_output=True, text=True)
        pip = [str(new / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", CHECKOV]
        subprocess.run(pip, check=True, capture_output=True, text=True)
        (new / "installed").write_text(stamp, "utf-8")
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        new.rename(ENVIRONMENT)
    except subprocess.CalledProcessError as error:
        return f"{CHECKOV} cannot be installed: {''.join(error.stderr.strip().splitlines()[-1:])}"
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return ""


# Ways to weaken the template: a line of it, its replacement, the check that must fail.
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
    """One run over infra/, a weakened copy of it and an invalid file: checkov takes long to start."""
    folder = tmp_path_factory.mktemp("checkov")
    shutil.copytree(INFRA, folder / "infra")
    (folder / "weakened").mkdir()
    text = (INFRA / "app.bicep").read_text("utf-8")
    for line, weaker, _ in VIOLATIONS:
        assert text.count(line) == 1, line
        text = text.replace(line, weaker)
    (folder / "weakened" / "app.bicep").write_text(text, "utf-8")
    (folder / "weakened" / "invalid.bicep").write_text("resource {", "utf-8")
    command = [str(checkov_python), "-m", "checkov.main", "--directory", ".", "--config-file", "infra/.checkov.yaml"]
    done = subprocess.run(
        [*command, "--output", "json"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 1, "the weakened copy must fail"
    return printed


def _records(report: Mapping[str, Any], outcome: str, folder: str) -> list[tuple[str, str]]:
    return [
        (record["check_id"], record["resource"])
        for record in report["results"][outcome]
        if record["file_path"].startswith(f"/{folder}/")
    ]


def test_checkov_reads_the_template_and_finds_nothing(report: dict[str, Any]) -> None:
    assert _records(report, "failed_checks", "infra") == []
    assert _records(report, "skipped_checks", "infra") == []  # exceptions belong in .checkov.yaml, nowhere else
    passed = _records(report, "passed_checks", "infra")
    assert len(passed) >= 20
    assert {resource.rpartition(".")[2] for _, resource in passed} >= {"network", "storage", "sqlServer", "site"}
    # All of infra/ was read: unreadable files are listed.
    assert [Path(path).name for path in report["results"]["parsing_errors"]] == ["invalid.bicep"]


def test_checkov_finds_each_weakness(report: dict[str, Any]) -> None:
    failed = {check for check, _ in _records(report, "failed_checks", "weakened")}
    assert failed >= {check for _, _, check in VIOLATIONS}


def test_every_skipped_check_has_a_reason() -> None:
    _, _, skipped = (INFRA / ".checkov.yaml").read_text("utf-8").partition("skip-check:\n")
    lines = [line for line in skipped.splitlines() if not line.lstrip().startswith("#")]
    assert len(lines) > 5
    for line in lines:
        assert re.fullmatch(r"  - CKV2?_AZURE_\d+  # \S.{15,}", line), line
