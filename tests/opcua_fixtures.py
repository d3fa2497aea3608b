"""An OPC UA server by node-opcua: a process of its own, told what to do line by line (tests/peers/opcua_server.js)."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import servers

PROGRAM = Path(__file__).parent / "peers" / "opcua_server.js"


class NodeOpcUa:
    """A server on a port of its own; `options` as the program tells them. Its certificates stay in `directory`."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.options = options
        self.port = servers.free_port()
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns when it listens."""
        self.directory.mkdir(parents=True, exist_ok=True)
        options = {"port": self.port, "pki": str(self.directory), **self.options}
        log = (self.directory / "server.log").open("ab")
        self._process = subprocess.Popen(
            [servers.program("node"), str(PROGRAM), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"NODE_PATH": str(servers.node_modules())},
        )
        log.close()
        assert self._process.stdout is not None
        for line in self._process.stdout:  # it warns of this and that first
            if line.strip() == "ready":
                return
        self.kill()
        raise AssertionError((self.directory / "server.log").read_text())

    def tell(self, **command: Any) -> dict[str, Any]:
        """Has it do something; its answer, when that is done."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise AssertionError((self.directory / "server.log").read_text())

    async def set(self, values: Mapping[str, Any]) -> None:
        """Returns when it holds the values."""
        self.tell(set=dict(values))

    def kill(self) -> None:
        """As if the power failed."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    stop = kill
