"""What an outage leaves behind, with node-opcua: history that is fetched, namespaces in another order, values that
were unknown for a while."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from adapter_contract import stop, until
from ingest_fixtures import OPTIONS
from opcua_fixtures import NodeOpcUa
from relay import Relay
from test_opcua import adapter_for
from value_adapter_contract import ValueStore

from iotsense.ingest.opcua import OpcUaAdapter
from iotsense.ingest.pipeline import Pipeline
from iotsense.ingest.source_state import SourceState
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

pytestmark = [pytest.mark.needs("node")]


@asynccontextmanager
async def taken_in(adapter: OpcUaAdapter, twin: Twin) -> AsyncIterator[None]:
    """An adapter whose readings go into a twin, connected."""
    async with Pipeline(twin) as pipeline:
        pipeline.attach(adapter.status)
        task = asyncio.create_task(adapter.run(pipeline.deliver))
        try:
            await until(lambda: adapter.status.state is SourceState.RUNNING or task.done())
            yield
        finally:
            await stop(task)


def told(twin: Twin, name: str) -> list[float]:
    """All values of the signal of a sensor that was discovered."""
    signals = [s for s in twin.graph.signal_map.values() if twin.graph.node(s.node).name == name]
    return twin.history(signals[0].index, 0, now_ns()).value.tolist() if signals else []


async def test_an_outage_is_filled_from_history(tmp_path: Path) -> None:
    server = NodeOpcUa(tmp_path / "server", variables={"level": {"value": 0, "history": True}, "other": {"value": 0}})
    server.start()
    try:
        with Twin.open(tmp_path / "data", OPTIONS) as twin:
            async with taken_in(adapter_for(server.url, tmp_path, ["level", "other"], twin), twin):
                await server.set({"level": 1})
                await until(lambda: told(twin, "level") == [0, 1])
            for value in range(2, 8):
                await server.set({"level": value, "other": value})
                await asyncio.sleep(0.02)
            adapter = adapter_for(server.url, tmp_path, ["level", "other"], twin)
            async with taken_in(adapter, twin):
                await server.set({"level": 8})
                await until(lambda: told(twin, "level")[-1:] == [8])
                assert told(twin, "level") == list(range(9))
                assert told(twin, "other")[-1:] == [7] and len(told(twin, "other")) < 4
            # Nothing is read twice into the twin, and `backfill: null` reads nothing.
            await server.set({"level": 9})
            await server.set({"level": 10})
            async with taken_in(adapter_for(server.url, tmp_path, ["level", "other"], twin, backfill=None), twin):
                await until(lambda: told(twin, "level")[-1:] == [10])
            assert told(twin, "level") == [*range(9), 10]
    finally:
        server.stop()


async def test_namespaces_may_come_in_another_order(tmp_path: Path) -> None:
    server = NodeOpcUa(tmp_path / "server", variables={"a": {"value": 5}})
    server.start()
    store = ValueStore()
    by_index = {"id": "ns=2;s=a", "name": "by_index"}
    adapter = adapter_for(server.url, tmp_path, ["a", by_index])
    task = asyncio.create_task(adapter.run(store.deliver))
    try:
        await until(lambda: store.values("a") == [5] and store.values("by_index") == [5])
        server.kill()
        server.options |= {"namespaces": ["urn:another", "urn:third"], "variables": {"a": {"value": 6}}}
        server.start()
        await until(lambda: store.values("a") == [5, 6] and store.values("by_index") == [5, 6])
        assert adapter.status.remarks == ()
    finally:
        await stop(task)
        server.stop()


async def test_a_value_that_did_not_change_is_known_again(tmp_path: Path) -> None:
    more = {"list": {"array": True, "value": [1, 2]}, "text": {"type": "String", "value": "ab"}}
    server = NodeOpcUa(tmp_path / "server", variables={"steady": {"value": 7}, **more})
    server.start()
    try:
        with Twin.open(tmp_path / "data", OPTIONS) as twin, Relay(server.port) as line:
            adapter = adapter_for(f"opc.tcp://127.0.0.1:{line.port}", tmp_path, ["steady", "list", "text"], twin)
            async with taken_in(adapter, twin):
                await until(lambda: told(twin, "steady") == [7] and told(twin, "text") and told(twin, "list"))
                state = {signal.index: twin.state.read(signal.index) for signal in twin.graph.signal_map.values()}
                assert len(state) == 4  # the list is two
                line.down = True
                line.cut()
                await until(lambda: all(math.isnan(twin.state.read(index).value) for index in state))
                assert all(twin.state.read(index).quality < 64 for index in state)
                line.down = False
                await until(lambda: all(twin.state.read(index).value == was.value for index, was in state.items()))
                assert all(twin.state.read(index).quality == 192 for index in state)
            assert twin.pending_dead_letters() == 0
    finally:
        server.stop()
