"""The page of `API_DOCS=true`: its files and headers, and how it behaves in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import azure.functions as func
import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Route, expect, sync_playwright

import settings
from api.accounts import service as accounts
from api.docs import service as docs
from api.http.auth import Anonymous
from api.http.endpoint import endpoint_function
from api.http.openapi import openapi_endpoint
from api.http.responses import Response, Returns
from api.http.service import Service
from tests.support.programs import PROJECT, Program, running
from tests.support.serving import serving

pytestmark = pytest.mark.slow  # a browser

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MILLISECONDS: Final = 15_000

ASSETS: Final = {
    "/docs": "text/html",
    "/docs/page.css": "text/css",
    "/docs/page.js": "text/javascript",
    "/docs/swagger-ui.css": "text/css",
    "/docs/swagger-ui-bundle.js": "text/javascript",
}
OPERATIONS: Final = {
    "users": [
        *("create_user", "create_users", "delete_user", "get_changes", "get_user_history", "get_users"),
        *("get_users_masked", "update_user"),
    ],
    "points": ["add_transaction", "balance", "flush_db", "spend"],
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The development host with every service and the page."""
    folder = tmp_path_factory.mktemp("program")
    with running(folder, SERVICES="users,points", API_DOCS="true") as program:
        yield program


@pytest.fixture(scope="module")
def host(program: Program) -> str:
    """Where the program is: its scheme, address and port."""
    return program.urls["create_user"].removesuffix("/create_user")


# ---- without a browser


def test_there_is_no_page_unless_it_is_enabled(tmp_path: Path) -> None:
    with running(tmp_path, API_DOCS="") as program:
        host = program.urls["create_user"].removesuffix("/create_user")
        assert {path: program.client.get(host + path).status_code for path in ASSETS} == dict.fromkeys(ASSETS, 404)
        assert program.client.get(f"{host}/openapi.json").status_code == 200


@pytest.mark.parametrize(("path", "content_type"), ASSETS.items())
def test_each_file_is_served_with_its_type(program: Program, host: str, path: str, content_type: str) -> None:
    response = program.client.get(host + path)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{content_type}; charset=utf-8"
    assert len(response.text) > 100


