"""One who sends bytes to a service, right or wrong ones, and sees how it answers."""

import asyncio
import base64
import os
import random
from contextlib import suppress
from urllib.parse import quote

KEPT_S = 2.0
"""How long the rest of an answer is waited for: a connection that is kept open has no end."""


class Attacker:
    """One that sends bytes; `last` is what it sent last."""

    def __init__(self, host: str, port: int, choice: random.Random, key: str | None) -> None:
        self._host, self._port, self._key = host, port, key
        self.choice = choice
        self.last = b""

    @property
    def _headers(self) -> str:
        return f"Host: {self._host}:{self._port}\r\n" + (f"Authorization: Bearer {self._key}\r\n" if self._key else "")

    async def request(self, method: str, target: str, body: bytes = b"", **headers: str) -> int | None:
        """The status of a request; the target goes out as it is, but for what HTTP cannot carry."""
        path = quote(target, safe="/%?&=:;,+@!$'()*~[]{}|\\^`<>\"")
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}Connection: close\r\n{lines}"
        return await self.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def json(self, method: str, path: str, text: str | bytes) -> int | None:
        """The status of a request with a body of JSON, or what calls itself so."""
        body = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        return await self.request(method, path, body, Content_Type="application/json")

    async def send(self, *pieces: bytes) -> int | None:
        """Sends pieces one after the other; the status of the answer, None if the connection was closed without one."""
        self.last = pieces[0]
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return None
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            head = await reader.readline()
            with suppress(TimeoutError):
                async with asyncio.timeout(KEPT_S):
                    while await reader.read(1 << 16):
                        pass
            words = head.split()
            return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
        except (OSError, ValueError):
            return None
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def websocket(self, path: str, protocol: str, *frames: bytes) -> int | None:
        """Opens a WebSocket, sends frames, and hangs up a moment later; the status of the handshake."""
        nonce = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET {path} HTTP/1.1\r\n{self._headers}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n"
            + (f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else "")
            + "\r\n"
        )
        self.last = frames[0] if frames else b""
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return None
        try:
            writer.write(head.encode())
            status = await reader.readline()
            for frame in frames:
                writer.write(frame)
                await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    while await reader.read(1 << 16):
                        pass
            return int(status.split()[1]) if status else None
        except (OSError, ValueError, IndexError):
            return None
        finally:
            writer.transport.abort()
