"""Clients of the state stream or of GraphQL's subscription, in a process of their own: their work is not the service's.

Values are the instants [s after `base`] at which they were sent. Prints "ready" when all have their first state, and,
when a line comes in, what they measured as JSON.
"""

import argparse
import asyncio
import json
import struct
import sys
import time

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

HEADER = struct.Struct("<BBHIIIqq")


class Clients:
    """`latencies` [s] are of the newest value of each frame, `readings` how many came."""

    def __init__(self, base: float) -> None:
        self.base = base
        self.latencies: list[float] = []
        self.readings = 0
        self.ready = 0
        self.measuring = False

    async def stream(self, url: str, wanted: dict[str, object]) -> None:
        """One client of the binary stream."""
        async with connect(f"ws{url[4:]}/api/v1/iotsense/stream", max_size=None, compression=None) as socket:
            await socket.send(json.dumps({"type": "subscribe", **wanted}))
            first = True
            async for frame in socket:
                if isinstance(frame, bytes):
                    count = HEADER.unpack_from(frame)[3]
                    at = 32 + -(-4 * count // 8) * 8
                    self._took(np.frombuffer(frame, "<f4", count, at))
                    self.ready += first
                    first = False

    async def graphql(self, url: str, nodes: list[str], hz: float) -> None:
        """One client of the subscription."""
        query = (
            "subscription($nodes: [ID!], $hz: Float!) { state(nodes: $nodes, maxHz: $hz) { columns { index value } } }"
        )
        payload = {"query": query, "variables": {"nodes": nodes, "hz": hz}}
        address, protocol = f"ws{url[4:]}/graphql", "graphql-transport-ws"
        async with connect(address, max_size=None, compression=None, subprotocols=[protocol]) as socket:
            await _begin(socket, payload)
            first = True
            async for message in socket:
                columns = json.loads(message)["payload"]["data"]["state"]["columns"]
                self._took(np.array([value for value in columns["value"] if value is not None], dtype=float))
                self.ready += first
                first = False

    def _took(self, values: "np.ndarray[tuple[int], np.dtype[np.floating]]") -> None:
        if self.measuring and len(values):
            self.latencies.append(time.monotonic() - self.base - float(np.nanmax(values)))
            self.readings += len(values)


async def _begin(socket: ClientConnection, payload: dict[str, object]) -> None:
    await socket.send(json.dumps({"type": "connection_init"}))
    await socket.recv()
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))


async def main() -> None:
    """Until its input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("base", type=float)
    parser.add_argument("--graphql", action="store_true")
    parser.add_argument("--hz", type=float, default=20)
    parser.add_argument("--nodes", nargs="*", help="all of the plant unless told")
    parser.add_argument("--apart", action="store_true", help="one of the nodes for each client in turn")
    told = parser.parse_args()
    clients = Clients(told.base)
    tasks = []
    for number in range(told.count):
        nodes = [told.nodes[number % len(told.nodes)]] if told.apart else told.nodes
        if told.graphql:
            one = clients.graphql(told.url, nodes or [], told.hz)
        else:
            one = clients.stream(told.url, {"nodes": nodes, "maxHz": told.hz})
        tasks.append(asyncio.create_task(one))
        await asyncio.sleep(0.002)
    while clients.ready < told.count:
        if ended := [task for task in tasks if task.done()]:
            ended[0].result()
            raise SystemExit("the service ended a stream")
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        clients.measuring = not clients.measuring
        if not clients.measuring:
            print(json.dumps({"latencies": sorted(clients.latencies), "readings": clients.readings}), flush=True)


asyncio.run(main())
