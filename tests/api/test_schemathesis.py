"""The responses of a running development host, against its OpenAPI document, with requests by Schemathesis.

The requests are the same every time. A defect that they find is fixed and becomes a plain test elsewhere.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import settings
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.generation.stateful.state_machine import APIStateMachine, StepInput, StepOutput
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.support.programs import Program, running
from tests.support.seed import SEED_MANAGERS

pytestmark = pytest.mark.slow  # hundreds of generated calls

OPERATIONS: Final = (
    "create_user",
    "get_users",
    "update_user",
    "delete_user",
    "create_users",
    "get_user_history",
    "get_changes",
    "get_users_masked",
    "add_transaction",
    "spend",
    "balance",
    "flush_db",
)
ACCEPT_ALL_VALID_BODIES: Final = {"balance", "flush_db"}
NEED_STORED_DATA: Final = {"update_user", "delete_user", "get_user_history", "spend"}
LINKED: Final = ("get_users", "get_user_history", "update_user", "delete_user")
"""The operations to which a response of create_user links."""

AnyCase = schemathesis.Case[Any]

OFF: Final = {"enabled": False}
CONFIG: Final[dict[str, Any]] = {
    "checks": {
        # As on Azure, the host returns 404, never 405, for a method that is not listed.
        "unsupported_method": OFF,
        # The development host checks no function key.
        "ignored_auth": OFF,
        # A body can satisfy the schema and name a manager who does not exist, hold an invented cursor, a control
        # character or a leap second, or write 1 as 1.0. On for the operations where none of this can happen.
        "positive_data_acceptance": OFF,
    },
    "generation": {
        "deterministic": True,
        "database": "none",
        "max-examples": 80,
        "with-security-parameters": False,  # as ignored_auth: a request without a key is no worse than one with it
    },
    # Only the links of the document: those that Schemathesis guesses would hide a dead one.
    "phases": {"stateful": {"inference": {"algorithms": []}}},
    # Without known managers hardly any user is created.
    "dictionaries": {"managers": {"values": [str(manager["manager_id"]) for manager in SEED_MANAGERS]}},
    "parameters": {"body.manager_id": {"dictionary": "managers", "probability": 0.7}},
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The development host with every service and one user."""
    folder = tmp_path_factory.mktemp("program")
    with running(folder, SERVICES="users,points", POINTS_ALLOW_FLUSH="on") as program:
        user = {"full_name": "Ravi Patel", "mob_num": "9876543210", "pan_num": "AAACB1234C"}
        assert program.post("create_user", user).status_code == 201
        yield program


@pytest.fixture(scope="module")
def schema(program: Program) -> OpenApiSchema:
    """The document that the program serves."""
    url = program.urls["create_user"].removesuffix("/create_user")
    document = program.client.get(f"{url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document, config=schemathesis.Config.from_dict(CONFIG))
    schema.config.update(base_url=url)
    return schema


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Connections that are reused, without the proxies of the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def operation_id(case: AnyCase) -> str:
    return str(case.operation.definition.raw["operationId"])


def test_every_operation_is_described(schema: OpenApiSchema) -> None:
    described = [
        operation["operationId"] for path in schema.raw_schema["paths"].values() for operation in path.values()
    ]
    assert sorted(described) == sorted(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_response_conforms_to_the_document(schema: OpenApiSchema, session: requests.Session, name: str) -> None:
    statuses: Counter[int] = Counter()
    more_checks: list[schemathesis.CheckFunction] | None = (
        [positive_data_acceptance] if name in ACCEPT_ALL_VALID_BODIES else None
    )

    def call(case: AnyCase) -> None:
        response = case.call_and_validate(session=session, additional_checks=more_checks)
        statuses[response.status_code] += 1

    # The same as the decorator schema.parametrize() makes, of a document that is known only when the program runs.
    # schemathesis.pytest.from_fixture would be the public way; it does not support pytest 9.2.
    operation = schema.find_operation_by_id(name)
    build_operation_test(
        config=schema.config, operation=operation, test_func=call, given_kwargs={}, feedback=FeedbackSources()
    )()
    succeeded = sum(count for status, count in statuses.items() if 200 <= status < 300)
    assert succeeded >= 3 or name in NEED_STORED_DATA, statuses


def test_links_are_followed_and_every_response_conforms(
    program: Program,
    schema: OpenApiSchema,
    session: requests.Session,
) -> None:
    followed: Counter[tuple[str, str]] = Counter()
    machine: type[APIStateMachine] = schema.include(tag="users").as_state_machine()

    class Scenario(machine):  # type: ignore[misc, valid-type]
        def setup(self) -> None:
            """Begins without users, so that the same requests get the same responses."""
            for user in program.post("get_users", {"is_active": True}).json()["users"]:
                program.post("delete_user", {"user_id": user["user_id"]})

        def get_call_kwargs(self, case: AnyCase) -> dict[str, Any]:
            # A key of its own, so that no call gets the stored response of an earlier scenario.
            if "Idempotency-Key" in case.headers:
                case.headers["Idempotency-Key"] = str(uuid.uuid4())
            return {"session": session}

        def step(self, input: StepInput) -> StepOutput:  # noqa: A002 - the name in the class that this overrides
            output: StepOutput = super().step(input)
            if input.transition and input.is_applied and 200 <= output.response.status_code < 300:
                source = self.recorder.cases[input.transition.parent_id].value
                followed[operation_id(source), operation_id(input.case)] += 1
            return output

    Scenario.run(settings=settings(max_examples=60, stateful_step_count=8, database=None))
    assert set(followed) == {("create_user", link) for link in LINKED}
    assert min(followed.values()) >= 5, followed
