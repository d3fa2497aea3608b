"""Peers that are published to, none of them ours: mosquitto_sub, and a web service by node."""

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import servers
from node_fixtures import NodePeer

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSBwbGFudA=="


class WebService(NodePeer):
    """tests/peers/webhook.js says what it can do. It keeps its port when it is killed and started again."""

    def __init__(self) -> None:
        self.port = servers.free_port()
        super().__init__("webhook.js", WEBHOOK_PORT=self.port, WEBHOOK_SECRET=SECRET)
        self.got: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/iotsense"

    def requests(self) -> list[dict[str, Any]]:
        """All that it has taken so far, in order."""
        self.got += self.tell("got")
        return self.got


class Subscriber:
    """mosquitto_sub on all topics; `heard` is (topic, payload, retained) of each message, in order."""

    def __init__(self, port: int, *more: str, topic: str = "#") -> None:
        tool = Path(servers.program("mosquitto-clients")).with_name("mosquitto_sub")
        command = [str(tool), "-p", str(port), "-t", topic, "-q", "1", "-F", "%j", *more]
        self.heard: list[tuple[str, str, bool]] = []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            self.heard.append((message["topic"], message["payload"], bool(message["retain"])))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
