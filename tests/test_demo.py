"""The demo as its viewer starts it: a process of its own, with everything real in it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iotsense.twin.twin import Twin

LISTEN = "127.0.0.1:0"
PROTOCOLS = ("MQTT", "OPC UA", "Modbus", "BACnet")


# One or two of what each protocol tells.
BY_OTHERS = (
    "filler.state", "palletiser.joint_positions.value[3]", "palletiser.gripper_closed", "conveyor_2.motor_temperature",
    "conveyor_3.bottles", "filler.tank_level",
)  # fmt: skip


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "iotsense", "demo", "--listen", LISTEN, *options]


@contextmanager
def started(*options: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        command(*options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "160"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def number(text: str, name: str) -> int:
    """A line of the account."""
    found = re.search(rf"{name}\D*(-?[\d,]+)", text)
    assert found, text
    return int(found[1].replace(",", ""))


def test_it_ends_by_itself_and_has_lost_nothing(tmp_path: Path) -> None:
    data = tmp_path / "plant"
    done = subprocess.run(
        command("--for", "8s", "--speed", "10", "--seed", "5", "--data", str(data)), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sent = number(done.stdout, "readings sent or read")
    assert sent > 1000
    for name in PROTOCOLS:
        told, acknowledged, stored, lost = map(int, re.findall(rf"{name} +(\d+) +(\d+) +(\d+) +(\d+)", done.stdout)[0])
        assert told == acknowledged == stored > 20
        assert lost == 0
    assert number(done.stdout, "readings acknowledged") == sent
    assert number(done.stdout, "readings stored") == sent
    assert number(done.stdout, "readings lost") == 0
    # Eighty seconds of the line's life: the bearing wore out and was repaired.
    assert number(done.stdout, "anomalies opened") >= 2
    assert "bearing_vibration" in done.stdout
    assert done.stderr == ""
    with Twin.open(data) as twin:
        capper = twin.graph.find("bottling_line_1.capper")
        assert {event.node for event in twin.events(kind="anomaly")} == {capper.key}
        glue = twin.state.read(twin.graph.find_signal("labeller.glue_temperature").index)
        assert glue is not None
        assert 140 < glue.value < 180  # celsius, although it was sent in fahrenheit
        assert twin.dead_letters() == []
        shown = {id: twin.state.read(twin.graph.find_signal(id).index) for id in BY_OTHERS}
        assert all(reading is not None and reading.quality >= 192 for reading in shown.values())
        state = twin.graph.find_signal("filler.state").index
        # OPC UA tells its number, and the texts; the filler suspends itself while the capper is repaired.
        assert twin.label(state, shown["filler.state"].value) in ("Execute", "Suspending", "Suspended", "Unsuspending")


def test_its_addresses_answer_and_ctrl_c_ends_it_with_the_account() -> None:
    with started("--speed", "5") as process:
        assert process.stdout is not None
        url = ""
        while not url:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            if line.startswith("REST"):
                url = line.split()[1]
        deadline = time.monotonic() + 60
        while True:
            with urllib.request.urlopen(url) as answer:
                state = json.load(answer)
            filler = next(component for component in state["components"] if component["id"].endswith("filler"))
            if filler["state"].get("state") == "Execute" or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert filler["state"]["state"] == "Execute"
        assert filler["health"]["status"] == "healthy"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        assert number(out, "readings lost") == 0
