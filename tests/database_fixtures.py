"""Real PostgreSQL and InfluxDB servers on free loopback ports, one of each for a test session; tests may kill them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import servers

PASSWORD = "correct horse"
TOKEN = "battery-staple"
ORGANIZATION = "plant"


class Server:
    """A process in a folder of its own. Derive, and say its command and when it answers."""

    name = ""

    def __init__(self) -> None:
        # Not below pytest's folder, which only its owner may enter: a server may run as another user.
        self.folder = Path(tempfile.mkdtemp(prefix=f"iotsense-{self.name}-"))
        self.port = servers.free_port()
        self.user: str | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def start(self) -> None:
        """Returns once it answers."""
        deadline = time.monotonic() + 60
        while not self._begin(deadline):
            time.sleep(0.1)  # what a killed one left behind is still going

    def _begin(self, deadline: float) -> bool:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, user=self.user, cwd=self.folder)
        while not self.answers():
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} does not start: {self.log}")
            if self.process.poll() is not None:
                return False
            time.sleep(0.05)
        return True

    def kill(self) -> None:
        """As if the power failed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def remove(self) -> None:
        """Ends it, and what it kept."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None


class PostgreSQL(Server):
    """A cluster whose superuser is `plant`. It refuses root, so root runs it as `postgres` or `nobody`."""

    name = "postgresql"

    def __init__(self, *settings: str) -> None:
        super().__init__()
        self.settings = settings
        if os.geteuid() == 0:
            self.user = _first_user("postgres", "nobody")
            shutil.chown(self.folder, self.user)
        self._initialise()

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self.user:
            shutil.chown(secret, self.user)
        tool = str(Path(servers.program("postgresql")).resolve().with_name("initdb"))
        command = [tool, "-D", "data", "-U", "plant", "-A", "scram-sha-256", "--pwfile", "password", "-E", "UTF8"]
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd=self.folder)

    def command(self) -> list[str]:
        options = [f"--{setting}" for setting in self.settings]
        sockets = ["-h", "127.0.0.1", "-k", "", "-p", str(self.port)]
        return [servers.program("postgresql"), "-D", str(self.folder / "data"), *sockets, *options]

    def answers(self) -> bool:
        tool = str(Path(servers.program("postgresql")).resolve().with_name("pg_isready"))
        asked = subprocess.run([tool, "-q", "-h", "127.0.0.1", "-p", str(self.port)], capture_output=True)
        return asked.returncode == 0

    @property
    def url(self) -> str:
        """Its address, without the database."""
        return f"postgresql://127.0.0.1:{self.port}"

    def database(self) -> str:
        """A new, empty database; its name."""
        import psycopg

        name = f"t{uuid4().hex[:12]}"
        with psycopg.connect(f"{self.url}/postgres", user="plant", password=PASSWORD, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name


class InfluxDB(Server):
    """An InfluxDB 2 with one organisation and a token that may do everything."""

    name = "influxdb"

    def command(self) -> list[str]:
        files = [f"--{kind}-path={self.folder / kind}" for kind in ("bolt", "engine", "sqlite")]
        return [
            servers.program("influxdb"),
            *files,
            f"--http-bind-address=127.0.0.1:{self.port}",
            "--reporting-disabled",
            "--log-level=error",
        ]

    def answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set_up(self) -> None:
        """Makes the organisation and the token."""
        first = {"username": "plant", "password": PASSWORD, "org": ORGANIZATION, "bucket": "first", "token": TOKEN}
        httpx.post(f"{self.url}/api/v2/setup", json=first, timeout=30).raise_for_status()

    @staticmethod
    def bucket() -> str:
        """The name of a bucket that is not there yet."""
        return f"t{uuid4().hex[:12]}"


def _first_user(*names: str) -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in names if name in known)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """A running server; mark the test with needs("postgresql")."""
    server = PostgreSQL()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def influxdb_server() -> Iterator[InfluxDB]:
    """A running server; mark the test with needs("influxdb")."""
    server = InfluxDB()
    server.start()
    server.set_up()
    yield server
    server.remove()
