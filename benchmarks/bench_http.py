"""Readings over HTTP, durable before they are answered: the specification's document, arrays of them, line protocol."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service

MACHINES = 500
SECONDS = 10
CONNECTIONS = 32

# wrk asks for a request before each send: another machine, value and time every time, so that nothing can be cached.
# The times are past: those too far ahead of the service's clock would be marked, which is another way.
SCRIPT = """
local ids = {%(ids)s}
local per_request = %(per_request)d
wrk.headers["Content-Type"] = "%(media)s"
math.randomseed(os.time())
local clock = os.time() * 1000 - math.random(1000000)
local function document()
  clock = clock + 1
  local seconds = math.floor(clock / 1000)
  return string.format('{"device_id":"%%s","timestamp":"%%s.%%03dZ","measurements":[' ..
    '{"name":"temperature","value":%%.1f,"unit":"celsius","quality":"good"}%(second)s],' ..
    '"metadata":{"plant":"factory_1","line":"assembly_1","equipment":"motor_001"}}',
    ids[clock %% #ids + 1], os.date("!%%Y-%%m-%%dT%%H:%%M:%%S", seconds), clock %% 1000,
    20 + math.random() * 60%(value)s)
end
local function line()
  clock = clock + 1
  return string.format("%%s,plant=factory_1,line=assembly_1 temperature=%%.1f,vibration_rms=%%.2f %%d",
    ids[clock %% #ids + 1], 20 + math.random() * 60, math.random() * 5, clock)
end
local bodies = {}
for i = 1, (per_request == 1 and 2000 or 100) do
  local parts = {}
  for k = 1, per_request do parts[k] = %(make)s() end
  bodies[i] = %(body)s
end
local n = 0
request = function()
  n = n + 1
  return wrk.format("POST", "%(path)s", nil, bodies[n %% #bodies + 1])
end
local failed = 0
response = function(status) if status ~= %(status)d then failed = failed + 1; print("FAILED " .. status) end end
"""


@dataclass(frozen=True)
class Load:
    """What one request carries: `per_request` documents or lines, each with `measurements` (1 or 2)."""

    per_request: int
    measurements: int = 2
    lines: bool = False

    @property
    def readings(self) -> int:
        return self.per_request * self.measurements

    def script(self, ids: list[str]) -> str:
        """For wrk."""
        two = self.measurements == 2
        return SCRIPT % {
            "ids": ",".join(f'"{id}"' for id in ids),
            "per_request": self.per_request,
            "second": ',\' ..\n    \'{"name":"vibration_rms","value":%.1f,"unit":"mm/s","quality":"good"}' * two,
            "value": ", math.random() * 5" * two,
            "make": "line" if self.lines else "document",
            "body": 'table.concat(parts, "\\n")' if self.lines else self._json(),
            "media": "text/plain" if self.lines else "application/json",
            "path": "/api/v2/write?bucket=b&precision=ms" if self.lines else "/api/v1/iotsense/telemetry",
            "status": 204 if self.lines else 202,
        }

    def _json(self) -> str:
        return "parts[1]" if self.per_request == 1 else '"[" .. table.concat(parts, ",") .. "]"'


def rate(load: Load) -> tuple[float, float, float]:
    """Readings a second that are durable when answered, CPU seconds of the service, empty requests a second."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        directory = Path(place)
        ids = write_project(directory / "plant.yaml", MACHINES)
        script = directory / "telemetry.lua"
        script.write_text(load.script(ids))
        service = Service(directory / "data", directory / "plant.yaml")
        service.start()
        limit = requests(["wrk", "-t1", f"-c{CONNECTIONS}", "-d3s", f"{service.url}/livez"])[1]
        before, cpu = service.received(), process_cpu(service.pid)
        count, speed = requests(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "10s", "-s", str(script), service.url],
            forbid="FAILED",
        )
        stored = service.received() - before
        used = process_cpu(service.pid) - cpu
        service.stop()
        # wrk drops the connections of what is still under way at the end, so somewhat more may be stored than counted.
        if not load.readings * count <= stored <= load.readings * (count + CONNECTIONS):
            raise SystemExit(f"{count * load.readings} readings were acknowledged, {stored} are stored")
        return speed * load.readings, used, limit


def requests(command: list[str], forbid: str = "") -> tuple[int, float]:
    """Runs wrk: requests answered, and requests a second."""
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if (forbid and forbid in output) or "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"requests failed:\n{output[-1000:]}")
    count = re.search(r"(\d+) requests in", output)
    speed = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert count is not None
    assert speed is not None
    return int(count[1]), float(speed[1])


def run() -> list[Figure]:
    """The figures; beside the first what the same server answers to an empty request."""
    single, single_cpu, limit = rate(Load(1))
    arrays, arrays_cpu, _ = rate(Load(100))
    short, short_cpu, _ = rate(Load(100, measurements=1))
    lines, lines_cpu, _ = rate(Load(1000, lines=True))
    note = f"empty requests: {limit:,.0f}/s"
    control = {"control": single, "control_name": "one a request"}
    return [
        Figure("one document a request", single / 2, "documents/s", single_cpu, at_least=4_000, note=note),
        Figure("arrays of 100 documents", arrays, "readings/s", arrays_cpu, at_least=300_000, **control),
        Figure("the same, one measurement a document", short, "readings/s", short_cpu, **control),
        Figure("line protocol, 1,000 lines", lines, "readings/s", lines_cpu, at_least=300_000, **control),
    ]
