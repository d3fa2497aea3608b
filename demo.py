"""The demo: a bottling line whose machines speak four protocols, the service beside it, a live view in the terminal."""

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from .config import Listen, Settings
from .demo_table import Heard, account, anomaly_line, plant_view
from .ingest.source_state import SourceState, SourceStatus
from .service import Service
from .sim.bottling_line import BottlingLine
from .sim.plant import Plant, bottling_plant
from .sim.wiring import BACNET, MODBUS, MQTT, OPCUA, protocol_of
from .twin.anomalies import ANOMALY
from .twin.errors import SourceError
from .twin.model import Event
from .twin.times import NS, now_ns
from .twin.twin import Twin

EXAMPLES = Path(__file__).resolve().parent / "examples"
DEFINITION = EXAMPLES / "bottling-line"
LINE = "bottling_line_1"
WITH_NEO4J = EXAMPLES / "neo4j"
CONNECT_S = 20.0
SETTLE_S = 15.0
LOOK_S = 0.25
QUIET_S = 1.0
NAMES = {MQTT: "MQTT", OPCUA: "OPC UA", MODBUS: "Modbus", BACNET: "BACnet"}
TELLING = (OPCUA, BACNET)
MILLISECOND = 1_000_000


def run_demo(
    duration: float | None,
    speed: float,
    seed: int,
    listen: Listen,
    data: Path | None,
    console: Console,
    neo4j: str | None = None,
) -> int:
    """Runs the demo for `duration` [s], None until Ctrl-C; the exit status: 0, or 1 if a reading was lost.

    The plant lives `speed` times as fast as the clock. data None is a directory that goes with the demo. `neo4j` is the
    address of a Neo4j that shows the line as well; user and password come from the environment.
    Raises IoTSenseError.
    """
    with _data_directory(data) as directory:
        definitions: tuple[Path, ...] = (DEFINITION,)
        if neo4j is not None:
            os.environ["NEO4J_URL"] = neo4j
            definitions = (DEFINITION, WITH_NEO4J)
        settings = Settings(data=directory, definitions=definitions, listen=listen)
        return asyncio.run(_demo(settings, BottlingLine(seed), speed, duration, console))


@contextlib.contextmanager
def _data_directory(data: Path | None) -> Iterator[Path]:
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="iotsense-demo-") as directory:
        yield Path(directory)


async def _demo(settings: Settings, line: BottlingLine, speed: float, duration: float | None, console: Console) -> int:
    end = _end_on_signal()
    # What goes wrong shall be seen; what goes right would tear the table apart.
    logging.getLogger("iotsense").setLevel(logging.WARNING)
    began = now_ns()
    async with bottling_plant(line, speed) as plant:
        os.environ |= plant.variables
        async with _service(settings) as service:
            demo = Demo(service, plant, console, began)
            demo.introduce(settings.data)
            await demo.play(duration, end)
            return await demo.settle_up()


def _end_on_signal() -> asyncio.Event:
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    return end


@contextlib.asynccontextmanager
async def _service(settings: Settings) -> AsyncIterator[Service]:
    service = Service(settings)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


