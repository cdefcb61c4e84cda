"""The settings of the users service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from settings import Settings, SettingsError, number, parsed, switch


def _parse_header_name(name: str) -> str:
    # Of the names that RFC 9110 permits (section 5.6.2), those that proxies pass on by default: none with underscores.
    if name and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,99}", name):
        raise ValueError(
            "the name of a request header: letters, digits and hyphens, such as X-MS-CLIENT-PRINCIPAL-NAME"
        )
    return name


@dataclass(frozen=True)
class UsersSettings:
    """The settings of the users service."""

    pan_holder_check: bool = switch("PAN_HOLDER_CHECK", default=True)
    list_rows_max: int = number("LIST_ROWS_MAX", default=0, least=0, most=999_999_999)  # 0: no maximum
    changed_by_header: str = parsed(
        "CHANGED_BY_HEADER", default="", parse=_parse_header_name
    )  # empty: the body says who


def check_settings(settings: Settings) -> bool:
    """Returns that the service is enabled.

    Raises `SettingsError` for `CHANGED_BY_HEADER` on Azure without App Service authentication: only this replaces such
    a header, so any client could send it otherwise.
    """
    # Azure sets WEBSITE_AUTH_ENABLED: https://learn.microsoft.com/azure/app-service/reference-app-settings
    has_auth = settings.values.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
    if settings.on_azure and settings.section(UsersSettings).changed_by_header and not has_auth:
        raise SettingsError(
            "CHANGED_BY_HEADER needs App Service authentication, which sets the header (WEBSITE_AUTH_ENABLED is not "
            "true): any client could send it otherwise."
        )
    return True
