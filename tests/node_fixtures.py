"""Programs in JavaScript that other people's packages are driven by: they read and write lines of JSON.

`NodePeer` for tests that block, `node_program` for coroutines.
"""

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import servers

PEERS = Path(__file__).parent / "peers"


class NodeProgram:
    """A running program of tests/peers; `heard` is what it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.heard: list[Any] = []
        self._reading = asyncio.create_task(self._read())

    def tell(self, **what: Any) -> None:
        """Writes it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what).encode() + b"\n")

    def kill(self) -> None:
        """As if its machine lost power."""
        self.process.kill()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.heard.append(json.loads(line))


@asynccontextmanager
async def node_program(name: str, **environment: Any) -> AsyncIterator[NodeProgram]:
    """A program with these environment variables; structures as JSON."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in environment.items()}
    process = await asyncio.create_subprocess_exec(
        servers.program("node"),
        str(PEERS / name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"NODE_PATH": str(servers.node_modules())} | texts,
    )
    program = NodeProgram(process)
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await program._reading


class NodePeer:
    """A program that prints `ready`, and then answers each line of JSON with one."""

    def __init__(self, program: str, **environment: object) -> None:
        self.program = program
        self.environment = {name: str(value) for name, value in environment.items()}
        self._process: subprocess.Popen[str] | None = None
        self._said: Queue[str] = Queue()

    def start(self) -> None:
        """Returns once it is ready."""
        modules = servers.node_modules()
        assert modules is not None, "mark the test with needs('node')"
        environment = os.environ | {"NODE_PATH": str(modules)} | self.environment
        command = [servers.program("node"), str(PEERS / self.program)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._said = Queue()
        threading.Thread(target=self._listen, args=(self._process, self._said), daemon=True).start()
        assert self._said.get(timeout=20) == "ready"

    @staticmethod
    def _listen(process: "subprocess.Popen[str]", said: "Queue[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.put(line.strip())

    def tell(self, command: str, argument: Any = True) -> Any:
        """What it answers to a command."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps({command: argument}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._said.get(timeout=20))

    def kill(self) -> None:
        """As if the power failed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process is not None