class Demo:
    """One performance: the service, the machines, and what is shown of them."""

    def __init__(self, service: Service, plant: Plant, console: Console, began: int) -> None:
        self._service = service
        self._twin: Twin = service.twin
        self._plant = plant
        self._console = console
        self._began = began
        self._sources = {name: source.status for name, source in service.sources.items()}
        self._told = self._twin.last_event_seq
        self._opened = self._cleared = 0

    def introduce(self, data: Path) -> None:
        """The addresses."""
        url = self._service.url
        for name, address in (
            ("Page", f"{url}/"),
            ("REST", f"{url}/api/v1/iotsense/twins/{LINE}/state"),
            ("GraphQL", f"{url}/graphql"),
            *((NAMES[protocol], address) for protocol, address in self._plant.addresses.items()),
            ("Data", str(data)),
        ):
            self._console.print(f"[bold]{name:8}[/] {address}", highlight=False, soft_wrap=True)

    async def play(self, duration: float | None, end: asyncio.Event) -> None:
        """Lets the machines speak for `duration` [s], or until `end` is set, and shows what the twin knows."""
        await self._connected()
        speaking = asyncio.create_task(self._plant.performance.run(end))
        if duration is not None:
            asyncio.get_running_loop().call_later(duration, end.set)
        try:
            with self._screen() as live:
                while not speaking.done():
                    await asyncio.wait([speaking], timeout=LOOK_S)
                    self._tell_anomalies()
                    if live is not None:
                        live.update(plant_view(self._twin, LINE, self._status(), self._sources.values()), refresh=True)
        finally:
            end.set()
            await speaking

    async def settle_up(self) -> int:
        """Waits for what is under way, prints the account, and says whether anything was lost."""
        await self._arrived()
        await self._service.end_sources()
        heard = [await asyncio.to_thread(self._heard, status) for status in self._sources.values()]
        self._tell_anomalies()
        self._console.print(account(heard, self._plant.tally, self._opened, self._cleared))
        return 0 if all(one.told == one.acknowledged == one.stored for one in heard) else 1

    @contextlib.contextmanager
    def _screen(self) -> Iterator[Live | None]:
        if not self._console.is_terminal:
            yield None
            return
        with Live(console=self._console, auto_refresh=False) as live:
            yield live

    async def _connected(self) -> None:
        """The broker keeps nothing for a service that has not subscribed yet, so the machines wait for it."""
        deadline = asyncio.get_running_loop().time() + CONNECT_S
        while away := [source for source in self._sources.values() if source.state is not SourceState.RUNNING]:
            if asyncio.get_running_loop().time() > deadline:
                reasons = "; ".join(f"{source.name}: {source.error or source.state}" for source in away)
                raise SourceError(f"the service did not reach the demo's machines: {reasons}")
            await asyncio.sleep(0.05)

    def _status(self) -> str:
        read = sum(status.counters.read for status in self._sources.values())
        seconds = (now_ns() - self._began) / NS
        return (
            f"{seconds:.0f} s (the line's {self._plant.performance.line.time:.0f} s)   {read:,} readings, "
            f"{read / max(seconds, 1.0):.0f}/s   Ctrl-C ends"
        )

    def _tell_anomalies(self) -> None:
        for event in self._new_events():
            self._opened += event.until is None
            self._cleared += event.until is not None
            self._console.print(anomaly_line(event), soft_wrap=True)

    def _new_events(self) -> list[Event]:
        last = self._twin.last_event_seq
        events = self._twin.events(self._told, kind=ANOMALY) if last > self._told else []
        self._told = last
        return [event for event in events if event.seq <= last]

    async def _arrived(self) -> None:
        """Waits until what the machines told is stored, for as long as there comes more."""
        loop = asyncio.get_running_loop()
        known, deadline = self._settled(), loop.time() + SETTLE_S
        quiet = loop.time()
        while loop.time() < deadline:
            if known[0] and loop.time() - quiet >= QUIET_S:
                return
            await asyncio.sleep(LOOK_S)
            if (now := self._settled()) != known:
                known, quiet, deadline = now, loop.time(), loop.time() + SETTLE_S

    def _settled(self) -> tuple[bool, int]:
        """Whether all that was told over MQTT is stored, and what the sources that are told of changes have read."""
        mqtt = sum(status.counters.stored for status in self._sources.values() if status.protocol == MQTT)
        told = sum(s.counters.read for s in self._sources.values() if s.protocol in TELLING)
        return mqtt >= self._plant.tally.readings, told

    def _heard(self, status: SourceStatus) -> Heard:
        """What became of a source's readings; blocks."""
        counters, tally = status.counters, self._plant.tally
        by_mqtt = status.protocol == MQTT
        told = tally.readings if by_mqtt else counters.read
        acknowledged = tally.acknowledged_readings if by_mqtt else counters.stored
        stored = stored_readings(self._twin, self._began, status.protocol)
        return Heard(NAMES[status.protocol], told, acknowledged, stored)


def stored_readings(twin: Twin, since: int, protocol: str) -> int:
    """How many readings the history holds from `since` [ns] on, of the sensors that speak a protocol; blocks."""
    graph = twin.graph
    start = since // MILLISECOND * MILLISECOND  # the machines' stamps have no more digits
    stored = 0
    for component in graph.components(graph.find(LINE).key):
        for sensor in graph.sensors(component.key):
            if protocol_of(component.short_id, sensor.short_id) == protocol:
                for signal in graph.signals_of(sensor.key):
                    stored += len(twin.history(signal.index, start, now_ns() + NS))
    return stored
