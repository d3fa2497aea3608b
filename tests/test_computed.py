"""Computed signals: the service's values against the definition spelled out, whatever the order of readings."""

import math
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from iotsense.analytics.computation import Computation
from iotsense.analytics.monitor import Monitor
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.export_definition import export
from iotsense.twin.plan import plan
from iotsense.twin.project import load_texts
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

S = 1_000_000_000
T0 = 1_700_000_000 * S
PLANT = """
component_types:
  - name: pump
    parameters: { rated: { unit: kW, default: 10 } }
    sensors: [{ id: torque, unit: newton_meter }, { id: speed, unit: rad/s }, { id: flow, unit: l/min }]
    computed:
      - { name: power, expression: torque * speed, unit: W }
      - { name: load, expression: power / rated, unit: percent }
digital_twins:
  - name: line
    computed:
      - { name: power, expression: sum(children.power), unit: kW }
      - { name: strongest, expression: "max(children(type='pump').power) if_any" }
    components:
      - { id: p1, type: pump }
      - { id: p2, type: pump, computed: [{ name: fed, expression: 2 * sum(fed_by.flow), unit: l/min }] }
    relationships: [{ from: p1, to: p2, type: feeds_into }]
""".replace(" if_any", "")
MEASURED = ("p1.torque", "p1.speed", "p2.torque", "p2.speed", "p1.flow")


class Row(NamedTuple):
    signal: int
    second: int
    value: float
    quality: int


rows = st.lists(
    st.builds(
        Row,
        st.integers(0, len(MEASURED) - 1),
        st.integers(0, 400).map(lambda s: s * 7 % 401),
        st.sampled_from([0.0, 1.0, 2.5, -3.0]),
        st.sampled_from([192, 192, 192, 64, 0]),
    ),
    min_size=1,
    max_size=50,
)
CAREFULLY = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=(Phase.explicit, Phase.reuse, Phase.generate)
)


def define(twin: Twin, text: str) -> None:
    project, findings = load_texts({"plant.yaml": text}, {})
    assert project is not None, [str(finding) for finding in findings]
    apply_plan(plan(project, twin.graph, twin.state), twin, allow_remove=True)


def settle(worker: Computation | Monitor) -> None:
    while worker.step():
        pass


def index(twin: Twin, id: str) -> int:
    return twin.graph.find_signal(id).index


def say(twin: Twin, some: Sequence[Row]) -> None:
    signals = [index(twin, f"line.{MEASURED[row.signal]}") for row in some]
    times = [T0 + row.second * S for row in some]
    twin.apply(ReadingBatch.of(signals, times, [row.value for row in some], [row.quality for row in some]))


