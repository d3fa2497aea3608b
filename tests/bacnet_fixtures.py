"""A BACnet/IP device that somebody else wrote: @bacnet-js/client on a loopback port."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import servers
from node_fixtures import NodePeer

from iotsense.ingest.bacnet import BacnetAdapter
from iotsense.ingest.configured import Configured
from iotsense.ingest.reconnecting import Surroundings
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_bacnet import BacnetProtocol

OBJECTS = {"a": "0,1", "b": "0,2", "c": "2,3"}
TYPES = {"0": "analog-input", "1": "analog-output", "2": "analog-value", "3": "binary-input", "4": "binary-output",
         "13": "multi-state-input", "14": "multi-state-output", "40": "characterstring-value"}  # fmt: skip
DEVICE = 1234
UNSIGNED, TEXT, ENUM = 2, 7, 9


class BacnetServer(NodePeer):
    """A device that holds a, b and c, each 0 when it starts."""

    def __init__(self, device: int = DEVICE) -> None:
        self.port = servers.free_port()
        self.device = device
        super().__init__("bacnet_device.js", BACNET_PORT=self.port, BACNET_DEVICE=device)

    def fresh(self) -> None:
        """As when it has just started, whether it was killed or not."""
        if not self.running:
            super().start()
        self.tell("reset")
        self._begin()

    def start(self) -> None:
        super().start()
        self._begin()

    def _begin(self) -> None:
        self.add({key: {"name": f"Object {name}"} for name, key in OBJECTS.items()})

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, objects: Mapping[str, Mapping[str, Any]]) -> None:
        """Objects by "type,instance"."""
        self.tell("add", objects)

    async def set(self, values: Mapping[str, float]) -> None:
        await asyncio.to_thread(self.tell, "set", {OBJECTS.get(name, name): value for name, value in values.items()})


def item(key: str, name: str, **settings: Any) -> dict[str, Any]:
    """A definition's object: item("0,1", "a") is analog-input,1."""
    kind, _, instance = key.partition(",")
    return {"object": f"{TYPES[kind]},{instance}", "name": name} | settings


def objects(**settings: Any) -> list[dict[str, Any]]:
    """Those of the contract."""
    found = [item(key, name, **settings) for name, key in OBJECTS.items()]
    return [*found[:1], item("0,99", "missing", **settings), *found[1:]]


def definition(*devices: Mapping[str, Any], **settings: Any) -> BacnetProtocol:
    """As it stands in YAML, quick."""
    quick = {"interval": "30ms", "timeout": "200ms", "retries": 1, "heartbeat": "100ms", "cov_lifetime": "60s"}
    where = {"name": "bacnet", "address": "127.0.0.1/8", "port": servers.free_port()}
    return BacnetProtocol.model_validate(where | quick | settings | {"devices": list(devices)})


def device(server: BacnetServer, *found: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """A device of the definition."""
    return {"device_id": server.device, "address": server.address, "objects": list(found) or objects()} | settings


def adapter_for(tmp_path: Path, *devices: Mapping[str, Any], **settings: Any) -> BacnetAdapter:
    """An adapter with short backoff."""
    source = Configured("bacnet", "bacnet", definition(*devices, **settings))
    return BacnetAdapter(source, Surroundings(tmp_path), Backoff(0.05, 0.2))
