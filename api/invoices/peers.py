"""What the other site sends: its signature, and the endpoint that takes its customers. delivery.py sends ours."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Self, TypedDict

import azure.functions as func
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    create_model,
    model_validator,
)

from api.http.auth import Caller
from api.http.problems import UnauthorizedError, violations_of
from api.http.requests import BODY_LIMIT, BodyInvalidError, Request, read_body
from api.http.requests import field as described
from api.http.responses import Response
from api.invoices.endpoints import service
from api.invoices.peer_settings import PeerSettings
from domain.errors import NotFoundError, RollbookError, Violation, WrongTypeError
from domain.invoices import fields
from domain.invoices.errors import AddressInvalidError, NameInvalidError, PhoneInvalidError
from domain.invoices.peers import UID_KEY, UuidInvalidError, is_current, parse_customer_uid
from domain.invoices.purchases import NewCustomer
from domain.timestamps import format_timestamp
from persistence.database.connections import Connection
from persistence.invoices.customers import has_customer, insert_customer
from settings import Settings

TIME_HEADER: Final = "X-Rollbook-Time"
SIGNATURE_HEADER: Final = "X-Rollbook-Signature"

_SECONDS: Final = re.compile(r"[0-9]{1,12}")  # [0-9] and not \d, which matches the digits of every script


# ---- signatures


class SignatureInvalidError(UnauthorizedError):
    """The signature is missing or wrong, or the message is not current; all look the same."""

    code = "signature-invalid"
    detail = "A valid signature of the other site, not older than 5 minutes, is required."
    headers = MappingProxyType({"WWW-Authenticate": "The scheme: Rollbook-Signature"})

    def __init__(self) -> None:
        super().__init__(header_values={"WWW-Authenticate": "Rollbook-Signature"})


class PeerNotConfiguredError(NotFoundError):
    """This site has no secret, and so no other site."""

    code = "peer-not-configured"
    detail = "This site takes no customers of another site."


def sign(secret: str, sent_at: str, body: bytes) -> str:
    """Returns the signature of a body that is sent at `sent_at`, in seconds since 1970: HMAC-SHA256 in hexadecimal."""
    return hmac.new(secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Signature:
    """Authentication by the signature of time and body with the secret of both sites."""

    secret: str = field(default="", repr=False)
    auth_level: ClassVar[func.AuthLevel] = func.AuthLevel.ANONYMOUS
    security: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "peerSignature": {
            "type": "apiKey",
            "in": "header",
            "name": SIGNATURE_HEADER,
            "description": f"The hexadecimal HMAC-SHA256 of `<time>.<body>`; `{TIME_HEADER}` has the time in seconds "
            "since 1970.",
        }
    }
    errors: ClassVar[Sequence[type[RollbookError]]] = (PeerNotConfiguredError, SignatureInvalidError)
    reads_database: ClassVar[bool] = False

    def authenticate(self, req: func.HttpRequest) -> Caller:
        """Returns the other site. Raises `PeerNotConfiguredError`, `SignatureInvalidError`, `TooLargeError`.

        A body that is too large is not read for its signature.
        """
        if not self.secret:
            raise PeerNotConfiguredError
        body = read_body(req, BODY_LIMIT)
        sent_at, given = (str(req.headers.get(name.lower(), "")) for name in (TIME_HEADER, SIGNATURE_HEADER))
        if not _SECONDS.fullmatch(sent_at) or not is_current(int(sent_at), int(time.time())):
            raise SignatureInvalidError
        # As bytes, because compare_digest raises for text that is not ASCII; in constant time.
        if not hmac.compare_digest(sign(self.secret, sent_at, body).encode(), given.encode(errors="replace")):
            raise SignatureInvalidError
        return _PEER

    def with_settings(self, settings: Settings) -> Self:
        """Returns the same with the secret of the settings."""
        return replace(self, secret=settings.section(PeerSettings).peer_site_secret)


_PEER: Final = Caller("peer")


# ---- customers of the other site


class _Message(Request):
    """A customer of the other site. Keys that are not mapped are ignored."""

    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, BeforeValidator(parse_customer_uid)] = described(
        "The global id, the same on both sites", UuidInvalidError, format="uuid"
    )
    _violations: list[Violation] = PrivateAttr(default_factory=list)

    # A customer that this site has may be rejected by the rules of today; its repeat is still a success.
    @model_validator(mode="wrap")
    @classmethod
    def _defer_violations(cls, content: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Returns the message, with the id alone and the violations if other fields are invalid."""
        try:
            return validate(content)
        except ValidationError as error:
            found = [each for e in error.errors(include_url=False, include_input=False) for each in violations_of(e)]
            if any(violation.path[:1] == (UID_KEY,) for violation in found):
                raise
            message = cls.model_construct(id=parse_customer_uid(content[UID_KEY]))
            message._violations = found  # noqa: SLF001 - its own
            return message

    def require_valid(self) -> None:
        """Raises `BodyInvalidError` with all violations of the fields."""
        if self._violations:
            raise BodyInvalidError(violations=self._violations)


def message_model(settings: PeerSettings) -> type[Request]:
    """Returns the request model of a message, whose keys the setting `PEER_FIELDS` names."""
    names = settings.peer_fields
    name = described("The name, trimmed", WrongTypeError, NameInvalidError)
    phone = described("The telephone number", WrongTypeError, PhoneInvalidError)
    address = described("The address, trimmed", WrongTypeError, AddressInvalidError)
    return create_model(
        "PeerCustomer",
        __base__=_Message,
        __doc__=_Message.__doc__,
        name=(Annotated[str, BeforeValidator(fields.parse_name), name], Field(alias=names.name)),
        phone=(Annotated[str, BeforeValidator(fields.parse_phone), phone], Field(alias=names.phone)),
        address=(Annotated[str, BeforeValidator(fields.parse_address), address], Field(alias=names.address)),
    )


class AcceptedCustomer(TypedDict):
    """The global id of a customer that this site has."""

    id: str


@service.endpoint(
    "invoices_peer_customers",
    route="api/peer-customers",
    auth=Signature(),
    body=message_model,
    writes=True,
    idempotent=True,
    returns={200: AcceptedCustomer},
)
def invoices_peer_customers(request: Any, connection: Connection) -> Response:
    """Takes a customer of the other site.

    A customer that this site has already, its own included, is left as it is. None is sent back.
    """
    if not has_customer(connection, request.id):
        request.require_valid()
        customer = NewCustomer(request.name, request.phone, request.address)
        now = format_timestamp(datetime.now(UTC))
        insert_customer(connection, customer, uid=request.id, now=now, is_from_peer=True)
    return Response(AcceptedCustomer(id=request.id))
