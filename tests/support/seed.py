"""The managers that an embedded database begins with, and that sql/users/seed.sql adds to a SQL Server."""

from __future__ import annotations

from typing import Any, Final

_SEEDED_AT: Final = "2026-01-01T00:00:00.000000Z"
_NAMES: Final = ("Asha Rao", "Vikram Shah", "Meera Iyer", "Rohan Das", "Farah Khan")

SEED_MANAGERS: Final[list[dict[str, Any]]] = [
    {
        "manager_id": f"11111111-1111-4111-8111-11111111111{digit}",
        "full_name": name,
        "is_active": name != "Farah Khan",
        "created_at": _SEEDED_AT,
        "updated_at": _SEEDED_AT if name == "Farah Khan" else None,
    }
    for digit, name in enumerate(_NAMES, start=1)
]
