"""The bottling line's own definition and rules over two minutes of its life, without a network between."""

from pathlib import Path

import yaml
from rich.console import Console

from iotsense.analytics.monitor import Monitor
from iotsense.demo_table import Heard, account, anomaly_line, plant_view
from iotsense.sim.bottling_line import REPAIR_AT, REPAIR_TIME, WEAR_CYCLE, WEAR_ONSET, BottlingLine
from iotsense.sim.machine import Value
from iotsense.sim.machines import Tally
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.define_project import Project
from iotsense.twin.graph import Graph
from iotsense.twin.plan import plan
from iotsense.twin.twin import Twin

S = 1_000_000_000
T0 = 1_700_000_000 * S
EXAMPLE = Path(__file__).parent.parent / "examples" / "bottling-line"


def defined(directory: Path) -> Twin:
    """A twin of the bottling line as its example defines it."""
    sections = {}
    for file in ("line.yaml", "rules.yaml"):
        sections |= yaml.safe_load((EXAMPLE / file).read_text())
    twin = Twin.open(directory)
    apply_plan(plan(Project.model_validate(sections), twin.graph), twin)
    return twin


def codes(twin: Twin, graph: Graph, component: str, values: dict[str, Value]) -> list[tuple[int, float]]:
    """(signal, value) of everything that a machine shows, texts as codes."""
    found = []
    for name, value in values.items():
        signals = graph.signals_of(graph.find(f"bottling_line_1.{component}.{name}").key)
        shown = value if isinstance(value, list) else [value]
        assert len(signals) == len(shown), name
        for signal, one in zip(signals, shown, strict=True):
            code = twin.label_code(signal.index, one) if isinstance(one, str) else float(one)
            found.append((signal.index, code))
    return found


def live(twin: Twin, line: BottlingLine, seconds: float) -> None:
    """Lets the line live that long; its readings come in twice a second."""
    graph = twin.graph
    for _ in range(round(seconds * 2)):
        line.advance(0.5)
        rows = [row for name, values in line.readings() for row in codes(twin, graph, name, values)]
        signals, values = zip(*rows, strict=True)
        twin.apply(ReadingBatch.of(signals, T0 + round(line.time * S), values))


def screen(twin: Twin) -> str:
    console = Console(width=160, force_terminal=False)
    with console.capture() as capture:
        console.print(plant_view(twin, "bottling_line_1", "status"))
    return capture.get()


def test_the_wear_fires_the_rules_of_the_capper_only_and_the_repair_clears_them(tmp_path: Path) -> None:
    with defined(tmp_path) as twin:
        monitor = Monitor(twin)
        line = BottlingLine(seed=3)
        live(twin, line, WEAR_ONSET)
        while monitor.step():
            pass
        assert twin.events(kind="anomaly") == []
        live(twin, line, REPAIR_AT - WEAR_ONSET)
        while monitor.step():
            pass
        assert {anomaly.rule for anomaly in monitor.anomalies()} == {"bearing_vibration", "bearing_overheating"}
        worn = screen(twin)
        assert "bearing_vibration" in worn
        assert "critical" in worn
        live(twin, line, WEAR_CYCLE - REPAIR_AT)
        while monitor.step():
            pass
        assert monitor.anomalies() == []
        graph = twin.graph
        capper = graph.find("capper")
        events = twin.events(kind="anomaly")
        assert {event.node for event in events} == {capper.key}
        rates = [event for event in events if event.data["metric"] == "rate_of_change"]
        assert rates
        cleared = max(event.until for event in events if event.until)
        assert cleared < T0 + (REPAIR_AT + REPAIR_TIME) * S
        health = graph.find_signal("capper.health").index
        told = twin.history(health, T0, T0 + int(WEAR_CYCLE) * S).value.tolist()
        assert told[0] == told[-1] == 100.0
        assert min(told) <= 40.0
        for other in ("filler", "labeller", "palletiser", "conveyor_1"):
            reading = twin.state.read(graph.find_signal(f"{other}.health").index)
            assert reading is not None
            assert reading.value == 100.0


def test_the_table_shows_every_machine_with_its_state_and_values(tmp_path: Path) -> None:
    with defined(tmp_path) as twin:
        assert "Rotary filler" in screen(twin)  # before anything is known
        live(twin, BottlingLine(seed=3), 30.0)
        monitor = Monitor(twin)
        while monitor.step():
            pass
        text = screen(twin)
        for word in ("Rotary filler", "Conveyor 3", "Execute", "mm/s", "°C", "100 healthy", "status"):
            assert word in text


def test_an_anomaly_is_told_in_one_line_and_the_account_names_what_is_lost(tmp_path: Path) -> None:
    with defined(tmp_path) as twin:
        live(twin, BottlingLine(seed=3), 60.0)
        monitor = Monitor(twin)
        while monitor.step():
            pass
        first = anomaly_line(twin.events(kind="anomaly")[0]).plain
        assert "capper.vibration_rms: value" in first
        assert "> 4.5" in first
    console = Console(width=80)
    with console.capture() as capture:
        heard = [Heard("MQTT", 100, 100, 98), Heard("Modbus", 50, 50, 50)]
        console.print(account(heard, Tally(10, 100, 10, 100), anomalies=1, cleared=1))
    assert "readings lost" in capture.get()
    assert " 2 " in capture.get()
    assert "Modbus" in capture.get()
