"""The examples and links of the OpenAPI document: they are valid, and calls with them succeed."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from tests.conformance import validator
from tests.support.openapi import DOCUMENT, EXAMPLES, MODELS, OPERATIONS, body_schema, call, example, operation_of

NEEDS_AN_ID: Final = "put in the user_id of that response"

each_example = pytest.mark.parametrize(("name", "key"), EXAMPLES)


@pytest.mark.parametrize("name", MODELS)
def test_every_request_has_its_examples_under_titles_of_their_own(name: str) -> None:
    examples = [example(operation_id, key) for operation_id, key in EXAMPLES if operation_id == name]
    assert examples
    assert len({title for title, _ in examples}) == len(examples)
    assert examples == [*MODELS[name].EXAMPLES.items()]


@each_example
def test_an_example_satisfies_its_schema(name: str, key: str) -> None:
    errors = validator(DOCUMENT, body_schema(name)).iter_errors(example(name, key)[1])
    assert [error.message for error in errors] == []


def test_the_examples_succeed_one_after_another_on_a_new_database(api: Any) -> None:
    assert [*OPERATIONS] == [
        *("create_user", "get_users", "delete_user", "update_user"),
        *("create_users", "get_user_history", "get_changes", "get_users_masked"),
        *("add_transaction", "spend", "balance", "flush_db"),
    ]
    created: list[str] = []
    responses: list[tuple[str, str, int]] = []
    listed: dict[str, int] = {}
    for name in OPERATIONS:
        examples = [example(name, key) for operation_id, key in EXAMPLES if operation_id == name] or [("", None)]
        for title, body in examples:
            if NEEDS_AN_ID in title:
                assert name == "update_user"
                # The first is deleted by then, as the example of delete_user says.
                body = {**body, "user_ids": created[-1:]}  # noqa: PLW2901
            response = call(api, name, body)
            responses.append((name, title, response.status_code))
            if name == "create_user":
                created.append(response.json()["user_id"])
            if name == "get_users":
                listed[title] = len(response.json()["users"])
            if name == "update_user":
                assert response.json()["updated"] == body["user_ids"]
    statuses = {"create_user": 201, "create_users": 201, "add_transaction": 201}
    assert [found for found in responses if found[2] != statuses.get(found[0], 200)] == []
    assert len(responses) == len(EXAMPLES) + 2
    assert min(listed.values()) >= 1, "an example that finds nothing shows nothing"


@each_example
def test_an_example_names_what_must_precede_it(api: Any, name: str, key: str) -> None:
    title, body = example(name, key)
    response = call(api, name, body)
    after = re.match(r"After (\w+): ", title)
    assert (response.status_code in (404, 409)) == bool(after), response.text
    assert after or response.is_success
    assert not after or after[1] == "that" or f"/{after[1]}" in DOCUMENT["paths"]
    assert (NEEDS_AN_ID in title) == (name == "update_user")


# ---- links


def _evaluate(expression: Any, response: Any) -> Any:
    """The body of a link for a response, by the runtime expressions of OpenAPI."""
    if isinstance(expression, dict):
        return {key: _evaluate(inner, response) for key, inner in expression.items()}
    if isinstance(expression, list):
        return [_evaluate(inner, response) for inner in expression]
    if isinstance(expression, str) and expression.startswith("$"):
        assert expression.startswith("$response.body#/")
        for key in expression.removeprefix("$response.body#/").split("/"):
            response = response[key]
        return response
    return expression


def _links(name: str) -> dict[str, Any]:
    links: dict[str, Any]
    (links,) = [response["links"] for response in operation_of(name)["responses"].values() if "links" in response]
    return links


LINKS: Final = [
    ("create_user", "get_users"),
    ("create_user", "get_user_history"),
    ("create_user", "update_user"),
    ("create_user", "delete_user"),
]


def test_the_links_are_those_of_the_table_above() -> None:
    found = [
        (name, target)
        for name in OPERATIONS
        for response in operation_of(name)["responses"].values()
        for target in response.get("links", {})
    ]
    assert found == LINKS


@pytest.mark.parametrize(("name", "target"), LINKS)
def test_a_link_leads_from_a_response_to_a_call_that_succeeds(api: Any, name: str, target: str) -> None:
    first = call(api, name, example(name, "example1")[1])
    assert first.status_code == 201
    link = _links(name)[target]
    body = _evaluate(link["requestBody"], first.json())
    assert json.dumps(body) != json.dumps(link["requestBody"])
    assert validator(DOCUMENT, body_schema(target)).is_valid(body)
    response = call(api, link["operationId"], body)
    assert response.status_code == 200
    user = first.json()["user"]
    linked = response.json()
    if target == "update_user":
        assert linked["updated"] == [user["user_id"]]
        (changed,) = api.get(user_id=user["user_id"])
        assert {key for key in user if changed[key] != user[key]} == {"full_name", "updated_at"}
        assert changed["full_name"] == link["requestBody"]["update_data"]["full_name"]
    elif target == "get_user_history":
        assert [change["operation"] for change in linked["changes"]] == ["created"]
    else:
        deleted = {"message": "User deleted successfully", "user_id": user["user_id"]}
        assert linked == {"get_users": {"users": [user]}, "delete_user": deleted}[target]