def stored(twin: Twin, id: str) -> list[tuple[int, float | None, int]]:
    """Seconds after T0, value (None for NaN) and quality of all that is stored."""
    told = twin.history(index(twin, id), 0, 1 << 62)
    columns = zip(told.time.tolist(), told.value.tolist(), told.quality.tolist(), strict=True)
    return [((t - T0) // S, None if math.isnan(v) or q == 0 else round(v, 9), q) for t, v, q in columns]


Series = dict[int, tuple[float | None, int]]


def spelled_out(inputs: Sequence[Series], value: Callable[..., float | None], rolled_up: bool) -> Series:
    """A computed signal at every second at which an input has a reading."""
    found: Series = {}
    for second in sorted({at for series in inputs for at in series}):
        held = [series[max(at for at in series if at <= second)] if min(series, default=second + 1) <= second else None
                for series in inputs]  # fmt: skip
        spoken = [each for each in held if each is not None]
        usable = [v if q >= 64 and v is not None else None for v, q in spoken]
        if rolled_up:
            if spoken:
                values = [v for v in usable if v is not None]
                quality = min(max(q, 64) for _, q in spoken)
                found[second] = (value(values), quality) if values else (None, 0)
        elif len(spoken) == len(inputs):
            bad = any(v is None for v in usable)
            found[second] = (None, 0) if bad else (value(*usable), min(q for _, q in spoken))
    return found


def expected(drawn: Sequence[Row]) -> dict[str, Series]:
    measured: list[Series] = [{} for _ in MEASURED]
    for row in drawn:
        measured[row.signal][row.second] = (row.value, row.quality)
    power1 = spelled_out(measured[0:2], lambda a, b: a * b, False)
    power2 = spelled_out(measured[2:4], lambda a, b: a * b, False)
    return {
        "line.p1.power": power1,
        "line.p2.power": power2,
        "line.p1.load": spelled_out([power1], lambda v: v / 10_000 * 100, False),
        "line.p2.fed": spelled_out([measured[4]], lambda v: 2 * sum(v), True),
        "line.power": spelled_out([power1, power2], lambda v: sum(v) / 1000, True),
        "line.strongest": spelled_out([power1, power2], max, True),
    }


def listed(series: Series) -> list[tuple[int, float | None, int]]:
    return [(second, None if v is None else round(v, 9), q) for second, (v, q) in sorted(series.items())]


def shuffled(drawn: Sequence[Row], chance: random.Random) -> list[Row]:
    mixed = list(drawn)
    chance.shuffle(mixed)
    versions: dict[tuple[int, int], list[Row]] = {}
    for row in drawn:
        versions.setdefault((row.signal, row.second), []).append(row)
    return [versions[row.signal, row.second].pop(0) for row in mixed]


def feed(twin: Twin, drawn: Sequence[Row], chance: random.Random, restarts: float) -> None:
    worker = Computation(twin)
    settle(worker)
    start = 0
    while start < len(drawn):
        end = start + chance.choice((1, 1, 2, 5, 20))
        say(twin, drawn[start:end])
        start = end
        if chance.random() < 0.6:
            worker.step()
        if chance.random() < restarts:
            worker = Computation(twin)  # the one before is gone, with all that it had in memory
    settle(worker)


@pytest.mark.parametrize("kept", [256, 2])
@settings(CAREFULLY, max_examples=10)
@given(rows, st.integers(0, 1 << 30).map(random.Random))
def test_any_order_gives_what_the_definition_says(kept: int, drawn: list[Row], chance: random.Random) -> None:
    with (
        pytest.MonkeyPatch.context() as small,
        tempfile.TemporaryDirectory(prefix="iotsense-computed-") as place,
        Twin.open(Path(place)) as twin,
    ):
        small.setattr("iotsense.analytics.tracks.KEPT", kept)
        define(twin, PLANT)
        feed(twin, shuffled(drawn, chance), chance, restarts=0.2)
        for id, series in expected(drawn).items():
            assert stored(twin, id) == listed(series), id


def value(twin: Twin, id: str) -> float | None:
    reading = twin.state.read(index(twin, id))
    return reading.value if reading else None


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path) as opened:
        yield opened


def test_units_are_converted_between_input_expression_and_result(twin: Twin) -> None:
    define(twin, PLANT.replace("unit: rad/s", "unit: rpm"))
    worker = Computation(twin)
    settle(worker)
    say(twin, [Row(0, 1, 100.0, 192), Row(1, 1, 1500.0, 192)])
    settle(worker)
    assert value(twin, "line.p1.power") == pytest.approx(100 * 1500 * math.tau / 60)
    assert value(twin, "line.power") == pytest.approx(100 * 1500 * math.tau / 60 / 1000)
    assert value(twin, "line.p1.load") == pytest.approx(100 * 1500 * math.tau / 60 / 10_000 * 100)
    signal = twin.graph.find_signal("line.power")
    assert (signal.role, signal.unit) == ("derived", "kW")


def test_a_signal_that_is_computed_from_now_on_is_computed_for_all_that_is_stored(twin: Twin) -> None:
    define(twin, PLANT)
    worker = Computation(twin)
    say(twin, [Row(0, second, float(second), 192) for second in range(300)])
    say(twin, [Row(1, 100, 2.0, 192)])
    settle(worker)
    power = "      - { name: power, expression: torque"
    define(twin, PLANT.replace(power, f"      - {{ name: twice, expression: 2 * torque }}\n{power}"))
    settle(worker)
    assert stored(twin, "line.p1.twice") == [(second, 2.0 * second, 192) for second in range(300)]
    assert len(stored(twin, "line.p1.power")) == 200


def test_another_expression_applies_from_when_it_is_applied_and_late_data_get_that_of_their_time(twin: Twin) -> None:
    define(twin, PLANT)
    worker = Computation(twin)
    before = now_ns()
    torque, speed, power = (index_of(twin, worker, id) for id in ("line.p1.torque", "line.p1.speed", "line.p1.power"))
    twin.apply(ReadingBatch.of([torque, speed], before, [2.0, 3.0]))
    settle(worker)
    define(twin, PLANT.replace("torque * speed", "10 * torque * speed"))
    settle(worker)
    after = now_ns()
    twin.apply(ReadingBatch.of(torque, after, 2.0))
    twin.apply(ReadingBatch.of(torque, before + 1000, 4.0))
    settle(worker)
    told = twin.history(power, 0, 1 << 62)
    assert dict(zip(told.time.tolist(), told.value.tolist(), strict=True)) == {
        before: 6.0,
        before + 1000: 12.0,
        after: 60.0,
    }
    worker = Computation(twin)
    twin.apply(ReadingBatch.of(torque, before + 500, 5.0))
    settle(worker)
    told = twin.history(power, 0, 1 << 62)
    assert told.value.tolist() == [6.0, 15.0, 12.0, 60.0]


def index_of(twin: Twin, worker: Computation, id: str) -> int:
    settle(worker)
    return index(twin, id)


def test_what_is_no_longer_computed_goes(twin: Twin) -> None:
    define(twin, PLANT)
    worker = Computation(twin)
    settle(worker)
    assert twin.graph.find_signal("line.strongest")
    define(twin, "\n".join(line for line in PLANT.splitlines() if "strongest" not in line))
    settle(worker)
    assert all(signal.name != "strongest" for signal in twin.graph.signals())


def test_a_correction_supersedes_and_what_was_known_stays_known(twin: Twin) -> None:
    define(twin, PLANT)
    worker = Computation(twin)
    settle(worker)
    say(twin, [Row(0, 1, 2.0, 192), Row(1, 2, 3.0, 192), Row(1, 5, 4.0, 192)])
    settle(worker)
    known_at = now_ns()
    say(twin, [Row(0, 1, 5.0, 192)])
    settle(worker)
    assert stored(twin, "line.p1.power") == [(2, 15.0, 192), (5, 20.0, 192)]
    then = twin.history(index(twin, "line.p1.power"), 0, 1 << 62, known_at=known_at)
    assert then.value.tolist() == [6.0, 8.0]


def test_rules_watch_what_is_computed(twin: Twin) -> None:
    rule = """
anomaly_detection:
  rules:
    - { name: overload, type: threshold, sensor: load, conditions: [{ operator: ">", threshold: 90, unit: percent }] }
"""
    define(twin, PLANT + rule)
    workers = (Computation(twin), Monitor(twin))
    for worker in workers:
        settle(worker)
    say(twin, [Row(0, 1, 100.0, 192), Row(1, 1, 95.0, 192)])
    for worker in workers:
        settle(worker)
    (anomaly,) = workers[1].anomalies()  # type: ignore[union-attr]
    assert anomaly.data["signal_id"] == "line.p1.load"
    assert anomaly.data["value"] == pytest.approx(95.0)


def test_rules_of_a_type_watch_what_is_computed_on_its_instances(twin: Twin) -> None:
    rule = '{ name: strong, type: threshold, sensor: power, conditions: [{ operator: ">", threshold: 1, unit: kW }] }'
    define(twin, PLANT.replace("    computed:\n", f"    rules: [{rule}]\n    computed:\n", 1))
    workers = (Computation(twin), Monitor(twin))
    for worker in workers:
        settle(worker)
    say(twin, [Row(0, 1, 100.0, 192), Row(1, 1, 11.0, 192)])
    for worker in workers:
        settle(worker)
    assert [a.data["signal_id"] for a in workers[1].anomalies()] == ["line.p1.power"]  # type: ignore[union-attr]


def test_it_comes_to_rest(twin: Twin) -> None:
    define(twin, PLANT)
    worker = Computation(twin)
    settle(worker)
    say(twin, [Row(0, 1, 2.0, 192), Row(1, 2, 3.0, 192)])
    settle(worker)
    last = twin.last_seq
    for _ in range(5):
        assert worker.step() == 0
    assert twin.last_seq == last


@pytest.mark.parametrize(
    ("find", "put", "place", "words"),
    [
        ("torque * speed, unit: W", "torque * speed, unit: m", 15, "cannot be converted to m (length)"),
        ("torque * speed", "torque * sped", 15, "has no signal or parameter 'sped'"),
        ("sum(children.power)", "line.strongest + 1", 12, "computed from itself"),
        ("2 * sum(fed_by.flow)", "torque + speed", 16, "cannot be converted"),
        ("2 * sum(fed_by.flow)", "sum(outgoing.flow)", 16, "write outgoing("),
        ("2 * sum(fed_by.flow)", "2 * * flow", 16, "column 5"),
        ("name: fed", "name: flow", 16, "has a sensor of that name already"),
    ],
)
def test_mistakes_are_told_with_their_place(find: str, put: str, place: int, words: str) -> None:
    text = PLANT.replace(find, put)
    if "strongest" in put:
        text = text.replace("max(children(type='pump').power)", "power * 2")
    _, findings = load_texts({"plant.yaml": text}, {})
    assert any(words in str(finding) and finding.severity == "error" for finding in findings), findings
    assert any(finding.line == place for finding in findings), [str(finding) for finding in findings]


def test_an_export_says_what_was_defined(twin: Twin) -> None:
    define(twin, PLANT)
    settle(Computation(twin))
    text = export(twin.graph)
    project, findings = load_texts({"export.yaml": text}, {})
    assert project is not None, findings
    assert plan(project, twin.graph, twin.state).empty


PAGE = Path(__file__).parent.parent / "docs" / "computed.md"


def table(text: str, heading: str) -> list[tuple[int, str, float]]:
    """The rows of the first table behind some words: second, signal, value."""
    lines = text.split(heading, 1)[1].lstrip().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in takewhile(bool, lines)]
    return [(int(second), signal, float(number)) for second, signal, number in cells]


def test_the_page_tells_the_truth(twin: Twin) -> None:
    text = PAGE.read_text()
    define(twin, text.split("```yaml\n", 1)[1].split("```", 1)[0])
    worker = Computation(twin)
    settle(worker)
    for second, signal, number in table(text, "With these readings"):
        twin.apply(ReadingBatch.of(index(twin, f"cooling.{signal}"), T0 + second * S, number))
        worker.step()
    settle(worker)
    expected = table(text, "\nfollow\n")
    for signal in {signal for _, signal, _ in expected}:
        found = stored(twin, signal if signal == "cooling.power" else f"cooling.{signal}")
        for second, _, number in (row for row in expected if row[1] == signal):
            assert any(at == second and value == pytest.approx(number, abs=1e-3) for at, value, _ in found), (
                signal,
                found,
            )
    assert value(twin, "cooling.hard_at_work") == 0.0