@pytest.mark.parametrize("path", ASSETS)
def test_each_file_has_strict_headers(program: Program, host: str, path: str) -> None:
    headers = program.client.get(host + path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_the_page_loads_its_own_files_and_nothing_inline(program: Program, host: str) -> None:
    index = program.client.get(f"{host}/docs").text
    assert set(re.findall(r'(?:src|href)="([^"]*)"', index)) == {"data:,", *ASSETS} - {"/docs"}
    assert not re.search(r"<style|<script>|\sstyle=|\son\w+=", index)


@pytest.mark.parametrize("path", sorted((PROJECT / "api" / "page").iterdir()), ids=lambda path: path.name)
def test_no_file_of_ours_names_another_host(path: Path) -> None:
    assert not re.search(r"//[\w.-]+\.\w|https?:|@import|url\(", path.read_text("utf-8"))


# ---- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, closed at the end."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have a browser: one of {', '.join(BROWSERS)}")
        pytest.skip(f"needs a browser: one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page in a browser without history, the requests that it makes, and its failures."""

    def __init__(self, page: Page, host: str) -> None:
        self.page = page
        self.host = host
        self.requests: list[Request] = []
        self.failures: list[str] = []
        self.expected_error = ""
        """The status of responses that the browser may report as errors."""
        self.required_key = ""
        """Without this key the host rejects everything but the page, as Azure does."""
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        page.on("request", self._on_request)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.failures.append(f"error: {error}"))
        page.expose_function("reportViolation", lambda text: self.failures.append(f"violation: {text}"))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', event =>"
            " reportViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`), true)"
        )
        page.route("**/*", self._route)

    def _on_request(self, request: Request) -> None:  # Playwright sets attributes on listeners, which list.append lacks
        self.requests.append(request)

    def _on_console(self, message: ConsoleMessage) -> None:
        expected = "401" if self.required_key else self.expected_error
        if not (expected and expected in message.text):  # the browser logs every response that is an error
            self.failures.append(f"console: {message.type} {message.text}")

    def _route(self, route: Route) -> None:
        url, headers = httpx.URL(route.request.url), route.request.headers
        if url.scheme == "data":
            route.continue_()
        elif f"{url.scheme}://{url.netloc.decode()}" != self.host:
            self.failures.append(f"elsewhere: {url}")
            route.abort()
        elif self.required_key and url.path not in ASSETS and headers.get("x-functions-key") != self.required_key:
            route.fulfill(status=401, body="")
        else:
            route.continue_()

    def open(self) -> None:
        """Goes to the page."""
        self.page.goto(f"{self.host}/docs")

    def use_key(self, key: str) -> None:
        """Enters a function key; returns when the previous list has been replaced."""
        self.page.evaluate("document.querySelectorAll('.opblock').forEach(block => block.dataset.old = '')")
        self.page.get_by_label("Function key").fill(key)
        with self.page.expect_response("**/openapi.json"):
            self.page.get_by_role("button", name="Use", exact=True).click()
        expect(self.page.locator(".opblock[data-old]")).to_have_count(0)

    def operation(self, service: str, name: str) -> Locator:
        """The block of an operation."""
        return self.page.locator(f"#operations-{service}-{name}")

    def try_out(self, service: str, name: str, body: str | None = None) -> tuple[str, str]:
        """Sends the example that is shown, or `body`; returns the status and the body that the page shows."""
        block = self.operation(service, name)
        block.locator(".opblock-summary").click()
        block.locator(".try-out__btn").click()
        if body is not None:
            block.locator("textarea.body-param__text").fill(body)
        block.locator("button.execute").click()
        response = block.locator(".live-responses-table .response")
        shown = response.locator(".response-col_description pre").first
        return response.locator(".response-col_status").inner_text().split()[0], shown.inner_text()

    def execute(self, service: str, name: str) -> str:
        """Sends a tried operation again; returns the status that the page shows then."""
        block = self.operation(service, name)
        block.locator(".btn-clear").click()
        block.locator("button.execute").click()
        return block.locator(".live-responses-table .response .response-col_status").inner_text().split()[0]

    def authorize(self, token: str) -> None:
        """Enters a token into the dialog of Swagger UI."""
        self.page.locator(".auth-wrapper .authorize").click()
        dialog = self.page.locator(".dialog-ux")
        expect(dialog.locator("input")).to_have_count(1)
        dialog.locator("input").fill(token)
        dialog.locator("button.authorize").click()
        dialog.locator("button.btn-done").click()

    def keys_sent(self) -> dict[str, set[str | None]]:
        """By path the function keys with which it was called."""
        keys: dict[str, set[str | None]] = {}
        for request in self.requests:
            keys.setdefault(httpx.URL(request.url).path, set()).add(request.headers.get("x-functions-key"))
        return keys

    def stored(self) -> list[Any]:
        """What the browser has stored for the page."""
        items = self.page.evaluate("[...Object.entries(localStorage), ...Object.entries(sessionStorage)]")
        return [*items, *self.page.context.cookies(), *self.page.evaluate("indexedDB.databases()")]


@pytest.fixture
def visit(browser: Browser, host: str) -> Iterator[Visit]:
    """A visit that must have no failures and no requests to other hosts."""
    with browser.new_context() as context:
        visit = Visit(context.new_page(), host)
        yield visit
        visit.page.evaluate("new Promise(done => setTimeout(done, 50))")  # waits for pending events
        assert visit.failures == []


def test_the_page_lists_every_operation_of_every_service(visit: Visit) -> None:
    visit.open()
    for service, names in OPERATIONS.items():
        for name in names:
            expect(visit.operation(service, name)).to_be_visible()
    expect(visit.page.locator(".opblock")).to_have_count(sum(map(len, OPERATIONS.values())))
    expect(visit.page.locator("#state")).to_have_text("")


def test_trying_out_an_example_creates_a_user(visit: Visit, program: Program) -> None:
    visit.open()
    status, shown = visit.try_out("users", "create_user")
    assert status == "201"
    (user,) = program.post("get_users", {"mob_num": "9876543210"}).json()["users"]
    assert user["full_name"] == "Asha Rao"
    assert user["user_id"] in shown


def test_without_a_key_none_is_sent(visit: Visit) -> None:
    visit.open()
    visit.try_out("users", "get_users")
    assert set.union(*visit.keys_sent().values()) == {None}


def test_a_key_is_sent_with_every_request_and_stored_nowhere(visit: Visit) -> None:
    visit.open()
    visit.use_key(" the-key ")
    expect(visit.page.locator("#state")).to_have_text("The key is sent with every request.")
    visit.requests.clear()
    visit.use_key(" another-key ")
    assert visit.try_out("users", "get_users")[0] == "200"
    assert visit.try_out("points", "balance")[0] == "200"
    assert visit.keys_sent() == {path: {"another-key"} for path in ("/openapi.json", "/get_users", "/balance")}
    assert visit.stored() == []
    visit.page.reload()
    expect(visit.page.get_by_label("Function key")).to_have_value("")


