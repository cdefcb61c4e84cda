"""The settings that a PDF shows: their limits, and that the longest of them fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.invoices.pdf import Company, render_pdf
from api.invoices.settings import InvoicesSettings
from settings import SettingsError, load
from tests.support.invoice_documents import document, item
from tests.support.pdf import read_pages

LIMITS = {
    "INVOICE_COMPANY_NAME": 200,
    "INVOICE_COMPANY_PHONE": 50,
    "INVOICE_COMPANY_EMAIL": 254,
    "INVOICE_COMPANY_ADDRESS": 500,
    "INVOICE_CURRENCY": 5,
}


def _load(folder: Path, values: dict[str, str]) -> InvoicesSettings:
    return load(values, folder).section(InvoicesSettings)


@pytest.mark.parametrize(("name", "most"), LIMITS.items())
def test_a_setting_that_a_pdf_shows_has_a_maximum(tmp_path: Path, name: str, most: int) -> None:
    assert "😀" * most in vars(_load(tmp_path, {name: "😀" * most})).values()
    with pytest.raises(SettingsError, match=f"^{name} must be at most {most} characters"):
        _load(tmp_path, {name: "a" * (most + 1)})


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("character", ["\t", "\n", "\x00", "\x7f", "\x85", "\udc80"])
def test_control_characters_in_these_settings_prevent_the_start(tmp_path: Path, name: str, character: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} must be .* no control characters"):
        _load(tmp_path, {name: f"a{character}b"})


@pytest.mark.parametrize("letter", ["W", "औ", "漢"])
def test_the_longest_settings_fit_beside_the_largest_amounts(tmp_path: Path, letter: str) -> None:
    longest = _load(tmp_path, {name: letter * most for name, most in LIMITS.items()})
    company = Company(longest.company_name, longest.company_phone, longest.company_email, longest.company_address)
    lines = [item("Cotton kurta", price=10**12 - 1, quantity=1), item("Silk saree", price=10**9, quantity=999_999)]
    largest = document(lines, currency=longest.currency)._replace(company=company)
    runs = [run for page in read_pages(render_pdf(largest)) for run in page]
    assert min(run.left for run in runs) > 50
    assert max(run.right for run in runs) < 545
    amounts = 2 * len(lines) + 1
    assert "".join(run.text for run in runs).count(letter) == sum(LIMITS.values()) + (amounts - 1) * 5
    assert {"Cotton kurta", "Silk saree"} <= {run.text for run in runs}
