"""The console in a real Chromium against a real server."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from facade_fixtures import Context, S, Server, breach, plant, put, serving
from playwright.sync_api import Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as TooLateError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from iotsense.rest.console_routes import CONSOLE, assets, console_routes
from iotsense.rest.context import Context as RestContext
from iotsense.rest.session import PATH as SESSION
from iotsense.rest.session import session
from iotsense.twin.entry import EventDraft
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
in_browser = pytest.mark.needs("chromium")
expect.set_options(timeout=30_000)  # a busy machine is no mistake of the page's


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with plant(tmp_path) as twin:
        yield twin


def page_routes() -> list[BaseRoute]:
    """The page, and who is at it."""

    async def who(request: Request) -> Response:
        return await session(RestContext(None, None), request)  # type: ignore[arg-type]

    return [*console_routes(), Route(SESSION, who)]


@pytest.fixture
def server(twin: Twin) -> Iterator[Server]:
    with serving(Context(twin), *page_routes()) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=servers.program("chromium"), args=ARGUMENTS)
        yield chromium
        chromium.close()


class Watched:
    """A page of which it is kept where its requests went and what it complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        page.on("request", lambda request: self._ask(request.url))
        page.on("websocket", lambda socket: self._ask(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda text: self.complaints.append(text.text) if text.type == "error" else None)

    def _ask(self, url: str) -> None:
        self.hosts.add(re.sub(r"^\w+://([^/]*)/.*", r"\1", url))


@pytest.fixture
def watched(browser: Any, server: Server) -> Iterator[Watched]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    watched = Watched(page)
    page.goto(server.url)
    expect(page.locator("#connection")).to_have_text("Live")
    yield watched
    page.close()


def card(page: Page, id: str) -> Any:
    return page.locator(f'#cards [data-id="{id}"]')


# Without a browser


def test_the_page_and_its_parts_are_served_with_their_types_and_a_strict_policy(server: Server) -> None:
    page = httpx.get(server.url)
    assert page.headers["content-type"] == "text/html; charset=utf-8" and page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    module = httpx.get(f"{server.url}/console/main.js")
    assert module.headers["content-type"].startswith("text/javascript")
    vendored = httpx.get(f"{server.url}/console/vendor/cytoscape-3.34.4.min.mjs")
    assert (
        vendored.headers["content-type"].startswith("text/javascript")
        and "immutable" in vendored.headers["cache-control"]
    )
    assert httpx.get(f"{server.url}/console/../pyproject.toml").status_code == 404
    assert httpx.get(f"{server.url}/console/%2e%2e/console_routes.py").status_code == 404
    again = httpx.get(server.url, headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304 and not again.content


def test_the_parts_name_no_other_host_and_bear_their_licence() -> None:
    own = [file for file in CONSOLE.iterdir() if file.suffix in (".js", ".css", ".html")]
    assert len(own) > 10
    for file in own:
        assert not re.search(r"https?://(?!www\.w3\.org)", file.read_text().replace("${", "")), file.name
    assert "Permission is hereby granted" in (CONSOLE / "vendor" / "cytoscape-LICENSE.txt").read_text()
    assert set(assets()) >= {"index.html", "main.js", "console.css", "favicon.svg"}


# In Chromium


@in_browser
def test_the_page_shows_the_graph_and_asks_no_other_host(watched: Watched, server: Server, twin: Twin) -> None:
    page = watched.page
    for id in ("line_1", "line_1.conveyor", "line_1.robot", "line_1.packer", "line_2.conveyor"):
        expect(card(page, id)).to_have_count(1)
    expect(card(page, "line_1.conveyor")).to_contain_text("Infeed conveyor")
    left = [card(page, f"line_1.{id}").bounding_box()["x"] for id in ("conveyor", "robot", "packer")]
    assert left == sorted(left) and len(set(left)) == 3
    card(page, "line_1.conveyor").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    assert watched.hosts == {f"127.0.0.1:{server.port}"}
    assert watched.complaints == []


@in_browser
def test_a_node_turns_colour_when_its_health_falls_and_back(watched: Watched, twin: Twin) -> None:
    page = watched.page
    conveyor = card(page, "line_1.conveyor")
    expect(conveyor).to_have_attribute("data-health", "unknown")
    put(twin, "line_1.conveyor.health", 100.0)
    expect(conveyor).to_have_attribute("data-health", "healthy")
    healthy = _colour(conveyor)
    breach(twin, "line_1.conveyor.motor_temp", "critical")
    put(twin, "line_1.conveyor.health", 30.0)
    expect(conveyor).to_have_attribute("data-health", "critical")
    assert _colour(conveyor) != healthy
    expect(conveyor).to_have_attribute("aria-label", re.compile("critical"))
    expect(page.locator("#legend")).to_contain_text("1 critical")
    expect(page.locator("#side")).to_contain_text("too warm")
    put(twin, "line_1.conveyor.health", 100.0)
    expect(conveyor).to_have_attribute("data-health", "healthy")
    assert _colour(conveyor) == healthy


def _colour(of: Any) -> str:
    return str(of.evaluate("card => getComputedStyle(card, '::before').backgroundColor"))


@in_browser
def test_silence_is_a_colour_of_its_own(watched: Watched, twin: Twin) -> None:
    put(twin, "line_1.conveyor.health", 100.0)
    put(twin, "line_1.conveyor.motor_temp", 40.0)
    expect(card(watched.page, "line_1.conveyor")).to_have_attribute("data-health", "healthy")
    twin.mark_stale([(twin.graph.find_signal("line_1.conveyor.motor_temp").index, now_ns())])
    expect(card(watched.page, "line_1.conveyor")).to_have_attribute("data-health", "stale")


@in_browser
def test_what_happens_while_the_page_starts_is_shown(browser: Any, server: Server, twin: Twin) -> None:
    put(twin, "line_1.conveyor.health", 100.0)
    put(twin, "line_1.conveyor.motor_temp", 40.0)
    page = browser.new_page()

    def answer(route: Any) -> None:
        if "first: 60" in route.request.post_data:  # the plant is loaded, the log of events is about to be
            expect(card(page, "line_1.conveyor")).to_have_attribute("data-health", "healthy")
            twin.mark_stale([(twin.graph.find_signal("line_1.conveyor.motor_temp").index, now_ns())])
        route.continue_()

    page.route("**/graphql", answer)
    page.goto(server.url)
    expect(card(page, "line_1.conveyor")).to_have_attribute("data-health", "stale")
    page.close()


@in_browser
def test_values_on_the_cards_are_live(watched: Watched, twin: Twin) -> None:
    values = card(watched.page, "line_1.conveyor").locator(".card-values")
    expect(values).to_have_text("no reading yet")
    put(twin, "line_1.conveyor.speed", 1.25)
    expect(values).to_have_text("1.25 m/s")
    put(twin, "line_1.conveyor.speed", 2.5)
    put(twin, "line_1.conveyor.motor_temp", 47.5)
    expect(values).to_have_text("2.5 m/s · 47.5 °C")


@in_browser
def test_a_click_shows_signals_a_trend_anomalies_and_properties(watched: Watched, twin: Twin) -> None:
    page, side = watched.page, watched.page.locator("#side")
    put(twin, "line_1.conveyor.motor_temp", *[40.0 + i for i in range(30)], time=now_ns() - S)
    put(twin, "line_1.conveyor.status", 1, quality=64)
    breach(twin, "line_1.conveyor.motor_temp", "warning")
    expect(card(page, "line_1.conveyor").locator(".card-values")).to_contain_text("69")
    box = card(page, "line_1.conveyor").bounding_box()
    page.mouse.click(box["x"] + 60, box["y"] + 40)
    expect(side.locator("h2")).to_have_text("Infeed conveyor")
    row = side.locator('tr[data-signal="line_1.conveyor.motor_temp"]')
    expect(row).to_contain_text("69")
    expect(row).to_contain_text("°C")
    expect(row).to_contain_text("good")
    expect(side.locator('tr[data-signal="line_1.conveyor.status"]')).to_contain_text("running")
    expect(side.locator('tr[data-signal="line_1.conveyor.status"]')).to_contain_text("uncertain")
    # What is wrong is what the trend shows first.
    trend = side.locator(".plot canvas")
    expect(trend).to_have_attribute("aria-label", re.compile("motor temp 69 °C, between 40 and 69"))
    assert _ink(trend) > 500
    put(twin, "line_1.conveyor.motor_temp", 75.0)
    expect(trend).to_have_attribute("aria-label", re.compile("motor temp 75"))
    expect(side.locator(".alarm")).to_contain_text("91.5 °C > 80 °C")
    expect(side).to_contain_text("feeds into")
    expect(side.locator(".properties")).to_contain_text("50")
    side.get_by_role("link", name="Pick robot").first.click()
    expect(side.locator("h2")).to_have_text("Pick robot")
    page.keyboard.press("Escape")
    expect(side.locator("h2")).to_have_text("Riverside works")
    assert watched.complaints == []


PIXELS = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v).length"


def _ink(canvas: Any) -> int:
    return int(canvas.evaluate(PIXELS))


@in_browser
def test_the_feed_tells_what_happens(watched: Watched, twin: Twin) -> None:
    feed = watched.page.locator("#feed")
    expect(feed.locator("li")).to_have_count(1)  # the revision that built the plant
    breach(twin, "line_1.conveyor.motor_temp", "critical")
    expect(feed.locator("li").first).to_contain_text("Infeed conveyor too warm, critical: motor_temp 91.5 °C > 80 °C")
    feed.locator("a").first.click()
    expect(watched.page.locator("#side h2")).to_have_text("Infeed conveyor")


@in_browser
def test_a_lost_connection_is_told_and_comes_back_without_a_gap(browser: Any, twin: Twin) -> None:
    page = browser.new_page()
    with serving(Context(twin), *page_routes()) as server:
        page.goto(server.url)
        expect(page.locator("#connection")).to_have_text("Live")
        expect(page.locator("#feed li")).to_have_count(1)
        port = server.port
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    expect(page.locator("#canvas")).to_have_css("filter", "grayscale(0.85)")
    breach(twin, "line_2.conveyor.speed")
    twin.record([EventDraft(now_ns(), "maintenance")])
    put(twin, "line_1.conveyor.speed", 1.75)
    with serving(Context(twin), *page_routes(), port=port):
        expect(page.locator("#connection")).to_have_text("Live", timeout=15_000)
        expect(page.locator("#canvas")).to_have_css("filter", "none")
        expect(card(page, "line_1.conveyor").locator(".card-values")).to_contain_text("1.75 m/s")
        expect(page.locator("#feed li").first).to_contain_text("maintenance")
        numbers = page.locator("#feed li").evaluate_all("items => items.map(item => Number(item.dataset.seq))")
        assert numbers == [3, 2, 1]
    page.close()


@in_browser
def test_search_finds_sensors_and_leads_to_them_by_keyboard(watched: Watched) -> None:
    page = watched.page
    page.keyboard.press("/")
    page.keyboard.type("joints")
    expect(page.locator("#search-results li")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#side h2")).to_have_text("joint_positions")
    expect(card(page, "line_1.robot")).to_have_class(re.compile("selected"))
    card(page, "line_1.robot").focus()
    page.keyboard.press("ArrowLeft")
    expect(card(page, "line_1.conveyor")).to_be_focused()


@in_browser
def test_a_new_node_appears_by_itself(watched: Watched, twin: Twin) -> None:
    line = twin.graph.find("line_2").key

    def add(edit: GraphEdit) -> None:
        edit.add_node(id="line_2.wrapper", level=Level.COMPONENT, name="Stretch wrapper", parent=line)

    twin.change(add, "test")
    expect(card(watched.page, "line_2.wrapper")).to_contain_text("Stretch wrapper")


@in_browser
def test_names_of_devices_are_text_and_never_markup(watched: Watched, twin: Twin) -> None:
    line = twin.graph.find("line_2").key
    evil = "<img src=x onerror=document.title='owned'>"
    twin.change(lambda edit: edit.add_node(id="line_2.x", level=Level.COMPONENT, name=evil, parent=line), "test")
    expect(card(watched.page, "line_2.x")).to_contain_text("<img")
    card(watched.page, "line_2.x").focus()
    watched.page.keyboard.press("Enter")
    expect(watched.page.locator("#side h2")).to_have_text(evil)
    assert watched.page.title() != "owned"


@in_browser
def test_an_empty_plant_says_what_to_type(browser: Any, tmp_path: Path) -> None:
    with Twin.open(tmp_path / "empty") as empty, serving(Context(empty), *page_routes()) as server:
        page = browser.new_page()
        page.goto(server.url)
        for words in ("iotsense init", "iotsense apply", "curl http://127.0.0.1", "make demo"):
            expect(page.locator("#empty")).to_contain_text(words)
        empty.change(lambda edit: edit.add_node(id="line", level=Level.LINE), "test")
        expect(card(page, "line")).to_have_count(1)
        expect(page.locator("#empty")).to_be_hidden()
        page.close()


@in_browser
def test_a_large_plant_shows_its_lines_and_opens_them_one_by_one(browser: Any, tmp_path: Path) -> None:
    with Twin.open(tmp_path / "large") as large:
        large.change(_large, "test")
        with serving(Context(large), *page_routes()) as server:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(server.url)
            expect(page.locator("#cards .card")).to_have_count(100)
            expect(page.locator("#notice")).to_contain_text("100 of 100 lines are closed")
            card(page, "line_42").focus()
            page.keyboard.press("Enter")
            expect(card(page, "line_42.machine_7")).to_be_visible()
            expect(page.locator("#cards .card")).to_have_count(99 + 10)
            page.locator("#search-text").fill("line_77 machine_3")
            page.locator("#search-results li").first.click()
            expect(card(page, "line_77.machine_3")).to_have_class(re.compile("selected"))
            page.close()


def _large(edit: GraphEdit) -> None:
    for line in range(100):
        key = edit.add_node(id=f"line_{line}", level=Level.LINE).key
        for machine in range(10):
            component = edit.add_node(id=f"line_{line}.machine_{machine}", level=Level.COMPONENT, parent=key)
            for sensor in range(9):
                id = f"{component.id}.sensor_{sensor}"
                edit.add_signal(edit.add_node(id=id, level=Level.SENSOR, parent=component.key).key)


@in_browser
def test_graphiql_runs_from_here_without_the_internet(browser: Any, server: Server) -> None:
    page = browser.new_page()
    watched = Watched(page)
    page.goto(f"{server.url}/graphql")
    expect(page.locator(".graphiql-container")).to_be_visible()
    plant = page.get_by_role("menuitem", name="Plant")
    while not plant.is_visible():  # the button offers a choice as soon as the schema is loaded
        page.locator(".graphiql-execute-button").click()
        with contextlib.suppress(TooLateError):
            plant.wait_for(timeout=2_000)
    plant.click()
    expect(page.locator(".graphiql-response")).to_contain_text("line_1")
    assert watched.hosts == {f"127.0.0.1:{server.port}"}
    page.close()
