"""HTTP telemetry: the specification's document, one a request and in arrays of 100, durable before 202."""

import re
import subprocess
import tempfile
from pathlib import Path

from figure import Figure, process_cpu
from plant_file import write_project
from under_test import Service

MACHINES = 500
SECONDS = 10
CONNECTIONS = 32

# wrk asks for a request before each send: another machine, value and time every time, so that nothing can be cached.
SCRIPT = """
local ids = {%s}
local per_request = %d
math.randomseed(os.time())
local clock = os.time() * 1000 + math.random(1000000)
local function document()
  clock = clock + 1
  local seconds = math.floor(clock / 1000)
  return string.format('{"device_id":"%%s","timestamp":"%%s.%%03dZ","measurements":[' ..
    '{"name":"temperature","value":%%.1f,"unit":"celsius","quality":"good"},' ..
    '{"name":"vibration_rms","value":%%.1f,"unit":"mm/s","quality":"good"}],' ..
    '"metadata":{"plant":"factory_1","line":"assembly_1","equipment":"motor_001"}}',
    ids[clock %% #ids + 1], os.date("!%%Y-%%m-%%dT%%H:%%M:%%S", seconds), clock %% 1000,
    20 + math.random() * 60, math.random() * 5)
end
local bodies = {}
for i = 1, (per_request == 1 and 2000 or 200) do
  local parts = {}
  for k = 1, per_request do parts[k] = document() end
  bodies[i] = per_request == 1 and parts[1] or "[" .. table.concat(parts, ",") .. "]"
end
local n = 0
request = function()
  n = n + 1
  local headers = {["Content-Type"] = "application/json"}
  return wrk.format("POST", "/api/v1/iotsense/telemetry", headers, bodies[n %% #bodies + 1])
end
local failed = 0
response = function(status) if status ~= 202 then failed = failed + 1; print("FAILED " .. status) end end
"""


def rate(per_request: int) -> tuple[float, float, float]:
    """Documents a second that are durable when answered, CPU seconds of the service, empty requests a second."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        directory = Path(place)
        ids = write_project(directory / "plant.yaml", MACHINES)
        script = directory / "telemetry.lua"
        quoted = ",".join(f'"{id}"' for id in ids)
        script.write_text(SCRIPT % (quoted, per_request))
        service = Service(directory / "data", directory / "plant.yaml")
        service.start()
        limit = requests(["wrk", "-t1", f"-c{CONNECTIONS}", "-d3s", f"{service.url}/livez"])[1]
        before, cpu = service.received(), process_cpu(service.pid)
        count, speed = requests(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), service.url], forbid="FAILED"
        )
        stored = service.received() - before
        used = process_cpu(service.pid) - cpu
        service.stop()
        # wrk drops the connections of what is still under way at the end, so somewhat more may be stored than counted.
        if not 2 * count * per_request <= stored <= 2 * (count + CONNECTIONS) * per_request:
            raise SystemExit(f"{count * per_request} documents were acknowledged, {stored} readings are stored")
        return speed * per_request, used, limit


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
    """Both figures; beside them what the same server answers to an empty request."""
    single, single_cpu, limit = rate(1)
    arrays, arrays_cpu, _ = rate(100)
    note = f"empty requests: {limit:,.0f}/s"
    return [
        Figure("one document a request", single, "documents/s", single_cpu, at_least=4_000, note=note),
        Figure(
            "arrays of 100 documents",
            arrays,
            "documents/s",
            arrays_cpu,
            at_least=100_000,
            control=single,
            control_name="one a request",
        ),
    ]
