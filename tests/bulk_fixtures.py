"""A twin with some of everything that can be in one, and all that can be seen of a twin as one value to compare."""

from pathlib import Path
from typing import Any

import numpy as np

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.bulk_rows import event_row
from iotsense.twin.checkpoint import StructureImage
from iotsense.twin.entry import EventDraft
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import DataType, Level, Role
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

RULE = {
    "name": "much", "type": "threshold", "sensor": "flow",
    "conditions": [{"metric": "value", "operator": ">", "threshold": 1000, "severity": "warning"}],
}  # fmt: skip
DAY = 86_400_000_000_000


def plant(edit: GraphEdit) -> None:
    site = edit.add_node(id="bremen", level=Level.SITE, properties={"timezone": "Europe/Berlin"})
    line = edit.add_node(id="line", level=Level.LINE, parent=site.key, properties={"größe": [1, 2.5, {"x": None}]})
    previous = None
    for number in range(4):
        pump = edit.add_node(id=f"line.p{number}", level=Level.COMPONENT, parent=line.key, type="pump", name="Pumpe")
        edit.add_signal(pump.key, "health", role=Role.DERIVED, unit="percent")
        for name in ("flow", "mode", "on"):
            sensor = edit.add_node(id=f"line.p{number}.{name}", level=Level.SENSOR, parent=pump.key)
            if name == "flow":
                edit.add_signal(sensor.key, unit="m3/h", data_type=DataType.NUMBER, low=0.0, expected_interval=5.0)
            elif name == "mode":
                edit.add_signal(sensor.key, data_type=DataType.TEXT, labels=("idle", "running"), stepped=True)
            else:
                edit.add_signal(sensor.key, data_type=DataType.BOOLEAN)
        if previous is not None:
            edit.relate(previous.key, "feeds_into", pump.key, transfer_time=2.5)
        previous = pump
    edit.set_definition({"anomaly_detection": {"rules": [RULE]}})


def fill(twin: Twin, rounds: int = 40) -> None:
    """Three days of readings with corrections and late ones, texts, revisions in between, events of all sorts."""
    generator = np.random.default_rng()
    twin.change(plant, "engineer")
    start = now_ns() - 3 * DAY
    for number in range(rounds):
        _readings(twin, generator, start)
        if number % 10 == 5:
            twin.change(lambda edit, n=number: _revise(edit, n), "engineer")  # type: ignore[misc]
        if number % 7 == 3:
            _events(twin, number, start)
    mode = twin.graph.find_signal("line.p1.mode").index
    twin.mark_stale([(mode, start)])


def _readings(twin: Twin, generator: np.random.Generator, start: int) -> None:
    coded = (DataType.TEXT, DataType.BOOLEAN)
    signals = [signal.index for signal in twin.graph.signals() if signal.data_type not in coded]
    chosen = generator.choice(signals, 50)
    time = start + generator.integers(0, 300, 50) * (DAY // 100)
    value = generator.normal(50, 10, 50).round(2)
    value[generator.random(50) < 0.05] = np.nan
    twin.apply(ReadingBatch.of(chosen, time, value, generator.choice([0, 64, 192], 50)))
    for number in range(3):
        mode = twin.graph.find_signal(f"line.p{number}.mode").index
        code = twin.label_code(mode, str(generator.choice(["idle", "running", "cleaning", "Störung"])))
        on = twin.graph.find_signal(f"line.p{number}.on").index
        when = start + int(generator.integers(0, 3 * DAY))
        twin.apply(ReadingBatch.of([mode, on], when, [code, float(generator.integers(0, 2))]))


def _revise(edit: GraphEdit, number: int) -> None:
    pump = edit.view.find("line.p3")
    extra = edit.add_node(id=f"line.p3.x{number}", level=Level.SENSOR, parent=pump.key)
    edit.add_signal(extra.key, unit="kelvin")
    edit.update_node(edit.view.find("line.p0").key, name=f"Pumpe {number}")
    if number > 10:
        edit.remove_node(edit.view.find(f"line.p3.x{number - 10}").key)
        edit.unrelate(edit.view.find("line.p0").key, "feeds_into", edit.view.find("line.p1").key)


def _events(twin: Twin, number: int, start: int) -> None:
    pump = twin.graph.find("line.p0").key
    twin.record(
        [
            EventDraft(start + number, "anomaly", pump, data={"value": 1.5}, identity=f"a{number}"),
            EventDraft(start + number, "note", data={"words": "ä"}),
        ]
    )
    if number % 2:
        twin.record([EventDraft(start + number, "anomaly", pump, start + number + 5, identity=f"a{number}")])
    else:
        seq = twin.last_event_seq - 1
        twin.record([EventDraft(start + number, "note", retracts=seq)])


def image(twin: Twin) -> dict[str, Any]:
    """Everything: structure, every reading that is known or was, labels, events, what is open, the state."""
    state = twin.state.snapshot()
    rows = sorted(
        tuple(row)
        for day in twin.transfer.days(2**62)
        for piece in twin.transfer.readings(day, 2**62)
        for row in zip(*(column.tolist() for column in piece._replace(value=piece.value.view(np.int64))), strict=True)
    )
    return {
        "structure": StructureImage.of(twin.graph),
        "changes": twin.transfer.changes(twin.graph.revision),
        "labels": list(twin.transfer.labels(2**62)),
        "readings": rows,
        "events": [event_row(event, None) for event in twin.events(limit=100_000)],
        "open": sorted(twin.open_events("anomaly") + twin.open_events("stale"), key=lambda event: event.seq),
        "state": [column.tolist() for column in (state.value.view(np.int64), state.time, state.quality)],
        "recorded": twin.transfer.recorded,
        "last_event": twin.last_event_seq,
    }


def filled(directory: Path, rounds: int = 40) -> Twin:
    """Such a twin."""
    twin = Twin.open(directory)
    fill(twin, rounds)
    return twin
