"""Requests to the points service, by the rules of its contract, with and without idempotency keys."""

from __future__ import annotations

from typing import Any, Final

from tests.golden.calls import Call, Scenarios, Sql, get, keyed, post

MAX: Final = 2**63 - 1
PAYERS: Final = [
    "A", "  DANNON \n", "dannon", "王", "é", "e\u0301", "x" * 200, "😀" * 200, "MILLER COORS", "a\u2028b",
    "' OR 1=1 --",
]  # fmt: skip
BAD_PAYERS: Final[list[Any]] = ["", "  ", "x" * 201, "a\nb", "a\x00", "\x7f", "a\x85b", 5, None, True, ["A"], {}]
TIMES: Final = [
    "2020-10-31T10:00:00Z", "2020-10-31t10:00:00z", "2020-10-31T15:30:00+05:30", "2020-10-31T00:00:00-12:00",
    "2020-10-31T10:00:00.5Z", "2020-10-31T10:00:00.123456789Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
    "2020-02-29T00:00:00Z", "2020-10-31T10:00:00-00:00",
]  # fmt: skip
BAD_TIMES: Final[list[Any]] = [
    "", "2020-10-31", "2020-10-31T10:00:00", "2020-10-31 10:00:00Z", "2020-10-31T10:00Z", "2020-10-31T24:00:00Z",
    "2020-10-31T23:59:60Z", "2019-02-29T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
    "2020-10-31T10:00:00.Z", "2020-10-31T10:00:00Z\n", "２０２０-10-31T10:00:00Z", "2020-10-31T10:00:00+5:30",
    "20201031T100000Z", 1604138400, None, True, [],
]  # fmt: skip
BAD_POINTS: Final[list[Any]] = ["5", 1.5, 1.0, True, None, [], {}, 2**63, -(2**63) - 1, 10**40]


def add(payer: Any, points: Any, timestamp: Any = "2020-10-31T10:00:00Z", **more: Any) -> Call:
    """A call of addTransaction."""
    return post("addTransaction", {"payer": payer, "points": points, "timestamp": timestamp, **more})


def spend(points: Any) -> Call:
    """A call of spend."""
    return post("spend", {"points": points})


BALANCE: Final = get("balance")
WORKED: Final = [
    add("DANNON", 1000, "2020-11-02T14:00:00Z"),
    add("UNILEVER", 200, "2020-10-31T11:00:00Z"),
    add("DANNON", -200, "2020-10-31T15:00:00Z"),
    add("MILLER COORS", 10000, "2020-11-01T14:00:00Z"),
    add("DANNON", 300, "2020-10-31T10:00:00Z"),
]
"""The worked example of the contract."""

LEDGER: Scenarios = {
    "addTransaction: payers": [*(add(payer, 1) for payer in PAYERS), BALANCE],
    "addTransaction: bad payers": [*(add(payer, 1) for payer in BAD_PAYERS), BALANCE],
    "addTransaction: times": [*(add("A", 1, time) for time in TIMES), BALANCE],
    "addTransaction: bad times": [*(add("A", 1, time) for time in BAD_TIMES), BALANCE],
    "addTransaction: points": [
        *(add("A", points) for points in [*BAD_POINTS, 0, -0.0]),
        *(add("A", points) for points in (1, 5, -6, -7, -1)),
        post("addTransaction", {}),
        post("addTransaction"),
        add("A", 1, id="x", **{"a/b~c": 1}),
        add("", 0, ""),
        post("addTransaction", [{"payer": "A", "points": 1, "timestamp": TIMES[0]}]),
        BALANCE,
    ],
    "points of 64 bits": [
        add("A", -(2**63)),
        add("A", MAX),
        add("A", 1),
        add("B", 1),
        spend(MAX),
        spend(1),
        add("B", MAX),
        add("B", -MAX),
        add("B", MAX),
        add("B", -1),
        spend(MAX - 1),
        add("C", 1),
        add("C", 1),
        BALANCE,
    ],
    "debits": [
        add("A", -1),
        add("A", 10),
        add("A", -4),
        add("A", -7),
        add("A", -6),
        add("B", 5),
        add("B", -6),
        BALANCE,
        spend(6),
        spend(5),
        add("A", 3, "2019-01-01T00:00:00Z"),
        BALANCE,
        spend(3),
    ],
    "spend: the worked example": [*WORKED, spend(5000), BALANCE, spend(6300), spend(1), BALANCE],
    "spend: a debit between two lots": [
        add("A", 300, "2020-01-01T00:00:00Z"),
        add("B", 200, "2020-01-02T00:00:00Z"),
        add("A", -200, "2020-01-03T00:00:00Z"),
        spend(300),
        BALANCE,
    ],
    "spend: later arrivals and equal times": [
        add("B", 10),
        add("A", 10),
        add("B", 10),
        spend(15),
        add("C", 10, "2019-01-01T00:00:00Z"),
        spend(12),
        BALANCE,
        spend(100),
        spend(3),
        spend(1),
    ],
    "spend: bad points": [
        spend(1),
        add("A", 10),
        *(spend(points) for points in [*BAD_POINTS, 0, -1]),
        post("spend"),
        post("spend", {}),
        post("spend", {"points": 1, "payer": "A"}),
        post("spend", {"point": 1}),
        spend(11),
        BALANCE,
    ],
    "balance and flushDB": [
        BALANCE,
        get("balance?payer=A"),
        *WORKED,
        get("balance?x=1"),
        Call("GET", "/balance", {"payer": "A"}),
        spend(400),
        *(Call(method, "/flushDB") for method in ("POST", "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")),
        BALANCE,
        *WORKED,
        post("flushDB", content=b"{not JSON"),
        BALANCE,
        spend(1),
    ],
}

