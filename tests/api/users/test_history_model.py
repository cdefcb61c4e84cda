"""Any sequence of calls, with and without keys: lists, histories, times in the past and the feed agree with a model.

The model is a slow and simple form of the contract. After a deletion no column of the database, and no line of the log,
has a name, a PAN or a reason of the deleted user.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

pytestmark = pytest.mark.slow  # hundreds of generated calls

MANAGERS: Final = [f"11111111-1111-4111-8111-11111111111{digit}" for digit in range(1, 4)]
VALUES: Final = ("full_name", "mob_num", "pan_num", "manager_id")
numbers = st.sampled_from([f"987654321{digit}" for digit in range(5)])
managers = st.sampled_from(MANAGERS)
positions = st.integers(0, 7)
authors = st.sampled_from([None, "support desk"])

Record = dict[str, Any]


class Call:
    """A call with a key, to be repeated: its body, its response, and the users whose data the response has."""

    def __init__(self, route: str, body: Record, key: str, content: Record, users: list[str]) -> None:
        self.route, self.body, self.key, self.content, self.users = route, body, key, content, users


class Histories(RuleBasedStateMachine):
    """Calls the API, and keeps what it should have: the versions of users, the log, and what was current when."""

    api: Any
    database: Path
    caplog: Any
    serial = count()

    def __init__(self) -> None:
        super().__init__()
        for user in self.api.get(is_active=True):
            self.api.post("delete_user", {"user_id": user["user_id"]})
        self.users: dict[str, list[Record]] = {}
        self.log: list[Record] = []
        self.deleted: dict[str, list[str]] = {}
        """The texts of deleted users that must be nowhere."""
        self.calls: list[Call] = []
        self.states: dict[str, dict[str, Record]] = {}
        """The current users by the time of the change that led to them."""
        self.next: str | None = None
        self.unread = 0
        self.next = self._read_feed()[1]

    # ---- the model

    def _current(self, position: int) -> Record:
        return [*self.users.values()][position % len(self.users)][-1]

    def _holder(self, mob_num: object) -> Record | None:
        return next((versions[-1] for versions in self.users.values() if versions[-1]["mob_num"] == mob_num), None)

    def _text(self, kind: str) -> str:
        return f"{kind} {next(self.serial):06}"

    def _pan(self) -> str:
        number = next(self.serial)
        return f"AB{chr(65 + number // 10000 % 26)}PE{number % 10000:04}F"

    def _write(self, user: Record, operation: str, version: int, changed: Sequence[str], said: Record) -> None:
        values = dict.fromkeys(VALUES[:3]) if operation == "deleted" else {name: user[name] for name in VALUES[:3]}
        entry = {"operation": operation, "version": version, "changed": changed, "manager_id": user["manager_id"]}
        known = {"changed_by": said.get("changed_by"), "reason": said.get("reason")}
        self.log.append({"user_id": user["user_id"], **entry, **values, **known})

    def _said(self, author: str | None) -> Record:
        return {} if author is None else {"changed_by": author, "reason": self._text("reason")}

    def _post(self, route: str, body: Record, *, keyed: bool) -> Any:
        key = f"key-{next(self.serial)}" if keyed else ""
        response = self.api.post(route, body, headers={"Idempotency-Key": key} if keyed else {})
        if keyed and response.is_success:
            content = response.json()
            created = [content["user"]] if "user" in content else content.get("users", [])
            self.calls.append(Call(route, body, key, content, [user["user_id"] for user in created]))
        return response

    # ---- calls

    @rule(mob_num=numbers, manager_id=st.none() | managers, author=authors, keyed=st.booleans(), dry=st.booleans())
    def create(self, mob_num: str, manager_id: str | None, author: str | None, keyed: bool, dry: bool) -> None:
        said = self._said(author)
        user = {"full_name": self._text("Asha"), "mob_num": mob_num, "pan_num": self._pan(), "manager_id": manager_id}
        body = user | said | ({"dry_run": True} if dry else {})
        response = self._post("create_user", body, keyed=keyed and not dry)
        if self._holder(mob_num):
            assert response.status_code == 409
        elif dry:
            assert (response.status_code, response.json()["dry_run"]) == (200, True)
        else:
            assert response.status_code == 201
            self._created(response.json()["user"], said)

    @rule(chosen=st.lists(numbers, min_size=1, max_size=3, unique=True), author=authors, keyed=st.booleans())
    def create_several(self, chosen: list[str], author: str | None, keyed: bool) -> None:
        said = self._said(author)
        users = [{"full_name": self._text("Bala"), "mob_num": number, "pan_num": self._pan()} for number in chosen]
        response = self._post("create_users", {"users": users, **said}, keyed=keyed)
        taken = [f"/users/{place}/mob_num" for place, number in enumerate(chosen) if self._holder(number)]
        if taken:
            assert response.status_code == 409
            assert [error["pointer"] for error in response.json()["errors"]] == taken
            return
        assert response.status_code == 201
        created = response.json()["users"]
        self.users |= {user["user_id"]: [user] for user in created}
        for user in sorted(created, key=lambda user: user["user_id"]):  # the order in which a call logs its changes
            self._write_creation(user, said)

    def _created(self, user: Record, said: Record) -> None:
        self.users[user["user_id"]] = [user]
        self._write_creation(user, said)

    def _write_creation(self, user: Record, said: Record) -> None:
        self._write(user, "created", 1, [name for name in VALUES if user[name] is not None], said)

    @precondition(lambda self: self.users)
    @rule(
        position=positions,
        data=st.fixed_dictionaries({}, optional={"mob_num": numbers, "manager_id": managers, "full_name": st.just("")}),
        author=authors,
        keyed=st.booleans(),
    )
    def update_one(self, position: int, data: Record, author: str | None, keyed: bool) -> None:
        user = self._current(position)
        if not data:
            return
        if "full_name" in data:
            data = data | {"full_name": self._text("Chan")}
        body = {"user_ids": [user["user_id"]], "update_data": data, "details": True}
        dry = self.api.post("update_user", body | {"dry_run": True})
        said = self._said(author)
        response = self._post("update_user", body | said, keyed=keyed)
        assert dry.status_code == response.status_code
        if self._holder(data.get("mob_num", user["mob_num"])) not in (None, user):
            assert response.status_code == 409
            return
        assert dry.json()["results"] == response.json()["results"]
        self._updated(response, [user], data, said)

    @precondition(lambda self: self.users)
    @rule(chosen=st.lists(positions, min_size=1, max_size=4), manager_id=managers, author=authors, keyed=st.booleans())
    def update_several(self, chosen: list[int], manager_id: str, author: str | None, keyed: bool) -> None:
        users = [self._current(position) for position in chosen]
        distinct = list({user["user_id"]: user for user in users}.values())
        said = self._said(author)
        body = {"user_ids": [user["user_id"] for user in users], "update_data": {"manager_id": manager_id}, **said}
        response = self._post("update_user", body | {"details": True}, keyed=keyed)
        self._updated(response, distinct, {"manager_id": manager_id}, said)

    def _updated(self, response: Any, users: list[Record], data: Record, said: Record) -> None:
        assert response.status_code == 200
        results = {result["user_id"]: result for result in response.json()["results"]}
        assert [*results] == [user["user_id"] for user in users]
        for user in sorted(users, key=lambda user: user["user_id"]):
            changed: list[str] = [name for name in VALUES if name in data and data[name] != user[name]]
            versions = self.users[user["user_id"]]
            moves = user["manager_id"] is not None and "manager_id" in changed
            if moves:
                versions.append({**user, **data})
                user["is_active"] = False
            elif changed:
                user.update(data)
            if changed:
                operation = "reassigned" if moves else "updated"
                self._write(versions[-1], operation, len(versions), changed, said)
            outcome = ("new_version" if moves else "in_place") if changed else "unchanged"
            assert results[user["user_id"]] | {"outcome": outcome, "version": len(versions)} == results[user["user_id"]]

    @precondition(lambda self: self.users)
    @rule(position=positions, key=st.sampled_from(["user_id", "mob_num"]), author=authors, keyed=st.booleans())
    def delete(self, position: int, key: str, author: str | None, keyed: bool) -> None:
        user = self._current(position)
        said = self._said(author)
        response = self._post("delete_user", {key: user[key], **said}, keyed=keyed)
        assert response.json()["user_id"] == user["user_id"]
        versions = self.users.pop(user["user_id"])
        entries = [entry for entry in self.log if entry["user_id"] == user["user_id"]]
        texts = {str(entry[name]) for entry in entries for name in ("full_name", "pan_num", "reason") if entry[name]}
        self.deleted[user["user_id"]] = sorted(texts)
        for entry in entries:
            entry.update(dict.fromkeys(("full_name", "mob_num", "pan_num", "reason")))
        self._write(user, "deleted", len(versions), [], said)

    @precondition(lambda self: self.calls)
    @rule(position=positions)
    def repeat_a_call_with_a_key(self, position: int) -> None:
        call = self.calls[position % len(self.calls)]
        response = self.api.post(call.route, call.body, headers={"Idempotency-Key": call.key})
        if set(call.users) & {*self.deleted}:
            assert (response.status_code, response.json()["type"]) == (410, "/problems/response-erased")
        else:
            assert (response.json(), response.headers["idempotency-replayed"]) == (call.content, "true")

    # ---- what the API returns

    def _read_feed(self) -> tuple[list[Record], str]:
        body = {"limit": 1000} if self.next is None else {"after": self.next, "limit": 3}
        changes: list[Record] = []
        while True:
            content = self.api.post("get_changes", body).json()
            changes += content["changes"]
            if not content["changes"]:
                return changes, content["next"]
            body["after"] = content["next"]

    @invariant()
    def the_feed_continues_with_the_changes_of_the_last_call(self) -> None:
        changes, self.next = self._read_feed()
        expected, self.unread = self.log[self.unread :], len(self.log)
        shown = ("user_id", "version", "operation", "changed", "changed_by")
        assert [{name: change[name] for name in shown} for change in changes] == [
            {name: entry[name] for name in shown} for entry in expected
        ]
        for entry, change in zip(expected, changes, strict=True):
            entry["changed_at"], entry["change_id"] = change["changed_at"], change["change_id"]

    @invariant()
    def the_records_are_those_of_the_model(self) -> None:
        records = self.api.get()
        assert [record["created_at"] for record in records] == sorted(record["created_at"] for record in records)
        # The users of one call were created at the same time: their versions stand in the order of their rows.
        listed = {user_id: [record for record in records if record["user_id"] == user_id] for user_id in self.users}
        assert sum(map(len, listed.values())) == len(records)
        for user_id, versions in self.users.items():
            assert [_untimed(record) for record in listed[user_id]] == [_untimed(record) for record in versions]
            for record, stored in zip(versions, listed[user_id], strict=True):
                record["updated_at"] = stored["updated_at"]
        if self.log:
            current = {user_id: dict(versions[-1]) for user_id, versions in self.users.items()}
            self.states[self.log[-1]["changed_at"]] = current

    @precondition(lambda self: self.states)
    @rule(position=positions)
    def what_was_current_at_a_time_is_returned(self, position: int) -> None:
        as_of = [*self.states][position % len(self.states)]
        state = {user_id: user for user_id, user in self.states[as_of].items() if user_id not in self.deleted}
        found = self.api.get(as_of=as_of)
        assert {user["user_id"]: user for user in found} == state
        assert len(found) == len(state)
        for user in state.values():
            assert self.api.get(as_of=as_of, user_id=user["user_id"]) == [user]
            assert self.api.get(as_of=as_of, mob_num=user["mob_num"]) == [user]

    @precondition(lambda self: self.log)
    @rule(position=positions)
    def the_history_of_a_user_is_its_part_of_the_log(self, position: int) -> None:
        user_id = [*{entry["user_id"] for entry in self.log}][position % len({entry["user_id"] for entry in self.log})]
        content = self.api.post("get_user_history", {"user_id": user_id}).json()
        entries = [
            {name: value for name, value in entry.items() if name != "user_id"}
            for entry in self.log
            if entry["user_id"] == user_id
        ]
        assert content == {"user_id": user_id, "changes": entries}
        times = [entry["changed_at"] for entry in entries]
        assert times == sorted(set(times))

    @invariant()
    def nothing_of_a_deleted_user_is_left(self) -> None:
        shared = {entry["reason"] for entry in self.log}  # a call for several users has one reason
        texts = [text for user_texts in self.deleted.values() for text in user_texts if text not in shared]
        if texts:
            stored = "\n".join(_every_value(self.database))
            assert [text for text in texts if text in stored] == []
            assert [text for text in texts if text in self.caplog.text] == []


def _untimed(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "updated_at"}


def _every_value(database: Path) -> list[str]:
    """Returns every value of every column of the database, as text."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for table in tables for row in connection.execute(f'SELECT * FROM "{table}"')]
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for row in rows for value in row
    ]


def test_any_sequence_of_calls_agrees_with_the_model(api: Any, database_file: Path, caplog: Any) -> None:
    members = {"api": api, "database": database_file, "caplog": caplog}
    machine = type("HistoriesOverHttp", (Histories,), members)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=30, phases=[Phase.generate])
    )
    assert api.post("get_users").status_code == 200
