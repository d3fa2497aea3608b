"""Tiers: what is left of readings when they go, and how questions find it."""

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from history_fixtures import DAY, S, all_rows, entry, opened, stream

from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import InvalidValueError
from iotsense.twin.history import Rows, standing
from iotsense.twin.history_aggregate import Before, pieces_of
from iotsense.twin.history_policy import Policy, policy_of
from iotsense.twin.history_rows import SignalRows
from iotsense.twin.history_store import HistoryStore
from iotsense.twin.history_tier import Tier
from iotsense.twin.model import Level
from iotsense.twin.plan import plan
from iotsense.twin.project import load_project
from iotsense.twin.state import NEVER
from iotsense.twin.times import parse_time
from iotsense.twin.twin import Twin

M, H = 60 * S, 3600 * S
NOTHING = Before(np.zeros(3, dtype=bool), np.zeros(3, dtype=np.int64), np.zeros(3))
LINES, STEPS = np.zeros(3, dtype=bool), np.ones(3, dtype=bool)


def rows(*readings: tuple[int, int, float, int]) -> SignalRows:
    signal, time, value, quality = (np.array(column) for column in zip(*readings, strict=True))
    return SignalRows(
        signal.astype(np.int32),
        time * S,
        value.astype(np.float64),
        quality.astype(np.uint8),
        np.zeros(len(time), np.int64),
    )


def test_the_figures_of_a_minute() -> None:
    given = rows((1, 10, 4.0, 192), (1, 20, 2.0, 64), (1, 30, 99.0, 0), (1, 40, 6.0, 192), (2, 70, 1.0, 0))
    edges = Tier("1m").edges(0, 120 * S, UTC)
    found = pieces_of(given, edges, 0, 120 * S, LINES, NOTHING)
    assert found.signal.tolist() == [1, 2]
    assert found.time.tolist() == [0, 60 * S]
    assert (found.rows.tolist(), found.usable.tolist(), found.good.tolist()) == ([4, 1], [3, 0], [2, 0])
    assert (found.low[0], found.high[0], found.first[0], found.last[0], found.mean[0]) == (2.0, 6.0, 4.0, 6.0, 4.0)
    assert found.last_time.tolist() == [40 * S, 60 * S]
    assert found.worst.tolist() == [0, 0]
    assert np.isnan(found.low[1])
    # From 10 s on: 10 s at 3, 20 s at 4, 20 s at the last value.
    assert found.weighted[0] == pytest.approx((30 + 80 + 120) / 50)
    assert found.duration.tolist() == [50 * S, 0]
    held = pieces_of(given, edges, 0, 120 * S, STEPS, NOTHING)
    assert held.weighted[0] == pytest.approx((40 + 40 + 120) / 50)


def test_a_value_reaches_from_one_span_into_the_next() -> None:
    given = rows((0, 30, 0.0, 192), (0, 90, 60.0, 192))
    edges = Tier("1m").edges(0, 120 * S, UTC)
    before = Before(np.array([True]), np.array([-30 * S]), np.array([120.0]))
    line = pieces_of(given, edges, 0, 120 * S, LINES, before)
    assert line.weighted.tolist() == pytest.approx([(30 * 30 + 15 * 30) / 60, (45 * 30 + 60 * 30) / 60])
    step = pieces_of(given, edges, 0, 120 * S, STEPS, before)
    assert step.weighted.tolist() == pytest.approx([60.0, 30.0])
    assert step.duration.tolist() == [60 * S, 60 * S]


@pytest.mark.parametrize(
    ("date", "zone", "hours"),
    [
        ("2024-03-31", "Europe/Berlin", 23),
        ("2024-10-27", "Europe/Berlin", 25),
        ("2024-06-01", "Asia/Kolkata", 24),
        ("2018-11-04", "America/Sao_Paulo", 23),  # its clocks jumped at midnight
        ("2024-11-03", "America/Havana", 25),  # its clocks are put back to midnight
    ],
)
def test_days_are_those_of_the_site(date: str, zone: str, hours: int) -> None:
    noon = parse_time(f"{date}T12:00:00", ZoneInfo(zone))
    first, second = Tier("1d").edges(noon, noon + 1, ZoneInfo(zone)).tolist()
    assert second - first == hours * H
    assert first <= noon < second
    week = Tier("1w").edges(noon, noon + 1, ZoneInfo(zone))
    assert week[0] == parse_time(np.datetime_as_string(week[:1].astype("datetime64[ns]"), "ns")[0], UTC)
    assert len(week) == 2


