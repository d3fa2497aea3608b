"""A test whose server is missing is left out loudly, and fails where CI runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def run(folder: Path, body: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    for file in (TESTS / "conftest.py", TESTS / "servers.py", *TESTS.glob("*_fixtures.py")):
        shutil.copy(file, folder)
    (folder / "test_it.py").write_text(f"import pytest\n{body}")
    env = {key: value for key, value in os.environ.items() if key != "CI"} | {"PYTHONPATH": str(folder)} | environment
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "ignore", *options, str(folder)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


NEEDY = '@pytest.mark.needs("mosquitto-clients")\ndef test_one(): pass\ndef test_two(): pass\n'


@pytest.mark.parametrize("options", [(), ("--numprocesses", "2", "--dist", "loadfile")], ids=["one process", "two"])
def test_a_missing_server_is_said_loudly(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = run(tmp_path, NEEDY, *options, PATH="/nowhere")
    assert result.returncode == 0
    assert "1 passed, 1 skipped" in result.stdout
    assert "NOT TESTED: SERVERS ARE MISSING" in result.stdout
    assert "mosquitto-clients: 1 tests left out" in result.stdout
    assert "make services" in result.stdout


def test_a_missing_server_fails_under_ci(tmp_path: Path) -> None:
    result = run(tmp_path, NEEDY, PATH="/nowhere", CI="true")
    assert result.returncode == 1
    assert "mosquitto-clients is not on this machine" in result.stdout


@pytest.mark.needs("mosquitto-clients")
def test_a_server_that_is_there_is_no_topic(tmp_path: Path) -> None:
    result = run(tmp_path, NEEDY)
    assert "2 passed" in result.stdout
    assert "NOT TESTED" not in result.stdout


def test_a_misspelt_server_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, '@pytest.mark.needs("moskito")\ndef test_one(): pass\n')
    assert result.returncode == 4
    assert "needs 'moskito'; known are mosquitto" in result.stdout + result.stderr
