"""The demo in the terminal: machines with state, key values, health and open anomalies; and the final account."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .analytics.health import health_status
from .ingest.source_state import SourceState, SourceStatus
from .sim.machines import Tally
from .twin.anomalies import ANOMALY
from .twin.graph import HEALTH
from .twin.model import DataType, Event, Node, Quality, Signal
from .twin.times import format_time
from .twin.twin import Twin

_COLOURS = {"healthy": "green", "warning": "yellow", "critical": "bold red"}
_SOURCES = {SourceState.RUNNING: "green", SourceState.CONNECTING: "yellow", SourceState.BACKOFF: "yellow"}
_STATES = {"Execute": "green", "Suspended": "yellow", "Held": "red"}
# Heading, then the sensors that may fill the column, the first one that the machine has.
_COLUMNS = (
    ("speed", ("speed",)),
    ("bottles", ("good", "bottles")),
    ("rejected", ("rejected",)),
    ("current", ("drive_current", "motor_current")),
    ("temperature", ("bearing_temperature", "motor_temperature")),
    ("vibration", ("vibration_rms",)),
)
_SYMBOLS = {"ampere": "A", "celsius": "°C", "percent": "%", "1/min": "/min"}


def plant_view(twin: Twin, line: str, status: str, sources: Iterable[SourceStatus] = ()) -> RenderableType:
    """The line's machines now, the sources, and a line of `status` below."""
    graph = twin.graph
    table = Table(
        title=f"{line}  [dim]{_health_of(twin, graph.find(line))}[/]",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("machine")
    table.add_column("state")
    for heading, _ in _COLUMNS:
        table.add_column(heading, justify="right")
    table.add_column("health", justify="right")
    table.add_column("open anomalies")
    for component in graph.components(graph.find(line).key):
        table.add_row(*_row(twin, component))
    return Group(table, *map(_source, sources), Text(status, style="dim"))


def _source(status: SourceStatus) -> Text:
    """A source in one line: where it is, how it is, what it read."""
    state = Text(f"{status.state:<10}", _SOURCES.get(status.state, "red"))
    counters = status.counters
    numbers = f"{counters.read:>9,} readings, {counters.stored:,} stored"
    line = Text.assemble(f"{status.protocol:<7} ", state, f" {numbers}  ", (status.address, "dim"))
    return line if status.error is None else line.append(f"  {status.error}", "red")


def _row(twin: Twin, component: Node) -> list[Text]:
    signals = {sensor.name: twin.graph.values_of(sensor.key) for sensor in twin.graph.sensors(component.key)}
    state = _shown(twin, signals.get("state"))
    state.style = _STATES.get(state.plain, "")
    values = [_shown(twin, next((signals[name] for name in names if name in signals), None)) for _, names in _COLUMNS]
    return [Text(component.name), state, *values, _health_of(twin, component), _anomalies_of(twin, component)]


def _shown(twin: Twin, signals: list[Signal] | None) -> Text:
    reading = twin.state.read(signals[0].index) if signals else None
    if reading is None or not signals:
        return Text("")
    signal = signals[0]
    style = "" if reading.quality >= Quality.GOOD else "dim italic"
    if signal.labels or signal.data_type in (DataType.TEXT, DataType.BOOLEAN):
        return Text(twin.label(signal.index, reading.value) or "", style)
    unit = _SYMBOLS.get(signal.unit or "", signal.unit or "")
    digits = 0 if signal.stepped or abs(reading.value) >= 100 else 1
    return Text(f"{reading.value:.{digits}f} {unit}".rstrip(), style)


def _health_of(twin: Twin, node: Node) -> Text:
    signal = twin.graph.signal_of(node.key, HEALTH)
    reading = twin.state.read(signal.index) if signal else None
    if reading is None:
        return Text("")
    status = health_status(reading.value)
    return Text(f"{reading.value:.0f} {status}", _COLOURS[status])


def _anomalies_of(twin: Twin, component: Node) -> Text:
    worst: dict[str, str] = {}
    for event in twin.open_events(ANOMALY, component.key):
        rule, severity = event.data["rule"], event.data["severity"]
        if worst.get(rule) != "critical":
            worst[rule] = severity
    return Text(", ").join(Text(rule, _COLOURS[severity]) for rule, severity in worst.items())


def anomaly_line(event: Event) -> Text:
    """One line that tells how an anomaly began or ended."""
    data = event.data
    at = format_time(event.time if event.until is None else event.until)[11:23]
    what = f"{data['rule']} {data['severity']} on {data['signal_id']}"
    if event.until is not None:
        return Text(f"{at}  cleared  {what}", "green")
    limit = f"{data['metric']} {data['value']:.1f} {data['operator']} {data['threshold']:g}"
    return Text(f"{at}  anomaly  {what}: {limit}", _COLOURS[data["severity"]])


class Heard(NamedTuple):
    """What became of a source's readings.

    told: sent by machines that send, read from those that are asked or tell of changes. acknowledged: confirmed to the
    machine, or durable. stored: in the history of the signals.
    """

    source: str
    told: int
    acknowledged: int
    stored: int

    @property
    def lost(self) -> int:
        """Told and not stored."""
        return self.told - self.stored


def account(heard: Sequence[Heard], tally: Tally, anomalies: int, cleared: int) -> Group:
    """What the machines told, what the twin holds, and the difference; by source, and in all."""
    sources = Table(title="The account", box=box.SIMPLE_HEAD)
    sources.add_column("source")
    for heading in ("readings", "acknowledged", "stored", "lost"):
        sources.add_column(heading, justify="right")
    for one in heard:
        sources.add_row(*map(str, (*one, one.lost)), style="bold red" if one.lost else "")
    whole = Table(show_header=False)
    whole.add_column()
    whole.add_column(justify="right")
    lost = sum(one.lost for one in heard)
    rows = (
        ("messages sent", tally.messages),
        ("messages acknowledged", tally.acknowledged_messages),
        ("readings sent or read", sum(one.told for one in heard)),
        ("readings acknowledged", sum(one.acknowledged for one in heard)),
        ("readings stored", sum(one.stored for one in heard)),
        ("readings lost", lost),
        ("anomalies opened", anomalies),
        ("anomalies cleared", cleared),
    )
    for name, number in rows:
        style = "bold red" if name == "readings lost" and number else ""
        whole.add_row(name, str(number), style=style)
    return Group(sources, whole)
