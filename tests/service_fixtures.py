"""Running services for tests: in the test's own event loop, or as a process of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from iotsense.config import Listen, Settings
from iotsense.service import Service

API = "/api/v1/iotsense"

PLANT = """
digital_twins:
  - name: line_1
    type: assembly_line
    components:
      - id: conveyor
        type: conveyor
        sensors:
          - {id: c_speed, name: speed, type: encoder, unit: m/s}
          - {id: c_temp, name: motor_temperature, type: temperature, unit: celsius}
          - {id: c_status, name: status, labels: [stopped, running]}
      - id: robot
        type: robot_arm
        model: fanuc_m20
        sensors:
          - {id: joints, type: joint_encoder, joints: 3}
    relationships:
      - {from: conveyor, to: robot, type: feeds_into, transfer_time: 2.5}
anomaly_detection:
  rules:
    - name: hot_motor
      type: threshold
      sensor: c_temp
      conditions:
        - {metric: value, operator: ">", threshold: 80, severity: warning}
        - {metric: value, operator: ">", threshold: 95, severity: critical}
"""


def write_plant(directory: Path, text: str = PLANT) -> Path:
    """The definition as a file."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "plant.yaml"
    file.write_text(text)
    return file


def document(device: str, name: str, value: Any, time: str | None = None) -> dict[str, Any]:
    """A telemetry document with one measurement."""
    timed = {} if time is None else {"timestamp": time}
    return {"device_id": device, **timed, "measurements": [{"name": name, "value": value}]}


@asynccontextmanager
async def service(data: Path, *definitions: Path, **settings: Any) -> AsyncIterator[Service]:
    """A service in this event loop, on a port of its own, with further settings."""
    running = Service(Settings(data=data, definitions=definitions, listen=Listen("127.0.0.1", 0), **settings))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def client(running: Service) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of it."""
    async with httpx.AsyncClient(base_url=running.url, timeout=30) as http:
        yield http


class Process:
    """`iotsense run` as a process; `url` is where it listens, `log` what it said."""

    def __init__(self, data: Path, arguments: Sequence[str] = (), environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "iotsense", "run", "--data", str(data), "--listen", "127.0.0.1:0", *arguments]
        self.data = data
        self.environment = os.environ | {"PYTHONUNBUFFERED": "1"} | (environment or {})
        self._log = data.parent / f"{data.name}.log"
        self._at = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment, cwd=data.parent)

    @property
    def log(self) -> str:
        """What it said since this start."""
        return self._log.read_bytes()[self._at :].decode()

    @property
    def url(self) -> str:
        """Where it listens; waits for it."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.log}")
            for line in self.log.splitlines():
                if "listening on http" in line:
                    return "http" + line.partition("listening on http")[2].split(",")[0]
            time.sleep(0.02)
        raise AssertionError(f"it is not ready:\n{self.log}")

    def wait(self) -> int:
        """Its exit code, when it ends by itself."""
        return self.process.wait(60)

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def process(data: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Process]:
    """A service as a process that does not outlive the test."""
    started = Process(data, arguments, environment)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.kill()


def run_cli(
    *arguments: str, cwd: Path, input: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`iotsense ARGUMENTS` as a process."""
    return subprocess.run(
        [sys.executable, "-m", "iotsense", *arguments],
        cwd=cwd,
        input=input,
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"COLUMNS": "200"} | environment,
    )
