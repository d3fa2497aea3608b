"""Modbus TCP from foreign devices: registers read in blocks, decoded, bound to signals and durable."""

import contextlib
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from figure import Figure, process_cpu
from under_test import Service, free_port

DEVICES = 4
SENSORS = 50
ELEMENTS = 50  # values of a sensor; 2 sensors are a block of 100 registers
HERE = Path(__file__).parent


def run() -> list[Figure]:
    """As fast as it goes, and 100,000 tags at the usual pace."""
    return [_throughput(), _tags()]


def _throughput() -> Figure:
    """Four devices of 2,500 registers, asked again as soon as they have answered."""
    with _running(SENSORS, 1.0) as (service, ports):
        speed, cpu = _speed(service, 10.0)
        control = _pymodbus_one_by_one(ports[0])
    return Figure(
        "Modbus TCP, 4 devices, blocks of 100",
        speed,
        "registers/s",
        cpu,
        at_least=300_000,
        control=control,
        control_name="pymodbus, a request a register",
    )


def _tags() -> Figure:
    """100,000 tags of four devices, polled each second: CPU of the whole process, storing included."""
    with _running(500, 1000.0) as (service, _):
        speed, cpu = _speed(service, 20.0)
    return Figure(
        "100,000 Modbus tags polled each second",
        100 * cpu / 20,
        "% of a core",
        cpu,
        at_most=60,
        note=f"{speed:,.0f} readings/s became durable",
    )


@contextlib.contextmanager
def _running(sensors: int, interval: float) -> Iterator[tuple[Service, list[int]]]:
    """A service that polls four devices of so many sensors each at an interval [ms], and has begun to."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place, _devices(Path(place)) as ports:
        directory = Path(place)
        (directory / "plant.yaml").write_text(_project(ports, sensors, interval))
        service = Service(directory / "data", directory / "plant.yaml")
        service.start(300)
        wanted = DEVICES * sensors * ELEMENTS
        deadline = time.monotonic() + 60
        while service.received() < 2 * wanted:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {service.received()} readings came")
            time.sleep(0.1)
        yield service, ports
        service.stop()


def _speed(service: Service, seconds: float) -> tuple[float, float]:
    """Readings a second that became durable, and CPU seconds."""
    first, cpu, began = service.received(), process_cpu(service.pid), time.perf_counter()
    time.sleep(seconds)
    count, span = service.received() - first, time.perf_counter() - began
    return count / span, process_cpu(service.pid) - cpu


@contextlib.contextmanager
def _devices(directory: Path) -> Iterator[list[int]]:
    program, ports = directory / "modbus_server", [free_port() for _ in range(DEVICES)]
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "modbus_server.c"], check=True)
    process = subprocess.Popen([program, *map(str, ports)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield ports
    finally:
        process.kill()
        process.wait()


def _project(ports: list[int], sensors: int, interval: float) -> str:
    """Each device has machines of ten sensors; where its registers begin is drawn."""
    machines, sources = [], []
    for number, port in enumerate(ports):
        begin = random.randrange(40_000 - sensors * ELEMENTS)
        sources.append(
            f"    - name: modbus\n      id: device_{number}\n      host: 127.0.0.1\n      port: {port}\n"
            f"      max_registers: 100\n      polling_interval_ms: {interval}\n      registers:"
        )
        for sensor in range(sensors):
            machine, name = f"m{number}_{sensor // 10}", f"s{number}_{sensor}"
            if sensor % 10 == 0:
                machines.append(f"      - id: {machine}\n        type: motor\n        sensors:")
            machines.append(f"          - {{id: {name}, type: load, joints: {ELEMENTS}}}")
            address = begin + ELEMENTS * sensor
            sources.append(
                f"        - {{address: {address}, type: uint16, elements: {ELEMENTS}, name: {name}, device: {machine}}}"
            )
    twins = "digital_twins:\n  - name: line\n    type: assembly_line\n    components:\n"
    return twins + "\n".join([*machines, "sensor_ingestion:", "  protocols:", *sources]) + "\n"


def _pymodbus_one_by_one(port: int) -> float:
    """The control: pymodbus's client, a request for each register as its examples show it [registers/s]."""
    import asyncio

    from pymodbus.client import AsyncModbusTcpClient

    async def read() -> float:
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        await client.connect()
        began = time.perf_counter()
        for address in range(2000):
            (await client.read_holding_registers(address, count=1)).registers[0]
        client.close()
        return 2000 / (time.perf_counter() - began)

    return asyncio.run(read())
