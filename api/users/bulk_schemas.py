"""The request and response models of `create_users`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, TypedDict

from pydantic import BeforeValidator, model_validator

from api.http.requests import Examples, field
from api.users.attribution import Attributed, attributed_body, with_fields
from api.users.fields import MANAGER, PanNumOfAnyHolder
from api.users.schemas import NewUser, NewUserValues
from api.users.settings import UsersSettings
from domain.errors import InvalidError, Violation, WrongTypeError
from domain.users.bulk import USERS_MAX, find_repeated
from domain.users.errors import UsersCountError
from domain.users.versions import UserRecord

_KEYS_MAX: Final = 10 * USERS_MAX
"""Maximum number of keys of a request: each unknown one is a violation, and 2 MiB have room for 250,000 of them."""


class TooManyKeysError(InvalidError):
    """The body has far more keys than 1,000 users have."""

    code = "too-many-keys"
    detail = f"The body and the entries of users must have at most {_KEYS_MAX:,} keys in all."


def _check_count(value: object) -> object:
    """Returns the list if its length is valid. Checked before the entries, because each invalid one takes time."""
    if not isinstance(value, list):
        raise WrongTypeError("users must be a JSON array.")
    if not 1 <= len(value) <= USERS_MAX:
        raise UsersCountError(f"users must have 1 to {USERS_MAX} entries, not {len(value)}.")
    return value


_COUNT: Final = BeforeValidator(_check_count)
_DESCRIBED: Final = field(
    "The new users, in the order in which they are stored", UsersCountError, minItems=1, maxItems=USERS_MAX
)


class CreateUsers(Attributed):
    """The body of `create_users`. Each number must be there once (else mob-num-repeated).

    The body and all entries together may have 10,000 keys (else too-many-keys).
    """

    EXAMPLES: ClassVar[Examples] = {
        "Two users": {
            "users": [
                {"full_name": "Meera Iyer", "mob_num": "9876543212", "pan_num": "ABCPI1234F", "manager_id": MANAGER},
                {"full_name": "Kabir Das", "mob_num": "9876543213", "pan_num": "ABCPD1234F"},
            ],
            "changed_by": "Import of the Pune branch",
        }
    }

    users: Annotated[list[NewUser], _COUNT, _DESCRIBED]

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, content: Mapping[str, Any]) -> Mapping[str, Any]:
        users = content.get("users")
        bodies = users if isinstance(users, list) else []
        if len(content) + sum(len(body) for body in bodies if isinstance(body, dict)) > _KEYS_MAX:
            raise TooManyKeysError
        return content

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields a violation for each number that an earlier body has, besides those of the fields."""
        users = content.get("users")
        if isinstance(users, list) and len(users) <= USERS_MAX:
            yield from find_repeated(body.get("mob_num") if isinstance(body, dict) else None for body in users)


def create_users_model(settings: UsersSettings) -> type[CreateUsers]:
    """Returns the body of `create_users` for the settings."""
    model = attributed_body(CreateUsers, settings)
    if settings.pan_holder_check:
        return model
    new_user = with_fields(NewUser, pan_num=(PanNumOfAnyHolder, ...))
    return with_fields(model, users=(Annotated[list[new_user], _COUNT, _DESCRIBED], ...))  # type: ignore[valid-type]


class CreatedUsers(TypedDict):
    """The response of `create_users`: the stored records in the order of the request."""

    message: str
    users: list[UserRecord]


class CheckedUsers(TypedDict):
    """The response of `create_users` to a dry run."""

    message: str
    dry_run: bool
    users: list[NewUserValues]