def test_names_of_tiers() -> None:
    assert [Tier(name).width // S for name in ("10s", "1m", "1h", "1d", "1w")] == [10, 60, 3600, 86_400, 604_800]
    assert [Tier(name).period_days for name in ("1s", "1m", "1h", "1d")] == [1, 1, 8, 256]
    with pytest.raises(InvalidValueError, match="not a tier"):
        Tier("5y")


POLICY = Policy(
    raw=5 * DAY,
    tiers=(Tier("10m", 20 * DAY), Tier("6h", 40 * DAY), Tier("1d", None)),
    stepped=np.array([False, True, False, True, False]),
    zone=np.array([0, 0, 1, 1, 1]),
    zones=(UTC, ZoneInfo("Europe/Berlin")),
)
START = 19_000 * DAY


class Clock:
    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def worked(store: HistoryStore) -> None:
    store.flush()
    while store.upkeep.step():
        pass


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[tuple[HistoryStore, SignalRows, Clock]]:
    """Twelve days of which five are kept whole."""
    generator = np.random.default_rng()
    entries = stream(generator, entries=120, rows=500, signals=5, days=12, late=0.05)
    found = all_rows(entries)
    clock = Clock(int(found.time.min()))
    store = opened(tmp_path / "history", tail_rows=9_000, quiet_s=0.0, policy=lambda: POLICY, now=clock)
    store.apply(entries)
    store.flush()
    clock.now = int(found.recorded.max())
    worked(store)
    yield store, found, clock
    store.close()


def of_signal(found: SignalRows, signal: int) -> Rows:
    chosen = found.take(found.signal == signal)
    return standing(Rows(chosen.time, chosen.value, chosen.quality, chosen.recorded))


def check_tier(store: HistoryStore, found: SignalRows, signal: int, tier: str, points: int | None) -> None:
    start, end = int(found.time.min()), int(found.time.max()) + 1
    history = store.history(signal, start, end, points)
    assert history.tier == tier
    assert history.precision == Tier(tier).width / S
    assert points is None or len(history) <= points
    kept = of_signal(found, signal)
    ends = np.append(history.time[1:], 2**62)
    usable = (kept.quality >= 64) & ~np.isnan(kept.value)
    assert history.count.sum() == usable.sum()
    for number in range(len(history)):
        inside = (kept.time >= history.time[number]) & (kept.time < ends[number])
        good = kept.value[inside & usable]
        assert history.count[number] == len(good)
        assert history.quality[number] == kept.quality[inside].min()
        if len(good):
            assert (history.low[number], history.high[number]) == (good.min(), good.max())
            assert history.value[number] == pytest.approx(good.mean())
        assert history.figures is not None
        share = ((kept.quality >= 192) & usable)[inside].mean() * 100
        assert history.figures.good[number] == pytest.approx(share)
        if len(good):
            assert (history.figures.first[number], history.figures.last[number]) == (good[0], good[-1])
            # Over time the value before the span counts, too, and where a line leads to, the one behind it.
            before = kept.value[usable & (kept.time < history.time[number])][-1:]
            behind = kept.value[usable & (kept.time >= ends[number])][:1]
            around = np.concatenate((before, good, behind))
            assert around.min() - 1e-9 <= history.figures.weighted[number] <= around.max() + 1e-9


def test_readings_go_and_their_tiers_answer(stored: tuple[HistoryStore, SignalRows, Clock]) -> None:
    store, found, clock = stored
    gone = store.parts.manifest.raw_gone
    assert gone == (clock.now - 5 * DAY) // DAY
    with store.parts.reading() as view:
        assert min(view.days("raw")) >= gone
        assert sorted({kind for kind, _ in view.by_day}) == ["10m", "1d", "6h", "raw"]
    for signal in range(5):
        check_tier(store, found, signal, "10m", None)
        check_tier(store, found, signal, "10m", 500)
        check_tier(store, found, signal, "6h", 20)
        check_tier(store, found, signal, "1d", 7)
        check_tier(store, found, signal, "1d", 1)
    recent = store.history(1, gone * DAY, clock.now, 50)
    assert (recent.tier, recent.precision) == ("raw", None)


def test_a_state_of_then_comes_from_the_finest_tier_left(stored: tuple[HistoryStore, SignalRows, Clock]) -> None:
    store, found, _ = stored
    gone = store.parts.manifest.raw_gone * DAY
    first = int(found.time.min())
    for time in np.random.default_rng().integers(first + 2 * DAY, gone, 20).tolist():
        assert store.precision(time) == 600
        columns = store.latest(time, None, np.arange(6, dtype=np.int32))
        assert columns.time[5] == NEVER
        for signal in range(5):
            kept = of_signal(found, signal)
            usable = (kept.quality >= 64) & ~np.isnan(kept.value)
            until = kept.time[usable & (kept.time <= time)]
            newest = int(columns.time[signal])
            assert until[-1] // (600 * S) * (600 * S) == newest // (600 * S) * (600 * S) or newest < until[-1]
            assert until[-1] - newest <= until[-1] - until[until < time // (600 * S) * (600 * S)][-1]
            assert columns.value[signal] == kept.value[kept.time == newest][0]
    assert store.precision(gone) is None


def test_late_readings_and_corrections_change_what_they_touch(tmp_path: Path) -> None:
    clock = Clock(START + 2 * DAY)
    store = opened(tmp_path / "history", quiet_s=0.0, policy=lambda: POLICY, now=clock)
    time = START + np.arange(0, DAY, 60 * S)
    signals = np.repeat([0, 1], len(time))
    values = np.tile(np.arange(len(time), dtype=float), 2)
    store.apply([entry(1, START + DAY, ReadingBatch.of(signals, np.tile(time, 2), values))])
    worked(store)
    written = {info.name for info in store.parts.manifest.parts if info.kind == "10m"}
    store.apply([entry(2, START + 2 * DAY, ReadingBatch.of([0, 0], [time[5], time[30] + 1], [500.0, -7.0]))])
    worked(store)
    (part,) = (info for info in store.parts.manifest.parts if info.kind == "10m" and info.name not in written)
    assert part.rows == 2 * 144  # merged: what was there and what one signal has now
    clock.now = START + 10 * DAY
    worked(store)
    assert not [info for info in store.parts.manifest.parts if info.kind == "raw"]
    history = store.history(0, START, START + DAY)
    assert (history.high[0], history.low[3], history.count[3]) == (500.0, -7.0, 11)
    assert store.history(1, START, START + DAY).high[0] == 9.0
    # Behind the end of the readings' retention a late one is added to the figures.
    store.apply([entry(3, clock.now, ReadingBatch.of([1], [time[6] + 1], [-5.0]))])
    worked(store)
    history = store.history(1, START, START + DAY)
    assert (history.low[0], history.high[0], history.count[0]) == (-5.0, 9.0, 11)
    store.close()


def test_tiers_go_when_their_time_is_over(tmp_path: Path) -> None:
    clock = Clock(START + 2 * DAY)
    store = opened(tmp_path / "history", quiet_s=0.0, policy=lambda: POLICY, now=clock)
    time = START + np.arange(0, DAY, 60 * S)
    store.apply([entry(1, START + DAY, ReadingBatch.of(np.zeros(len(time)), time, np.arange(len(time))))])
    kinds = []
    for day in (2, 8, 25, 60, 4_000):
        clock.now = START + day * DAY
        worked(store)
        kinds.append(sorted({info.kind for info in store.parts.manifest.parts}))
    assert kinds == [["10m", "1d", "6h", "raw"], ["10m", "1d", "6h"], ["1d", "6h"], ["1d"], ["1d"]]
    assert sum(1 for _ in store.parts.directory.glob("*.part")) == 1
    history = store.history(0, START, START + DAY, 500)
    assert (history.tier, history.low.tolist(), history.count.tolist()) == ("1d", [0.0], [1440])
    assert history.figures is not None
    assert history.figures.weighted[0] == pytest.approx(1439 / 2 + 0.5, rel=1e-3)
    assert (history.figures.first[0], history.figures.last[0], history.figures.good[0]) == (0.0, 1439.0, 100.0)
    store.close()


def test_nothing_is_deleted_without_configuration(tmp_path: Path) -> None:
    clock = Clock(START + 10_000 * DAY)
    store = opened(tmp_path / "history", quiet_s=0.0, now=clock)
    store.apply([entry(1, START, ReadingBatch.of([0], [START], [1.0]))])
    worked(store)
    assert store.count() == 1
    assert [info.kind for info in store.parts.manifest.parts] == ["raw"]
    store.close()


def test_replay_keeps_readings_thinned(tmp_path: Path) -> None:
    policy = Policy(raw=DAY, tiers=(Tier("1h", None),), replay=10 * DAY, granularity=10 * S)
    clock = Clock(START + DAY)
    store = opened(tmp_path / "history", quiet_s=0.0, policy=lambda: policy, now=clock)
    time = START + np.arange(0, DAY // 4, S)
    store.apply([entry(1, START + DAY, ReadingBatch.of(np.zeros(len(time)), time, np.arange(len(time))))])
    clock.now = START + 3 * DAY
    worked(store)
    assert store.count() == len(time) // 10
    found = store.history(0, START, START + M)
    assert (found.tier, found.precision, found.value.tolist()) == ("thinned", 10.0, [9.0, 19.0, 29.0, 39.0, 49.0, 59.0])
    assert store.precision(START) == 10.0
    assert store.history(0, START, START + DAY, 6).tier == "1h"
    state = store.latest(START + 75 * S, None, np.array([0], dtype=np.int32))
    assert state.value[0] == 69.0
    clock.now = START + 12 * DAY
    worked(store)
    assert store.count() == 0
    assert store.precision(START) == 3600
    store.close()


def test_the_policy_is_what_the_definitions_say(tmp_path: Path) -> None:
    file = tmp_path / "plant.yaml"
    file.write_text("""
site: {id: works, timezone: America/Chicago}
digital_twins:
  - name: line
    components:
      - id: pump
        type: pump
        sensors: [{id: flow, type: flow, unit: m3/h}]
iotsense:
  storage: {retention: {raw: 7d, 1m_aggregates: 90d, 1h_aggregates: 2y, 1d_aggregates: 10y}}
twin_operations:
  replay: {enabled: true, retention: 30d, granularity: 100ms}
""")
    project, findings = load_project(file)
    assert project is not None, findings
    with Twin.open(tmp_path / "data") as twin:
        apply_plan(plan(project, twin.graph, twin.state), twin)
        policy = policy_of(twin.graph)
        signal = twin.graph.find_signal("flow").index
        twin.apply(ReadingBatch.of([signal], [START], [1.0]))
        while twin._store.upkeep.step():
            pass
        assert twin.history(signal, START, START + S).tier == "raw"
    assert (policy.raw, policy.replay, policy.granularity) == (7 * DAY, 30 * DAY, S // 10)
    assert [(tier.name, (tier.retention or 0) // DAY) for tier in policy.tiers] == [
        ("1m", 90),
        ("1h", 730),
        ("1d", 3650),
    ]
    assert policy.zone_of(signal) == ZoneInfo("America/Chicago")


def test_a_lost_tier_is_made_again_from_its_readings(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    file = tmp_path / "plant.yaml"
    file.write_text("iotsense: {storage: {retention: {raw: 900y, 1h_aggregates: 900y}}}\n")
    project, findings = load_project(file)
    assert project is not None, findings
    with Twin.open(directory) as twin:
        twin.change(lambda edit: edit.add_signal(edit.add_node(id="line", level=Level.LINE).key, "speed"), "test")
        apply_plan(plan(project, twin.graph, twin.state), twin)
        twin.apply(ReadingBatch.of([0] * 100, START + np.arange(100) * M, np.arange(100.0)))
        assert twin.catch_up()
        twin._store.upkeep._quiet_s = 0.0
        worked(twin._store)
    (lost,) = (directory / "history").glob("1h-*.part")
    lost.unlink()
    with Twin.open(directory) as twin:
        assert twin.damage == []
        worked(twin._store)
    (again,) = (directory / "history").glob("1h-*.part")
    assert again.name != lost.name