def test_a_used_key_is_shown_nowhere(visit: Visit) -> None:
    visit.open()
    visit.use_key("a-key-of-its-own")
    assert visit.try_out("users", "get_users")[0] == "200"
    assert visit.try_out("points", "add_transaction")[0] == "201"
    assert visit.keys_sent()["/addTransaction"] == {"a-key-of-its-own"}
    commands = visit.page.locator(".curl-command").all_inner_texts()
    assert ["/get_users'" in commands[0], "/addTransaction'" in commands[1]] == [True, True]
    assert "a-key-of-its-own" not in visit.page.content()


def test_the_page_has_one_field_for_the_key(visit: Visit) -> None:
    visit.open()
    expect(visit.operation("users", "create_user")).to_be_visible()
    visit.operation("users", "create_user").locator(".opblock-summary").click()
    visit.operation("users", "create_user").locator(".try-out__btn").click()
    for name in ("Authorize", "authorization button unlocked"):
        expect(visit.page.get_by_role("button", name=name)).to_have_count(0)
    expect(visit.page.locator(".auth-wrapper, .authorization__btn").filter(visible=True)).to_have_count(0)


def test_the_page_reports_a_required_key_and_works_once_it_is_typed(visit: Visit) -> None:
    visit.required_key = "the-key"
    visit.open()
    state = visit.page.locator("#state")
    expect(state).to_have_text("This host requires a function key.")
    expect(visit.page.locator(".opblock")).to_have_count(0)
    visit.use_key("another-key")
    expect(state).to_have_text("This host requires a function key.")
    visit.use_key("the-key")
    expect(state).to_have_text("The key is sent with every request.")
    assert visit.try_out("users", "get_users")[0] == "200"
    assert visit.keys_sent()["/get_users"] == {"the-key"}


# ---- a service whose callers sign in


@contextmanager
def page_for(service: Service, folder: Path) -> Iterator[str]:
    """Serves a service with the page; its scheme, address and port."""
    configured = settings.load({"API_DOCS": "on"}, folder)
    own = service.build(configured).endpoints
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for endpoint in (*own, openapi_endpoint(own), *docs.build(configured).endpoints):
        function = endpoint_function(endpoint, idempotency_hours=24)
        app.route(route=endpoint.route, methods=list(endpoint.methods))(function)
    with serving(app) as client:
        yield str(client.base_url)


@pytest.fixture
def accounts_host(database_file: Path, tmp_path: Path) -> Iterator[str]:
    """Where accounts are served with the page."""
    with page_for(accounts, tmp_path) as host:
        yield host


def test_a_person_signs_in_and_uses_the_token_on_the_page(browser: Browser, accounts_host: str) -> None:
    with browser.new_context() as context:
        visit = Visit(context.new_page(), accounts_host)
        visit.expected_error = "401"
        visit.open()
        assert visit.try_out("accounts", "accounts_sign_out")[0] == "401"
        status, shown = visit.try_out("accounts", "accounts_sign_in")  # the example is a sample account
        assert status == "200"
        visit.authorize(json.loads(shown)["token"])
        visit.requests.clear()
        assert visit.execute("accounts", "accounts_sign_out") == "200"
        (request,) = visit.requests
        assert request.headers["authorization"] == f"Bearer {json.loads(shown)['token']}"
        assert visit.stored() == []
        assert visit.failures == []


# ---- images

SVG: Final = b"""<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20" onload="reportViolation('ran')">
<script>reportViolation('ran')</script><image href="/docs/page.css?loaded" width="9" height="9"/></svg>"""

drawings = Service("drawings")


@drawings.endpoint(
    methods="GET", route="drawing.svg", auth=Anonymous(), returns={200: Returns(media={"image/svg+xml": str})}
)
def drawing() -> Response:
    """Returns a picture with a script and a reference."""
    return Response(SVG, media_type="image/svg+xml")


def test_an_svg_is_shown_as_an_image_that_runs_and_loads_nothing(browser: Browser, tmp_path: Path) -> None:
    with page_for(drawings, tmp_path) as host, browser.new_context() as context:
        visit = Visit(context.new_page(), host)
        visit.open()
        visit.operation("drawings", "drawing").locator(".opblock-summary").click()
        visit.operation("drawings", "drawing").locator(".try-out__btn").click()
        visit.requests.clear()
        for _ in range(2):
            visit.operation("drawings", "drawing").locator("button.execute").click()
            image = visit.page.get_by_alt_text("The image in the response")
            expect(image).to_have_js_property("naturalWidth", 30)
            assert str(image.get_attribute("src")).startswith(f"blob:{host}/")
        expect(visit.page.locator(".responses-wrapper svg[onload], .responses-wrapper image")).to_have_count(0)
        assert {httpx.URL(request.url).path for request in visit.requests if "blob:" not in request.url} == {
            "/drawing.svg"
        }
        assert visit.failures == []
