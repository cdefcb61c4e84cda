"""The outcomes of an update: what it does to each user."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, TypedDict

from domain.users.changes import Operation
from domain.users.versions import CurrentUser, UpdatePlan, UuidText

Outcome = Literal["in_place", "new_version", "unchanged", "not_found"]


class UpdateResult(TypedDict):
    """The effect of an update on one user. `version` is the current one after it, null for a user who is not found."""

    user_id: UuidText
    outcome: Outcome
    version: int | None


def list_results(user_ids: Sequence[str], current: Collection[CurrentUser], plan: UpdatePlan) -> list[UpdateResult]:
    """Returns the effect of a plan on each of `user_ids`, in their order; `current` are the users before it."""
    effects: dict[str, tuple[Outcome, int]] = {user.user_id: ("unchanged", user.version) for user in current}
    for change in plan.log:
        supersedes = change.operation is Operation.REASSIGNED
        effects[change.user_id] = ("new_version" if supersedes else "in_place", change.version)
    return [_result(user_id, *effects.get(user_id, ("not_found", None))) for user_id in user_ids]


def _result(user_id: str, outcome: Outcome, version: int | None) -> UpdateResult:
    return {"user_id": user_id, "outcome": outcome, "version": version}
