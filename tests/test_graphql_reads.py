"""However many objects a question has, what is behind them is read a fixed number of times."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from facade_fixtures import Context, breach, put

from iotsense.graphql.context import HISTORY_READERS, Request
from iotsense.graphql.schema import schema
from iotsense.twin.access import LOCAL, Principal, Role
from iotsense.twin.catalog import Catalog
from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import DamagedFileError, NotFoundError
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.history_store import HistoryStore
from iotsense.twin.model import Level
from iotsense.twin.past import Past
from iotsense.twin.times import format_time, now_ns
from iotsense.twin.twin import Twin

MACHINES = 50
S = 1_000_000_000


def build(edit: GraphEdit) -> None:
    line = edit.add_node(id="line", level=Level.LINE).key
    for number in range(MACHINES):
        machine = edit.add_node(id=f"line.m{number}", level=Level.COMPONENT, parent=line)
        edit.add_signal(machine.key, "speed", unit="m/s")


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(build, "test")
        now = now_ns()
        for number in range(MACHINES):
            put(twin, f"line.m{number}.speed", number, number + 1.0, time=now - S)
        keys = [twin.graph.find(f"line.m{number}").key for number in range(MACHINES)]
        twin.record([EventDraft(now - S, "note", key, data={"of": key, "n": n}) for n in range(3) for key in keys])
        breach(twin, "line.m3.speed")
        yield twin


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each reader was called."""
    counts: Counter[str] = Counter()

    def counted(kind: Any, name: str) -> None:
        read = getattr(kind, name)

        def counting(*args: Any, **more: Any) -> Any:
            counts[name if kind is not Past else f"past.{name}"] += 1
            return read(*args, **more)

        monkeypatch.setattr(kind, name, counting)

    counted(HistoryStore, "histories")
    counted(HistoryStore, "latest")
    counted(Past, "_newer")
    counted(Catalog, "events")
    counted(Catalog, "events_of")
    counted(Past, "events")
    return counts


async def ask(twin: Twin, text: str, whom: Principal = LOCAL, **variables: Any) -> Any:
    request = Request(Context(twin).seen_by(whom), asyncio.Semaphore(HISTORY_READERS), principal=whom)
    result = await schema.execute(text, variables, context_value=request)
    assert not result.errors, result.errors
    return result.data


HISTORIES = """query($points: Int! = 10, $at: Time) { nodes(level: COMPONENT, asOf: $at) { nodes { id
    signals { history(points: $points) { value } } } } }"""


async def test_histories_of_a_list_are_read_at_once(twin: Twin, reads: Counter[str]) -> None:
    nodes = (await ask(twin, HISTORIES))["nodes"]["nodes"]
    assert [node["signals"] for node in nodes] == [[{"history": {"value": [n, n + 1.0]}}] for n in range(MACHINES)]
    assert reads == {"histories": 1, "past._newer": 1}


async def test_so_are_those_of_the_past_and_of_a_part(twin: Twin, reads: Counter[str]) -> None:
    at = format_time(now_ns())
    put(twin, "line.m0.speed", 99.0)
    nodes = (await ask(twin, HISTORIES, at=at))["nodes"]["nodes"]
    assert nodes[0]["signals"][0]["history"]["value"] == [0.0, 1.0] and len(nodes) == MACHINES
    assert reads["histories"] == 1 and reads["latest"] == 1
    whom = Principal("key k", Role.VIEWER.scopes, frozenset(twin.graph.find(f"line.m{n}").key for n in range(20)))
    assert len((await ask(twin, HISTORIES, whom))["nodes"]["nodes"]) == 20
    assert reads["histories"] == 2


async def test_so_are_those_that_are_asked_for_by_name(twin: Twin, reads: Counter[str]) -> None:
    parts = [f's{n}: signal(id: "line.m{n}.speed") {{ history(points: 5) {{ value }} }}' for n in range(MACHINES)]
    found = await ask(twin, f"{{ {' '.join(parts)} }}")
    assert [found[f"s{n}"]["history"]["value"] for n in range(MACHINES)] == [[n, n + 1.0] for n in range(MACHINES)]
    assert reads["histories"] == 1


