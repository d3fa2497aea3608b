"""Silent sensors become stale and speak again; the clock is the test's."""

from pathlib import Path

from analytics_fixtures import T0, S, index, plant, say

from iotsense.analytics.staleness import Staleness
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Event, Level
from iotsense.twin.twin import Twin

M1 = "l1.m1.motor_temperature"
M2 = "l1.m2.motor_temperature"


class Clock:
    """Monotonic time that the test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def expecting(directory: Path, interval: float = 10.0) -> Twin:
    """The small plant, of which the two temperatures are expected every `interval` seconds."""
    twin = plant(directory)

    def expect(edit: GraphEdit) -> None:
        for id in (M1, M2):
            edit.update_signal(edit.graph.find_signal(id).index, expected_interval=interval)

    twin.change(expect, "test")
    return twin


def quality(twin: Twin, id: str) -> int:
    reading = twin.state.read(index(twin, id))
    assert reading is not None
    return reading.quality


def stale_events(twin: Twin) -> list[Event]:
    return twin.events(kind="stale")


def test_a_silent_sensor_becomes_stale_and_speaks_again(tmp_path: Path) -> None:
    with expecting(tmp_path) as twin:
        clock = Clock()
        staleness = Staleness(twin, clock)
        say(twin, M1, (0, 20.0))
        staleness.step()
        clock.now += 9.0
        staleness.step()
        assert quality(twin, M1) == 192
        clock.now += 1.5
        staleness.step()
        assert quality(twin, M1) == 64
        assert twin.is_stale(index(twin, M1))
        (event,) = stale_events(twin)
        assert (event.time, event.until) == (T0, None)
        assert event.node == twin.graph.find(M1).key
        say(twin, M1, (30, 21.0))
        staleness.step()
        assert quality(twin, M1) == 192
        last = stale_events(twin)[-1]
        assert (last.time, last.until, last.identity) == (T0, T0 + 30 * S, event.identity)
        assert staleness.stale_count == 0


def test_its_value_time_and_history_stay_as_they_were(tmp_path: Path) -> None:
    with expecting(tmp_path) as twin:
        clock = Clock()
        staleness = Staleness(twin, clock)
        say(twin, M1, (0, 20.0))
        staleness.step()
        clock.now += 60.0
        staleness.step()
        reading = twin.state.read(index(twin, M1))
        assert reading is not None
        assert (reading.value, reading.time) == (20.0, T0)
        assert twin.history(index(twin, M1), T0, T0 + S).quality.tolist() == [192]


def test_who_speaks_at_the_very_moment_of_being_found_silent_stays_good(tmp_path: Path) -> None:
    with expecting(tmp_path) as twin:
        say(twin, M1, (0, 20.0), (30, 21.0))
        twin.mark_stale([(index(twin, M1), T0)])  # what was looked at was the reading before
        assert quality(twin, M1) == 192
        Staleness(twin, Clock()).step()
        assert twin.open_events("stale") == []


def test_one_event_for_one_silence(tmp_path: Path) -> None:
    with expecting(tmp_path) as twin:
        clock = Clock()
        staleness = Staleness(twin, clock)
        say(twin, M1, (0, 20.0))
        for _ in range(50):
            staleness.step()
            clock.now += 1.0
        assert len(stale_events(twin)) == 1


def test_a_sensor_that_never_spoke_is_not_stale(tmp_path: Path) -> None:
    with expecting(tmp_path) as twin:
        clock = Clock()
        staleness = Staleness(twin, clock)
        staleness.step()
        clock.now += 3600.0
        staleness.step()
        assert stale_events(twin) == []


def test_a_sensor_whose_clock_is_wrong_is_not_stale_while_it_speaks(tmp_path: Path) -> None:
    with expecting(tmp_path) as twin:
        clock = Clock()
        staleness = Staleness(twin, clock)
        for second in range(60):
            say(twin, M1, (second - 1_000_000, 20.0))  # eleven days behind
            staleness.step()
            clock.now += 1.0
        assert stale_events(twin) == []


def test_a_restart_makes_nobody_stale_who_was_not(tmp_path: Path) -> None:
    with expecting(tmp_path) as twin:
        say(twin, M1, (0, 20.0))
        say(twin, M2, (0, 20.0))
        clock = Clock()
        staleness = Staleness(twin, clock)
        staleness.step()
        say(twin, M2, (5, 20.0))
        clock.now += 8.0
        staleness.step()
        clock.now += 8.0
        staleness.step()
        assert [event.data["signal"] for event in stale_events(twin)] == [index(twin, M1)]
    with Twin.open(tmp_path) as twin:
        clock.now += 3600.0
        staleness = Staleness(twin, clock)
        staleness.step()
        clock.now += 9.0
        staleness.step()
        assert len(stale_events(twin)) == 1  # M1 is stale still, without a second event; M2 has its full interval
        assert quality(twin, M1) == 64
        clock.now += 2.0
        staleness.step()
        assert len(stale_events(twin)) == 2


def test_who_spoke_while_nobody_looked_is_no_longer_stale(tmp_path: Path) -> None:
    with expecting(tmp_path) as twin:
        clock = Clock()
        staleness = Staleness(twin, clock)
        say(twin, M1, (0, 20.0))
        staleness.step()
        clock.now += 60.0
        staleness.step()
        say(twin, M1, (90, 20.0))
    with Twin.open(tmp_path) as twin:
        Staleness(twin, clock).step()
        assert twin.open_events("stale") == []


def test_a_sensor_that_nobody_expects_any_more_is_no_longer_stale(tmp_path: Path) -> None:
    with expecting(tmp_path) as twin:
        clock = Clock()
        staleness = Staleness(twin, clock)
        say(twin, M1, (0, 20.0))
        staleness.step()
        clock.now += 60.0
        staleness.step()
        assert staleness.stale_count == 1
        key = twin.graph.find(M1).key
        twin.change(lambda edit: edit.remove_node(key), "test")
        staleness.step()
        assert staleness.stale_count == 0


def test_thousands_that_fall_silent_together_are_one_transaction(tmp_path: Path) -> None:
    def build(edit: GraphEdit) -> None:
        line = edit.add_node(id="big", level=Level.LINE)
        for c in range(40):
            component = edit.add_node(id=f"big.c{c}", level=Level.COMPONENT, parent=line.key)
            for i in range(50):
                edit.add_signal(component.key, f"s{i}", expected_interval=10.0)

    with Twin.open(tmp_path) as twin:
        twin.change(build, "test")
        clock = Clock()
        staleness = Staleness(twin, clock)
        twin.apply(ReadingBatch.of(range(2000), T0, [0.0] * 2000))
        staleness.step()
        clock.now += 60.0
        before = twin.last_seq
        staleness.step()
        assert staleness.stale_count == 2000
        assert twin.last_seq == before + 1
        twin.apply(ReadingBatch.of(range(2000), T0 + S, [0.0] * 2000))
        staleness.step()
        assert staleness.stale_count == 0
