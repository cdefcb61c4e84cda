"""Requests to the users service, by the rules of its contract."""

from __future__ import annotations

from typing import Any, Final

from tests.golden.calls import Call, Scenarios, Sql, post

MANAGERS: Final = [f"11111111-1111-4111-8111-11111111111{digit}" for digit in range(1, 6)]
"""The seeded managers; the last one is not active."""
UNKNOWN: Final = "99999999-9999-4999-8999-99999999999"
"""An id of no user and no manager, without its last digit."""

NAMES: Final = [
    "A", "  Asha Rao \t", "王小明", "Zoë O'Brien; DROP TABLE users --", "\u00a0Asha\u3000", "x" * 200, "😀" * 200,
    "\u202eAsha", "Asha\u2028Rao", "Asha  Rao", "<b>Asha</b>", '"\\',
]  # fmt: skip
BAD_NAMES: Final[list[Any]] = [
    "", "   ", "\u3000", "x" * 201, "😀" * 201, "Asha\nRao", "Asha\n", "\nAsha", "\x00", "Asha\x7fRao", "Asha\x85",
    5, None, True, [], ["Asha"], {}, 1.5,
]  # fmt: skip
NUMBERS: Final = [
    "9876543210", "+919876543211", "+91 98765-43212", "0 9876543213", "  9876543214  ", "+91-98765 43215",
    "09876543216", "6000000000", "9-8-7-6-5-4-3-2-1-7", "9123456789", "+ 9 1 9123456788", "0-9876543218",
    "98765 - 43219", "0912345678 7",
]  # fmt: skip
BAD_NUMBERS: Final[list[Any]] = [
    "919876543210", "00919876543210", "+9109876543210", "0+919876543210", "+91+919876543210", "5876543210",
    "987654321", "98765432100", "98765 4321O", "９８７６５４３２１０", "९८७६५४३२१०", "9876543210\n", "\t9876543210",
    "-9876543210", "9876543210-", "9876543210\u00a0", "98765\u201143210", "", "+91", "+929876543210", 9876543210,
    9876543210.0, None, True, ["9876543210"],
]  # fmt: skip
PANS: Final = ["ABCPE1234F", "abcpe1234f", "  aBcPe1234f ", *(f"ABC{letter}E1234F" for letter in "ABCFGHJLT")]
BAD_PANS: Final[list[Any]] = [
    "ABCDE1234F", "abcee1234f", "ABCPE1234", "ABCPE12345", "ABCPE1234FF", "1BCPE1234F", "ABCP E1234F", "ABCPE-1234F",
    "abcpe1234ß", "abcpı1234f", "ABCPE１２３４F", "ABCPE1234F\r\n", "\tABCPE1234F", "", None, 12, ["ABCPE1234F"],
]  # fmt: skip
BAD_IDS: Final[list[Any]] = [
    "", "x", MANAGERS[0] + "\n", " " + MANAGERS[0], f"{{{MANAGERS[0]}}}", MANAGERS[0].replace("-", ""),
    "urn:uuid:" + MANAGERS[0], MANAGERS[0][:-1] + "g", MANAGERS[0][:-1] + "１", 5, True, [], {},
]  # fmt: skip
NO_OBJECTS: Final[list[Any]] = [None, [], "x", 5, True]


def new(number: int, **fields: Any) -> dict[str, Any]:
    """A body of create_user with the number of that name."""
    return {"full_name": "Asha Rao", "mob_num": str(9_000_000_000 + number), "pan_num": "ABCPE1234F", **fields}


def create(number: int, *, save: str = "", **fields: Any) -> Call:
    """A call of create_user; `save` names its user."""
    return post("create_user", new(number, **fields), save={save: "user_id"} if save else {})


def update(ids: Any, **changes: Any) -> Call:
    """A call of update_user."""
    return post("update_user", {"user_ids": ids, "update_data": changes})


def listing(**filters: Any) -> Call:
    """A call of get_users."""
    return post("get_users", filters)


def delete(**keys: Any) -> Call:
    """A call of delete_user."""
    return post("delete_user", keys)


HISTORY: Final = [
    create(1, save="first", manager_id=MANAGERS[0]),
    create(2, save="second"),
    create(3, save="third", manager_id=MANAGERS[1]),
    update(["$first"], manager_id=MANAGERS[1]),
    update(["$first"], manager_id=MANAGERS[2], full_name="Asha R. Rao", mob_num="9111111111"),
    update(["$second"], manager_id=MANAGERS[1]),
    create(1, save="holder"),
]
"""Users with versions; the number 9000000001 now belongs to the last one."""

