"""`grant-credit`, and what `add-samples` does for the calculator."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin.__main__ import build_parser
from admin.calculator import add_samples
from admin.commands import CommandFailedError
from domain.accounts import UsernameInvalidError
from persistence.database import connections
from tests.support.credits import NOW, balance_of, charge, check_books, live_balances, new_account

pytestmark = pytest.mark.usefixtures("app_database")


def _run(*arguments: str) -> None:
    parsed = build_parser(["calculator"]).parse_args(["grant-credit", *arguments])
    parsed.run(parsed)


def test_credit_is_granted_by_name_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    account_id, username = new_account()
    record_id = charge(account_id)
    _run(username.upper(), "1000000000")
    _run(username, "1")
    granted = [(1_000_000_000, 1_000_002_497), (1, 1_000_002_498)]
    lines = [f"{username}: granted {amount}, the balance is {balance}" for amount, balance in granted]
    assert capsys.readouterr().out.splitlines() == lines
    assert live_balances(account_id) == {record_id: 2497}
    check_books(account_id)


@pytest.mark.parametrize(
    "amount", ["0", "-1", "1.0", "1e3", "1000000001", "", " 1", "+1", "1_0", "\u0661", "9" * 5_000]
)
def test_an_amount_is_a_whole_number_in_range(amount: str, capsys: pytest.CaptureFixture[str]) -> None:
    account_id, username = new_account()
    with pytest.raises(SystemExit) as caught:
        _run(username, amount)
    assert caught.value.code == 2
    assert balance_of(account_id) == 2500


def test_a_name_without_an_account_or_an_impossible_one_is_an_error() -> None:
    with pytest.raises(CommandFailedError, match=r"^there is no account with the name unknown$"):
        _run("unknown", "5")
    with pytest.raises(UsernameInvalidError):
        _run("un known", "5")


def test_samples_are_reported_on_one_line(database_file: Path) -> None:
    with connections.transaction() as connection:
        assert [*add_samples(connection, now=NOW)] == ["testuser, testuser2: have records of the calculator"]
