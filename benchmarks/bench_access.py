"""What keys, the audit log and TLS cost: the same requests to a service with all of them and one without, in turns."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from bench_graphql import NODE
from bench_graphql import SCRIPT as GRAPHQL
from bench_http import Load, requests
from bench_rest import send
from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service

HERE = Path(__file__).parent
MACHINES = 25
CONNECTIONS = 4
SECONDS = 4
ROUNDS = 5
AT_LEAST = 0.7
DOCUMENTS = 100
API = "/api/v1/iotsense"
REPORT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = %s
response = function(status, headers, body) if status ~= 201 then print("FAILED " .. body:sub(1, 200)) end end
"""


@dataclass(frozen=True)
class Ask:
    """A kind of request: a path, and a script of wrk that makes it; without one it is a GET."""

    name: str
    path: str
    script: str = ""


@dataclass
class Door:
    """A service, and what has to be shown there."""

    service: Service
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Of each request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def rate(self, ask: Ask, place: Path) -> float:
        """Answers a second."""
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "10s"]
        for name, value in self.headers.items():
            command += ["-H", f"{name}: {value}"]
        if ask.script:
            script = place / "ask.lua"
            script.write_text(ask.script)
            command += ["-s", str(script)]
        return requests([*command, self.service.url + ask.path], forbid="FAILED")[1]


def run() -> list[Figure]:
    """The figures: by kind of request, how many times as many are answered with all of it as without any."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        directory = Path(place)
        ids = write_project(directory / "plant.yaml", MACHINES)
        locked, open_ = _locked(directory, ids), _open(directory, ids)
        figures = [_compared(ask, locked, open_, directory) for ask in _asks(ids)]
        locked.service.stop()
        open_.service.stop()
    return figures


def _asks(ids: list[str]) -> list[Ask]:
    told = {"kind": "inspection", "node": ids[0], "time": "2026-01-15T12:00:00Z", "until": "2026-01-15T12:20:00Z"}
    report = json.dumps(json.dumps(told))
    question = json.dumps(json.dumps({"query": NODE % ids[0]}))
    return [
        Ask(f"telemetry, arrays of {DOCUMENTS} documents", "", Load(DOCUMENTS).script(ids)),
        Ask(f"state of a twin of {2 * MACHINES} signals", f"{API}/twins/line/state"),
        Ask("GraphQL, a machine with health and signals", "/graphql", GRAPHQL % question),
        Ask("reports, each recorded", f"{API}/events", REPORT % report),
    ]


def _compared(ask: Ask, locked: Door, open_: Door, place: Path) -> Figure:
    ratios, rates, cpu = [], [], process_cpu(locked.service.pid)
    for _ in range(ROUNDS):
        without = open_.rate(ask, place)
        rates.append(locked.rate(ask, place))
        ratios.append(rates[-1] / without)
    cpu = process_cpu(locked.service.pid) - cpu
    note = f"{statistics.median(rates):,.0f} requests/s with all of it; median of {ROUNDS} turns"
    return Figure(ask.name, statistics.median(ratios), "times", cpu, at_least=AT_LEAST, note=note)


def _locked(directory: Path, ids: list[str]) -> Door:
    """With TLS, a key, and an audit log."""
    certificate, private = directory / "plant.pem", directory / "plant.key"
    subject = ["-subj", "/CN=plant", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*made, "-out", certificate, "-keyout", private], check=True, capture_output=True)
    data = directory / "locked" / "data"
    data.parent.mkdir()
    _typed("apply", str(directory / "plant.yaml"), "--data", str(data))
    key = _typed("keys", "create", "bench", "--role", "engineer", "--data", str(data))
    service = Service(data, directory / "plant.yaml", tls=(certificate, private))
    return _filled(Door(service, key), ids, lambda status: status == 401)


def _typed(*words: str) -> str:
    command = [sys.executable, "-m", "iotsense", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _open(directory: Path, ids: list[str]) -> Door:
    """Without any of them."""
    data = directory / "open" / "data"
    data.parent.mkdir()
    service = Service(data, directory / "plant.yaml", program=[str(HERE / "unrecorded.py")])
    return _filled(Door(service), ids, lambda status: status == 200)


def _filled(door: Door, ids: list[str], expected: Callable[[int], bool]) -> Door:
    """Started, a reading of each signal in it; what happens to who shows nothing is as expected."""
    door.service.start()
    with httpx.Client(verify=door.service.verify) as http:
        status = http.get(f"{door.service.url}{API}/twins").status_code
        if not expected(status):
            raise SystemExit(f"who shows nothing is answered with {status}")
        http.headers.update(door.headers)
        send(door.service, ids, 1.5, http)
    return door
