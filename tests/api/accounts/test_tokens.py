"""Tokens: which of them authenticate a caller, and that every other one has the same 401."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from api.accounts.tokens import NewToken, sign_token
from persistence import accounts as store
from persistence.accounts.tables import KEYS
from persistence.database import connections
from tests.support.accounts import Added, add_account, bearer, new_token, now, problem

SIGN_OUT = "/api/v1/sign-out"


def call(client: httpx.Client, credentials: str | bytes | None) -> httpx.Response:
    text = credentials.encode() if isinstance(credentials, str) else credentials
    headers = {} if text is None else {b"Authorization": text}
    return client.post("/api/v1/change-password", headers=headers, json={})  # a 400 with a token, a 401 without


def segment(content: object) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(new: NewToken, *, secret: bytes | None = None, header: Any = None, claims: Any = None) -> str:
    """A token with a HMAC of ours: the right one, but for what is given."""
    own_claims = {"sub": str(new.account_id), "role": new.role, "jti": new.jti, "iat": new.issued_at}
    own_claims["exp"] = new.issued_at + 3600
    own_claims |= claims or {}
    own_claims = {name: value for name, value in own_claims.items() if value is not None}
    text = segment({"alg": "HS256", "kid": new.kid, **(header or {})}) + "." + segment(own_claims)
    mac = hmac.new(new.secret if secret is None else secret, text.encode(), hashlib.sha256)
    return f"{text}.{segment(mac.digest())}"


@pytest.fixture
def new(asha: Added) -> NewToken:
    return new_token(asha.id)


def test_a_token_has_the_header_and_the_claims_of_its_session(client: httpx.Client, new: NewToken) -> None:
    content = jwt.decode_complete(sign_token(new), new.secret, algorithms=["HS256"])
    assert content["header"] == {"alg": "HS256", "kid": new.kid}
    claims = {"sub": str(new.account_id), "role": "USER", "jti": new.jti, "iat": new.issued_at}
    assert content["payload"] == {**claims, "exp": new.issued_at + 3600}
    assert len(new.secret) == 32


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "bEaReR   {}", "{}"])
def test_a_token_is_given_with_its_scheme_or_bare(client: httpx.Client, new: NewToken, form: str) -> None:
    assert call(client, form.format(sign_token(new))).status_code == 400
    assert call(client, form.format(forged(new))).status_code == 400, "what the tests forge is right in itself"


def test_the_check_of_a_token_is_one_statement(client: httpx.Client, new: NewToken, statements: list[str]) -> None:
    assert call(client, sign_token(new)).status_code == 400
    assert len(statements) == 1
    statements.clear()
    assert [call(client, text).status_code for text in ("", "Bearer x", "a.b.c")] == [401] * 3
    assert statements == []


ATTACKS: dict[str, Callable[[NewToken], str]] = {
    "empty": lambda _: "",
    "no token": lambda _: "Bearer",
    "another scheme": lambda new: f"Basic {sign_token(new)}",
    "basic": lambda _: "Basic YXNoYTphIHBhc3N3b3Jk",
    "two tokens": lambda new: f"Bearer {sign_token(new)} {sign_token(new)}",
    "two tokens with a comma": lambda new: f"Bearer {sign_token(new)}, Bearer {sign_token(new)}",
    "the scheme twice": lambda new: f"Bearer Bearer {sign_token(new)}",
    "a line break": lambda new: f"Bearer\u00a0{sign_token(new)}",
    "an end": lambda new: f"Bearer {sign_token(new)}.",
    "padding": lambda new: f"Bearer {sign_token(new)}=",
    "no signature": lambda new: f"Bearer {sign_token(new).rpartition('.')[0]}",
    "an empty signature": lambda new: f"Bearer {sign_token(new).rpartition('.')[0]}.",
    "half a signature": lambda new: f"Bearer {sign_token(new)[:-20]}",
    "alg none": lambda new: forged(new, header={"alg": "none"}),
    "alg None": lambda new: forged(new, header={"alg": "None"}),
    "alg none, unsigned": lambda new: forged(new, header={"alg": "none"}).rpartition(".")[0] + ".",
    "alg HS512": lambda new: jwt.encode(
        {"sub": str(new.account_id), "jti": new.jti, "role": "USER", "iat": 0, "exp": 9e9},
        new.secret * 2,
        "HS512",
        headers={"kid": new.kid},
    ),
    "alg RS256 with a HMAC": lambda new: forged(new, header={"alg": "RS256"}),
    "no alg": lambda new: forged(new, header={"alg": None}),
    "another secret": lambda new: forged(new, secret=b"x" * 32),
    "an empty secret": lambda new: forged(new, secret=b""),
    "the kid as the secret": lambda new: forged(new, secret=new.kid.encode()),
    "a key in the header": lambda new: forged(
        new, secret=b"x" * 32, header={"jwk": {"kty": "oct", "k": segment(b"x" * 32)}}
    ),
    "kid of a path": lambda new: forged(new, secret=b"", header={"kid": "../../../../dev/null"}),
    "kid of SQL": lambda new: forged(new, secret=b"x", header={"kid": "' UNION SELECT 'x' --"}),
    "kid in capitals": lambda new: forged(new, header={"kid": new.kid.upper()}),
    "unknown kid": lambda new: forged(new, header={"kid": "00000000-0000-4000-8000-000000000000"}),
    "kid of another type": lambda new: forged(new, header={"kid": 1}),
    "no kid": lambda new: forged(new, header={"kid": None}),
    "another role, unsigned": lambda new: ".".join(
        [
            *sign_token(new).split(".")[:1],
            forged(new, claims={"role": "ADMIN"}).split(".")[1],
            sign_token(new).split(".")[2],
        ]
    ),
    "another role, signed by another": lambda new: forged(new, secret=b"x" * 32, claims={"role": "ADMIN"}),
    "another account": lambda new: forged(new, claims={"sub": str(new.account_id + 1)}),
    "an account as a number": lambda new: forged(new, claims={"sub": new.account_id}),
    "an account beyond 64 bits": lambda new: forged(new, claims={"sub": "9" * 40}),
    "an account in other digits": lambda new: forged(new, claims={"sub": "\u0661"}),
    "a negative account": lambda new: forged(new, claims={"sub": "-1"}),
    "unknown jti": lambda new: forged(new, claims={"jti": "00000000-0000-4000-8000-000000000000"}),
    "jti of another type": lambda new: forged(new, claims={"jti": [new.jti]}),
    "no expiry": lambda new: forged(new, claims={"exp": None}),
    "no role": lambda new: forged(new, claims={"role": None}),
    "no iat": lambda new: forged(new, claims={"iat": None}),
    "expired this second": lambda new: forged(new, claims={"exp": int(time.time())}),
    "an endless expiry": lambda new: forged(new, claims={"exp": "never"}),
    "not JSON": lambda _: f"{segment(b'x')}.{segment(b'x')}.{segment(b'x')}",
    "not an object": lambda _: f"{segment([1])}.{segment([1])}.{segment(b'x')}",
    "deep": lambda _: f"{segment(b'[' * 150)}.{segment(b'[' * 150)}.x",
    "long": lambda new: forged(new, claims={"more": "x" * 500}),
    "text": lambda _: "Bearer not-a-token",
}


def test_every_bad_token_has_one_response(client: httpx.Client, new: NewToken) -> None:
    bodies = {}
    for name, attack in {"absent": lambda _: None, **ATTACKS}.items():
        credentials = attack(new)
        response = call(client, credentials.encode() if credentials is not None else None)
        assert response.status_code == 401, name
        assert response.headers["www-authenticate"] == "Bearer"
        bodies[name] = response.json() | {"instance": ""}
    assert [*bodies.values()] == [bodies["absent"]] * len(bodies)
    assert bodies["absent"]["type"] == "/problems/token-invalid"


@pytest.mark.parametrize("at", [0, 1, 2])
def test_no_character_of_a_token_can_be_changed(client: httpx.Client, new: NewToken, at: int) -> None:
    parts = sign_token(new).split(".")
    for position in {0, 1, len(parts[at]) // 2, len(parts[at]) - 2, len(parts[at]) - 1}:
        changed = [*parts]
        # All of them at the end, whose unused bits base64 ignores; PyJWT does not.
        for other in string.ascii_letters + string.digits + "-_" if position == len(parts[at]) - 1 else "AQgwZ_-1":
            changed[at] = parts[at][:position] + other + parts[at][position + 1 :]
            if changed != parts:
                assert call(client, ".".join(changed)).status_code == 401, (position, other)


@pytest.mark.slow  # hundreds of generated calls
@given(credentials=st.from_regex(r"[!-~]([ -~]{0,40}[!-~])?", fullmatch=True) | st.binary(max_size=40))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_header_causes_a_500(client: httpx.Client, credentials: str | bytes) -> None:
    part = segment(credentials if isinstance(credentials, bytes) else credentials.encode())
    texts = [f"Bearer {part}.{part}.{part}", f"{segment({'alg': 'HS256'})}.{part}.{part}"]
    if isinstance(credentials, str):
        texts.append(credentials)
    assert [call(client, text.encode()).status_code for text in texts] == [401] * len(texts)


# ---- sessions, accounts and keys


def test_a_token_expires_after_an_hour(client: httpx.Client, asha: Added) -> None:
    issued_at = int(time.time()) - 3600
    assert call(client, sign_token(new_token(asha.id, issued_at=issued_at + 60))).status_code == 400
    assert call(client, sign_token(new_token(asha.id, issued_at=issued_at))).status_code == 401


def test_the_clock_of_another_instance_may_be_ahead(client: httpx.Client, asha: Added) -> None:
    assert call(client, sign_token(new_token(asha.id, issued_at=int(time.time()) + 5))).status_code == 400


def test_a_signed_out_token_is_rejected_and_others_are_not(client: httpx.Client, asha: Added) -> None:
    first, second = bearer(asha), bearer(asha)
    response = client.post(SIGN_OUT, headers=first, content=b"{not looked at")
    assert (response.status_code, response.json()) == (200, {"message": "Signed out successfully"})
    assert problem(client.post(SIGN_OUT, headers=first)) == (401, "token-invalid", [])
    assert client.post(SIGN_OUT, headers=second).status_code == 200


def test_tokens_of_an_inactive_account_stay_rejected(client: httpx.Client, asha: Added) -> None:
    headers = bearer(asha)
    for active in (False, True):
        with connections.transaction() as connection:
            store.set_active(connection, "asha", active)
        assert client.post(SIGN_OUT, headers=headers).status_code == 401


def test_an_account_made_anew_does_not_get_the_tokens(client: httpx.Client, asha: Added, admin: Added) -> None:
    headers = bearer(asha)
    assert client.post("/delete-user/asha", headers=bearer(admin)).status_code == 200
    assert client.post(SIGN_OUT, headers=headers).status_code == 401
    assert add_account("asha").id > asha.id
    assert client.post(SIGN_OUT, headers=headers).status_code == 401


def _rotate() -> None:
    with connections.transaction() as connection:
        store.rotate_keys(connection, now=now())


def test_a_replaced_key_is_accepted_for_an_hour(client: httpx.Client, asha: Added) -> None:
    tokens = []
    for _ in range(3):
        tokens.append(sign_token(new_token(asha.id)))
        _rotate()
    assert [call(client, token).status_code for token in tokens] == [400] * 3
    with connections.transaction() as connection:
        kid = jwt.get_unverified_header(tokens[0])["kid"]
        hour_ago = "2026-01-01T00:00:00.000000Z"
        connection.execute(update(KEYS).where(KEYS.c.kid == kid).values(replaced_at=hour_ago))
    assert [call(client, token).status_code for token in tokens] == [401, 400, 400]


# ---- order


def test_token_role_size_and_body_are_checked_in_this_order(client: httpx.Client, asha: Added, admin: Added) -> None:
    large, broken = b" " * (1024 * 1024 + 1), b"{"
    cases = [({}, 401), (bearer(asha), 403), (bearer(admin), 413)]
    assert [client.post("/create-user", headers=headers, content=large).status_code for headers, _ in cases] == [
        status for _, status in cases
    ]
    assert client.post("/create-user", headers=bearer(asha), content=broken).status_code == 403
    response = client.post("/create-user", headers=bearer(asha), json={"username": "x", "password": "y"})
    assert problem(response) == (403, "role-required", [])
    assert "www-authenticate" not in response.headers
    assert client.post("/create-user", headers=bearer(admin), content=broken).status_code == 400