async def test_each_span_is_read_once_and_many_by_the_hundred(twin: Twin, reads: Counter[str]) -> None:
    text = """{ nodes(level: COMPONENT) { nodes { signals {
        a: history(points: 1) { value } b: history(points: 2) { value } c: history(points: 2) { low } } } } }"""
    nodes = (await ask(twin, text))["nodes"]["nodes"]
    assert nodes[7]["signals"] == [{"a": {"value": [7.5]}, "b": {"value": [7.0, 8.0]}, "c": {"low": [7.0, 8.0]}}]
    assert reads["histories"] == 2

    def more(edit: GraphEdit) -> None:
        for node in edit.graph.components(edit.graph.find("line").key):
            for name in ("a", "b", "c", "d"):
                edit.add_signal(node.key, name)

    twin.change(more, "test")
    await ask(twin, HISTORIES)
    assert reads["histories"] == 2 + 3  # 250 signals


async def test_damage_concerns_those_whose_it_is(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    histories, damaged = HistoryStore.histories, twin.graph.find_signal("line.m3.speed").index

    def breaking(self: Any, signals: Any, *args: Any, **more: Any) -> Any:
        if damaged in signals:
            raise DamagedFileError("a part is torn")
        return histories(self, signals, *args, **more)

    monkeypatch.setattr(HistoryStore, "histories", breaking)
    text = '{ nodes(level: COMPONENT) { nodes { id signal(name: "speed") { history { value } } } } }'
    request = Request(Context(twin), asyncio.Semaphore(HISTORY_READERS))  # type: ignore[arg-type]
    result = await schema.execute(text, context_value=request)
    (error,) = result.errors or ()
    assert error.extensions == {"code": "STORAGE"} and error.path is not None and error.path[2] == 3


async def test_events_of_a_list_are_read_at_once(twin: Twin, reads: Counter[str]) -> None:
    text = """query($at: Time) { nodes(level: COMPONENT, asOf: $at) { nodes { key
        all: events { seq } last: events(kind: "note", first: 1) { data } } } }"""
    live = (await ask(twin, text))["nodes"]["nodes"]
    assert reads["events_of"] <= 2 and reads["past.events"] == 0 and reads["events"] == 0
    assert [len(node["all"]) for node in live] == [3] * MACHINES
    assert [node["last"] for node in live] == [[{"data": {"of": node["key"], "n": 2}}] for node in live]
    past = (await ask(twin, text, at=format_time(now_ns())))["nodes"]["nodes"]
    assert past == live and reads["events_of"] <= 4
    for node in live:
        told = twin.as_of().events(node=int(node["key"]), newest_first=True)
        assert [event["seq"] for event in node["all"]] == [event.seq for event in told]


async def test_events_of_a_list_are_found_in_the_catalog_as_well(twin: Twin, tmp_path: Path) -> None:
    text = "{ nodes(level: COMPONENT) { nodes { events(first: 2) { seq kind } } } }"
    before = await ask(twin, text)
    twin._live.recent_events.clear()
    assert await ask(twin, text) == before


async def test_what_is_cleared_is_looked_up_once(twin: Twin, reads: Counter[str]) -> None:
    text = "{ nodes { nodes { id anomalies(open: false) { rule } } } }"
    nodes = (await ask(twin, text))["nodes"]["nodes"]
    assert [node["id"] for node in nodes if node["anomalies"]] == ["line", "line.m3"]
    assert reads["past.events"] == 1


async def test_commands_and_assets_of_a_list_are_looked_up_once(twin: Twin, reads: Counter[str]) -> None:
    twin._live.recent_events.clear()
    text = "{ nodes(level: COMPONENT) { nodes { signals { command { id } } stays { start } installed { start } } } }"
    nodes = (await ask(twin, text))["nodes"]["nodes"]
    assert nodes[0] == {"signals": [{"command": None}], "stays": [], "installed": None}
    assert reads["events_of"] == 1 and reads["past.events"] == 1


async def test_fields_that_ask_for_the_same_instant_see_the_same(twin: Twin, reads: Counter[str]) -> None:
    at = format_time(now_ns())
    parts = [f'n{n}: node(id: "line.m{n}", asOf: $at) {{ state {{ value }} }}' for n in range(MACHINES)]
    found = await ask(twin, f"query($at: Time) {{ {' '.join(parts)} }}", at=at)
    assert found["n9"]["state"] == [{"value": 10.0}]
    assert reads["latest"] == 1


async def test_each_operation_sees_the_plant_anew(twin: Twin) -> None:
    request = Request(Context(twin), asyncio.Semaphore(HISTORY_READERS))  # type: ignore[arg-type]
    text = "{ a: nodes(level: LINE) { totalCount } b: nodes(level: LINE) { totalCount } }"
    for lines in (1, 2):
        result = await schema.execute(text, context_value=request)
        assert result.data == {"a": {"totalCount": lines}, "b": {"totalCount": lines}}
        twin.change(lambda edit: edit.add_node(id=f"line_{lines}", level=Level.LINE), "test")  # noqa: B023


async def test_a_revision_that_must_be_seen_is_seen(twin: Twin) -> None:
    revision = twin.graph.revision + 1

    async def later() -> None:
        await asyncio.sleep(0.1)
        twin.change(lambda edit: edit.add_node(id="more", level=Level.LINE), "test")

    writing = asyncio.create_task(later())
    text = """query($revision: Long) { now: nodes(level: LINE) { totalCount }
        then: nodes(level: LINE, minRevision: $revision) { totalCount } }"""
    found = await ask(twin, text, revision=revision)
    await writing
    assert found == {"now": {"totalCount": 1}, "then": {"totalCount": 2}}


async def test_those_of_a_scenario_are_read_at_once_but_for_what_it_holds(twin: Twin, reads: Counter[str]) -> None:
    twin.scenarios.fork("held", overrides={"line.m3.speed": 77.0})
    text = """{ nodes(level: COMPONENT, scenario: "held") { nodes {
        signals { id history(points: 10) { value } } events(first: 1) { seq } } } }"""
    nodes = (await ask(twin, text))["nodes"]["nodes"]
    assert reads["histories"] <= 2  # the held signal's are put together
    plant, end = twin.as_of(scenario="held"), twin.as_of(scenario="held").now
    for node in nodes:
        (signal,) = node["signals"]
        alone = plant.history(twin.graph.find_signal(signal["id"]).index, end - 3600 * S, end, 10)
        assert signal["history"]["value"] == alone.value.tolist() and len(node["events"]) == 1
    assert len(nodes) == MACHINES
    indexes = [signal.index for signal in twin.graph.signals()]
    for one, several in zip(indexes, plant.histories(indexes, 0, end, 10), strict=True):
        assert plant.history(one, 0, end, 10).value.tolist() == several.value.tolist()


def test_a_part_of_the_plant_reads_nothing_of_the_rest(twin: Twin) -> None:
    mine, other = (twin.graph.find(f"line.m{n}") for n in (1, 2))
    part = Context(twin).seen_by(Principal("key k", Role.VIEWER.scopes, frozenset({mine.key}))).twin.as_of()
    found = part.events_of([mine.key, other.key], 10)
    assert len(found[mine.key]) == 3 and found[other.key] == []
    signals = [twin.graph.find_signal(f"line.m{n}.speed").index for n in (1, 2)]
    assert len(part.histories(signals[:1], 0, now_ns())[0].value) == 2
    with pytest.raises(NotFoundError):
        part.histories(signals, 0, now_ns())
