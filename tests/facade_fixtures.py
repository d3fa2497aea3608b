"""A small plant behind a real server on a free loopback port, for tests of GraphQL and of the console."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from iotsense.analytics.health import add_health_signals
from iotsense.graphql.app import graphql_routes
from iotsense.graphql.options import DEFAULTS, Options
from iotsense.ingest.source_state import SourceStatus
from iotsense.twin.access import LOCAL, Principal
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import EventDraft
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.kept_answers import KeptAnswers
from iotsense.twin.model import DataType, Level
from iotsense.twin.narrow_twin import narrow_twin
from iotsense.twin.replay import Players
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

S = 1_000_000_000


def running_source() -> SourceStatus:
    """A source that took in something."""
    status = SourceStatus("mqtt", "mqtt", "mqtt://127.0.0.1:1883")
    status.running()
    status.counters.received, status.counters.accepted = 7, 5
    return status


@dataclass
class Context:
    """The service as the facades see it."""

    twin: Twin
    version: str = "0.test"
    started: int = field(default_factory=now_ns)
    sources: Callable[[], Mapping[str, SourceStatus]] = lambda: {"mqtt": running_source()}
    players: Players = field(default_factory=Players)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    audit: None = None
    answers: KeptAnswers = field(default_factory=KeptAnswers)

    async def proven_by(self, authorization: str, address: str) -> Principal:
        """There is no key."""
        return LOCAL

    def seen_by(self, principal: Principal) -> "Context":
        """As a principal may see it."""
        return self if principal.under is None else replace(self, twin=narrow_twin(self.twin, principal.under))


def build(edit: GraphEdit) -> None:
    """A site with a hall; in it `line_1`: conveyor, robot (joints), packer; and `line_2`: a conveyor too."""
    site = edit.add_node(id="plant", level=Level.SITE, name="Riverside works")
    hall = edit.add_node(id="hall", level=Level.AREA, name="Hall A", parent=site.key)
    line = edit.add_node(id="line_1", level=Level.LINE, name="Line 1", type="assembly_line", parent=hall.key)
    conveyor = _component(
        edit, line.key, "line_1.conveyor", "Infeed conveyor", "conveyor", {"parameters": {"length": 50}}
    )
    _sensor(edit, conveyor, "speed", "m/s", low=0.0, high=3.0)
    _sensor(edit, conveyor, "motor_temp", "celsius", expected_interval=5.0)
    _sensor(edit, conveyor, "status", None, data_type=DataType.TEXT, labels=("stopped", "running"), stepped=True)
    _sensor(edit, conveyor, "jam", None, data_type=DataType.BOOLEAN, stepped=True)
    robot = _component(edit, line.key, "line_1.robot", "Pick robot", "robot_arm", {"model": "fanuc_m20"})
    arm = edit.add_node(id="line_1.robot.joints", level=Level.SENSOR, name="joint_positions", parent=robot)
    for joint in range(3):
        edit.add_signal(arm.key, f"value[{joint}]", unit="degree")
    packer = _component(edit, line.key, "line_1.packer", "Case packer", "packer", {})
    _sensor(edit, packer, "speed", "1/min")
    edit.relate(conveyor, "feeds_into", robot, transfer_time=2.5)
    edit.relate(robot, "feeds_into", packer, transfer_time=4)
    edit.relate(packer, "powered_by", conveyor)
    other = edit.add_node(id="line_2", level=Level.LINE, name="Line 2", parent=hall.key)
    _sensor(edit, _component(edit, other.key, "line_2.conveyor", "Outfeed conveyor", "conveyor", {}), "speed", "m/s")
    add_health_signals(edit)


def _component(edit: GraphEdit, line: int, id: str, name: str, type: str, properties: dict[str, Any]) -> int:
    return edit.add_node(id=id, level=Level.COMPONENT, name=name, type=type, parent=line, properties=properties).key


def _sensor(edit: GraphEdit, component: int, name: str, unit: str | None, **fields: Any) -> None:
    id = f"{edit.graph.node(component).id}.{name}"
    sensor = edit.add_node(id=id, level=Level.SENSOR, type=name, parent=component)
    edit.add_signal(sensor.key, unit=unit, **fields)


def plant(directory: Path) -> Twin:
    """A new twin of the small plant."""
    twin = Twin.open(directory)
    twin.change(build, "test")
    return twin


def put(twin: Twin, id: str, *values: float, time: int | None = None, quality: int = 192, step: int = S) -> None:
    """Readings of a signal, the last of them at `time` (now), `step` [ns] apart."""
    index = twin.graph.find_signal(id).index
    end = now_ns() if time is None else time
    times = [end - (len(values) - 1 - i) * step for i in range(len(values))]
    twin.apply(ReadingBatch.of([index] * len(values), times, list(values), quality))


def breach(twin: Twin, signal: str, severity: str = "warning", time: int | None = None, **more: Any) -> str:
    """An anomaly event as the monitor writes it; its identity, by which it is cleared with `until=`."""
    found = twin.graph.find_signal(signal)
    sensor = twin.graph.node(found.node)
    onset = now_ns() if time is None else time
    data = {
        "rule": "too_warm", "version": "1", "condition": 0, "signal": found.index, "signal_id": signal,
        "severity": severity, "metric": "value", "operator": ">", "threshold": 80.0, "value": 91.5, "unit": "celsius",
    }  # fmt: skip
    identity = f"too_warm:{found.index}:{onset}"
    twin.record([EventDraft(onset, "anomaly", sensor.parent, data=data, identity=identity, **more)])
    return identity


class Server:
    """Routes on a real server in a thread of its own."""

    def __init__(self, routes: list[BaseRoute], port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            Starlette(routes=routes), log_level="warning", lifespan="off", ws_per_message_deflate=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def start(self) -> None:
        """Serves from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Until now."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def ask(self, query: str, **variables: Any) -> Any:
        """`data` of a query that must not fail."""
        answer = self.ask_whole(query, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def ask_whole(self, query: str, **variables: Any) -> Any:
        """The whole answer to a query."""
        body = {"query": query, "variables": variables}
        return httpx.post(f"{self.url}/graphql", json=body, timeout=30).raise_for_status().json()


@contextlib.contextmanager
def serving(context: Context, *routes: BaseRoute, port: int = 0, options: Options = DEFAULTS) -> Iterator[Server]:
    """GraphQL (and more routes) over the context, while it lasts."""
    server = Server([*graphql_routes(context, options), *routes], port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def subscribed(server: Server, query: str, **variables: Any) -> AsyncIterator[Callable[[], Any]]:
    """A subscription over graphql-transport-ws; call it to wait for the next payload."""
    url = f"ws://127.0.0.1:{server.port}/graphql"
    async with websockets.connect(url, subprotocols=["graphql-transport-ws"], max_size=None) as socket:
        await socket.send('{"type":"connection_init"}')
        assert orjson.loads(await socket.recv())["type"] == "connection_ack"
        message = {"id": "1", "type": "subscribe", "payload": {"query": query, "variables": variables}}
        await socket.send(orjson.dumps(message).decode())

        async def next_payload() -> Any:
            answer = await asyncio.wait_for(socket.recv(), 10)
            assert isinstance(answer, str)
            return orjson.loads(answer).get("payload")

        yield next_payload
