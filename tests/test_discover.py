"""`iotsense discover` as a user types it, with a device that answers at once."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from iotsense.cli import run_cli
from iotsense.ingest.found import Found, FoundNode, FoundPoint, Look
from iotsense.twin.errors import SourceError
from iotsense.twin.project import load_texts

ASKED: list[tuple[str, Look, dict[str, Any]]] = []


async def answering(
    url: str,
    look: Look,
    *,
    username: str | None = None,
    password: str | None = None,
    tls: dict[str, Any] | None = None,
    topics: tuple[str, ...] = (),
) -> Found:
    """A device with two values."""
    ASKED.append((url, look, {"username": username, "password": password, "tls": tls, "topics": topics}))
    if "unreachable" in url:
        raise SourceError("nobody answers at unreachable")
    look.tell("browsing", 2)
    source = {"name": "mqtt", "broker": url, "topics": [{"pattern": "a/#"}]}
    points = [FoundPoint("speed", unit="1/min", source="a/speed"), FoundPoint("temp", unit="degC?", source="a/temp")]
    return Found(source, [FoundNode("filler", points)], title="line 1")


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for protocol in ("mqtt", "sparkplug"):
        module = ModuleType(f"iotsense.ingest.discover_{protocol}")
        module.discover = answering  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    ASKED.clear()
    yield


def typed(*arguments: str) -> tuple[int, str, str]:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = run_cli(["discover", *arguments])
    return code, out.getvalue(), err.getvalue()


def test_the_definition_goes_to_standard_output(tmp_path: Path) -> None:
    code, out, err = typed("mqtt", "mqtt://127.0.0.1:1883")
    assert (code, err) == (0, "")
    assert out.startswith("# Proposed by `iotsense discover mqtt mqtt://127.0.0.1:1883`: 1 component, 2 sensors.\n")
    assert "name: line_1" in out
    assert "# unit: 'degC?' is not a unit" in out
    (tmp_path / "found.yaml").write_text(out)
    assert run_cli(["validate", str(tmp_path / "found.yaml")]) == 0


def test_a_file_is_written_once_and_never_over_somebodys_work(tmp_path: Path) -> None:
    file = tmp_path / "found.yaml"
    code, out, err = typed("mqtt", "mqtt://127.0.0.1", "--out", str(file), "--twin", "hall_7")
    assert (code, out) == (0, "")
    assert f"Wrote {file}: 1 component, 2 sensors. Next: iotsense validate {file}" in err
    assert "name: hall_7" in file.read_text()
    file.write_text("mine")
    code, _, err = typed("mqtt", "mqtt://127.0.0.1", "--out", str(file))
    assert code == 2
    assert "is there already" in err
    assert file.read_text() == "mine"


def test_json_for_programs() -> None:
    code, out, _ = typed("mqtt", "mqtt://127.0.0.1", "--json", "--exclude", "*/temp")
    told = json.loads(out)
    assert code == 0
    assert told["sensors"] == 1
    assert told["definition"]["digital_twins"][0]["components"][0]["sensors"][0]["id"] == "speed"
    assert told["notes"] == ["1 point that nobody asked for"]
    told = json.loads(typed("mqtt", "mqtt://127.0.0.1", "--json")[1])
    assert told["unclear"][0]["node"] == "line_1.filler.temp"


def test_what_is_given_reaches_the_protocol() -> None:
    arguments = ("--for", "250ms", "--under", "a", "--limit", "7", "--username", "eve", "--ca", "ca.pem")
    code, _, err = typed("mqtt", "mqtts://h", *arguments, "--password", "${PW}", "--topic", "a/#", "--topic", "b/#")
    assert code == 0, err
    url, look, settings = ASKED[0]
    assert (url, look.listen, look.under, look.limit) == ("mqtts://h", 0.25, "a", 7)
    assert settings == {
        "username": "eve",
        "password": "${PW}",
        "tls": {"ca": "ca.pem"},
        "topics": ("a/#", "b/#"),
    }
    assert typed("sparkplug", "mqtt://h", "--set", "username=bob")[0] == 0
    assert ASKED[-1][2]["username"] == "bob"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mqtt", "127.0.0.1:1883"), "expected an address such as"),
        (("mqtt", "mqtt://eve:secret@host"), "found a password in the address"),
        (("mqtt", "mqtt://host", "--password", "secret"), "in single quotes"),
        (("mqtt", "mqtt://host", "--set", "colour=red"), "mqtt has no setting colour here; it knows username"),
        (("mqtt", "mqtt://host", "--set", "colour"), "expected KEY=VALUE"),
        (("mqtt", "mqtt://host", "--for", "soon"), "soon"),
        (("mqtt", "mqtt://unreachable"), "nobody answers"),
        (("mqtt", "mqtt://host", "--include", "other/*"), "nobody asked for 2 points"),
        (("mqtt", "mqtt://host", "--twin", "Halle 7"), "expected an id such as Halle_7"),
        (("mqtt", "mqtt://host", "--out", "nowhere/found.yaml"), "nowhere is no folder"),
        (("profibus", "x://y"), "No such command"),
    ],
)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], words: str) -> None:
    code, out, err = typed(*arguments)
    assert code in (1, 2)
    assert out == ""
    assert words in err
    assert "secret@" not in err
    assert "Traceback" not in err


def test_the_definition_of_the_page_is_valid() -> None:
    page = (Path(__file__).parents[1] / "docs" / "discover.md").read_text("utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    project, findings = load_texts({"discover.md": text}, {})
    assert (project is not None, findings) == (True, [])
