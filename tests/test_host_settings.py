"""The settings of the development host alone: the origins in local.settings.json, and timers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import settings
from settings import Cors, SettingsError, load_cors


def write(folder: Path, host: object) -> None:
    """Makes a local.settings.json with this section."""
    (folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": {}, "Host": host}), "utf-8")


@pytest.mark.parametrize(
    ("host", "cors"),
    [
        (None, Cors()),
        ({}, Cors()),
        ({"LocalHttpPort": 7072, "CORS": "", "CORSCredentials": False}, Cors()),
        ({"CORS": " , "}, Cors()),
        ({"CORS": "*"}, Cors(("*",))),
        ({"CORS": "https://App.Example"}, Cors(("https://app.example",))),
        (
            {"CORS": "https://app.example, http://localhost:3000,https://app.example,", "CORSCredentials": True},
            Cors(("https://app.example", "http://localhost:3000"), credentials=True),
        ),
        ({"CORS": "http://[::1]:3000,vscode-webview://a1"}, Cors(("http://[::1]:3000", "vscode-webview://a1"))),
    ],
)
def test_origins_are_read_from_the_host_section(tmp_path: Path, host: object, cors: Cors) -> None:
    write(tmp_path, host)
    assert load_cors(tmp_path) == cors


def test_without_the_file_or_the_section_no_origin_is_listed(tmp_path: Path) -> None:
    assert load_cors(tmp_path) == Cors()
    (tmp_path / "local.settings.json").write_text('{"Values": {}}', "utf-8")
    assert load_cors(tmp_path) == Cors()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("*", "Host "),
        (["*"], "Host "),
        ({"CORS": ["https://app.example"]}, "Host.CORS "),
        ({"CORS": True}, "Host.CORS "),
        ({"CORS": "https://app.example", "CORSCredentials": "true"}, "Host.CORSCredentials "),
        ({"CORS": "https://app.example", "CORSCredentials": 1}, "Host.CORSCredentials "),
        ({"CORS": "*", "CORSCredentials": True}, "Host.CORSCredentials "),
        *(
            ({"CORS": wrong}, "Host.CORS ")
            for wrong in (
                "app.example", "https://app.example/", "https://app.example/page", "https://*.example", "null",
                "https://app.example,*", "https://a@app.example", "https://app.example:port", "https://äpp.example",
                "https://app.example https://other.example", "//app.example",
            )
        ),
    ],
)  # fmt: skip
def test_a_host_section_that_cannot_be_read_is_named(tmp_path: Path, host: Any, name: str) -> None:
    write(tmp_path, host)
    with pytest.raises(SettingsError) as caught:
        load_cors(tmp_path)
    assert str(caught.value).startswith(name)
    assert "local.settings.json" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "file", "timers"),
    [(None, None, True), ("", None, True), ("off", None, False), (None, "off", False), ("on", "off", True)],
)
def test_timers_are_enabled_where_they_are_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, file: str | None, timers: bool
) -> None:
    monkeypatch.setenv("SETTINGS_FOLDER", str(tmp_path))
    monkeypatch.setenv("TIMERS", given or "")
    if given is None:
        monkeypatch.delenv("TIMERS")
    if file is not None:
        (tmp_path / ".env").write_text(f"TIMERS={file}\n", "utf-8")
    settings.enable_timers()
    assert settings.load(os.environ, tmp_path).timers == timers
