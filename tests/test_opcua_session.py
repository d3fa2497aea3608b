"""Sessions with node-opcua: what the server says of its variables, what is not lost, and what is written."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adapter_contract import running, stop, until
from ingest_fixtures import OPTIONS
from opcua_fixtures import NodeOpcUa
from relay import Relay
from test_opcua import adapter_for
from value_adapter_contract import ValueStore

from iotsense.ingest.source_state import SourceState
from iotsense.twin.errors import InvalidValueError, SourceError
from iotsense.twin.twin import Twin

pytestmark = [pytest.mark.needs("node")]

VARIABLES: dict[str, Any] = {
    "speed": {"value": 1.5},
    "count": {"type": "Int32", "value": 7},
    "big": {"type": "UInt32", "value": 1},
    "on": {"type": "Boolean", "value": True},
    "name": {"type": "String", "value": "ab"},
    "list": {"array": True, "value": [1, 2, 3]},
    "mode": {"labels": ["Off", "On"], "value": 1},
    "oven": {"unit": "degree_celsius", "range": [0, 400], "value": 20, "history": True},
    "fixed": {"readonly": True, "value": 3},
    "banded": {"unit": "degree_celsius", "range": [0, 100], "value": 50},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeOpcUa]:
    server = NodeOpcUa(
        tmp_path_factory.mktemp("opcua"),
        variables=VARIABLES,
        limits={"maxNodesPerRead": 4, "maxMonitoredItemsPerCall": 2},
        capabilities={"maxMonitoredItemsPerSubscription": 3},
    )
    server.start()
    yield server
    server.stop()


def values(store: ValueStore, address: str) -> list[Any]:
    """All values of a point, as samples or columns."""
    found = []
    for message in store.messages:
        found += [sample.value for sample in message.samples if sample.address == address]
        if message.readings is not None:
            points = message.readings.points.points
            rows = zip(message.readings.point.tolist(), message.readings.value.tolist(), strict=True)
            found += [value for point, value in rows if points[point].address == address]
    return found


async def test_what_the_server_says_of_its_variables(server: NodeOpcUa, tmp_path: Path) -> None:
    store = ValueStore()
    names = ["speed", "count", "on", "name", "list", "mode", "oven", "gone"]
    adapter = adapter_for(server.url, tmp_path, [*names, {"id": "nsu=urn:elsewhere;s=x", "name": "x"}])
    async with running(adapter, store):
        await until(lambda: len(values(store, "oven")) and len(values(store, "mode")))
        assert values(store, "speed") == [1.5] and values(store, "count") == [7]
        assert values(store, "on") == [True] and values(store, "name") == ["ab"]
        assert values(store, "list") == [[1, 2, 3]]
        assert values(store, "mode") == ["On"]
        points = {
            point.address: point
            for message in store.messages
            if message.readings
            for point in message.readings.points.points
        }
        assert points["oven"].unit == "celsius" and points["speed"].unit is None
        assert points["oven"].tag == "nsu=urn:plant;s=oven"
        assert adapter.status.error is None
        assert adapter.status.remarks == (
            "BadNodeIdUnknown (no such node): nsu=urn:plant;s=gone",
            "the server has no namespace urn:elsewhere: nsu=urn:elsewhere;s=x",
        )


async def test_a_source_without_any_node_that_is_there(server: NodeOpcUa, tmp_path: Path) -> None:
    adapter = adapter_for(server.url, tmp_path, ["gone"])
    async with running(adapter, ValueStore()):
        await asyncio.sleep(0.7)
        assert adapter.status.state is SourceState.RUNNING and adapter.status.connects == 1
        assert adapter.status.remarks == ("BadNodeIdUnknown (no such node): nsu=urn:plant;s=gone",)


async def test_an_enumeration_may_be_read_as_numbers(server: NodeOpcUa, tmp_path: Path) -> None:
    store = ValueStore()
    node = {"id": "nsu=urn:plant;s=mode", "name": "mode", "enumeration": "number"}
    async with running(adapter_for(server.url, tmp_path, [node]), store):
        await until(lambda: values(store, "mode") == [1.0])


async def test_quality_and_source_time_are_the_servers(server: NodeOpcUa, tmp_path: Path) -> None:
    store = ValueStore()
    async with running(adapter_for(server.url, tmp_path, ["speed"]), store):
        await until(lambda: store.readings("speed"))
        server.tell(bad={"speed": "BadSensorFailure"})
        await until(lambda: store.readings("speed")[-1].quality == 16)
        server.tell(bad={"speed": "UncertainLastUsableValue"})
        await until(lambda: store.readings("speed")[-1].quality == 68)
        server.tell(set={"speed": 2})
        await until(lambda: store.readings("speed")[-1].good)
        times = [reading.time for reading in store.readings("speed")]
        assert times == sorted(set(times))


async def test_a_deadband_is_kept_by_the_server(server: NodeOpcUa, tmp_path: Path) -> None:
    server.tell(set={"banded": 50, "speed": 10})
    store = ValueStore()
    banded = {"id": "nsu=urn:plant;s=banded", "name": "banded", "deadband": 10, "deadband_type": "percent"}
    speed = {"id": "nsu=urn:plant;s=speed", "name": "speed", "deadband": 2}
    text = {"id": "nsu=urn:plant;s=name", "name": "name", "deadband": 2}
    adapter = adapter_for(server.url, tmp_path, [banded, speed, text])
    async with running(adapter, store):
        await until(lambda: values(store, "speed") and values(store, "banded") and values(store, "name"))
        for value in (11.0, 13.0):
            server.tell(set={"speed": value})
            await asyncio.sleep(0.15)
        for value in (55.0, 65.0):
            server.tell(set={"banded": value})
            await asyncio.sleep(0.15)
        await until(lambda: values(store, "banded") == [50, 65] and values(store, "speed") == [10, 13])
        assert adapter.status.remarks == ("the server takes no deadband for name: every change comes",)


async def test_a_subscription_for_each_interval_and_as_many_as_the_server_takes(
    server: NodeOpcUa, tmp_path: Path
) -> None:
    store = ValueStore()
    slow = {"id": "nsu=urn:plant;s=oven", "name": "oven", "publishing_interval_ms": 200}
    adapter = adapter_for(server.url, tmp_path, ["speed", "count", "big", "fixed", slow])
    async with running(adapter, store):
        await until(lambda: all(store.values(each) for each in ("speed", "count", "big", "fixed", "oven")))
        intervals = [round(each.interval * 1000) for each in adapter._memory.subscriptions.values()]
        assert intervals == [50, 50, 200]
        await server.set({"speed": 401, "oven": 401, "fixed": 401})
        await until(lambda: all(store.values(each)[-1] == 401 for each in ("speed", "oven", "fixed")))


async def test_what_a_short_queue_lost_is_read_from_history(server: NodeOpcUa, tmp_path: Path) -> None:
    store = ValueStore()
    await server.set({"oven": 0})
    node = {"id": "nsu=urn:plant;s=oven", "name": "oven", "sampling_interval_ms": 50, "queue_size": 2}
    adapter = adapter_for(server.url, tmp_path, [node], publishing_interval_ms=1500.0)
    async with running(adapter, store):
        await until(lambda: store.values("oven") == [0])
        for value in range(1, 9):
            await server.set({"oven": value})
            await asyncio.sleep(0.1)
        await until(lambda: set(store.values("oven")) >= set(range(9)))
        assert adapter.status.remarks == (
            "the server's queue was too short for nsu=urn:plant;s=oven: raise `queue_size`",
        )


async def test_a_broken_line_loses_nothing(server: NodeOpcUa, tmp_path: Path) -> None:
    store = ValueStore()
    await server.set({"speed": 100})
    with Relay(server.port) as line:
        node = {"id": "nsu=urn:plant;s=speed", "name": "speed", "sampling_interval_ms": 0}
        adapter = adapter_for(f"opc.tcp://127.0.0.1:{line.port}", tmp_path, [node])
        async with running(adapter, store):
            await until(lambda: values(store, "speed") == [100])
            line.down = True
            line.cut()
            await until(lambda: adapter.status.state is SourceState.BACKOFF)
            for value in range(101, 109):
                await server.set({"speed": value})
                await asyncio.sleep(0.12)  # the server samples every 50 ms, however little is asked
            line.down = False
            await until(lambda: 108 in values(store, "speed"))
            assert adapter.status.connects == 2
    assert [v for v in store.values("speed") if v > 100] == list(range(101, 109))


async def test_what_is_not_durable_comes_again(server: NodeOpcUa, tmp_path: Path) -> None:
    """As after `kill -9`: another process takes the session up and asks for what was not acknowledged."""
    store = ValueStore()
    store.acking = False
    await server.set({"speed": 200})
    node = {"id": "nsu=urn:plant;s=speed", "name": "speed", "sampling_interval_ms": 0}
    task = asyncio.create_task(adapter_for(server.url, tmp_path, [node]).run(store.deliver))
    await until(lambda: values(store, "speed") == [200])
    for value in range(201, 206):
        await server.set({"speed": value})
        await until(lambda value=value: value in values(store, "speed"))
    session = tmp_path / "data" / "sources" / "opcua" / "session"
    assert session.stat().st_mode & 0o777 == 0o600
    kept = session.read_bytes()
    # What `kill -9` leaves behind: the file, and at the server a session without a connection.
    from iotsense.ingest.opcua_session import OpcUaSession

    closing = OpcUaSession.close
    OpcUaSession.close = OpcUaSession.drop  # type: ignore[method-assign]
    await stop(task)
    OpcUaSession.close = closing  # type: ignore[method-assign]
    session.write_bytes(kept)
    await server.set({"speed": 206})
    again = ValueStore()
    async with running(adapter_for(server.url, tmp_path, [node]), again):
        await until(lambda: 206 in values(again, "speed"))
    assert again.values("speed") == list(range(200, 207))


async def test_a_subscription_that_the_server_ends_is_made_anew(server: NodeOpcUa, tmp_path: Path) -> None:
    store = ValueStore()
    await server.set({"speed": 300})
    adapter = adapter_for(server.url, tmp_path, ["speed"])
    async with running(adapter, store):
        await until(lambda: store.values("speed") == [300])
        talk = adapter._conversation
        await talk.session.forget_subscriptions(list(adapter._memory.subscriptions))
        await until(lambda: adapter.status.connects == 2)
        await server.set({"speed": 301})
        await until(lambda: store.values("speed") == [300, 301])


async def test_alarms_that_the_server_does_not_have_disturb_no_value(server: NodeOpcUa, tmp_path: Path) -> None:
    store = ValueStore()
    with Twin.open(tmp_path / "data", OPTIONS) as twin:
        node = "nsu=urn:plant;s=gone"
        adapter = adapter_for(server.url, tmp_path, ["speed"], twin, alarms=True, alarm_source=node)
        async with running(adapter, store):
            await until(lambda: store.values("speed"))
            assert [f"alarms of {node}" in remark for remark in adapter.status.remarks] == [True]


async def test_writing(server: NodeOpcUa, tmp_path: Path) -> None:
    store = ValueStore()
    names = ["speed", "count", "big", "on", "name", "list", "mode", "fixed", "gone"]
    private = {"id": "nsu=urn:plant;s=oven", "name": "oven", "writable": False}
    adapter = adapter_for(server.url, tmp_path, [*names, private], writable=True)
    with pytest.raises(SourceError, match="not connected"):
        await adapter.write(adapter.writable()[0], 1.0)
    async with running(adapter, store):
        points = {point.address: point for point in adapter.writable()}
        assert set(points) == set(names)
        for name, value, read in (
            ("speed", 2.5, 2.5), ("count", -3, -3.0), ("on", False, False), ("name", "xyz", "xyz"),
            ("mode", "Off", "Off"), ("mode", 1, "On"), ("speed", 3, 3.0),
        ):  # fmt: skip
            await adapter.write(points[name], value)
            assert (await adapter.read(points[name])).value == read
        for name, value, words in (
            ("count", 1.5, "expected a whole number from -2147483648 to 2147483647"),
            ("big", -1, "expected a whole number from 0"),
            ("count", math.nan, "expected a whole number"),
            ("on", 2, "expected true or false"),
            ("speed", "fast", "expected a number"),
            ("mode", "Fast", "expected one of Off, On"),
            ("list", 1, "it is a list"),
        ):
            with pytest.raises(InvalidValueError, match=words):
                await adapter.write(points[name], value)
        with pytest.raises(SourceError, match="lets nobody write fixed"):
            await adapter.write(points["fixed"], 1)
        with pytest.raises(SourceError, match="no such node"):
            await adapter.write(points["gone"], 1)
    closed = adapter_for(server.url, tmp_path, ["speed"])
    assert closed.writable() == ()
    with pytest.raises(InvalidValueError, match="`writable: true`"):
        await closed.write(points["speed"], 1)


async def test_alarms_are_events(tmp_path: Path, alarming: NodeOpcUa) -> None:
    with Twin.open(tmp_path / "data", OPTIONS) as twin:
        adapter = adapter_for(alarming.url, tmp_path, ["Level"], twin, alarms=True)
        async with running(adapter, ValueStore()):
            assert twin.open_events("alarm") == []
            await alarming.set({"Level": 85})
            await until(lambda: len(twin.open_events("alarm")) == 1)
            (event,) = twin.open_events("alarm")
            assert event.data["condition"] == "LevelHigh" and event.data["source"] == "Line"
            assert event.data["active"] and not event.data["acknowledged"] and event.until is None
            await alarming.set({"Level": 99})
            await until(lambda: len(twin.events()) >= 2)
            assert [e.identity for e in twin.open_events("alarm")] == [event.identity]
            await alarming.set({"Level": 50})
            await until(lambda: twin.open_events("alarm") == [])
            last = twin.events()[-1]
            assert last.identity == event.identity and last.until > last.time == event.time
            await alarming.set({"Level": 99})
            await until(lambda: len(twin.open_events("alarm")) == 1)
            assert twin.open_events("alarm")[0].identity != event.identity
            count = len(twin.events())
        # A restart tells the standing ones again: nothing new of them.
        async with running(adapter_for(alarming.url, tmp_path, ["Level"], twin, alarms=True), ValueStore()) as task:
            await asyncio.sleep(0.5)
            assert not task.done()
            identities = {e.identity for e in twin.open_events("alarm")}
            assert len(identities) == 1 and len({e.identity for e in twin.events()}) == 2, count
        # What ended and came again while nobody listened is another time.
        (before,) = twin.open_events("alarm")
        await alarming.set({"Level": 50})
        await asyncio.sleep(0.05)
        await alarming.set({"Level": 99})
        async with running(adapter_for(alarming.url, tmp_path, ["Level"], twin, alarms=True), ValueStore()):
            await until(lambda: [e.identity for e in twin.open_events("alarm")] not in ([], [before.identity]))
            (now,) = twin.open_events("alarm")
            ended = [e for e in twin.events() if e.identity == before.identity][-1]
            assert now.time > before.time and ended.until == now.time


@pytest.fixture(scope="module")
def alarming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeOpcUa]:
    server = NodeOpcUa(tmp_path_factory.mktemp("alarming"), alarms=True)
    server.start()
    yield server
    server.stop()
