"""Sessions of people at the console: a key for a cookie, which no other page can use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from playwright.sync_api import expect
from service_fixtures import API, Process, process, run_cli, write_plant
from test_console import browser, card, in_browser

__all__ = ["browser"]

SESSION = f"{API}/session"
PROTOCOLS = ["graphql-transport-ws"]


def keys(directory: Path, *arguments: str) -> str:
    """`iotsense keys ...`, in a process of its own: the browser has the event loop of this one."""
    done = run_cli("keys", *arguments, cwd=directory)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[tuple[Process, str]]:
    """A service behind keys, and the key of a viewer."""
    data = tmp_path / "iotsense-data"
    assert run_cli("apply", str(write_plant(tmp_path)), cwd=tmp_path).returncode == 0
    key = keys(tmp_path, "create", "anna", "--role", "engineer")
    with process(data) as running:
        assert running.url
        yield running, key


@contextmanager
def client(url: str, key: str) -> Iterator[httpx.Client]:
    """One that has begun a session."""
    with httpx.Client(base_url=url) as http:
        assert http.post(SESSION, json={"key": key}).status_code == 201
        yield http


def test_a_session_is_a_cookie_that_scripts_and_other_pages_do_not_get_at(plant: tuple[Process, str]) -> None:
    running, key = plant
    nobody = httpx.get(running.url + SESSION)
    assert nobody.json() == {"required": True, "name": None, "scopes": [], "part": False}
    begun = httpx.post(running.url + SESSION, json={"key": key})
    cookie = begun.headers["set-cookie"].lower()
    assert begun.json()["name"] == "key anna" and key.lower() not in cookie
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
    for wrong, status in ((key[:-1], 401), ("", 401)):
        assert httpx.post(running.url + SESSION, json={"key": wrong}).status_code == status


def test_what_another_page_asks_in_its_name_is_refused(plant: tuple[Process, str]) -> None:
    running, key = plant
    with client(running.url, key) as http:
        assert http.get(f"{API}/nodes").status_code == 200
        change = {"name": "what_if", "parameters": {}}
        for origin in (None, "https://elsewhere.example", "null", running.url.replace("127.0.0.1", "127.0.0.2")):
            refused = http.post(f"{API}/scenarios", json=change, headers={"Origin": origin} if origin else {})
            assert refused.status_code == 403 and "in the name of this session" in refused.json()["detail"]
            query = {"query": "mutation { __typename }"}
            assert http.post("/graphql", json=query, headers={"Origin": origin} if origin else {}).status_code == 403
        allowed = http.post(f"{API}/scenarios", json=change, headers={"Origin": running.url})
        assert allowed.status_code != 403
        cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    address = running.url.replace("http", "ws") + "/graphql"
    assert _closed(address, cookie, "https://elsewhere.example") and not _closed(address, cookie, running.url)


def _closed(address: str, cookie: str, origin: str) -> bool:
    from websockets.sync.client import connect

    headers = {"Cookie": cookie}
    try:
        with connect(
            address, subprotocols=["graphql-transport-ws"], origin=origin, additional_headers=headers
        ) as socket:
            socket.send('{"type":"connection_init"}')
            return "ack" not in str(socket.recv())
    except (websockets.ConnectionClosed, websockets.InvalidStatus):
        return True


def test_a_session_ends_with_its_key_or_by_itself(plant: tuple[Process, str], tmp_path: Path) -> None:
    running, key = plant
    same = {"Origin": running.url}
    with client(running.url, key) as http:
        assert http.request("DELETE", SESSION, headers=same).status_code == 204
        assert http.get(f"{API}/nodes").status_code == 401
    with client(running.url, key) as http:
        keys(tmp_path, "revoke", "anna")
        keys(tmp_path, "create", "anna", "--role", "admin")
        assert http.get(f"{API}/nodes").status_code == 401


@in_browser
def test_the_console_asks_for_a_key(browser: Any, plant: tuple[Process, str]) -> None:
    running, key = plant
    page = browser.new_page()
    page.goto(running.url)
    page.get_by_label("Key").fill(key[:-1])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("the key is not one of this service's")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(card(page, "line_1.conveyor")).to_have_count(1)
    expect(page.locator("#figures")).to_contain_text("nodes")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key")).to_be_visible()
    page.close()


@in_browser
def test_the_console_is_whole_for_a_key_of_one_part(browser: Any, plant: tuple[Process, str], tmp_path: Path) -> None:
    running, _ = plant
    key = keys(tmp_path, "create", "robot", "--scope", "plant:read", "--under", "robot")
    page = browser.new_page()
    page.goto(running.url)
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(card(page, "line_1.robot")).to_have_count(1)
    expect(card(page, "line_1.conveyor")).to_have_count(0)
    expect(page.locator("#side")).to_contain_text("Nothing is wrong")
    page.close()
