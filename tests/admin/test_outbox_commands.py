"""`outbox` and `requeue`."""

from __future__ import annotations

import json

import pytest

from admin.__main__ import build_parser
from admin.commands import CommandFailedError
from persistence.invoices import outbox
from tests.support.outbox import NOW, change, entries, later, new_customer, queued_names

pytestmark = pytest.mark.usefixtures("app_database")


def run(*arguments: str) -> None:
    """Runs a command."""
    parsed = build_parser(["invoices"]).parse_args(arguments)
    parsed.run(parsed)


def set_aside(entry_id: int) -> None:
    """Sets an entry aside."""
    own = "0f8fad5b-d9cb-469f-a165-70867728950e"
    change(outbox.claim, entry_id, own, now=NOW, until=later(30))
    change(outbox.release, entry_id, own, next_at=NOW, error="status 400", reason="status 400")


def test_the_outbox_is_listed_with_errors_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    run("outbox")
    run("outbox", "--json")
    assert capsys.readouterr().out == "[]\n"
    new_customer("Asha")
    new_customer("Ravi")
    set_aside(entries()[0]["id"])
    run("outbox", "--json")
    first, second = json.loads(capsys.readouterr().out)
    assert (first["attempts"], first["last_error"], first["set_aside"]) == (1, "status 400", "status 400")
    assert (second["attempts"], second["last_error"], second["set_aside"]) == (0, None, None)
    run("outbox")
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == [*first]
    assert [line.endswith("status 400") for line in lines] == [True, False]
    assert "Asha" not in "".join(lines)


def test_all_queues_customers_from_before(capsys: pytest.CaptureFixture[str]) -> None:
    new_customer("before", queued_at=None)
    new_customer("theirs", queued_at=None, is_from_peer=True)
    run("outbox")
    assert queued_names() == []
    run("outbox", "--all")
    assert queued_names() == ["before"]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_one_entry_or_all_are_requeued(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        new_customer(name)
    for row in entries()[:2]:
        set_aside(row["id"])
    run("requeue", str(entries()[1]["id"]))
    assert [bool(row["set_aside_reason"]) for row in entries()] == [True, False, False]
    run("requeue", "all")
    assert not any(row["set_aside_reason"] for row in entries())
    assert capsys.readouterr().out.splitlines() == ["1 due now", "3 due now"]


def test_an_unknown_entry_is_an_error() -> None:
    with pytest.raises(CommandFailedError, match=r"^the outbox has no entry with the id 999$"):
        run("requeue", "999")


@pytest.mark.parametrize("entry_id", ["", "x", "-1", "1.0", "ALL", "\u0661", "9" * 20])
def test_an_entry_is_named_by_its_id(entry_id: str) -> None:
    with pytest.raises(SystemExit):
        run("requeue", entry_id)
