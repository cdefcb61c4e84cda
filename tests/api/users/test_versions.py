"""Any sequence of calls leaves the records that a slow and simple model of the contract predicts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

pytestmark = pytest.mark.slow  # hundreds of generated calls

MANAGERS = [f"11111111-1111-4111-8111-11111111111{digit}" for digit in range(1, 4)]
numbers = st.sampled_from([f"987654321{digit}" for digit in range(4)])
names = st.sampled_from(["Asha", "Ravi"])
managers = st.sampled_from(MANAGERS)
choices = st.lists(st.integers(0, 7), min_size=1, max_size=4)

Record = dict[str, Any]


class Versions(RuleBasedStateMachine):
    """Calls the API and keeps the records that it should have, in their order. Of times, only presence is checked."""

    api: Any

    def __init__(self) -> None:
        super().__init__()
        for user in self.api.get(is_active=True):
            self.api.post("delete_user", {"user_id": user["user_id"]})
        self.users: list[list[Record]] = []  # the versions of each user, oldest first

    def _current(self, position: int) -> Record:
        return self.users[position % len(self.users)][-1]

    def _holder(self, mob_num: object) -> Record | None:
        return next((versions[-1] for versions in self.users if versions[-1]["mob_num"] == mob_num), None)

    @rule(full_name=names, mob_num=numbers, manager_id=st.none() | managers)
    def create(self, **fields: Any) -> None:
        response = self.api.post("create_user", {"pan_num": "ABCPE1234F", **fields})
        if self._holder(fields["mob_num"]):
            assert response.status_code == 409
            return
        assert response.status_code == 201
        self.users.append([response.json()["user"]])

    @precondition(lambda self: self.users)
    @rule(position=st.integers(0, 7), data=st.fixed_dictionaries(
        {}, optional={"full_name": names, "mob_num": numbers, "manager_id": managers}
    ).filter(bool))  # fmt: skip
    def update_one(self, position: int, data: Record) -> None:
        user = self._current(position)
        response = self.api.update([user["user_id"]], **data)
        holder = self._holder(data.get("mob_num", user["mob_num"]))
        if holder not in (None, user):
            assert response.status_code == 409
            return
        self._apply(response, [user], data)

    @precondition(lambda self: self.users)
    @rule(positions=choices, manager_id=managers)
    def update_several(self, positions: list[int], manager_id: str) -> None:
        users = [self._current(position) for position in positions]
        distinct = list({user["user_id"]: user for user in users}.values())
        response = self.api.update([user["user_id"] for user in users], manager_id=manager_id)
        self._apply(response, distinct, {"manager_id": manager_id})

    def _apply(self, response: Any, users: list[Record], data: Record) -> None:
        assert response.status_code == 200
        changed = [user for user in users if user | data != user]
        assert response.json()["updated"] == [user["user_id"] for user in changed]
        assert response.json()["unchanged"] == [user["user_id"] for user in users if user not in changed]
        for user in changed:
            versions = next(versions for versions in self.users if versions[-1] is user)
            if user["manager_id"] not in (None, data.get("manager_id", user["manager_id"])):
                versions.append({**user, **data, "updated_at": "set"})
                user.update(is_active=False, updated_at="set")
            else:
                user.update(data, updated_at="set")

    @precondition(lambda self: self.users)
    @rule(position=st.integers(0, 7), key=st.sampled_from(["user_id", "mob_num"]))
    def delete(self, position: int, key: str) -> None:
        user = self._current(position)
        assert self.api.post("delete_user", {key: user[key]}).json()["user_id"] == user["user_id"]
        self.users = [versions for versions in self.users if versions[-1] is not user]

    @invariant()
    def the_records_are_those_of_the_model(self) -> None:
        records = self.api.get()
        for record in records:
            record["updated_at"] = record["updated_at"] and "set"
        assert records == [record for versions in self.users for record in versions]

    @precondition(lambda self: self.users)
    @rule(position=st.integers(0, 7))
    def every_filter_selects_from_them(self, position: int) -> None:
        user = self._current(position)
        everyone = self.api.get()
        of_user = [record for record in everyone if record["user_id"] == user["user_id"]]
        assert self.api.get(user_id=user["user_id"]) == self.api.get(mob_num=user["mob_num"]) == of_user
        assert self.api.get(is_active=True) == [record for record in everyone if record["is_active"]]
        for manager_id in MANAGERS:
            assert self.api.get(manager_id=manager_id) == [r for r in everyone if r["manager_id"] == manager_id]


def test_any_sequence_of_calls_leaves_the_records_of_the_model(api: Any) -> None:
    machine = type("VersionsOverHttp", (Versions,), {"api": api})
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=30))
    assert api.post("get_users").status_code == 200
