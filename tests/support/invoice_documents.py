"""Documents of invoices for the tests of their PDF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from api.invoices.pdf import Company, DocumentLine, InvoiceDocument

COMPANY: Final = Company("Virtual Company Ltd.", "+91-XXXX-XX-XXXX", "abc@xompany.com", "23th Street, Zbcxyz")

WORDS: Final = {
    "Devanagari": "हिन्दी कमीज़ क्षत्रिय श्रीमान् क्‍ष",
    "Bengali": "বাংলা সুতির জামা ক্ষুদ্র র‍্যাব",
    "Gurmukhi": "ਪੰਜਾਬੀ ਸੂਤੀ ਕਮੀਜ਼ ਸ੍ਰੀ",
    "Gujarati": "ગુજરાતી સુતરાઉ શર્ટ ક્ષત્રિય",
    "Oriya": "ଓଡ଼ିଆ ସୂତା ଜାମା କ୍ଷେତ୍ର",
    "Tamil": "தமிழ் பருத்திச் சட்டை ஸ்ரீ",
    "Telugu": "తెలుగు పత్తి చొక్కా స్త్రీ",
    "Kannada": "ಕನ್ನಡ ಹತ್ತಿ ಅಂಗಿ ಕ್ಷೇತ್ರ",
    "Malayalam": "പരുത്തി ഷർട്ട് ക്ഷേത്രം അവന്‍",
}
"""Words of each script with conjuncts, signs that stand before their consonant, and joiners; by the names of fonts."""


def document(
    lines: Sequence[DocumentLine], *, name: str = "Asha Rao", address: str = "12 MG Road", currency: str = "₹"
) -> InvoiceDocument:
    return InvoiceDocument("#00001-AAA", name, "+919876543210", address, lines, COMPANY, currency)


def item(name: str, description: str | None = None, price: int = 100, quantity: int = 1) -> DocumentLine:
    """Returns a line; without a description the name is one."""
    return DocumentLine(name, name if description is None else description, price, quantity)


def items(number: int) -> list[DocumentLine]:
    """Returns distinct lines, of which some take two lines of a page."""
    return [item(f"Item {i}", f"the article {i}" + ", as listed" * (i % 7), 37 * i, 1 + i % 5) for i in range(number)]
