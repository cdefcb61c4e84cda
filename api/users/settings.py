"""The settings of the users service."""

from __future__ import annotations

from dataclasses import dataclass

from settings import number, switch


@dataclass(frozen=True)
class UsersSettings:
    """The settings of the users service."""

    pan_holder_check: bool = switch("PAN_HOLDER_CHECK", default=True)
    list_rows_max: int = number("LIST_ROWS_MAX", default=0, least=0, most=999_999_999)  # 0: no maximum
