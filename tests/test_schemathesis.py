"""The document at /openapi.json says the truth: schemathesis makes requests of it, right and wrong ones."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from service_fixtures import Process, process, write_plant

from iotsense.twin.access import Scope
from iotsense.twin.key_store import KeyStore

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 10
LEFT_OUT = {
    "positive_data_acceptance": "what a schema cannot say (a name that is nobody's, a time that is none) is refused",
    "ignored_auth": "from the 31st wrong key of a minute on the answer is 429; tests/test_access.py walks them all",
}
NOT_ASKED = "/bulk|/keys/|/migrate|/problems"
"""Exports take their time, keys would revoke ours, and pages of problems are HTML."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("phase", ["coverage", "fuzzing"])
def test_what_is_described_is_what_happens(tmp_path: Path, phase: str) -> None:
    """No 5xx; statuses, headers, media types and bodies as described; what is wrong is refused."""
    data, plant = tmp_path / "data", write_plant(tmp_path)
    _, token = KeyStore(data).create("admin", list(Scope))
    seed = random.SystemRandom().randrange(2**32)
    with process(data, "-c", str(plant)) as running:
        found = _asked(running, token, phase, seed)
        assert found.returncode == 0, f"seed {seed}\n{found.stdout[-12_000:]}\n{running.log[-4_000:]}"
        assert "Traceback" not in running.log


def _asked(running: Process, token: str, phase: str, seed: int) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    options = ["--phases", phase, "--max-examples", str(EXAMPLES), "--seed", str(seed), "--no-color", "--workers", "4"]
    options += ["--exclude-checks", ",".join(LEFT_OUT), "--exclude-path-regex", NOT_ASKED]
    options += [
        "--suppress-health-check",
        "all",
        "--request-timeout",
        "60",
        "--header",
        f"Authorization: Bearer {token}",
    ]
    return subprocess.run(
        [*program, "--config-file", str(CONFIG), "run", f"{running.url}/openapi.json", "--url", running.url, *options],
        capture_output=True, text=True, cwd=running.data.parent,
    )  # fmt: skip
