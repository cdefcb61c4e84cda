"""Masked records: enough of a number and a PAN to compare with what a caller says, and not enough to use them."""

from __future__ import annotations

from domain.users.versions import UserRecord


def mask_mob_num(mob_num: str) -> str:
    """Returns the ten digits of a mobile number with only the first two and the last two: `98XXXXXX10`."""
    return f"{mob_num[:2]}XXXXXX{mob_num[8:]}"


def mask_pan_num(pan_num: str) -> str:
    """Returns a PAN with its four digits only: `XXXXX1234X`."""
    return f"XXXXX{pan_num[5:9]}X"


def mask_record(user: UserRecord) -> UserRecord:
    """Returns a record with its number and PAN masked."""
    return {**user, "mob_num": mask_mob_num(user["mob_num"]), "pan_num": mask_pan_num(user["pan_num"])}
