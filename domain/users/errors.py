"""The errors of the users service."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Final

from domain.errors import ConflictError, InvalidError, NotFoundError

PAN_HOLDER_TYPES: Final = "ABCFGHJLPT"
"""The holder types that the Income Tax Department assigns: a PAN's fourth letter."""


class FullNameInvalidError(InvalidError):
    """The name is empty, too long, or has control characters."""

    code = "full-name-invalid"


class MobNumInvalidError(InvalidError):
    """The text is not an Indian mobile number."""

    code = "mob-num-invalid"
    detail = "mob_num must be a 10-digit Indian mobile number that starts with 6, 7, 8 or 9, optionally after +91 or 0."


class PanNumInvalidError(InvalidError):
    """The text is not a PAN."""

    code = "pan-num-invalid"
    detail = "pan_num must be five letters, four digits and a letter, such as ABCPE1234F."


class PanHolderInvalidError(InvalidError):
    """The fourth letter of the PAN is not a holder type."""

    code = "pan-holder-invalid"
    detail = (
        f"pan_num's fourth letter is the holder type and must be one of {PAN_HOLDER_TYPES} "
        "(the setting PAN_HOLDER_CHECK=off accepts any letter)."
    )


class UuidInvalidError(InvalidError):
    """The text is not a UUID."""

    code = "uuid-invalid"
    detail = "Not a UUID with hyphens, such as 7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f."


class UserIdsCountError(InvalidError):
    """`user_ids` has too few or too many entries."""

    code = "user-ids-count"


class UserIdsInvalidError(InvalidError):
    """`user_ids` has entries that are not UUIDs; each is a violation."""

    code = "user-ids-invalid"
    detail = "user_ids has entries that are not UUIDs."


class MobNumsCountError(InvalidError):
    """`mob_nums` has too few or too many entries."""

    code = "mob-nums-count"


class MobNumsInvalidError(InvalidError):
    """`mob_nums` has entries that are not mobile numbers; each is a violation."""

    code = "mob-nums-invalid"
    detail = "mob_nums has entries that are not mobile numbers."


class AsOfInvalidError(InvalidError):
    """The text is not a timestamp with a zone, or is too precise."""

    code = "as-of-invalid"
    detail = "as_of must be an RFC 3339 timestamp with a zone and at most six decimals, such as 2026-11-20T12:00:00.5Z."


class AsOfInFutureError(InvalidError):
    """The time has not come yet."""

    code = "as-of-in-future"
    detail = "as_of is in the future."
    fields = ("as_of",)


class BeforeHistoryError(InvalidError):
    """The time is before the log of changes."""

    code = "before-history"
    fields = ("as_of",)
    members = MappingProxyType({"earliest": Annotated[str, "date-time"]})


class BulkUpdateKeysError(InvalidError):
    """An update of several users has keys besides `manager_id`."""

    code = "bulk-update-keys"
    members = MappingProxyType({"extra_keys": list[str]})


class ManagerUnknownError(InvalidError):
    """The `manager_id` belongs to no manager."""

    code = "manager-unknown"
    detail = "No manager has this manager_id."
    fields = ("manager_id",)


class ManagerInactiveError(InvalidError):
    """The manager is not active."""

    code = "manager-inactive"
    detail = "The manager with this manager_id is not active."
    fields = ("manager_id",)


class MobNumTakenError(ConflictError):
    """Another active user has the mobile number."""

    code = "mob-num-taken"
    detail = "An active user has this mob_num."
    fields = ("mob_num",)


class MobNumRepeatedError(InvalidError):
    """Two new users have the same mobile number."""

    code = "mob-num-repeated"
    detail = "An earlier user of this request has this mob_num."


class UsersCountError(InvalidError):
    """`users` has too few or too many entries."""

    code = "users-count"


class UserNotFoundError(NotFoundError):
    """No user has the `user_id` or `mob_num`."""

    code = "user-not-found"


class UsersNotFoundError(NotFoundError):
    """No user has any of the `user_ids` of an update."""

    code = "users-not-found"
    detail = "No user has any of the user_ids."
    members = MappingProxyType({"not_found": list[str]})
