"""A real Neo4j Community with Neo4j Browser on free loopback ports, which a test may stop, kill and bring back."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers

USER = "neo4j"
_OPENED = ("java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch")
_ENTRY = "org.neo4j.server.CommunityEntryPoint"


class Neo4jServer:
    """One server with its own files; `settings` are further lines of neo4j.conf.

    It starts in half the time because Java does not optimise what it runs; `optimised` is for figures.
    """

    def __init__(
        self, folder: Path, *, settings: str = "", password: str | None = None, optimised: bool = False
    ) -> None:
        self.folder = folder
        self.bolt_port = servers.free_port()
        self.http_port = servers.free_port()
        self.settings = settings
        self.password = password
        self.optimised = optimised
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where drivers connect."""
        return f"bolt://127.0.0.1:{self.bolt_port}"

    @property
    def browser_url(self) -> str:
        """Where Neo4j Browser is."""
        return f"http://127.0.0.1:{self.http_port}/browser/"

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns once it answers over HTTP, some 6 seconds later; Bolt is open by then."""
        (self.folder / "conf").mkdir(parents=True, exist_ok=True)
        (self.folder / "conf" / "neo4j.conf").write_text(self._config())
        new = not (self.folder / "data").exists()
        with (self.folder / "neo4j.log").open("ab") as log:
            self._process = subprocess.Popen(self._java(_ENTRY, *self._folders()), stdout=log, stderr=log)
        deadline = time.monotonic() + 180
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Neo4j does not start: {(self.folder / 'neo4j.log').read_text()[-2000:]}")
            time.sleep(0.05)
        if new and self.password is not None:
            self._set_password(self.password)

    def stop(self) -> None:
        """Asks it to go."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As if the power failed."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It keeps its connections and answers nothing, as a server does that is far too slow."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of the pause."""
        os.kill(self.pid, signal.SIGCONT)

    def forget(self) -> None:
        """Takes away all that it has stored; it must not run."""
        assert self._process is None
        shutil.rmtree(self.folder / "data")

    def save(self, place: Path) -> None:
        """Copies all that it has stored; it must not run."""
        assert self._process is None
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.folder / "data", place)

    def restore(self, place: Path) -> None:
        """Brings back what `save` copied; it must not run."""
        self.forget()
        shutil.copytree(place, self.folder / "data")

    def _folders(self) -> list[str]:
        return [f"--home-dir={self.folder}", f"--config-dir={self.folder}/conf"]

    def _java(self, main: str, *arguments: str) -> list[str]:
        jars = Path(servers.program("neo4j")) / "*"
        opened = [f"--add-opens={name}=ALL-UNNAMED" for name in _OPENED]
        quick = [] if self.optimised else ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        heap = "-Xmx1g" if self.optimised else "-Xmx512m"
        return ["java", heap, *quick, *opened, "-cp", str(jars), main, *arguments]

    def _set_password(self, password: str) -> None:
        # A new server lets its user do nothing but choose a password.
        import neo4j

        with neo4j.GraphDatabase.driver(self.url, auth=(USER, USER)) as driver:
            change = "ALTER CURRENT USER SET PASSWORD FROM $old TO $new"
            driver.execute_query(change, old=USER, new=password, database_="system")

    def _config(self) -> str:
        return f"""
server.default_listen_address=127.0.0.1
server.bolt.listen_address=:{self.bolt_port}
server.http.listen_address=:{self.http_port}
server.https.enabled=false
server.memory.pagecache.size=128m
dbms.security.auth_enabled={str(self.password is not None).lower()}
dbms.usage_report.enabled=false
{self.settings}
"""

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(self.browser_url, timeout=1):
            return True
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None


@pytest.fixture(scope="session")
def neo4j_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neo4jServer]:
    """The one that tests share, since each takes 6 seconds and 400 MB."""
    server = Neo4jServer(tmp_path_factory.mktemp("neo4j"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def neo4j(neo4j_server: Neo4jServer) -> Neo4jServer:
    """The shared server, empty; mark the test with needs("neo4j")."""
    import neo4j as driver

    with driver.GraphDatabase.driver(neo4j_server.url) as connection:
        empty(connection)
    return neo4j_server


def empty(connection: object) -> None:
    """Removes all nodes; constraints and indexes stay, since making them takes longer than most tests."""
    from neo4j import Driver

    assert isinstance(connection, Driver)
    connection.execute_query("MATCH (n) DETACH DELETE n", database_="neo4j")
