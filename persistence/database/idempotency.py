"""The table of answers that were given under an idempotency key, and the statements over it.

A key is claimed before the work that it stands for, and gets its answer after it, all in one transaction: whoever
brings the same key meanwhile waits for that transaction's end.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Final, NamedTuple

import orjson
from sqlalchemy import (
    CHAR,
    Connection,
    Index,
    Integer,
    Table,
    bindparam,
    delete,
    exists,
    insert,
    not_,
    null,
    select,
    update,
)
from sqlmodel import Field, SQLModel

from persistence.database.clauses import in_json_array, limit_rows, skip_locked
from persistence.database.errors import LostRaceError
from persistence.database.types import Blob, RowId, UtcText, case_sensitive_text

SWEEP_LIMIT: Final = 100
"""How many expired keys a claim removes at most: nobody's call pays for all those of a busy day."""


class IdempotencyKeyRow(SQLModel, table=True):
    """A key that was used, and what was answered. `request_hash` tells whether a later request is the same one."""

    __tablename__: ClassVar[str] = "idempotency_keys"

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    trigger_name: str = Field(sa_type=case_sensitive_text(100))
    idempotency_key: str = Field(sa_type=case_sensitive_text(255))
    request_hash: str = Field(sa_type=CHAR(64))
    status: int | None = Field(default=None, sa_type=Integer)
    body: bytes | None = Field(default=None, sa_type=Blob)
    created_at: str = Field(sa_type=UtcText)


KEYS: Final[Table] = SQLModel.metadata.tables["idempotency_keys"]
Index("ux_idempotency_keys_key", KEYS.c.trigger_name, KEYS.c.idempotency_key, unique=True)
Index("ix_idempotency_keys_created_at", KEYS.c.created_at)


class Key(NamedTuple):
    """What identifies a call: its trigger, and the key that the caller chose."""

    trigger: str
    key: str


class StoredResponse(NamedTuple):
    """The answer that was given under a key, and the hash of the request to which it was given."""

    request_hash: str
    status: int
    body: bytes


_TRIGGER, _KEY = (bindparam(name, type_=KEYS.c.idempotency_key.type) for name in Key._fields)
_IS_KEY = (KEYS.c.trigger_name == _TRIGGER, KEYS.c.idempotency_key == _KEY)
_IS_EXPIRED = KEYS.c.created_at <= bindparam("expired_at")
_EXPIRED = limit_rows(skip_locked(select(KEYS.c.id).where(_IS_EXPIRED).order_by(KEYS.c.created_at), KEYS))
_DELETE_EXPIRED = delete(KEYS).where(in_json_array(KEYS.c.id, "ids"))
_NEW = {
    "trigger_name": _TRIGGER,
    "idempotency_key": _KEY,
    "request_hash": bindparam("request_hash", type_=KEYS.c.request_hash.type),
    "created_at": bindparam("now", type_=KEYS.c.created_at.type),
}
_CLAIM = insert(KEYS).from_select(list(_NEW), select(*_NEW.values()).where(not_(exists(KEYS.c.id).where(*_IS_KEY))))
_CLAIM_EXPIRED = (
    update(KEYS)
    .where(*_IS_KEY, _IS_EXPIRED)
    .values(request_hash=bindparam("new_hash"), created_at=bindparam("now"), status=null(), body=null())
)
_FIND = select(*(KEYS.c[name] for name in StoredResponse._fields)).where(*_IS_KEY)
_STORE = update(KEYS).where(*_IS_KEY).values(status=bindparam("new_status"), body=bindparam("new_body"))
_DELETE_KEYS = skip_locked(delete(KEYS).where(KEYS.c.trigger_name == _TRIGGER), KEYS)


def claim_key(
    connection: Connection, key: Key, *, request_hash: str, now: str, expired_at: str
) -> StoredResponse | None:
    """None where the key is new, which from now on it is not; else the answer that was kept for it.

    A key that is no younger than `expired_at` is as good as new; some others of that age are removed.
    """
    if expired := connection.execute(_EXPIRED, {"expired_at": expired_at, "row_limit": SWEEP_LIMIT}).scalars().all():
        connection.execute(_DELETE_EXPIRED, {"ids": orjson.dumps([*expired]).decode()})
    names = key._asdict()
    if connection.execute(_CLAIM, {**names, "request_hash": request_hash, "now": now}).rowcount == 1:
        return None
    again = {**names, "expired_at": expired_at, "new_hash": request_hash, "now": now}
    if connection.execute(_CLAIM_EXPIRED, again).rowcount == 1:
        return None
    row = connection.execute(_FIND, names).first()
    if row is None:
        raise LostRaceError  # somebody else removed it between the two statements
    return StoredResponse._make(row)


def store_response(connection: Connection, key: Key, answer: StoredResponse) -> None:
    """Keeps the answer for a key that this transaction claimed."""
    values = {**key._asdict(), "new_status": answer.status, "new_body": answer.body}
    if connection.execute(_STORE, values).rowcount != 1:
        raise LostRaceError


def delete_keys(connection: Connection, triggers: Collection[str]) -> None:
    """Removes every key of these triggers, but for those that other transactions are claiming."""
    for trigger in triggers:
        connection.execute(_DELETE_KEYS, {"trigger": trigger})
