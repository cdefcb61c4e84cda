"""The codes, kinds and fields of the errors of the users service."""

from __future__ import annotations

import pytest

from domain.errors import ConflictError, InvalidError, NotFoundError, RollbookError
from domain.users import errors


@pytest.mark.parametrize(
    ("error", "kind", "code", "fields"),
    [
        (errors.FullNameInvalidError, InvalidError, "full-name-invalid", ()),
        (errors.MobNumInvalidError, InvalidError, "mob-num-invalid", ()),
        (errors.PanNumInvalidError, InvalidError, "pan-num-invalid", ()),
        (errors.PanHolderInvalidError, InvalidError, "pan-holder-invalid", ()),
        (errors.UuidInvalidError, InvalidError, "uuid-invalid", ()),
        (errors.UserIdsCountError, InvalidError, "user-ids-count", ()),
        (errors.UserIdsInvalidError, InvalidError, "user-ids-invalid", ()),
        (errors.BulkUpdateKeysError, InvalidError, "bulk-update-keys", ()),
        (errors.ManagerUnknownError, InvalidError, "manager-unknown", ("manager_id",)),
        (errors.ManagerInactiveError, InvalidError, "manager-inactive", ("manager_id",)),
        (errors.MobNumTakenError, ConflictError, "mob-num-taken", ("mob_num",)),
        (errors.UserNotFoundError, NotFoundError, "user-not-found", ()),
        (errors.UsersNotFoundError, NotFoundError, "users-not-found", ()),
    ],
)
def test_an_error_has_its_kind_code_and_fields(
    error: type[RollbookError], kind: type[RollbookError], code: str, fields: tuple[str, ...]
) -> None:
    assert issubclass(error, kind)
    assert (error.code, error.fields) == (code, fields)
