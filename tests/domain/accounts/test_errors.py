"""The codes, kinds and fields of the errors of accounts."""

from __future__ import annotations

import pytest

from domain import accounts
from domain.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, RollbookError


@pytest.mark.parametrize(
    ("error", "kind", "code", "fields"),
    [
        (accounts.UsernameInvalidError, InvalidError, "username-invalid", ()),
        (accounts.PasswordInvalidError, InvalidError, "password-invalid", ()),
        (accounts.UsernameTakenError, ConflictError, "username-taken", ("username",)),
        (accounts.AccountNotFoundError, NotFoundError, "account-not-found", ()),
        (accounts.OwnAccountError, ConflictError, "own-account", ()),
        (accounts.LastAdminError, ConflictError, "last-admin", ()),
        (accounts.PasswordWrongError, ForbiddenError, "password-wrong", ("password",)),
    ],
)
def test_an_error_has_its_kind_code_and_fields(
    error: type[RollbookError], kind: type[RollbookError], code: str, fields: tuple[str, ...]
) -> None:
    assert issubclass(error, kind)
    assert (error.code, error.fields) == (code, fields)
