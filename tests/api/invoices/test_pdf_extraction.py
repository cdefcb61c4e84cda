"""What pdftotext (poppler) extracts from a PDF: every name whole and in its order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from api.invoices.pdf import render_pdf
from tests.support.invoice_documents import WORDS, document, item

PDFTOTEXT = shutil.which("pdftotext")
pytestmark = pytest.mark.skipif(not PDFTOTEXT and not os.environ.get("CI"), reason="pdftotext is part of poppler-utils")

GUESSED_SPACES = ("Bengali", "Oriya")
"""The scripts of whose words pdftotext splits some: it guesses a space after a sign that ends left of its consonant."""


def _extract(pdf: bytes) -> str:
    """Returns the text of a PDF in one line, without the marks that pdftotext adds to right-to-left words."""
    assert PDFTOTEXT, "poppler-utils is missing"
    done = subprocess.run([PDFTOTEXT, "-raw", "-", "-"], input=pdf, capture_output=True, check=True)
    return re.sub("[\u202b\u202c]", "", re.sub(r"\s+", " ", done.stdout.decode()))


@pytest.mark.parametrize("script", [script for script in WORDS if script not in GUESSED_SPACES])
def test_names_of_a_script_are_extracted_whole(script: str) -> None:
    words = WORDS[script]
    text = _extract(render_pdf(document([item(f"Kurta {words} 2 kg", words)], name=words, address=f"{words}, Pune")))
    assert f"Customer Name: {words} " in text
    assert f"Addr: {words}, Pune " in text
    assert f" Kurta {words} 2 kg / {words} ₹1.00 1 ₹1.00 " in text


@pytest.mark.parametrize("script", GUESSED_SPACES)
def test_names_of_bengali_and_odia_are_extracted_but_for_guessed_spaces(script: str) -> None:
    words = WORDS[script]
    text = _extract(render_pdf(document([item(f"Kurta {words} 2 kg", words)], name=words))).replace(" ", "")
    assert f"CustomerName:{words}".replace(" ", "") in text
    assert f"Kurta{words}2kg/{words}₹1.00".replace(" ", "") in text


@pytest.mark.parametrize(
    "text", ["a😀z", "a👨‍👩‍👧z", "漢字 कमीज़ 漢", "x漢字y", "Ω Ж ế", "a\ue000z", "हिन्दी தமிழ் తెలుగు"]
)
def test_mixed_names_and_boxes_are_extracted_whole(text: str) -> None:
    extracted = _extract(render_pdf(document([item(text, f"of {text}")], name=text)))
    assert f"Customer Name: {text} " in extracted
    assert f" {text} / of {text} ₹1.00" in extracted


def test_right_to_left_names_are_extracted_in_their_order() -> None:
    assert " שלום / דברים ₹1.00" in _extract(render_pdf(document([item("שלום", "דברים")])))
    assert " قميص / نص ₹1.00" in _extract(render_pdf(document([item("قميص", "نص")])))
