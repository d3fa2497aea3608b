"""A real MQTT broker on a free loopback port, which a test may kill and bring back."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import servers


def _version(file: Path) -> tuple[int, int] | None:
    """Differs when another file took its place, even within one tick of the file system's clock."""
    return (file.stat().st_ino, file.stat().st_mtime_ns) if file.exists() else None


class Mosquitto:
    """A mosquitto with persistence on. `settings` are further lines of its configuration file."""

    def __init__(self, folder: Path, *, settings: str = "", anonymous: bool = True) -> None:
        self.folder = folder
        self.port = servers.free_port()
        self.settings = settings
        self.anonymous = anonymous
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it accepts connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "mosquitto.conf"
        config.write_text(self._config())
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([servers.program("mosquitto"), "-c", str(config)], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mosquitto does not start: {(self.folder / 'mosquitto.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Asks it to save its sessions and to go."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As if the power failed."""
        self._end(signal.SIGKILL)

    def save(self) -> None:
        """Has it write its sessions and queues to the disk now, which SIGKILL would not let it do."""
        assert self._process is not None
        database = self.folder / "mosquitto.db"
        before = _version(database)
        self._process.send_signal(signal.SIGUSR1)
        while _version(database) in (None, before):
            assert self._process.poll() is None, "mosquitto ended instead of saving"
            time.sleep(0.01)

    def password(self, user: str, password: str) -> None:
        """Lets only this user in, from the next start on."""
        self.anonymous = False
        self.folder.mkdir(parents=True, exist_ok=True)
        tool = Path(servers.program("mosquitto-clients")).with_name("mosquitto_passwd")
        subprocess.run([tool, "-c", "-b", self.folder / "passwords", user, password], check=True, capture_output=True)
        (self.folder / "passwords").chmod(0o600)
        self.settings += f"\npassword_file {self.folder}/passwords\n"

    def _config(self) -> str:
        # `user root`: it would otherwise become the user mosquitto, who may not enter the test's folder.
        return f"""
per_listener_settings false
persistence true
persistence_location {self.folder}/
max_queued_messages 0
max_packet_size 1000000
user root
log_type warning
log_type error
allow_anonymous {str(self.anonymous).lower()}
listener {self.port} 127.0.0.1
{self.settings}
"""

    def _accepts(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            # mosquitto forgets a signal that comes before its main loop, and accepts connections before that.
            for _ in range(30):
                self._process.send_signal(how)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(1)
                    break
            else:
                self._process.kill()
                self._process.wait()
                raise RuntimeError("mosquitto did not end within 30 s")
            self._process = None


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker of the test's own; mark the test with needs("mosquitto")."""
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.stop()
