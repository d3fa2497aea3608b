"""What every answer forbids a browser, and which pages of other hosts may use the service."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets
from service_fixtures import API, Process, process, run_cli, write_plant
from test_cli import typed
from test_tls import certificate
from websockets.sync.client import connect

from iotsense.rest.headers import CLOSED, parse_origin
from iotsense.twin.errors import InvalidValueError

HMI = "https://hmi.example"
PORTED = "http://10.0.0.7:3000"
FOREIGN = "https://elsewhere.example"
STATE = f"{API}/stream"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service without keys that two origins may use."""
    folder = tmp_path_factory.mktemp("headers")
    options = ("--allow-origin", HMI, "--allow-origin", f"{PORTED}/")
    with process(folder / "data", "-c", str(write_plant(folder)), *options) as started:
        assert started.url
        yield started


def preflight(url: str, origin: str, path: str = f"{API}/twins") -> httpx.Response:
    """What a browser asks before it sends a key along."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    return httpx.options(url + path, headers={"Origin": origin} | asked)


def opened(url: str, origin: str) -> bool:
    try:
        with connect(url.replace("http", "ws") + STATE + "?format=json", origin=websockets.Origin(origin)) as socket:
            return "hello" in str(socket.recv())
    except websockets.InvalidStatus:
        return False


def test_every_answer_forbids_what_it_does_not_need(running: Process) -> None:
    with httpx.Client(base_url=running.url) as http:
        answers = [
            http.get(f"{API}/twins"),
            http.get("/livez"),
            http.get("/metrics"),
            http.get("/nowhere"),
            http.delete("/livez"),
            http.get("/graphql/ide/nowhere.js"),
            http.get("/livez", headers={"Host": "elsewhere.example"}),
            http.post(f"{API}/telemetry", json={}),
            http.post("/graphql", json={"query": "{ __typename }"}),
            http.get("/console/nowhere.js"),
        ]
        assert {answer.status_code for answer in answers} >= {200, 404, 405, 421, 400}
        for answer in answers:
            for name, value in CLOSED:
                assert answer.headers.get_list(name.decode()) == [value.decode()], answer.url
            assert "strict-transport-security" not in answer.headers
        for path in ("/", "/graphql"):
            page = http.get(path, headers={"Accept": "text/html"})
            assert page.headers["content-type"].startswith("text/html")
            (policy,) = page.headers.get_list("content-security-policy")
            assert "frame-ancestors 'none'" in policy and "'self'" in policy, "a page keeps the policy that it needs"
            assert page.headers.get_list("x-frame-options") == ["DENY"]


@pytest.mark.needs("openssl")
def test_tls_is_to_be_kept_to_where_it_is_spoken(tmp_path: Path) -> None:
    shown, key = certificate(tmp_path)
    with process(tmp_path / "data", "--tls-cert", str(shown), "--tls-key", str(key)) as started:
        answer = httpx.get(f"{started.url}/livez", verify=False)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert (
            "access-control-allow-origin"
            not in httpx.get(f"{started.url}/livez", verify=False, headers={"Origin": "https://localhost"}).headers
        )


@pytest.mark.parametrize("origin", [HMI, PORTED])
def test_pages_of_an_allowed_origin_may_use_the_service(running: Process, origin: str) -> None:
    before = preflight(running.url, origin)
    assert before.status_code == 204 and before.headers["access-control-allow-origin"] == origin
    assert {"POST", "DELETE", "PATCH"} <= set(before.headers["access-control-allow-methods"].split(", "))
    assert {"Authorization", "If-Match"} <= set(before.headers["access-control-allow-headers"].split(", "))
    assert "access-control-allow-credentials" not in before.headers
    answer = httpx.get(f"{running.url}{API}/twins", headers={"Origin": origin})
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-expose-headers"] == "ETag, Revision, Retry-After, Allow, Location"
    assert "Origin" in answer.headers.get_list("vary")
    refused = httpx.post(f"{running.url}{API}/telemetry", json={}, headers={"Origin": origin})
    assert refused.status_code == 400 and refused.headers["access-control-allow-origin"] == origin, "it may read why"
    assert opened(running.url, origin)


@pytest.mark.parametrize(
    "origin",
    [FOREIGN, "null", f"{HMI}:8443", "http://hmi.example", f"{HMI}.elsewhere.example", "https://x.hmi.example"],
)
def test_pages_of_all_others_may_not(running: Process, origin: str) -> None:
    assert preflight(running.url, origin).status_code == 403
    answer = httpx.get(f"{running.url}{API}/twins", headers={"Origin": origin})
    assert answer.status_code == 403
    assert not any(name.startswith("access-control") for name in answer.headers)
    assert "Origin" in answer.headers.get_list("vary")
    assert not opened(running.url, origin)


def test_the_client_of_the_stream_is_for_all_pages(running: Process) -> None:
    for headers in ({}, {"Origin": HMI}):
        part = httpx.get(f"{running.url}/console/iotsense-stream.js", headers=headers)
        assert part.headers.get_list("access-control-allow-origin") == ["*"]


def test_behind_keys_a_preflight_needs_none(tmp_path: Path) -> None:
    assert run_cli("apply", str(write_plant(tmp_path)), "--data", "data", cwd=tmp_path).returncode == 0
    made = run_cli("keys", "create", "hmi", "--role", "viewer", "--data", "data", cwd=tmp_path)
    key = {"Authorization": f"Bearer {made.stdout.strip()}"}
    with process(tmp_path / "data", "--allow-origin", HMI) as started:
        url = started.url
        assert preflight(url, HMI).status_code == 204
        assert "access-control-allow-origin" not in preflight(url, FOREIGN).headers
        assert httpx.get(f"{url}{API}/twins", headers=key | {"Origin": HMI}).status_code == 200
        refused = httpx.get(f"{url}{API}/twins", headers={"Origin": HMI})
        assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == HMI
        asked = httpx.get(f"{url}{API}/twins", headers=key | {"Origin": FOREIGN})
        assert "access-control-allow-origin" not in asked.headers


def test_without_the_option_no_origin_is_allowed(tmp_path: Path) -> None:
    with process(tmp_path / "data") as started:
        assert preflight(started.url, HMI).status_code == 403
        answer = httpx.get(f"{started.url}/livez", headers={"Origin": started.url})
        assert answer.status_code == 200 and "vary" not in answer.headers
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_an_origin_is_written_as_browsers_do() -> None:
    for text, origin in (
        ("https://HMI.example/", HMI),
        ("https://hmi.example:443", HMI),
        ("http://10.0.0.7:3000", PORTED),
        ("http://[::1]:80", "http://[::1]"),
    ):
        assert parse_origin(text) == origin
    for text in ("*", "null", "hmi.example", "https://*.example", "ftp://hmi.example", f"{HMI}/page", f"{HMI}?a",
                 "https://me@hmi.example", "https://", "https://hmi.example:x", "https://hmí.example"):  # fmt: skip
        with pytest.raises(InvalidValueError):
            parse_origin(text)
    code, _, told = typed("run", "--allow-origin", "*")
    assert code != 0 and "is no origin" in told
