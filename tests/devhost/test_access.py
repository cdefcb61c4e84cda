"""Web pages cannot reach functions: the checks of `Host`, `Origin` and `Sec-Fetch-Site`, on raw connections."""

from __future__ import annotations

import azure.functions as func
import pytest

from devhost.access import Access, access_for
from settings import Cors
from tests.devhost.server import AppServer


@pytest.fixture
def calls(server: AppServer, app: func.FunctionApp) -> list[str]:
    """The methods of the requests that reached the function `/change`, which accepts any method."""
    calls: list[str] = []

    @app.route("change")
    def change(req: func.HttpRequest) -> func.HttpResponse:
        calls.append(req.method)
        return func.HttpResponse("changed")

    server.serve(app)
    return calls


def use(server: AppServer, access: Access) -> None:
    """Serves the app with other access rules."""
    assert server.host is not None
    server.host.access = access


def send(server: AppServer, *headers: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    """Sends a request with exactly these headers; returns status and body of the response."""
    lines = [f"{method} /change HTTP/1.1", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    head, _, content = server.exchange("\r\n".join(lines).encode("latin-1") + body).partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), content


# ---- Host


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LocalHost", "localhost:7071", "localhost:1",
        "127.0.0.1", "127.0.0.1:7071", "127.255.255.254:80",
        "[::1]", "[::1]:7071", "[0:0:0:0:0:0:0:1]:7071",
    ],
)  # fmt: skip
def test_loopback_names_are_served_with_any_port(server: AppServer, calls: list[str], host: str) -> None:
    assert send(server, f"Host: {host}") == (200, b"changed")
    assert calls == ["GET"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:7071",
        "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost", "localhost.",
        "0.0.0.0",  # noqa: S104 - is rejected
        "126.255.255.255", "128.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "192.168.0.1:7071",
        "[::]", "[::2]", "[fe80::1]:7071", "[:::1]",
    ],
)  # fmt: skip
def test_a_name_rebound_to_this_machine_is_a_403(server: AppServer, calls: list[str], host: str) -> None:
    status, body = send(server, f"Host: {host}")
    assert status == 403
    assert body.startswith(b"The Host header must name localhost, a loopback address or the HOST setting, not ")
    assert body.count(b"\n") == 1
    assert calls == []


@pytest.mark.parametrize(
    "headers",
    [
        [], ["Host:"], ["Host: localhost", "Host: localhost"], ["Host: localhost", "Host: evil.example"],
        ["Host: localhost,evil.example"], ["Host: localhost evil.example"], ["Host: localhost/"],
        ["Host: localhost@evil.example"], ["Host: evil.example@localhost"], ["Host: a:b@localhost"],
        ["Host: localhost:7071@evil.example"], ["Host: http://localhost"], ["Host: localhost:"],
        ["Host: localhost:port"], ["Host: localhost:7071:7071"], ["Host: localhost:123456"],
        ["Host: ::1"], ["Host: [::1"], ["Host: ::1]"], ["Host: [127.0.0.1]"], ["Host: [localhost]"], ["Host: *"],
        ["Host: l\xf6calhost"], ["Host: \xb9\xb2\xb7.0.0.1"],
    ],
    ids="; ".join,
)  # fmt: skip
def test_a_host_that_is_missing_repeated_or_malformed_is_a_400(
    server: AppServer, calls: list[str], headers: list[str]
) -> None:
    for access in (Access(), Access(any_host=True)):
        use(server, access)
        assert send(server, *headers) == (
            400, b"A request must have one Host header, of the form name or name:port.\n"
        )  # fmt: skip
    assert calls == []


