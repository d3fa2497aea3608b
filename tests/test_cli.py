"""The verbs as a user types them: on a running service, on a directory, and with everything that can be wrong."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from service_fixtures import API, PLANT, document, process, run_cli, write_plant

from iotsense.cli import cli
from iotsense.cli import run_cli as in_process

CSV = "time,speed,temp\n" + "".join(f"2024-01-15T10:30:0{i}Z,{i}.5,{20 + i}\n" for i in range(5))
SPAN = ("--from", "2024-01-15", "--to", "2024-01-16")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the verbs are typed."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["service", "directory"])
def plant(request: pytest.FixtureRequest, here: Path) -> Iterator[Path]:
    """A folder whose `data` holds the plant, behind a running service or by itself."""
    file = write_plant(here)
    if request.param == "directory":
        assert typed("apply", str(file), "--data", "data")[0] == 0
        yield here
        return
    with process(here / "data", "-c", str(file)) as running:
        assert running.url
        yield here


def typed(*arguments: str) -> tuple[int, str, str]:
    """A verb in this process: exit code, standard output, standard error."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = in_process(list(arguments))
    return code, out.getvalue(), err.getvalue()


def verb(*arguments: str, code: int = 0) -> str:
    """What a verb says on `data`."""
    ended, out, err = typed(*arguments, "--data", "data")
    assert ended == code, err
    assert "Traceback" not in err
    return out if code == 0 else err


def test_the_verbs_do_the_same_on_a_service_and_on_a_directory(plant: Path) -> None:
    (plant / "day.csv").write_text(CSV)
    told = verb("load", "day.csv", "--map", "speed=conveyor.speed", "--map", "temp=conveyor.motor_temperature")
    assert told.startswith("10 readings of 2 signals in 5 rows from 2024-01-15T10:30:00.000Z")
    assert json.loads(verb("twins", "--json"))[0]["sensors"] == 4
    state = json.loads(verb("state", "line_1", "--json"))
    assert state["components"][0]["state"] == {"speed": 4.5, "motor_temperature": 24}
    assert "motor_temperature" in verb("state", "line_1")
    history = json.loads(verb("history", "conveyor.speed", *SPAN, "--json"))
    assert history["value"] == [0.5, 1.5, 2.5, 3.5, 4.5]
    table = verb("history", "conveyor.speed", *SPAN, "--points", "1")
    assert re.search(r"2\.5 .* 5", table)
    assert "structure" in verb("events")
    assert json.loads(verb("events", "--json").splitlines()[0])["kind"] == "structure"
    status = json.loads(verb("status", "--json"))
    assert status["status"] == "ok"
    assert status["storage"]["readings"] >= 10
    assert ("no service is running" in verb("status")) == (not (plant / "data" / "iotsense.sock").exists())
    assert "http" in verb("sources")


def test_plan_and_apply(plant: Path) -> None:
    assert "Nothing to change" in verb("plan", "plant.yaml")
    (plant / "plant.yaml").write_text(PLANT.replace("model: fanuc_m20", "model: fanuc_m10"))
    diff = verb("plan", "plant.yaml")
    assert "~ line_1.robot" in diff
    assert "fanuc_m20 → fanuc_m10" in diff
    assert not json.loads(verb("plan", "plant.yaml", "--format", "json"))["empty"]
    assert "fanuc_m10" in verb("apply", "plant.yaml")
    assert "Nothing to change" in verb("plan", "plant.yaml")
    verb("export", "-o", "export.yaml")
    assert verb("export") == (plant / "export.yaml").read_text()
    assert "Nothing to change" in verb("plan", "export.yaml")
    assert typed("validate", "export.yaml", "--strict")[0] == 0


def test_mistakes_in_what_is_applied(plant: Path) -> None:
    (plant / "wrong.yaml").write_text("digital_twin: []\n")
    for name in ("plan", "apply"):
        error = verb(name, "wrong.yaml", code=3)
        assert re.match(r"iotsense: .*wrong.yaml:1:1: error: .* did you mean 'digital_twins'", error)
    assert "is not there" in verb("plan", "nowhere.yaml", code=3)
    (plant / "day.csv").write_text(CSV)
    verb("load", "day.csv", "--map", "speed=conveyor.speed")
    (plant / "other.yaml").write_text("digital_twins:\n  - name: line_2\n")
    assert "--allow-remove" in verb("apply", "other.yaml", code=1)
    verb("apply", "other.yaml", "--allow-remove")


def test_wrong_names_and_times(plant: Path) -> None:
    assert verb("state", "line_2", code=1) == "iotsense: no node is called 'line_2'; did you mean line_1?\n"
    assert "from: 'noon'" in verb("history", "conveyor.speed", "--from", "noon", code=1)
    assert "has no signal 'sped'" in verb("history", "conveyor.sped", code=1)


