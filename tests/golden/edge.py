"""Requests that concern all services or none: hostile bodies, routes, health, a failing database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tests.golden.calls import Call, ForgetProbes, Lock, Scenarios, Sql, Step, get, keyed, post
from tests.golden.points import BALANCE, add, spend
from tests.golden.users import MANAGERS, create, delete, listing, update

MIB: Final = 1024 * 1024

BODIES: Final = [
    b"{", b"nonsense", b"\x00", b"\xff\xfe{}", b'{"full_name": "\xff"}', b"\xef\xbb\xbf{}", b"null", b"true", b"5",
    b'"x"', b"[]", b"[{}]", b"{} {}", b"{}x", b'{"a": NaN}', b'{"a": 1e999}', b"{'a': 1}", b'{"a": 1,}', b" ",
    b"\n{}\n", b'{"limit": 1, "limit": 2}', b"[" * 2000, b'{"a":' * 1100 + b"1" + b"}" * 1100,
    b'{"limit": ' + b"9" * 5000 + b"}",
    b'{"\\u0000": 1}', b'{"__proto__": {}}', "{\"full_name\": \"Zo\u00eb\"}".encode("latin-1"),
    b'{"full_name": "\\udead"}', b'{"\\ud800": 1}',
]  # fmt: skip
ENDPOINTS: Final = ["create_user", "delete_user", "update_user", "addTransaction", "spend"]

HOSTILE: Scenarios = {
    "bodies: get_users": [post("get_users", content=body) for body in BODIES],
    "bodies: every endpoint": [
        post(endpoint, content=body)
        for endpoint in ENDPOINTS
        for body in (b"", b"{", b"null", b"[]", b"\xff", b'{"\\u0000": 1}')
    ],
    "bodies: size": [
        post("get_users", content=b" " * (MIB - 2) + b"{}"),
        post("get_users", content=b" " * (MIB - 1) + b"{}"),
        post("create_user", content=b"x" * (MIB + 1)),
        post("spend", content=b"\x00" * (2 * MIB)),
        post("flushDB", content=b" " * (MIB + 1)),
        Call("GET", "/balance", content=b" " * (MIB + 1)),
    ],
    "bodies: sent in chunks": [
        post("get_users", content=[]),
        post("get_users", content=[b"{", b"}"]),
        post("create_user", content=[]),
        post("addTransaction", content=[]),
        post("spend", content=[b'{"points"', b": 1}"]),
        post("flushDB", content=[]),
    ],
    "bodies: content types": [
        post("get_users", content=b"{}", headers=[("Content-Type", kind)])
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "", "x")
    ],
    "bodies: many violations": [
        post("get_users", {f"key {number}": number for number in range(120)}),
        post("update_user", {"user_ids": ["x"] * 120, "update_data": {"manager_id": "x"}}),
    ],
}

ROUTES: Scenarios = {
    "routes": [
        *(get(path) for path in ("", "nothing", "create_user", "addTransaction", "spend", "docs", "docs/page.css")),
        *(Call(method, "/get_users") for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")),
        *(post(path) for path in ("balance", "health", "health/database", "openapi.json", "nothing")),
        *(post(path, {}) for path in ("get_users/", "GET_USERS", "Get_Users/", "get_users//", "/get_users")),
        *(post(path, {}) for path in ("get%5Fusers", "get_users%2F", "get_users;x", "api/get_users", "./get_users")),
        post("get_users?limit=1&x=%00", {}),
        post("get_users?code=secret#x", {"limit": 0}),
        Call("HEAD", "/balance"),
        Call("HEAD", "/health"),
        Call(
            "OPTIONS", "/balance", headers=[("Origin", "http://127.0.0.1:9"), ("Access-Control-Request-Method", "GET")]
        ),
    ],
    "health": [
        get("health"),
        get("health?x=1"),
        get("health?database=0"),
        get("health?database="),
        get("health?database=1&database=1"),
        Call("GET", "/health", content=b"{"),
        get("health/"),
        get("health?database=1"),
        get("health?database=1&x=1"),
        get("health/database"),
        ForgetProbes(),
        get("health/database?x=1"),
        get("health?database=1"),
    ],
    "openapi.json": [
        get("openapi.json", records_body=False),
        get("openapi.json?x=1", records_body=False),
        Call("GET", "/openapi.json", content=b"{", records_body=False),
        Call("HEAD", "/openapi.json"),
    ],
}

_TWICE = "BEGIN INSERT INTO managers SELECT * FROM managers LIMIT 1; END"  # a key that is written twice

FAULTS: Scenarios = {
    "faults: a table is missing": [
        Sql("DROP TABLE points_transactions"),
        add("A", 1),
        keyed(add("A", 1), "key-1"),
        BALANCE,
        Sql("DROP TABLE users"),
        create(1),
        create(2, manager_id=MANAGERS[0]),
        listing(),
        delete(mob_num="9876543210"),
        update([MANAGERS[0]], full_name="A"),
        get("health/database"),
    ],
    "faults: a constraint of the database": [
        create(1, save="first"),
        Sql("CREATE TRIGGER t BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'Asha Rao'); END"),
        update(["$first"], full_name="Zoe"),
        listing(),
    ],
    "faults: the database stays locked": [
        create(1, save="first"),
        Lock(held=True),
        create(2),
        update(["$first"], full_name="Zoe"),
        keyed(add("A", 1), "key-1"),
        listing(),
        get("health/database"),
        Lock(held=False),
        create(2),
    ],
    "faults: races that are lost": [
        add("A", 10),
        Sql(f"CREATE TRIGGER t BEFORE INSERT ON points_transactions {_TWICE}"),
        add("A", 1),
        create(1, save="first", manager_id=MANAGERS[0]),
        Sql("CREATE TRIGGER u BEFORE UPDATE ON users BEGIN SELECT RAISE(IGNORE); END"),
        update(["$first"], manager_id=MANAGERS[1]),
        BALANCE,
        listing(),
    ],
}

SCENARIOS: Scenarios = {**HOSTILE, **ROUTES, **FAULTS}


class HostWith(NamedTuple):
    """A development host with other settings, and requests to it. Only responses and logs are recorded."""

    settings: Mapping[str, str]
    calls: list[Call]


_ASSETS = ("docs", "docs/", "docs/page.css", "docs/page.js", "docs/swagger-ui.css", "docs/swagger-ui-bundle.js")
_PLAIN_PAN = {"full_name": "A", "mob_num": "9876543210", "pan_num": "ABCDE1234F"}

HOSTS: Final = {
    "the page, no flush": HostWith(
        {"SERVICES": "users,points", "API_DOCS": "on", "POINTS_ALLOW_FLUSH": "off", "HEALTH_CHECK": "on"},
        [
            *(get(path, records_body=False) for path in _ASSETS),
            get("docs/nothing"),
            get("docs/index.html"),
            post("docs"),
            Call("HEAD", "/docs"),
            post("flushDB"),
            get("flushDB"),
            get("health?database=1"),
            get("openapi.json", records_body=False),
        ],
    ),
    "users alone, any PAN": HostWith(
        {"SERVICES": "users", "PAN_HOLDER_CHECK": "off", "HEALTH_CHECK": "off", "API_DOCS": "off"},
        [
            get("balance"),
            post("flushDB"),
            spend(1),
            get("health"),
            get("health/database"),
            get("docs"),
            post("create_user", _PLAIN_PAN),
            post("create_user", {**_PLAIN_PAN, "pan_num": "ABCD1234F"}),
            listing(),
            get("openapi.json", records_body=False),
        ],
    ),
    "points alone": HostWith(
        {"SERVICES": "points", "IDEMPOTENCY_HOURS": "1"},
        [listing(), keyed(add("A", 5), "key-1"), keyed(add("A", 5), "key-1"), BALANCE],
    ),
}

TELEMETRY: Final[list[Step]] = [
    create(1, save="first", manager_id=MANAGERS[0]),
    create(1),
    post("create_user", {}),
    listing(limit=1),
    update(["$first"], manager_id=MANAGERS[1]),
    keyed(add("A", 10), "key-1"),
    keyed(add("A", 10), "key-1"),
    spend(11),
    spend(1),
    get("health?database=1"),
    get("nothing"),
    Sql(f"CREATE TRIGGER t BEFORE INSERT ON points_transactions {_TWICE}"),
    add("A", 1),
    Sql("DROP TABLE points_spends"),
    spend(1),
    delete(user_id="$first"),
]
"""Calls whose spans and metrics are recorded."""