CREATE: Scenarios = {
    "create_user: names": [create(n, full_name=name) for n, name in enumerate(NAMES)],
    "create_user: bad names": [create(n, full_name=name) for n, name in enumerate(BAD_NAMES)],
    "create_user: half a surrogate pair": [
        post("create_user", content=b'{"full_name":"\\ud800","mob_num":"9000000001","pan_num":"ABCPE1234F"}')
    ],
    "create_user: numbers": [create(0, mob_num=number) for number in NUMBERS],
    "create_user: bad numbers": [create(0, mob_num=number) for number in BAD_NUMBERS],
    "create_user: PANs": [create(n, pan_num=pan) for n, pan in enumerate(PANS)],
    "create_user: bad PANs": [create(n, pan_num=pan) for n, pan in enumerate(BAD_PANS)],
    "create_user: managers": [
        create(n, manager_id=manager)
        for n, manager in enumerate([None, MANAGERS[0], MANAGERS[3].upper(), MANAGERS[4], UNKNOWN + "1", *BAD_IDS])
    ],
    "create_user: keys": [
        post("create_user", {}),
        post("create_user", {"full_name": "Asha"}),
        post("create_user", {"mob_num": None, "pan_num": None, "full_name": None, "manager_id": None}),
        create(1, manger_id=MANAGERS[0]),
        create(1, user_id=UNKNOWN + "1", is_active=True),
        post("create_user", {**new(1), "a/b~c": 1, "": 2, "é": 3}),
        post("create_user", {"full_name": "", "mob_num": "5", "pan_num": "ABCDE1234F", "manager_id": "x", "z": 1}),
        listing(),
    ],
    "create_user: the order of errors": [
        create(1, save="first"),
        create(1, manager_id=UNKNOWN + "1", full_name=""),
        create(1, manager_id=UNKNOWN + "1"),
        create(1, manager_id=MANAGERS[4]),
        create(1, manager_id=MANAGERS[0]),
        create(1),
        create(1, mob_num="+91 90000-00001"),
        listing(),
        update(["$first"], mob_num="9000000002"),
        create(1, save="second"),
        delete(user_id="$second"),
        create(1),
    ],
}

GET: Scenarios = {
    "get_users: filters": [
        post("get_users"),
        listing(),
        *HISTORY,
        post("get_users"),
        listing(),
        listing(user_id="$first"),
        listing(user_id="$second"),
        listing(user_id=UNKNOWN + "1"),
        listing(mob_num="9000000001"),
        listing(mob_num="+91 91111-11111"),
        listing(mob_num="9999999999"),
        listing(manager_id=MANAGERS[1]),
        listing(manager_id=MANAGERS[1].upper()),
        listing(manager_id=MANAGERS[4]),
        listing(is_active=True),
        listing(is_active=False),
        listing(user_id="$first", is_active=True),
        listing(user_id="$first", is_active=False),
        listing(mob_num="9111111111", is_active=False),
        listing(mob_num="9111111111", manager_id=MANAGERS[0]),
        listing(user_id="$first", mob_num="9000000001"),
        listing(user_id="$first", mob_num="9111111111", manager_id=MANAGERS[2], is_active=True),
        listing(manager_id=MANAGERS[1], is_active=False),
        listing(mob_num="9111111111", is_active=True),
        listing(user_id="$first", manager_id=MANAGERS[0]),
    ],
    "get_users: pages": [
        listing(limit=10),
        *HISTORY,
        post("get_users", {"limit": 2}, save={"next": "next_cursor"}),
        post("get_users", {"limit": 2, "cursor": "$next"}, save={"next": "next_cursor"}),
        listing(limit=1000, cursor="$next"),
        listing(limit=1, cursor="$next", is_active=True),
        listing(limit=1, cursor="$next", manager_id=MANAGERS[1]),
        listing(limit=1, user_id="$first"),
        listing(limit=1, cursor="$next", user_id="$first"),
        listing(limit=1, mob_num="9111111111"),
        listing(limit=1, cursor="$next", mob_num="9111111111", is_active=False),
        listing(limit=6),
        listing(limit=7),
        listing(cursor="$next"),
        *(listing(limit=limit) for limit in (0, -1, 1001, 2**70, "5", 1.0, 1.5, True, None, [5])),
        *(listing(limit=1, cursor=cursor) for cursor in ("", "x", "W10=", "bnVsbA==", 5, None, "é")),
        listing(cursor="x"),
        listing(limit=0, cursor="x", manger_id=1),
    ],
    "get_users: bad filters": [
        *(listing(user_id=user_id) for user_id in [*BAD_IDS, None]),
        *(listing(mob_num=number) for number in ("919876543210", "", None, 9876543210)),
        *(listing(manager_id=manager_id) for manager_id in ("x", None)),
        *(listing(is_active=value) for value in ("true", 1, None)),
        listing(full_name="Asha"),
        listing(manger_id=MANAGERS[0]),
        listing(user_id="x", mob_num="x", manager_id="x", is_active="x", limit="x", cursor="x", x="x"),
    ],
}

DELETE: Scenarios = {
    "delete_user": [
        *HISTORY,
        post("delete_user"),
        delete(),
        delete(user_id="$first", mob_num="9111111111"),
        delete(user_id="x"),
        delete(user_id="x", mob_num="x", z=1),
        delete(mob_num="919876543210"),
        delete(user_id=None),
        delete(mob_num=None),
        delete(user_id=["$first"]),
        delete(manager_id=MANAGERS[0]),
        delete(user_id=UNKNOWN + "1"),
        delete(mob_num="9999999999"),
        listing(is_active=True),
        delete(user_id="$first"),
        delete(user_id="$first"),
        delete(mob_num="09000000002"),
        delete(mob_num="9000000001"),
        delete(mob_num="9000000001"),
        listing(),
        create(1),
    ],
}

