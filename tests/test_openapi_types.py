"""The types that openapi-typescript makes of /openapi.json: they compile, strictly, and catch what is wrong."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import servers

from iotsense.rest.app import ENDPOINTS
from iotsense.rest.openapi import openapi

PAGE = Path(__file__).parents[1] / "docs" / "rest.md"
(PROGRAM,) = re.findall(r"```ts\n(.*?)```", PAGE.read_text("utf-8"), re.S)
MORE = """
type Telemetry = paths["/api/v1/iotsense/telemetry"]["post"];
type Sent = Telemetry["requestBody"]["content"]["application/json"];
type Receipt = Telemetry["responses"]["202"]["content"]["application/json"];
const sent: Sent = { device_id: "pump_1", measurements: [{ name: "flow", value: 3.2, unit: "m3/h" }] };
const accepted = (receipt: Receipt): number | undefined => receipt.accepted;
type Asked = paths["/api/v1/iotsense/scenarios"]["post"]["parameters"]["header"];
const once: Asked = { "Idempotency-Key": "7f3c" };
type Streamed = paths["/api/v1/iotsense/twins/{id}/state"]["get"]["responses"]["200"]["content"]["text/event-stream"];
const streamed: Streamed = "data: {}";
export { accepted, health, once, sent, streamed, wanted };
"""
WRONG = [
    ("level: \"sensor\"", "level: \"sensors\"", "not assignable"),
    ("component.health?.score", "component.health.score", "possibly 'null'"),
    ("Problem).detail", "Problem).details", "details"),
    ("receipt.accepted", "receipt.taken", "taken"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the types are."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "openapi.json").write_text(json.dumps(openapi(ENDPOINTS, "0.0.0")))
    (arguments,) = re.findall(r"^npx openapi-typescript (.*)$", PAGE.read_text("utf-8"), re.M)
    made = _node(folder, "openapi-typescript/bin/cli.js", *arguments.split())
    assert (folder / "iotsense.d.ts").exists(), made
    return folder


def _node(folder: Path, program: str, *arguments: str) -> str:
    """What one of the packages' programs says."""
    modules = servers.node_modules()
    assert modules is not None
    command = [servers.program("node"), str(modules / program), *arguments]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return found.stdout + found.stderr


def _compiled(folder: Path, text: str) -> str:
    """What the TypeScript compiler complains about."""
    (folder / "page.ts").write_text(text)
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    return _node(folder, "typescript/bin/tsc", *options, "--lib", "es2022,dom", "page.ts")


@pytest.mark.needs("node")
def test_they_compile_together_with_the_program_of_the_page(folder: Path) -> None:
    assert _compiled(folder, PROGRAM + MORE) == ""


@pytest.mark.needs("node")
@pytest.mark.parametrize(("right", "wrong", "complaint"), WRONG)
def test_they_catch_what_is_wrong(folder: Path, right: str, wrong: str, complaint: str) -> None:
    text = PROGRAM + MORE
    assert right in text
    assert complaint in _compiled(folder, text.replace(right, wrong))


@pytest.mark.needs("node")
def test_every_operation_has_its_types(folder: Path) -> None:
    text = (folder / "iotsense.d.ts").read_text()
    named = set(re.findall(r"^    (\w+): \{$", text.partition("export interface operations")[2], re.M))
    assert named == {endpoint.operation for endpoint in ENDPOINTS}
