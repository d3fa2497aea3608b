"""A running `iotsense run` for benchmarks: its own process, on free ports of this machine."""

import atexit
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Service:
    """One process; `url` is where it listens.

    tls: certificate, which vouches for itself, and key. program: what Python runs. verify: for clients of httpx.
    """

    def __init__(
        self,
        data: Path,
        config: Path | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        tls: tuple[Path, Path] | None = None,
        program: Sequence[str] = ("-m", "iotsense"),
    ) -> None:
        self.data = data
        self.config = config
        self.environment = os.environ | {"PYTHONUNBUFFERED": "1"} | dict(environment or {})
        self.port = free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.verify = ssl.create_default_context(cafile=tls[0]) if tls else True
        self._tls = tls
        self._program = program
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)  # a benchmark that gives up leaves no process behind

    def start(self, timeout: float = 60.0) -> float:
        """Starts it and returns the seconds until it says that it is ready."""
        command = [sys.executable, *self._program, "run", "--data", str(self.data)]
        command += ["--listen", f"127.0.0.1:{self.port}", "--log-level", "warning"]
        command += ["-c", str(self.config)] if self.config else []
        command += ["--tls-cert", str(self._tls[0]), "--tls-key", str(self._tls[1])] if self._tls else []
        log = self.data.parent / "service.log"
        began = time.perf_counter()
        with log.open("ab") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env=self.environment)
        with httpx.Client(verify=self.verify) as client:
            while time.perf_counter() - began < timeout:
                if self.process.poll() is not None:
                    raise SystemExit(f"the service ended with {self.process.returncode}:\n{log.read_text()[-2000:]}")
                with contextlib.suppress(httpx.TransportError):
                    if client.get(self.url + "/readyz").status_code == 200:
                        return time.perf_counter() - began
                time.sleep(0.01)
        raise SystemExit(f"the service was not ready within {timeout:g} s:\n{log.read_text()[-2000:]}")

    @property
    def pid(self) -> int:
        """The process."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and waits until it has drained."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def readings(self) -> int:
        """How many readings it has made durable since the data directory was made, derived ones included."""
        return metric(httpx.get(self.url + "/metrics").text, "iotsense_readings_total")

    def received(self) -> int:
        """How many readings from sources it has made durable since the data directory was made."""
        lines = httpx.get(self.url + "/metrics").text.splitlines()
        return metric(
            "\n".join(line for line in lines if 'source="derived"' not in line), "iotsense_source_stored_total"
        )


def metric(text: str, name: str) -> int:
    """The sum of a counter over its labels."""
    lines = [line for line in text.splitlines() if line.startswith(name) and line[len(name)] in " {"]
    if not lines:
        raise SystemExit(f"/metrics has no {name}")
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


@contextlib.contextmanager
def mosquitto(directory: Path) -> Iterator[int]:
    """A mosquitto with persistence on a free port, its queues unbounded, for as long as the block lasts."""
    port = free_port()
    config = directory / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {directory}/\n"
        "max_queued_messages 0\nmax_inflight_messages 2000\nlog_type error\nuser root\n"
    )
    path = os.environ["PATH"] + ":/usr/sbin"
    process = subprocess.Popen(["mosquitto", "-c", str(config)], env=os.environ | {"PATH": path})
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait()