UPDATE: Scenarios = {
    "update_user: one user": [
        create(1, save="first"),
        create(2, save="second", manager_id=MANAGERS[0]),
        update(["$first"], full_name="  Asha R. "),
        update(["$first"], full_name="Asha R."),
        update(["$first"], mob_num="+91 90000-00001"),
        update(["$first"], mob_num="9000000003"),
        update(["$first"], mob_num="9000000002"),
        update(["$first"], mob_num="9000000002", full_name="Not stored"),
        update(["$first"], pan_num="abcpe1234g"),
        update(["$first"], manager_id=MANAGERS[0]),
        update(["$first"], manager_id=MANAGERS[0].upper()),
        update(["$first"], manager_id=MANAGERS[1]),
        update(["$first"], manager_id=MANAGERS[2], full_name="New", mob_num="9000000004", pan_num="AAACB1234C"),
        update(["$first"], manager_id=MANAGERS[2], full_name="Newer"),
        update(["$first"], manager_id=MANAGERS[3], mob_num="9000000002"),
        update(["$first"], full_name="Newer", mob_num="9000000004", pan_num="AAACB1234C", manager_id=MANAGERS[2]),
        update(["$first", "$first"], full_name="Once"),
        listing(),
    ],
    "update_user: several users": [
        create(1, save="first"),
        create(2, save="second", manager_id=MANAGERS[0]),
        create(3, save="third", manager_id=MANAGERS[1]),
        update(["$first", "$second", "$third"], manager_id=MANAGERS[1]),
        update(["$third", "$second", "$third"], manager_id=MANAGERS[1]),
        update(["$first", UNKNOWN + "1", "$second", UNKNOWN + "2", UNKNOWN + "1"], manager_id=MANAGERS[2]),
        update(["$first", UNKNOWN + "1"], manager_id=MANAGERS[2]),
        update([UNKNOWN + "1"], full_name="Nobody"),
        update([UNKNOWN + "2", UNKNOWN + "1"], manager_id=MANAGERS[2]),
        update([UNKNOWN + "1"], manager_id=MANAGERS[4]),
        update(["$first", "$second"], manager_id=MANAGERS[3], full_name="Both", mob_num="9000000009"),
        update(["$first", "$second"], pan_num="ABCPE1234F"),
        update(["$first", UNKNOWN + "1"], full_name="Both", manager_id=UNKNOWN + "2"),
        update(["$first", "$second"], manager_id=MANAGERS[4]),
        update(["$first", "$second"], manager_id=UNKNOWN + "2"),
        listing(),
    ],
    "update_user: bad bodies": [
        create(1, save="first"),
        post("update_user"),
        post("update_user", {}),
        post("update_user", {"user_ids": ["$first"]}),
        post("update_user", {"update_data": {"full_name": "A"}}),
        update(["$first"]),
        update([]),
        update([], full_name="A"),
        update("$first", full_name="A"),
        update(None, full_name="A"),
        update({"0": "$first"}, full_name="A"),
        update(["$first", "x", 5, None, ["$first"], "$first"], manager_id=MANAGERS[0]),
        update(["x"] * 3, manager_id="x"),
        *(post("update_user", {"user_ids": ["$first"], "update_data": data}) for data in NO_OBJECTS),
        *(update(["$first"], **{key: None}) for key in ("full_name", "mob_num", "pan_num", "manager_id")),
        update(["$first"], full_name="", mob_num="5", pan_num="x", manager_id="x", manger_id="x"),
        update(["$first"], is_active=False),
        update(["$first"], user_id=UNKNOWN + "1", **{"a/b~c": 1}),
        update(["$first", UNKNOWN + "1"], full_name="A", manger_id="x"),
        post("update_user", {"user_ids": ["$first"], "update_data": {"full_name": "A"}, "manager_id": MANAGERS[0]}),
        update([UNKNOWN + "1"] * 10_000, manager_id=MANAGERS[0]),
        update([UNKNOWN + "1"] * 10_001, manager_id=MANAGERS[0]),
        listing(),
    ],
    "update_user: managers that come and go": [
        create(1, save="first", manager_id=MANAGERS[0]),
        Sql(f"UPDATE managers SET is_active = 0 WHERE manager_id = '{MANAGERS[0]}'"),
        update(["$first"], full_name="Still here"),
        update(["$first"], manager_id=MANAGERS[0]),
        create(2, manager_id=MANAGERS[0]),
        Sql(f"UPDATE managers SET is_active = 1 WHERE manager_id = '{MANAGERS[4]}'"),
        update(["$first"], manager_id=MANAGERS[4]),
        create(2, manager_id=MANAGERS[4]),
    ],
}

SCENARIOS: Scenarios = {**CREATE, **GET, **DELETE, **UPDATE}
