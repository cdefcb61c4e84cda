"""The pages: their commands print what the pages show, their links lead somewhere, and every setting has its place."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from api import SERVICES, load_services
from tests.support.seed import SEED_MANAGERS

pytestmark = pytest.mark.slow

PROJECT: Final = Path(__file__).resolve().parent.parent


def _read(*patterns: str) -> dict[str, str]:
    """The text of pages by their paths."""
    paths = [path for pattern in patterns for path in sorted(PROJECT.glob(pattern))]
    return {str(path.relative_to(PROJECT)): path.read_text("utf-8") for path in paths}


PAGES: Final = _read("README.md", "docs/*.md")
ALL_PAGES: Final = PAGES | _read("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")


# ---- the commands


class Step(NamedTuple):
    """A command of a page, and what the page shows as its output."""

    command: str
    output: str


def _steps(page: str) -> list[Step]:
    """The commands of the console blocks of a page, in their order."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    steps = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [Step(*re.split(r"(?<!\\)\n", step, maxsplit=1)) for step in steps]  # a backslash continues a command


STEPS: Final = {path: steps for path, page in PAGES.items() if (steps := _steps(page))}


@contextmanager
def _serving(folder: Path) -> Iterator[int]:
    """Yields the port of a server as `make run` starts it, on a new database in `folder`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "devhost"],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": f"sqlite:///{folder}/rollbook.db", "PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield next(int(found[1]) for line in process.stdout if (found := re.search(r"127\.0\.0\.1:(\d+)/", line)))
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _normalized(output: str) -> str:
    """`output` without what differs from run to run: times, and random UUIDs and ids, numbered as they appear first."""
    output = re.sub(r'"uptime_seconds":\d+', '"uptime_seconds":N', output)
    output = re.sub(r"\d{4}-\d\d-\d\dT\d\d:[\d:.]+Z", "TIME", output)
    seen: dict[str, str] = {}
    pattern = r"\b(?!1{8}-|0{8}-)[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b"
    pattern += r'|(?<="change_id":")[^"]+|(?<="next":")[^"]+'
    return re.sub(pattern, lambda match: seen.setdefault(match[0], f"ID{len(seen)}"), output).strip()


@pytest.mark.skipif(not shutil.which("curl") and not os.environ.get("CI"), reason="the pages use curl")
@pytest.mark.parametrize("path", STEPS)
def test_the_commands_of_a_page_print_what_it_shows(path: str, tmp_path: Path) -> None:
    mark = "---next---"
    script = f"\necho '{mark}'\n".join(command for command, _ in STEPS[path])
    with _serving(tmp_path) as port:
        script = re.sub(r":7071\b", f":{port}", script)
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
    outputs = done.stdout.split(f"{mark}\n")
    for (command, expected), output in zip(STEPS[path], outputs, strict=True):
        assert _normalized(output) == _normalized(expected), command


def test_the_pages_call_every_endpoint_of_every_service() -> None:
    commands = "\n".join(command for steps in STEPS.values() for command, _ in steps)
    routes = [endpoint.route for service in load_services(SERVICES) for endpoint in service.endpoints]
    assert len(routes) >= 8
    called = [route.partition("{")[0] for route in routes]  # without parameters, which have values
    assert [route for route in called if f":7071/{route}" not in commands] == []


# ---- what has to be there


def _anchors(page: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+?) *$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", ALL_PAGES)
def test_the_relative_links_of_a_page_lead_somewhere(path: str) -> None:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", ALL_PAGES[path], flags=re.DOTALL | re.MULTILINE)
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        linked = (PROJECT / path).parent / target if target else PROJECT / path
        assert linked.exists(), target
        assert not anchor or anchor in _anchors(linked.read_text("utf-8")), f"{target}#{anchor}"


def test_the_pages_show_the_managers_of_the_seed() -> None:
    text = "\n".join(PAGES.values())
    for manager in SEED_MANAGERS:
        assert f"| `{manager['manager_id']}` | {manager['full_name']} | {int(bool(manager['is_active']))} |" in text


def _settings() -> set[str]:
    """The names of settings in the sample, in `settings.py`, and in the sections that services declare."""
    names = set(re.findall(r'"([A-Z][A-Z_]+)"', (PROJECT / "local.settings.sample.json").read_text("utf-8")))
    for path in (PROJECT / "settings.py", *(PROJECT / "api").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        declarations = [
            call for call in calls if getattr(call.func, "id", "") in ("switch", "number", "fraction", "text", "parsed")
        ]
        for node in [tree] if path.name == "settings.py" else declarations:
            strings = [str(child.value) for child in ast.walk(node) if isinstance(child, ast.Constant)]
            names |= {name for name in strings if re.fullmatch(r"[A-Z][A-Z_]{2,}|AzureWebJobsStorage\w*", name)}
    return names - {"WEBSITE_SITE_NAME"}  # Azure's own


def test_every_setting_is_on_the_page_of_settings() -> None:
    settings = _settings()
    assert settings > {"AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME", "HOST", "PAN_HOLDER_CHECK", "TIMERS"}
    assert [name for name in sorted(settings) if f"`{name}`" not in PAGES["docs/settings.md"]] == []


def test_every_make_target_is_documented() -> None:
    targets = re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
    text = "\n".join((PAGES | _read("CONTRIBUTING.md")).values())
    assert "run" in targets
    assert [target for target in targets if not re.search(rf"make {target}\b", text)] == []