def test_load_says_what_it_cannot_use(plant: Path) -> None:
    (plant / "day.csv").write_text(CSV + "2024-01-15T10:30:09Z,fast,25\n")
    code, _, err = typed("load", "day.csv", "--map", "speed=conveyor.speed", "--data", "data")
    assert code == 0
    assert "line 7" in err
    letters = json.loads(verb("dead-letters", "list", "--json"))
    assert letters["dead_letters"][0]["source"] == "file:day.csv"
    assert "line 7" in verb("dead-letters", "list")
    assert verb("dead-letters", "purge", "--all") == "1 purged\n"
    assert "0 pending" in verb("dead-letters", "list")
    assert "did you mean" in verb("load", "day.csv", "--map", "sped=conveyor.speed", code=1)
    (plant / "upload.txt").write_text("a\n1\n")
    verb("load", "upload.txt", code=1)
    assert not list((plant / "data").glob("upload-*"))


def test_validate(here: Path) -> None:
    write_plant(here)
    assert typed("validate", "plant.yaml")[1].startswith("No mistakes found.")
    (here / "b.yaml").write_text("digital_twins:\n  - {nam: x}\n")
    (here / "a.yaml").write_text("sensor_ingestion:\n  protocols:\n    - {name: mqtt, broker: '${NOT_SET_AT_ALL}'}\n")
    code, out, _ = typed("validate", ".")
    assert code == 3
    assert re.search(r"a\.yaml:3:\d+: warning: the variable NOT_SET_AT_ALL is not set", out)
    assert re.search(r"b\.yaml:2:\d+: error: ", out)
    assert re.search(r"\d errors?, 1 warning", out)
    assert typed("validate", "a.yaml")[0] == 0
    assert typed("validate", "--strict", "a.yaml")[0] == 3
    [finding, *_] = json.loads(typed("validate", "--format", "json", "a.yaml")[1])
    assert (finding["file"], finding["line"], finding["severity"]) == ("a.yaml", 3, "warning")


def test_init_schema_validate_run(here: Path) -> None:
    assert typed("init", "plant")[0] == 0
    assert typed("validate", "--strict", "plant")[0] == 0
    schema = json.loads(typed("schema")[1])
    assert "digital_twins" in schema["properties"]
    with process(here / "data", "-c", str(here / "plant")) as running:
        assert running.url


def test_plan_without_a_directory_shows_all_as_new(here: Path) -> None:
    write_plant(here)
    assert "+ line_1.conveyor" in verb("plan", "plant.yaml")
    assert not (here / "data").exists()


def test_without_a_directory_and_a_service(here: Path) -> None:
    for arguments in (["status"], ["twins"], ["state", "x"], ["export"], ["dead-letters", "list"]):
        assert "there is no data directory data and no service" in verb(*arguments, code=1)
    assert not (here / "data").exists()


def test_a_service_elsewhere(here: Path) -> None:
    with process(here / "data", "-c", str(write_plant(here))) as running:
        result = run_cli("twins", "--json", cwd=here, IOTSENSE_URL=running.url)
        assert json.loads(result.stdout)[0]["id"] == "line_1"
    result = run_cli("twins", "--url", "http://127.0.0.1:9", cwd=here)
    assert result.returncode == 1
    assert result.stderr.startswith("iotsense: no service answers at http://127.0.0.1:9")


def test_usage_and_debug(here: Path) -> None:
    assert run_cli("nonsense", cwd=here).returncode == 2
    assert run_cli("dead-letters", "purge", cwd=here).returncode == 2
    assert run_cli("run", "--listen", "nowhere", cwd=here).returncode == 1
    assert run_cli("version", cwd=here).stdout == run_cli("--version", cwd=here).stdout
    assert "Traceback" in run_cli("--debug", "status", "--data", "none", cwd=here).stderr


def test_following_events(here: Path) -> None:
    command = [sys.executable, "-m", "iotsense", "events", "--follow", "--kind", "anomaly", "--data", "data"]
    with process(here / "data", "-c", str(write_plant(here))) as running:
        url = running.url
        with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True) as following:
            httpx.post(f"{url}{API}/telemetry", json=document("conveyor", "motor_temperature", 99))
            assert following.stdout is not None
            assert "hot_motor" in following.stdout.readline()
            following.terminate()


def test_every_verb_and_option_has_words() -> None:
    for name, command in cli_page().commands(cli):
        assert command.help, name
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{name} {option.name}"


def test_the_page_about_the_verbs_is_true() -> None:
    page = Path(__file__).parents[1] / "docs" / "cli.md"
    assert page.read_text() == cli_page().page(), "make it with `python scripts/cli_page.py`"


def cli_page() -> Any:
    """The script that writes the page."""
    path = Path(__file__).parents[1] / "scripts" / "cli_page.py"
    spec = importlib.util.spec_from_file_location("cli_page", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
