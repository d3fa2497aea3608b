"""A small HTTP server on a real socket whose answers a test writes, and which remembers what it was sent."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Sent:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def documents(self) -> list[Any]:
        """The telemetry documents in it."""
        decoded = json.loads(self.body)
        return decoded if isinstance(decoded, list) else [decoded]


Answer = tuple[int, dict[str, Any], dict[str, str]]


@dataclass
class ScriptedServer:
    """Answers as `answer` says; `requests` are those that came."""

    answer: Callable[[Sent], Answer | None]
    requests: list[Sent] = field(default_factory=list)
    url: str = ""

    def stored(self) -> list[Any]:
        """The documents of the requests that got a 202, once per idempotency key."""
        by_key: dict[str, list[Any]] = {}
        for sent in self.requests:
            if "stored" in sent.headers:
                by_key.setdefault(sent.headers["idempotency-key"], sent.documents)
        return [document for documents in by_key.values() for document in documents]


@contextmanager
def scripted(answer: Callable[[Sent], Answer | None]) -> Iterator[ScriptedServer]:
    """Runs the server in a thread. An answer of None breaks the connection off; 202 counts as stored."""
    server = ScriptedServer(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            sent = Sent(self.command, self.path, headers, self.rfile.read(length))
            server.requests.append(sent)
            told = server.answer(sent)
            if told is None:
                self.close_connection = True
                return
            status, body, more = told
            if status == 202:
                sent.headers["stored"] = "yes"
            payload = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(payload)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
