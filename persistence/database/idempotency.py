"""The table of responses stored under idempotency keys, and its statements.

One transaction claims a key, does the work and stores the response. So a second call with the same key waits until the
first one ends.

A stored response with personal data of users goes with them. No such response outlives its user:

- The transaction that stores it also creates the users, and the rows that name them. Nothing else stores it again: a
  replay only reads.
- A transaction deletes only a user whose creation is committed. `erase_responses` is a later statement of it, and on
  SQL Server a statement reads at least what was committed before it began, with READ_COMMITTED_SNAPSHOT too
  (learn.microsoft.com/sql/t-sql/statements/set-transaction-isolation-level-transact-sql). So it finds those rows, and
  waits for a transaction that has locked the key. SQLite has one writer at a time.
- A key that expired is free for another response, which is of other users: the claim deletes those rows. A statement
  that began before sees them once more, and erases a response too many, never one too few.

Release 0.2.0 stored no such response: the endpoints of users took no keys.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import orjson
from sqlalchemy import (
    CHAR,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Table,
    Unicode,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    literal_column,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlmodel import Field, SQLModel

from persistence.database.clauses import check_by_seek, flag, in_json_array, json_rows, limit_rows, skip_locked
from persistence.database.errors import LostRaceError
from persistence.database.types import Blob, RowId, UtcText, UuidText, case_sensitive_text

SWEEP_LIMIT: Final = 100
"""Maximum number of expired keys that one transaction deletes, so that no call has to delete all keys of a busy day."""


class IdempotencyKeyRow(SQLModel, table=True):
    """A used key and its response, whose `body` is NULL if it was erased. `caller` is empty for an unknown caller.

    Rows of release 0.1.0 have neither `caller` nor `call_hash`: they may belong to any caller. That release compares
    `request_hash`, which gets the same value as `call_hash`.
    """

    __tablename__: ClassVar[str] = "idempotency_keys"

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    trigger_name: str = Field(sa_type=case_sensitive_text(100))
    idempotency_key: str = Field(sa_type=case_sensitive_text(255))
    request_hash: str = Field(sa_type=CHAR(64))
    status: int | None = Field(default=None, sa_type=Integer)
    body: bytes | None = Field(default=None, sa_type=Blob)
    created_at: str = Field(sa_type=UtcText)
    caller: str | None = Field(default=None, sa_type=case_sensitive_text(100))
    call_hash: str | None = Field(default=None, sa_type=CHAR(64))
    media_type: str | None = Field(default=None, sa_type=Unicode(100))
    headers: str | None = Field(default=None, sa_type=Unicode)


KEYS: Final[Table] = SQLModel.metadata.tables["idempotency_keys"]
Index("ux_idempotency_keys_key", KEYS.c.trigger_name, KEYS.c.idempotency_key, KEYS.c.caller, unique=True)
Index("ix_idempotency_keys_created_at", KEYS.c.created_at)
Index("ix_idempotency_keys_caller", KEYS.c.caller)

STORED_USERS: Final = Table(
    "stored_response_users",
    SQLModel.metadata,
    Column("key_id", RowId, ForeignKey("idempotency_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", UuidText, primary_key=True),
)
"""The users whose personal data a stored response has."""
Index("ix_stored_response_users_user_id", STORED_USERS.c.user_id)


class Key(NamedTuple):
    """The identity of a call: the caller, the operation, and the key that the caller chose."""

    caller: str
    operation: str
    key: str

    def parameters(self) -> dict[str, object]:
        """Returns the parameters of the statements below. The prefix keeps them apart from the columns of an update."""
        return {f"of_{name}": value for name, value in self._asdict().items()}


class StoredResponse(NamedTuple):
    """The response stored under a key, and the hash of its call. `headers` is a JSON object.

    A response of release 0.1.0 has neither a hash nor a media type. An erased one has neither a hash nor a body.
    """

    call_hash: str | None
    status: int
    body: bytes | None
    media_type: str
    headers: str | None


_CALLER, _OPERATION, _KEY = (bindparam(f"of_{name}", type_=KEYS.c.idempotency_key.type) for name in Key._fields)
_HAS_KEY = (KEYS.c.trigger_name == _OPERATION, KEYS.c.idempotency_key == _KEY)
# A key of release 0.1.0 may belong to this caller, and must not have a second effect.
_IS_KEY = (*_HAS_KEY, or_(KEYS.c.caller == _CALLER, KEYS.c.caller.is_(null())))
_IS_EXPIRED = KEYS.c.created_at <= bindparam("expired_at")
_EXPIRED = limit_rows(skip_locked(select(KEYS.c.id).where(_IS_EXPIRED).order_by(KEYS.c.created_at), KEYS))
_DELETE_EXPIRED = delete(KEYS).where(in_json_array(KEYS.c.id, "ids"))
_HASH = bindparam("new_hash", type_=KEYS.c.call_hash.type)
_NEW = {
    "caller": _CALLER,
    "trigger_name": _OPERATION,
    "idempotency_key": _KEY,
    "request_hash": _HASH,
    "call_hash": _HASH,
    "created_at": bindparam("now", type_=KEYS.c.created_at.type),
}
_CLAIM = insert(KEYS).from_select(list(_NEW), select(*_NEW.values()).where(not_(exists(KEYS.c.id).where(*_IS_KEY))))
_CLAIM_EXPIRED = (
    update(KEYS)
    .where(*_IS_KEY, _IS_EXPIRED)
    .values({name: _NEW[name] for name in ("caller", "request_hash", "call_hash", "created_at")})
    .values(dict.fromkeys(("status", "body", "media_type", "headers"), null()))
)
_FIND = select(*(KEYS.c[name] for name in StoredResponse._fields)).where(*_IS_KEY)
_OLD = KEYS.alias("old")
_HAS_EXPIRED = exists(_OLD.c.id).where(_OLD.c.created_at <= bindparam("expired_at"))
_ONE = select(literal_column("1").label("one")).subquery("one")  # so that there is a row without a key, too
_FIND_LIVE = select(
    flag(_HAS_EXPIRED),
    KEYS.c.id,
    *(KEYS.c[name] for name in StoredResponse._fields),
).select_from(_ONE.outerjoin(KEYS, and_(*_IS_KEY, not_(_IS_EXPIRED))))
_STORE = (
    update(KEYS)
    .where(*_HAS_KEY, KEYS.c.caller == _CALLER)
    .values({name: bindparam(f"new_{name}") for name in ("status", "body", "media_type", "headers")})
)
_SUBJECTS = json_rows("subjects", STORED_USERS.c.user_id)
_STORE_USERS = insert(STORED_USERS).from_select(
    ["key_id", "user_id"],
    check_by_seek(
        select(KEYS.c.id, _SUBJECTS.c.user_id).select_from(
            KEYS.join(_SUBJECTS, and_(*_HAS_KEY, KEYS.c.caller == _CALLER)),
        )
    ),
)
_DELETE_USERS = delete(STORED_USERS).where(STORED_USERS.c.key_id.in_(select(KEYS.c.id).where(*_IS_KEY)))
_ERASE = (
    update(KEYS)
    .where(KEYS.c.id.in_(select(STORED_USERS.c.key_id).where(STORED_USERS.c.user_id == bindparam("of_user"))))
    # The hash, because a mobile number can be found by hashing all of them. SQL Server pads the empty text with blanks.
    .values({"request_hash": literal_column("''"), **dict.fromkeys(("call_hash", "body", "headers"), null())})
)
_DELETE_OF_CALLER = delete(KEYS).where(KEYS.c.caller == _CALLER)
_DELETE_KEYS = skip_locked(delete(KEYS).where(KEYS.c.trigger_name == _OPERATION), KEYS)


def claim_key(
    connection: Connection, key: Key, *, call_hash: str, now: str, expired_at: str, sweeps: bool = True
) -> StoredResponse | None:
    """Claims a free key and returns None, or returns the response that is stored under the key.

    A key is free if it was stored at `expired_at` or earlier; a claim that `sweeps` deletes up to `SWEEP_LIMIT` such
    keys. Raises `LostRaceError` if another transaction deletes the key meanwhile.
    """
    if sweeps:
        delete_expired(connection, expired_at)
    new = {**key.parameters(), "new_hash": call_hash, "now": now}
    if connection.execute(_CLAIM, new).rowcount == 1:
        return None
    if connection.execute(_CLAIM_EXPIRED, {**new, "expired_at": expired_at}).rowcount == 1:
        connection.execute(_DELETE_USERS, key.parameters())
        return None
    rows = connection.execute(_FIND, key.parameters()).all()
    if not rows:
        raise LostRaceError  # deleted by another transaction between the two statements
    return _own(rows)


def delete_expired(connection: Connection, expired_at: str) -> int:
    """Deletes up to `SWEEP_LIMIT` keys stored at `expired_at` or earlier, the oldest first, with their responses.

    Returns how many. Keys that other transactions have locked are skipped.
    """
    expired = connection.execute(_EXPIRED, {"expired_at": expired_at, "row_limit": SWEEP_LIMIT}).scalars().all()
    if expired:
        connection.execute(_DELETE_EXPIRED, {"ids": orjson.dumps([*expired]).decode()})
    return len(expired)


def find_response(connection: Connection, key: Key, *, expired_at: str) -> tuple[StoredResponse | None, bool]:
    """Returns the response stored under a key after `expired_at`, or None, and whether any key has expired."""
    rows = connection.execute(_FIND_LIVE, {**key.parameters(), "expired_at": expired_at}).all()
    stored = [row[2:] for row in rows if row[1] is not None]
    return (_own(stored) if stored else None), bool(rows[0][0])


def _own(rows: Sequence[Sequence[Any]]) -> StoredResponse:
    # While 0.1.0 and this release run side by side, both may store the same key; the one of the caller counts.
    return min(map(StoredResponse._make, rows), key=lambda response: response.call_hash is None)


def store_response(connection: Connection, key: Key, response: StoredResponse, user_ids: Sequence[str] = ()) -> None:
    """Stores the response for a key that this transaction claimed, and whose personal data it has: `user_ids`.

    Raises `LostRaceError` if the claim is gone.
    """
    values = {f"new_{name}": value for name, value in response._asdict().items() if name != "call_hash"}
    if connection.execute(_STORE, {**key.parameters(), **values}).rowcount != 1:
        raise LostRaceError
    if rows := [[user_id] for user_id in user_ids]:
        connection.execute(_STORE_USERS, {**key.parameters(), "subjects": orjson.dumps(rows).decode()})


def erase_responses(connection: Connection, user_id: str) -> None:
    """Erases every stored response with personal data of a user, whole, also if it has those of others.

    Its key stays used: a repeated request has no second effect.
    """
    connection.execute(_ERASE, {"of_user": user_id})


def delete_keys(connection: Connection, operations: Collection[str]) -> None:
    """Deletes the keys of these operations, except keys that other transactions have locked."""
    for operation in operations:
        connection.execute(_DELETE_KEYS, {"of_operation": operation})


def delete_responses(connection: Connection, caller: str) -> None:
    """Deletes every key of a caller, with its response."""
    connection.execute(_DELETE_OF_CALLER, {"of_caller": caller})
