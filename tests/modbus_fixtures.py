"""Modbus devices that somebody else wrote: modbus-serial over TCP, and over a pair of pseudo-terminals."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import servers
from node_fixtures import NodePeer

from iotsense.ingest.configured import Configured
from iotsense.ingest.modbus import ModbusAdapter
from iotsense.ingest.reconnecting import Surroundings
from iotsense.twin.backoff import Backoff
from iotsense.twin.define_modbus import ModbusProtocol

REGISTERS = {"a": 10, "b": 11, "c": 40}
MISSING_AT = 20


class ModbusServer(NodePeer):
    """A device with 65,536 registers and coils in each unit. `MISSING_AT` is refused."""

    def __init__(self, port: int | None = None, serial: Path | None = None, units: str = "255") -> None:
        self.port = port or servers.free_port()
        where = {"MODBUS_PORT": self.port} if serial is None else {"MODBUS_SERIAL": serial}
        super().__init__("modbus_server.js", MODBUS_UNITS=units, **where)
        self.refused: list[dict[str, Any]] = [{"table": "holding", "first": MISSING_AT, "last": MISSING_AT, "code": 2}]

    def start(self) -> None:
        super().start()
        self.tell("refuse", self.refused)

    def fresh(self) -> None:
        """As when it has just started, whether it was killed or not."""
        if not self.running:
            self.start()
        self.tell("reset")
        self.tell("refuse", self.refused)

    def put(self, first: int, *values: int, unit: int = 1, table: str = "holding") -> None:
        """Has it hold values from an address on."""
        self.tell("set", {"unit": unit, "table": table, "first": first, "values": values})

    def get(self, first: int, count: int = 1, unit: int = 1, table: str = "holding") -> list[int]:
        """What it holds."""
        return self.tell("get", {"unit": unit, "table": table, "first": first, "count": count})

    def requests(self) -> list[list[Any]]:
        """[unit, table, first, count] of each request since the last call."""
        return self.tell("counts")["requests"]

    async def set(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            await asyncio.to_thread(self.put, REGISTERS[name], int(value))


class SerialLine:
    """Two pseudo-terminals that are one serial line."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.theirs = folder / "ours", folder / "theirs"
        ends = [f"pty,raw,echo=0,link={end}" for end in (self.ours, self.theirs)]
        self._process = subprocess.Popen([servers.program("socat"), *ends])
        while not (self.ours.exists() and self.theirs.exists()):
            time.sleep(0.01)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def socat(to: str, listen: str = "tcp-listen:PORT") -> Iterator[int]:
    """A port whose connections lead to somewhere else."""
    port = servers.free_port()
    begin = f"{listen.replace('PORT', str(port))},bind=127.0.0.1,fork,reuseaddr"
    process = subprocess.Popen([servers.program("socat"), begin, to], stderr=subprocess.DEVNULL)
    while not _accepts(port):
        time.sleep(0.01)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def registers(*more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of the contract: a, b and c, and one between them that is missing."""
    places = {**REGISTERS, "missing": MISSING_AT}
    return [{"address": at, "type": "uint16", "name": name} for name, at in places.items()] + [dict(m) for m in more]


def device(**settings: Any) -> ModbusProtocol:
    """A definition, with values as they stand in YAML."""
    defaults = {"name": "modbus", "polling_interval_ms": 20, "timeout": "1s", "registers": registers()}
    return ModbusProtocol.model_validate(defaults | settings)


def adapter_for(tmp_path: Path, name: str = "modbus", **settings: Any) -> ModbusAdapter:
    """An adapter with short backoff."""
    source = Configured(name, "modbus", device(**settings))
    return ModbusAdapter(source, Surroundings(tmp_path), Backoff(0.05, 0.2))
