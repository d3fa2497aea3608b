"""A real Kafka broker on free loopback ports, one for a test session, and kafkajs as its other client."""

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import servers
from database_fixtures import PASSWORD, Server

USER = "plant"
_ROOT = Path(__file__).parent
_JAVA = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_PLAIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'


class Kafka(Server):
    """One node, broker and controller (KRaft), with a listener for each way to secure a connection.

    `ports`: by the name of the listener. `ca`: what its certificate (for `localhost`) descends from, if it speaks TLS.
    """

    name = "kafka"
    _LISTENERS = ("PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL")

    def __init__(self) -> None:
        super().__init__()
        self.ports = {name: servers.free_port() for name in (*self._LISTENERS, "CONTROLLER")}
        self.port = self.ports["PLAINTEXT"]
        self.ca = self.folder / "ca.pem"
        self._certify()
        (self.folder / "server.properties").write_text(self._properties())
        scram = [f"--add-scram=SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512)]
        self._run(
            "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", "server.properties", *scram
        )

    def command(self) -> list[str]:
        return [*_JAVA, "-cp", self._jars, "kafka.Kafka", str(self.folder / "server.properties")]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def _jars(self) -> str:
        return f"{servers.program('kafka')}/*"

    def _run(self, *command: str) -> None:
        subprocess.run([*_JAVA, "-cp", self._jars, *command], cwd=self.folder, check=True, capture_output=True)

    def _certify(self) -> None:
        def openssl(*arguments: str) -> None:
            subprocess.run([servers.program("openssl"), *arguments], cwd=self.folder, check=True, capture_output=True)

        key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA")
        openssl("req", *key[:-2], "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=localhost")
        (self.folder / "names").write_text("subjectAltName=DNS:localhost")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
        openssl("x509", "-req", "-in", "broker.csr", *signing, "-out", "broker.crt")
        files = [(self.folder / name).read_text() for name in ("broker.key", "broker.crt")]
        (self.folder / "broker.pem").write_text("".join(files))

    def _properties(self) -> str:
        listeners = {name: f"{name}://{self._host(name)}:{port}" for name, port in self.ports.items()}
        advertised = [address for name, address in listeners.items() if name != "CONTROLLER"]
        login = "".join(
            f"listener.name.{name}.{mechanism}.sasl.jaas.config={module}\n"
            for name in ("sasl_plaintext", "sasl_ssl")
            for mechanism, module in (("plain", _PLAIN), ("scram-sha-256", _SCRAM), ("scram-sha-512", _SCRAM))
        )
        return f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self.ports["CONTROLLER"]}
controller.listener.names=CONTROLLER
listeners={",".join(listeners.values())}
advertised.listeners={",".join(advertised)}
listener.security.protocol.map={",".join(f"{name}:{name}" for name in self._LISTENERS)},CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={self.folder}/logs
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location={self.folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={self.ca}
{login}"""

    @staticmethod
    def _host(listener: str) -> str:
        return "localhost" if "SSL" in listener else "127.0.0.1"


class KafkaPeer:
    """kafkajs in a process of its own: tests/peers/kafka.js says what it can do."""

    def __init__(self, address: str) -> None:
        environment = os.environ | {"NODE_PATH": str(servers.node_modules())}
        command = [servers.program("node"), str(_ROOT / "peers" / "kafka.js"), address]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._answer()

    def topic(self, partitions: int = 1) -> str:
        """A new topic."""
        name = f"t{uuid4().hex[:12]}"
        self.ask("create", topic=name, partitions=partitions)
        return name

    def send(self, topic: str, payloads: Sequence[bytes | None], **fields: Any) -> None:
        """Returns when the broker has them; `fields` are those of every message."""
        for first in range(0, len(payloads), 500):  # a request holds at most 1 MiB
            messages = [
                {**fields, "value": None if payload is None else base64.b64encode(payload).decode()}
                for payload in payloads[first : first + 500]
            ]
            self.ask("send", topic=topic, messages=messages)

    async def send_soon(self, topic: str, payloads: Sequence[bytes | None], **fields: Any) -> None:
        """The same, while the event loop goes on."""
        await asyncio.to_thread(lambda: self.send(topic, payloads, **fields))

    def ask(self, command: str, **fields: Any) -> Any:
        """Its answer to one command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **fields}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline() or '{"error": "the peer has ended"}')
        assert "error" not in answer, answer["error"]
        return answer.get("ok")


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[Kafka]:
    """A running broker; mark the test with needs("kafka", "openssl")."""
    server = Kafka()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def kafka_peer(kafka_server: Kafka) -> Iterator[KafkaPeer]:
    """Another client of it; mark the test with needs("kafka", "openssl", "node")."""
    peer = KafkaPeer(kafka_server.address)
    yield peer
    peer.close()
