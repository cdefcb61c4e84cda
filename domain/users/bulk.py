"""The creation of several users: the violations of each. A path begins with `users`, the name of the list."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

from domain.errors import InvalidError, Violation
from domain.users.errors import ManagerInactiveError, ManagerUnknownError, MobNumRepeatedError, MobNumTakenError
from domain.users.fields import parse_mob_num
from domain.users.versions import UserRecord

USERS_MAX: Final = 1000
"""Maximum number of users in one creation."""


def find_repeated(mob_nums: Iterable[object]) -> Iterator[Violation]:
    """Yields a violation for each number that an earlier one is equal to, whatever the spelling.

    Skips what is not a mobile number.
    """
    seen = set()
    for position, value in enumerate(mob_nums):
        try:
            mob_num = parse_mob_num(value)
        except InvalidError:
            continue
        if mob_num in seen:
            path = ("users", position, "mob_num")
            yield Violation(path, MobNumRepeatedError.code, MobNumRepeatedError.detail)
        seen.add(mob_num)


def require_active_managers(users: Sequence[UserRecord], is_active: Mapping[str, bool]) -> None:
    """Raises `ManagerUnknownError` or `ManagerInactiveError` with a violation for each user with such a manager.

    `is_active` are the existing ones of the users' managers. The error is that of the first violation.
    """
    violations = []
    kinds = []
    for position, user in enumerate(users):
        manager_id = user["manager_id"]
        if manager_id is not None and not is_active.get(manager_id):
            kind = ManagerInactiveError if manager_id in is_active else ManagerUnknownError
            kinds.append(kind)
            violations.append(Violation(("users", position, "manager_id"), kind.code, kind.detail))
    if kinds:
        raise kinds[0](fields=(), violations=violations)


def require_free_numbers(users: Sequence[UserRecord], taken: Container[str]) -> None:
    """Raises `MobNumTakenError` with a violation for each user whose number is `taken`."""
    violations = [
        Violation(("users", position, "mob_num"), MobNumTakenError.code, MobNumTakenError.detail)
        for position, user in enumerate(users)
        if user["mob_num"] in taken
    ]
    if violations:
        raise MobNumTakenError(fields=(), violations=violations)
