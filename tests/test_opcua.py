"""The OPC UA adapter against node-opcua: what every adapter promises whose values are read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opcua_fixtures import NodeOpcUa
from value_adapter_contract import MISSING, POINTS, ValueAdapterContract

from iotsense.ingest.configured import Configured
from iotsense.ingest.opcua import OpcUaAdapter
from iotsense.ingest.reconnecting import Surroundings
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_opcua import OpcUaProtocol
from iotsense.twin.twin import Twin

pytestmark = [pytest.mark.needs("node")]


def adapter_for(url: str, place: Path, nodes: Sequence[Any], twin: Twin | None = None, **settings: Any) -> OpcUaAdapter:
    """An adapter that publishes quickly; nodes as names in our namespace, or as they stand in a definition."""
    found = [{"id": f"nsu=urn:plant;s={node}", "name": node} if isinstance(node, str) else node for node in nodes]
    given = {
        "name": "opcua",
        "endpoint": url,
        "publishing_interval_ms": 50.0,
        "timeout": "2s",
        "nodes": found,
        **settings,
    }
    source = Configured("opcua", "opcua", OpcUaProtocol.model_validate(given))
    return OpcUaAdapter(source, Surroundings(place / "data" / "sources" / "opcua", twin), Backoff(0.05, 0.2))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeOpcUa]:
    # One that changes by itself, as there always is something to read at a machine that is polled.
    variables = {name: {"value": 0} for name in POINTS} | {"tick": {"every": 100, "modulo": 2}}
    machine = NodeOpcUa(tmp_path_factory.mktemp("opcua"), variables=variables)
    yield machine
    machine.stop()


@pytest.fixture
async def peer(machine: NodeOpcUa) -> NodeOpcUa:
    if machine.alive:
        await machine.set(dict.fromkeys(POINTS, 0))
    else:
        machine.start()
    return machine


class TestContract(ValueAdapterContract):
    most_buffered = 4

    @pytest.fixture
    def adapter(self, peer: NodeOpcUa, tmp_path: Path) -> OpcUaAdapter:
        return adapter_for(peer.url, tmp_path, [POINTS[0], MISSING, *POINTS[1:], "tick"], timeout="1s")

    def buffered(self, adapter: Any) -> int:
        return adapter.unread