@pytest.mark.parametrize(
    ("setting", "bound", "served", "rejected"),
    [
        ("127.0.0.1", "127.0.0.1", ["localhost", "[::1]"], ["192.0.2.7", "my-pc"]),
        ("My-PC", "192.0.2.7", ["my-pc:7071", "MY-PC", "192.0.2.7:7071", "localhost"], ["my-pc.evil", "192.0.2.8"]),
        ("2001:DB8:0::7", "2001:db8::7", ["[2001:db8::7]:7071", "[2001:0DB8::7]"], ["[2001:db8::8]"]),
        ("0.0.0.0", "0.0.0.0", ["192.0.2.7", "evil.example", "localhost"], []),  # noqa: S104 - is what is tested
        ("::", "::", ["[2001:db8::7]", "evil.example:80"], []),
    ],
)
def test_the_host_setting_adds_its_names_or_all_where_it_is_any_address(
    server: AppServer, calls: list[str], setting: str, bound: str, served: list[str], rejected: list[str]
) -> None:
    use(server, access_for(setting, bound, Cors()))
    assert [send(server, f"Host: {host}")[0] for host in served] == [200] * len(served)
    assert [send(server, f"Host: {host}")[0] for host in rejected] == [403] * len(rejected)
    assert len(calls) == len(served)


# ---- Origin


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "http://evil.example:7071", "null", "", "*", "file://", "chrome-extension://abc",
        "http://localhost", "http://localhost:3000", "https://localhost:7071", "http://127.0.0.1:7071",
        "http://localhost:7071.evil.example", "http://localhost:7071@evil.example", "http://evil@localhost:7071",
        "http://localhost:7071/", "http://localhost:70710", "http://localhost:7071 https://evil.example",
        "localhost:7071", "http://[::1]:7071", "https://ev\xefl.example\x9b31m",
    ],
)  # fmt: skip
def test_a_page_of_another_origin_cannot_call_a_function(server: AppServer, calls: list[str], origin: str) -> None:
    headers = ("Host: localhost:7071", f"Origin: {origin}")
    simple = ("Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded")  # need no preflight
    rejections = [
        send(server, *headers),
        send(server, *headers, method="HEAD"),
        *(send(server, *headers, content_type, method="POST", body=b'{"limit": 1}') for content_type in simple),
        send(server, *headers, "Access-Control-Request-Method: POST", method="OPTIONS"),
        send(server, *headers, "Sec-Fetch-Site: same-origin"),
    ]
    assert [status for status, _ in rejections] == [403] * len(rejections)
    assert rejections[0][1].startswith(b"Pages of '" + origin.encode("ascii", "backslashreplace"))
    assert b"Host.CORS" in rejections[0][1]
    assert calls == []


def test_two_origins_are_another_origin(server: AppServer, calls: list[str]) -> None:
    own = "Origin: http://localhost:7071"
    assert send(server, "Host: localhost:7071", own, own)[0] == 403
    assert calls == []


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:7071", "http://localhost:7071"),
        ("LOCALHOST:7071", "http://localhost:7071"),
        ("localhost:7071", "HTTP://LocalHost:7071"),
        ("127.0.0.1:7071", "http://127.0.0.1:7071"),
        ("[::1]:7071", "http://[::1]:7071"),
        ("localhost", "http://localhost"),
    ],
)
def test_the_apps_own_pages_can_call_a_function(server: AppServer, calls: list[str], host: str, origin: str) -> None:
    same_origin = "Sec-Fetch-Site: same-origin"
    assert send(server, f"Host: {host}", f"Origin: {origin}", same_origin, method="POST") == (200, b"changed")
    assert send(server, f"Host: {host}", same_origin)[0] == 200  # browsers send no Origin with a GET of their own site
    assert calls == ["POST", "GET"]


def test_an_own_origin_does_not_make_up_for_a_foreign_host(server: AppServer, calls: list[str]) -> None:
    assert send(server, "Host: evil.example", "Origin: http://evil.example", method="POST")[0] == 403
    assert calls == []


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("?", 403), ("none", 200)])
def test_an_image_or_link_of_another_site_cannot_call_a_function(
    server: AppServer, calls: list[str], site: str, status: int
) -> None:
    assert send(server, "Host: localhost", f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: no-cors")[0] == status
    assert len(calls) == (status == 200)


def test_a_rejection_is_plain_text_and_one_log_line(
    server: AppServer, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    response = server.client.post("/change", headers={b"Origin": b"https://evil.example\x9b31m"})
    assert response.status_code == 403
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert not {"vary", *(name for name in response.headers if "access-control" in name)} & set(response.headers)
    (message,) = [record.getMessage() for record in caplog.records if record.name == "devhost"]
    assert message == f"Rejected POST '/change': {response.text.strip()}"
    assert message.isascii()
