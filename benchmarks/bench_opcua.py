"""OPC UA: 2,000 variables of a node-opcua server that all change every 100 ms, durable before they are acknowledged."""

import asyncio
import logging
import os
import random
import tempfile
import time
from pathlib import Path

from figure import Figure, process_cpu
from opcua_fixtures import NodeOpcUa
from under_test import Service

VARIABLES = 2_000
EVERY_MS = 100
SECONDS = 20.0
QUIET_S = 3.0
HEAD = """
sensor_ingestion:
  protocols:
    - name: opcua
      endpoint: {url}
      publishing_interval_ms: 100
      nodes:
"""


def run() -> list[Figure]:
    """The figures: no change lost between the first and the last that came; changes a CPU second of the service."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        directory = Path(place)
        server = NodeOpcUa(directory / "server", lines=VARIABLES, change_every=EVERY_MS)
        server.start()
        try:
            rate, cpu, last = _measure(server, directory)
            control = _asyncua(server)
        finally:
            server.stop()
        lost, kept = _lost(directory / "data", last)
    return [
        Figure(f"OPC UA, {VARIABLES:,} variables at {EVERY_MS} ms: changes lost", lost, f"of {kept:,}", cpu, at_most=0),
        Figure(
            "OPC UA changes, durable before they are acknowledged",
            rate,
            "changes/s of one core",
            cpu,
            at_least=60_000,
            control=control,
            control_name="asyncua's handler, nothing stored",
        ),
    ]


def _measure(server: NodeOpcUa, directory: Path) -> tuple[float, float, int]:
    """Changes for each CPU second of the service, the CPU seconds, and how often each variable changed in all."""
    project = directory / "plant.yaml"
    project.write_text(_project(server.url))
    service = Service(directory / "data", project)
    service.start()
    _await(lambda: service.received() >= VARIABLES)
    before, cpu = service.received(), process_cpu(service.pid)
    time.sleep(SECONDS)
    changes, used = service.received() - before, process_cpu(service.pid) - cpu
    server.tell(stop=True)
    time.sleep(QUIET_S)
    last = server.tell(count=True)["counts"]["*many"]
    service.stop()
    return changes / used, used, last


def _project(url: str) -> str:
    name = f"machine_{random.SystemRandom().randrange(10**6)}"
    nodes = [f"nsu=urn:plant;s=V{number}" for number in range(VARIABLES)]
    sensors = "".join(
        f"          - {{id: v{number}, type: counter, source: '{node}'}}\n" for number, node in enumerate(nodes)
    )
    asked = "".join(f"        - {{id: '{node}', sampling_interval_ms: 0}}\n" for node in nodes)
    twin = (
        f"digital_twins:\n  - name: line\n    type: line\n    components:\n      - id: {name}\n        type: machine\n"
    )
    return f"{twin}        sensors:\n{sensors}{HEAD.format(url=url)}{asked}"


def _await(condition) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise SystemExit("the service received nothing from the OPC UA server")


def _lost(data: Path, last: int) -> tuple[int, int]:
    """Changes that are missing between a variable's first and the server's last, and how many are there.

    A variable's value counts its changes.
    """
    import numpy as np

    from iotsense.twin.twin import Twin

    lost = kept = 0
    with Twin.open(data) as twin:
        for node in twin.graph.node_map.values():
            for signal in twin.graph.signals_of(node.key) if "source" in node.properties else ():
                columns = twin.history(signal.index, 0, time.time_ns())
                counts = np.unique(np.floor(columns.value))
                kept += len(counts)
                lost += last - int(counts.min()) + 1 - len(counts)
    return lost, kept


def _asyncua(server: NodeOpcUa) -> float:
    """The control: asyncua's own subscription with a handler that counts; changes a CPU second."""
    from asyncua import Client

    class Handler:
        count = 0

        def datachange_notification(self, node, value, data) -> None:
            self.count += 1

    logging.getLogger("asyncua").setLevel(logging.ERROR)

    async def count() -> float:
        handler = Handler()
        async with Client(server.url, watchdog_intervall=30) as client:
            index = await client.get_namespace_index("urn:plant")
            subscription = await client.create_subscription(EVERY_MS, handler)
            nodes = [client.get_node(f"ns={index};s=V{number}") for number in range(VARIABLES)]
            await subscription.subscribe_data_change(nodes, queuesize=100, sampling_interval=0)
            await asyncio.sleep(1)
            before, cpu = handler.count, _own_cpu()
            await asyncio.sleep(5)
            return (handler.count - before) / (_own_cpu() - cpu)

    server.tell(resume=True)
    return asyncio.run(count())


def _own_cpu() -> float:
    times = os.times()
    return times.user + times.system
