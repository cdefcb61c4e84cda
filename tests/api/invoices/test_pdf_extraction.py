"""What pdftotext (poppler) extracts from a PDF: every name whole and in its order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import unicodedata
from typing import Final

import pytest

from api.invoices.pdf import render_pdf
from tests.support.invoice_documents import WORDS, document, item

PDFTOTEXT = shutil.which("pdftotext")
pytestmark = pytest.mark.skipif(not PDFTOTEXT and not os.environ.get("CI"), reason="pdftotext is part of poppler-utils")

SIGNS: Final = {
    "Devanagari": 0x900,
    "Bengali": 0x980,
    "Gurmukhi": 0xA00,
    "Gujarati": 0xA80,
    "Oriya": 0xB00,
    "Tamil": 0xB80,
    "Telugu": 0xC00,
    "Kannada": 0xC80,
    "Malayalam": 0xD00,
}
"""The first character of each script; all have their letters and signs at the same distance from it."""

NAMES: Final = (
    "कुर्ता साड़ी गुड़ दूध हल्दी प्रिया कृष्ण",
    "দুধ কুর্তা শাড়ি ক্ষুদ্র কৃষ্ণ সূর্য",
    "ਦੁੱਧ ਕੁੜਤਾ ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ",
    "દૂધ કુર્તા ગૂડ કૃષ્ણ હળદર",
    "ଓଡ଼ିଆ ଦୁଧ କୁର୍ତ୍ତା ଶାଢ଼ୀ କୃଷ୍ଣ",
    "குர்தா பருப்பு கிருஷ்ணன் நெய்",
    "కుర్తా పెరుగు కృష్ణ లక్ష్మి",
    "ಕುರ್ತಾ ಹಾಲು ಕೃಷ್ಣ ಲಕ್ಷ್ಮಿ",
    "കുർത്ത പാൽ കൃഷ്ണൻ ലക്ഷ്മി",
)
"""Goods and people, with signs above and below letters and conjuncts."""


def _extract(pdf: bytes) -> str:
    """Returns the text of a PDF in one line, without the marks that pdftotext adds to right-to-left words."""
    assert PDFTOTEXT, "poppler-utils is missing"
    done = subprocess.run([PDFTOTEXT, "-raw", "-", "-"], input=pdf, capture_output=True, check=True)
    return re.sub("[\u202b\u202c]", "", re.sub(r"\s+", " ", done.stdout.decode()))


@pytest.mark.parametrize("words", [*WORDS.values(), *NAMES])
def test_names_of_every_script_are_extracted_whole(words: str) -> None:
    text = _extract(render_pdf(document([item(f"Kurta {words} 2 kg", words)], name=words, address=f"{words}, Pune")))
    assert f"Customer Name: {words} " in text
    assert f"Addr: {words}, Pune " in text
    assert f" Kurta {words} 2 kg / {words} ₹1.00 1 ₹1.00 " in text


@pytest.mark.parametrize("script", SIGNS)
def test_every_letter_with_every_sign_is_extracted_whole(script: str) -> None:
    block = [chr(code) for code in range(SIGNS[script], SIGNS[script] + 0x80)]
    letters = [letter for letter in block[0x15:0x3A] if unicodedata.category(letter) == "Lo"]
    signs = [sign for sign in block[:0x4E] if unicodedata.category(sign) in ("Mn", "Mc")]
    # A nukta under five letters of Kannada is read twice.
    words = [2 * (letter + sign) for letter in letters for sign in signs if sign != "\N{KANNADA SIGN NUKTA}"]
    rows = [" ".join(words[start : start + 30]) for start in range(0, len(words), 30)]
    text = _extract(render_pdf(document([item(row) for row in rows])))
    assert [word for word in words if f" {word} " not in text] == []


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
