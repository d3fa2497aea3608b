"""GraphQL over HTTP: a list of 1,000 nodes beside plain Strawberry in the same run, and a node with 20 signals."""

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from bench_http import requests
from figure import Figure, process_cpu
from under_test import Service, free_port

HERE = Path(__file__).parent
NODES = 1_000
SIGNALS = 20
SECONDS = 6
CONNECTIONS = 4
LIST = "{ nodes(first: 1000%s) { nodes { id name level type shortId } } }"
NODE = '{ node(id: "%s") { id name health { score status } sensors { id signals { value time quality } } } }'
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = %s
response = function(status, headers, body)
  if status ~= 200 or body:find('"errors"') then print("FAILED " .. body:sub(1, 200)) end
end
"""


def write_plant(path: Path) -> str:
    """A line of 1,000 machines, one of them with 20 sensors, whose id is returned."""
    ids = [f"m{random.SystemRandom().randrange(10**6):06d}_{i}" for i in range(NODES)]
    sensors = "\n".join(f"          - {{id: {ids[0]}_{i}, name: s{i}, type: t, unit: celsius}}" for i in range(SIGNALS))
    components = "\n".join(f"      - {{id: {id}, type: motor}}" for id in ids[1:])
    first = f"      - id: {ids[0]}\n        type: motor\n        sensors:\n{sensors}"
    twin = "digital_twins:\n  - name: line\n    type: assembly_line\n    components:\n"
    path.write_text(f"{twin}{first}\n{components}\n")
    return ids[0]


def rate(url: str, query: str, place: Path, seconds: int = SECONDS) -> float:
    """Answers a second; each of them is looked at for errors."""
    script = place / "graphql.lua"
    script.write_text(SCRIPT % json.dumps(json.dumps({"query": query})))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script)]
    return requests([*command, f"{url}/graphql"], forbid="FAILED")[1]


@contextlib.contextmanager
def plain_strawberry(nodes: list[dict[str, str]], place: Path) -> Iterator[str]:
    """The peer, with the same nodes."""
    file, port = place / "nodes.json", free_port()
    file.write_text(json.dumps([{"short_id" if k == "shortId" else k: v for k, v in node.items()} for node in nodes]))
    with (place / "peer.log").open("wb") as log:
        peer = subprocess.Popen([sys.executable, str(HERE / "plain_strawberry.py"), str(file), str(port)], stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                httpx.post(f"{url}/graphql", json={"query": "{ __typename }"})
                break
            time.sleep(0.05)
        yield url
    finally:
        peer.terminate()
        peer.wait()


def run() -> list[Figure]:
    """The figures."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as directory:
        place = Path(directory)
        machine = write_plant(place / "plant.yaml")
        service = Service(place / "data", place / "plant.yaml")
        service.start()
        answer = httpx.post(f"{service.url}/graphql", json={"query": LIST % ", level: COMPONENT"}).json()
        if "errors" in answer:
            raise SystemExit(answer["errors"])
        nodes = answer["data"]["nodes"]["nodes"]
        with plain_strawberry(nodes, place) as url:
            told = httpx.post(f"{url}/graphql", json={"query": LIST % ""}).json()["data"]["nodes"]["nodes"]
            if told != nodes or len(nodes) != NODES:
                raise SystemExit("the peer tells of other nodes")
            peer = rate(url, LIST % "", place)
        document = [{"name": f"s{i}", "value": i + 0.5, "unit": "celsius"} for i in range(SIGNALS)]
        sent = httpx.post(
            f"{service.url}/api/v1/iotsense/telemetry", json={"device_id": machine, "measurements": document}
        )
        if sent.json()["accepted"] != SIGNALS:
            raise SystemExit(f"the readings were not taken: {sent.text}")
        cpu = process_cpu(service.pid)
        listed = rate(service.url, LIST % ", level: COMPONENT", place)
        list_cpu, cpu = process_cpu(service.pid) - cpu, process_cpu(service.pid)
        one = rate(service.url, NODE % machine, place)
        one_cpu = process_cpu(service.pid) - cpu
        service.stop()
    what = f"list of {NODES:,} nodes, 5 fields each"
    return [
        Figure(
            f"{what}, as a multiple of plain Strawberry", listed / peer, "times", list_cpu, at_least=5,
            note=f"{1000 / listed:.1f} ms an answer", control=peer, control_name="plain Strawberry, answers/s",
        ),
        Figure(f"node with {SIGNALS} signals and health", one, "requests/s", one_cpu, at_least=1_500),
    ]  # fmt: skip
