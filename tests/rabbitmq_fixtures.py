"""A real RabbitMQ on free loopback ports, one for a test session."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
import servers
from database_fixtures import PASSWORD, Server

USER = "plant"


class RabbitMQ(Server):
    """One node with the user `plant`. `tls_port` speaks TLS, with a certificate for `localhost` from `ca`."""

    name = "rabbitmq"

    def __init__(self) -> None:
        super().__init__()
        self.tls_port = servers.free_port()
        self.ca = self.folder / "ca.pem"
        self._epmd = servers.free_port()
        self._certify()
        (self.folder / "rabbitmq.conf").write_text(self._config())
        (self.folder / "enabled_plugins").write_text("[].\n")
        self.environment = (
            os.environ
            | {
                "HOME": str(self.folder),  # its Erlang cookie is made there
                "RABBITMQ_NODENAME": f"t{uuid4().hex[:8]}@localhost",
                "RABBITMQ_NODE_PORT": str(self.port),
                "RABBITMQ_DIST_PORT": str(servers.free_port()),
                "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
                "RABBITMQ_LOG_BASE": str(self.folder),
                "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
                "RABBITMQ_PID_FILE": str(self.folder / "pid"),
                "ERL_EPMD_PORT": str(self._epmd),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
            }
        )

    @property
    def address(self) -> str:
        return f"amqp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it takes clients: its port is open a while before."""
        deadline = time.monotonic() + 60
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self._tool("rabbitmq-server"))],
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            )
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"rabbitmq does not start: {self.log}")
            time.sleep(0.05)

    def remove(self) -> None:
        super().remove()
        # The names' server that it brought along outlives it.
        with suppress(OSError):
            subprocess.run(["epmd", "-port", str(self._epmd), "-kill"], capture_output=True, env=self.environment)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)
            self.process.wait(30)
            self.process = None
            while self.answers():  # the shell that was started is gone before Erlang is
                time.sleep(0.02)

    @staticmethod
    def _tool(name: str) -> Path:
        # Debian's own scripts change to another user and folder.
        plain = Path("/usr/lib/rabbitmq/bin") / name
        return plain if plain.exists() else Path(servers.program("rabbitmq")).with_name(name)

    def _config(self) -> str:
        return f"""
listeners.tcp.default = 127.0.0.1:{self.port}
listeners.ssl.default = 127.0.0.1:{self.tls_port}
ssl_options.cacertfile = {self.ca}
ssl_options.certfile = {self.folder}/broker.crt
ssl_options.keyfile = {self.folder}/broker.key
ssl_options.verify = verify_none
default_user = {USER}
default_pass = {PASSWORD}
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
log.console = true
log.console.level = error
log.file = false
disk_free_limit.absolute = 1MB
"""

    def _certify(self) -> None:
        def openssl(*arguments: str) -> None:
            subprocess.run([servers.program("openssl"), *arguments], cwd=self.folder, check=True, capture_output=True)

        key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA")
        openssl("req", *key[:-2], "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=localhost")
        (self.folder / "names").write_text("subjectAltName=DNS:localhost")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
        openssl("x509", "-req", "-in", "broker.csr", *signing, "-out", "broker.crt")


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQ]:
    """A running broker; mark the test with needs("rabbitmq", "openssl")."""
    server = RabbitMQ()
    server.start()
    yield server
    server.remove()
