"""The front page: what it says to type works, and what it points to is there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from service_fixtures import API, process, run_cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_two_commands_come_first_and_are_verbs_of_the_makefile() -> None:
    first = blocks("sh")[0]
    verbs = re.findall(r"^make (\w+)", first, flags=re.MULTILINE)
    assert verbs == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{verb}:", makefile, flags=re.MULTILINE) for verb in verbs)


def test_the_way_from_a_starter_project_to_a_reading(tmp_path: Path) -> None:
    setup = next(block for block in blocks("sh") if "iotsense init" in block)
    commands = [shlex.split(line, comments=True) for line in setup.splitlines() if line.startswith("iotsense")]
    run = commands.pop()
    assert run[1] == "run"
    for command in commands:
        done = run_cli(*command[1:], cwd=tmp_path, OPCENTER_API_KEY="x")
        assert done.returncode == 0, done.stderr
    request = shlex.split(next(block for block in blocks("sh") if block.startswith("curl")).replace("\\\n", " "))
    body = request[request.index("-d") + 1]
    # The starter's broker is not on this machine; the service runs without it, and says so.
    with process(tmp_path / "data", "-c", str(tmp_path / run[run.index("-c") + 1])) as service:
        url = service.url
        assert request[1].endswith(f"{API}/telemetry")
        answer = httpx.post(url + f"{API}/telemetry", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 202, answer.text
        state = httpx.get(url + f"{API}/twins/assembly_1/state").json()
        found = {part["id"]: part["state"] for part in state["components"]}
        assert found["motor_001.sensor_001"] == {"temperature": 72.5}
        program = subprocess.run(
            [sys.executable, "-c", blocks("python")[0]],
            env=os.environ | {"IOTSENSE_URL": url},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "72.5" in program.stdout
