"""Bytes that mean harm: requests and frames that are none."""

import json
import os
import struct

from hostile_attacker import Attacker
from hostile_requests import API, TRICKS


async def broken_http(attacker: Attacker) -> int | None:
    """Requests that are none."""
    choice = attacker.choice
    return await attacker.send(
        choice.choice(
            [
                b"GET\r\n\r\n",
                b"\x16\x03\x01\x02\x00",
                os.urandom(500) + b"\r\n\r\n",
                b"GET / HTTP/9.9\r\n\r\n",
                b"GET / HTTP/1.1\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                b"GET " + b"/" * 200_000 + b" HTTP/1.1\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x",
                b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: example\r\nConnection: close\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: \x00\r\nConnection: close\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"GET http://example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            ]
        )
        + b"\r\n" * 2,
        b"",
    )


async def broken_frames(attacker: Attacker) -> int | None:
    """Frames of a WebSocket that are none."""
    choice = attacker.choice
    path, protocol = choice.choice(
        [("/graphql", "graphql-transport-ws"), (f"{API}/stream", ""), ("/graphql", "x"), ("/nothing", "")]
    )
    frames = [
        b"\x81\xff" + struct.pack(">Q", 2**63 - 1) + b"abcd",
        b"\xf1\x80abcd",
        b"\x81\x05hello",
        b"\x89\xfe\x00\xff" + bytes(259),
        os.urandom(300),
        _frame(1, b"\xff\xfe"),
        _frame(2, os.urandom(100)),
        _frame(3, b"x"),
        b"\x01\x81abcd\x00" * 200,
        _frame(8, b"\x00"),
        _frame(1, b"[" * 100_000),
        _frame(1, b'{"type":"subscribe","id":"1","payload":{"query":"subscription { state { seq } }"}}'),
        _frame(1, b'{"type":"connection_init","payload":7}'),
        _frame(
            1,
            json.dumps(
                {"type": "subscribe", "nodes": [choice.choice(TRICKS)], "maxHz": choice.choice([0, -1, 1e300])}
            ).encode(),
        ),
        _frame(1, b'{"type":"subscribe","maxHz":60}') * 20,
        _frame(9, b"") * 500,
    ]
    return await attacker.websocket(path, protocol, *(choice.choice(frames) for _ in range(choice.randrange(1, 5))))


def _frame(opcode: int, body: bytes) -> bytes:
    size = len(body)
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + struct.pack(">H", size)
        if size < 65536
        else b"\xff" + struct.pack(">Q", size)
    )
    return bytes([0x80 | opcode]) + length + bytes(4) + body
