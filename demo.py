"""The demo: a bottling line whose machines speak MQTT, the service beside it, and a live view in the terminal."""

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

from .analytics.anomalies import ANOMALY
from .config import Listen, Settings
from .demo_table import account, anomaly_line, plant_view
from .ingest.source_state import SourceState
from .service import Service
from .sim.bottling_line import BottlingLine
from .sim.broker import mqtt_broker
from .sim.machines import Machines
from .twin.errors import SourceError
from .twin.model import Event, Role
from .twin.times import NS, now_ns
from .twin.twin import Twin

DEFINITION = Path(__file__).parent / "examples" / "bottling-line"
LINE = "bottling_line_1"
WITH_NEO4J = Path(__file__).parent / "examples" / "neo4j"
BROKER_VARIABLE = "BOTTLING_LINE_BROKER"
CONNECT_S = 20.0
SETTLE_S = 15.0
LOOK_S = 0.25
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
    async with mqtt_broker() as broker:
        os.environ[BROKER_VARIABLE] = broker
        async with _service(settings) as service:
            demo = Demo(service, Machines(line, broker, speed), console)
            demo.introduce(broker, settings.data)
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

    def __init__(self, service: Service, machines: Machines, console: Console) -> None:
        self._service = service
        self._twin: Twin = service.twin
        self._machines = machines
        self._console = console
        self._began = now_ns()
        self._told = self._twin.last_event_seq
        self._opened = self._cleared = 0

    def introduce(self, broker: str, data: Path) -> None:
        """The addresses."""
        url = self._service.url
        for name, address in (
            ("Page", f"{url}/"),
            ("REST", f"{url}/api/v1/iotsense/twins/{LINE}/state"),
            ("GraphQL", f"{url}/graphql"),
            ("MQTT", broker),
            ("Data", str(data)),
        ):
            self._console.print(f"[bold]{name:8}[/] {address}", highlight=False, soft_wrap=True)

    async def play(self, duration: float | None, end: asyncio.Event) -> None:
        """Lets the machines speak for `duration` [s], or until `end` is set, and shows what the twin knows."""
        await self._connected()
        speaking = asyncio.create_task(self._machines.run(end))
        if duration is not None:
            asyncio.get_running_loop().call_later(duration, end.set)
        try:
            with self._screen() as live:
                while not speaking.done():
                    await asyncio.wait([speaking], timeout=LOOK_S)
                    self._tell_anomalies()
                    if live is not None:
                        live.update(plant_view(self._twin, LINE, self._status()), refresh=True)
        finally:
            end.set()
            await speaking

    async def settle_up(self) -> int:
        """Waits for what is under way, prints the account, and says whether anything was lost."""
        tally = self._machines.tally
        stored = await self._stored()
        self._tell_anomalies()
        self._console.print(account(tally, stored, self._opened, self._cleared))
        return 0 if tally.readings == tally.acknowledged_readings == stored else 1

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
        while not all(source.status.state is SourceState.RUNNING for source in self._service.sources.values()):
            if asyncio.get_running_loop().time() > deadline:
                raise SourceError("the service did not reach the demo's broker")
            await asyncio.sleep(0.05)

    def _status(self) -> str:
        tally = self._machines.tally
        seconds = (now_ns() - self._began) / NS
        return (
            f"{seconds:.0f} s (the line's {self._machines.line.time:.0f} s)   readings: {tally.readings:,} sent, "
            f"{tally.acknowledged_readings:,} acknowledged, {tally.readings / max(seconds, 1.0):.0f}/s   Ctrl-C ends"
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

    async def _stored(self) -> int:
        """Readings of the line in the history of its signals; waits for as long as there come more."""
        loop = asyncio.get_running_loop()
        stored, deadline = -1, loop.time() + SETTLE_S
        while loop.time() < deadline:
            found = await asyncio.to_thread(stored_readings, self._twin, self._began)
            if found >= self._machines.tally.readings:
                return found
            if found > stored:
                stored, deadline = found, loop.time() + SETTLE_S
            await asyncio.sleep(LOOK_S)
        return stored


def stored_readings(twin: Twin, since: int) -> int:
    """How many readings of the line's sensors the history holds from `since` [ns] on; blocks."""
    graph = twin.graph
    measured = [
        signal
        for node in graph.descendants(graph.find(LINE).key)
        for signal in graph.signals_of(node.key)
        if signal.role is Role.MEASURED
    ]
    start = since // MILLISECOND * MILLISECOND  # the machines' stamps have no more digits
    return sum(len(twin.history(signal.index, start, now_ns() + NS)) for signal in measured)