_ADD, _SPEND = add("DANNON", 300), spend(100)

IDEMPOTENCY: Scenarios = {
    "keys: a call that is repeated": [
        keyed(_ADD, "key-1"),
        keyed(_ADD, "key-1"),
        BALANCE,
        keyed(_SPEND, "key-1"),
        keyed(_SPEND, "key-1"),
        keyed(_SPEND, "key-2"),
        BALANCE,
        keyed(add("  DANNON ", 300, "2020-10-31T15:30:00+05:30"), "key-1"),
        keyed(
            post("addTransaction", content=b' {"timestamp":"2020-10-31T10:00:00Z","points":300, "payer":"DANNON"}'),
            "key-1",
        ),
        BALANCE,
    ],
    "keys: another request under the same key": [
        keyed(_ADD, "key-1"),
        keyed(add("DANNON", 301), "key-1"),
        keyed(add("dannon", 300), "key-1"),
        keyed(_ADD, "KEY-1"),
        keyed(_SPEND, "key-1"),
        keyed(spend(101), "key-1"),
        BALANCE,
    ],
    "keys: errors are not stored": [
        keyed(_SPEND, "key-1"),
        keyed(_SPEND, "key-1"),
        keyed(spend(0), "key-1"),
        _ADD,
        keyed(_SPEND, "key-1"),
        keyed(_SPEND, "key-1"),
        keyed(spend(0), "key-1"),
        keyed(spend(1000), "key-1"),
        BALANCE,
    ],
    "keys: what a key may be": [
        *(keyed(_ADD, key) for key in ("k", "a b", "x" * 255, "!~", '"quoted"', "a,b", "x" * 256, "")),
        keyed(_ADD, "k", "k"),
        keyed(_ADD, "clé"),
        keyed(_ADD, "a\tb"),
        keyed(spend(0), ""),
        BALANCE,
    ],
    "keys: time": [
        keyed(_ADD, "key-1"),
        keyed(_SPEND, "key-1"),
        Sql("UPDATE idempotency_keys SET created_at = '2020-01-01T00:00:00.000000Z'"),
        keyed(add("DANNON", 301), "key-1"),
        keyed(add("DANNON", 301), "key-1"),
        keyed(_SPEND, "key-2"),
        keyed(_SPEND, "key-1"),
        BALANCE,
    ],
    "keys: flushDB": [
        keyed(_ADD, "key-1"),
        keyed(_SPEND, "key-1"),
        post("flushDB"),
        keyed(_ADD, "key-1"),
        keyed(_SPEND, "key-1"),
        BALANCE,
    ],
    "keys: endpoints of another service": [
        keyed(post("create_user", {"full_name": "A", "mob_num": "9876543210", "pan_num": "ABCPE1234F"}), "key-1"),
        keyed(post("create_user", {"full_name": "A", "mob_num": "9876543210", "pan_num": "ABCPE1234F"}), "key-1"),
        keyed(post("delete_user", {"mob_num": "9876543210"}), "key-1"),
        keyed(post("create_user", {"full_name": "A", "mob_num": "9876543210", "pan_num": "ABCPE1234F"}), "key-1"),
    ],
    "keys: endpoints that take none": [
        keyed(post("get_users", {}), "key-1"),
        keyed(BALANCE, "key-1"),
        keyed(get("health"), "key-1"),
        keyed(post("flushDB"), "key-1"),
        keyed(BALANCE, ""),
    ],
}

SCENARIOS: Scenarios = {**LEDGER, **IDEMPOTENCY}
