"""Values of the users service that several tests use."""

from __future__ import annotations

from typing import Final

from domain.users.fields import parse_pan_num

ASHA: Final = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"
BALA: Final = "0b9e6a52-6a0f-4a47-9d0e-5f9d5b1f2a10"
CHAN: Final = "c4c1f7f2-1d2e-4f3a-b5c6-d7e8f9a0b1c2"
"""Three users, by their ids."""

NORTH: Final = "11111111-1111-4111-8111-111111111111"
SOUTH: Final = "11111111-1111-4111-8111-111111111112"
EAST: Final = "11111111-1111-4111-8111-111111111113"
"""Three managers, by their ids."""

DEVANAGARI_ZERO: Final = "\u0966"
ARABIC_INDIC_ZERO: Final = "\u0660"
FULL_WIDTH_ZERO: Final = "\uff10"


def in_digits_of(zero: str, text: str) -> str:
    """`text` with its digits in another script, whose zero is `zero`."""
    return "".join(chr(ord(zero) + int(character)) if character.isdigit() else character for character in text)


def parse_pan_num_of_any_holder(value: object) -> str:
    """`parse_pan_num` without the holder check."""
    return parse_pan_num(value, holder_check=False)
