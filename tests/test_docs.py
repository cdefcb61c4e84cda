"""README's commands are run as they stand there, and answer what it says that they answer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.users import SEED_MANAGERS

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text("utf-8")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a server as `make run` starts it, on a new database in `tmp_path`."""
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/rollbook.db", "PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "devhost"],
        cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield next(int(found[1]) for line in process.stdout if (found := re.search(r"127\.0\.0\.1:(\d+)/", line)))
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _steps() -> list[tuple[str, str]]:
    """The commands of README's console blocks in order, each with the lines that follow it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [
        (command, "".join(f"{line}\n" for line in answer))
        for block in blocks
        for command, *answer in (step.splitlines() for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:])
    ]


def _without_chance(text: str) -> str:
    """`text` with marks for what differs from run to run: times, and random UUIDs by the order of their appearance."""
    text = re.sub(r'"uptime_seconds":\d+', '"uptime_seconds":N', text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    seen: dict[str, str] = {}
    pattern = r"\b(?!1{8}-|0{8}-)[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b"
    return re.sub(pattern, lambda match: seen.setdefault(match[0], f"UUID{len(seen)}"), text)


@pytest.mark.skipif(not shutil.which("curl") and not os.environ.get("CI"), reason="README's tour is made with curl")
def test_the_tour_answers_what_readme_says(port: int, tmp_path: Path) -> None:
    steps = _steps()
    assert {"create_user", "get_users", "update_user", "delete_user"} <= set(re.findall(r"7071/(\w+)", README))
    mark = "---next---"
    script = f"\necho '{mark}'\n".join(command for command, _ in steps).replace(":7071/", f":{port}/")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    answers = [answer.lstrip("\n") for answer in done.stdout.split(f"{mark}\n")]
    assert len(answers) == len(steps) > 8
    for (command, expected), answer in zip(steps, answers, strict=True):
        assert _without_chance(answer.strip()) == _without_chance(expected.strip()), command


def test_readme_shows_the_managers_of_the_seed() -> None:
    for manager in SEED_MANAGERS:
        assert f"| `{manager['manager_id']}` | {manager['full_name']} | {int(bool(manager['is_active']))} |" in README


def test_readme_names_every_setting_and_every_make_target() -> None:
    sample = (PROJECT / "local.settings.sample.json").read_text("utf-8")
    for name in re.findall(r'"([A-Z][A-Z_]+|AzureWebJobsStorage)"', sample):
        assert f"`{name}`" in README
    for target in re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE):
        assert f"make {target}" in README
