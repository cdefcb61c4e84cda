"""The timer that deletes expired idempotency keys with their responses, also where no keyed call comes.

No service owns the keys, so the app has this timer whatever services are enabled.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from api.http.service import Service
from domain.timestamps import format_timestamp
from persistence.database.connections import transaction
from persistence.database.idempotency import SWEEP_LIMIT, delete_expired
from persistence.database.retries import run_with_retries
from settings import Settings

service = Service("purge")


@service.timer("0 0 3 * * *")
def purge_idempotency_keys(settings: Settings) -> None:
    """Deletes every expired key, in transactions of `SWEEP_LIMIT` each: no call waits for all of a busy day.

    What is left after an error, and keys that a call has locked, are deleted by a later keyed call or the next tick.
    """
    expired_at = format_timestamp(datetime.now(UTC) - timedelta(hours=settings.idempotency_hours))
    while run_with_retries(partial(_delete_some, expired_at)) == SWEEP_LIMIT:
        pass


def _delete_some(expired_at: str) -> int:
    with transaction() as connection:
        return delete_expired(connection, expired_at)
