"""Assets with serial numbers: stays follow from all that was reported, in whatever order, and nothing else."""

import contextlib
import random
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from facade_fixtures import S, put
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prefix import prefix_twin
from report_fixtures import one_line

from iotsense.twin.as_of import AsOf
from iotsense.twin.assets import asset, asset_history, assets, stays
from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import AmbiguousIdError, ConflictError, InvalidValueError, IoTSenseError, NotFoundError
from iotsense.twin.model import Event
from iotsense.twin.report import Amendment, Asset, Report
from iotsense.twin.reported import reported
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

HOUR = 3600 * S
PLACES = ("line_1.conveyor", "line_1.robot", "line_1.packer")


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with one_line(tmp_path / "data") as twin:
        yield twin


def install(
    twin: Twin, serial: str, node: str, time: int, until: int | None = None, maker: str = "Acme", **more: Any
) -> Event:
    report = Report("installation", node, time, until, capture=(), asset=Asset(serial, maker, "M2"))
    return twin.reports.report(report, **more)


def shown(plant: AsOf, **narrowed: Any) -> list[tuple[str, str | None, int, int | None]]:
    return [
        (stay.asset.serial_number, stay.place and stay.place.short_id, stay.start, stay.end)
        for stay in stays(plant, **narrowed)
    ]


def test_installing_another_ends_the_former_and_removing_ends_it(twin: Twin) -> None:
    now = now_ns()
    first = install(twin, "A", "conveyor", now - 9 * HOUR)
    install(twin, "B", "conveyor", now - 5 * HOUR)
    ended = twin.reports.find(str(first.seq))
    assert (ended.until, ended.seq > first.seq) == (now - 5 * HOUR, True)  # the log tells of it
    assert [e.data["serial_number"] for e in twin.open_events("installation")] == ["B"]
    twin.reports.remove(now - 2 * HOUR, node="conveyor", reason="worn")
    assert shown(twin.as_of(), node="conveyor") == [
        ("A", "conveyor", now - 9 * HOUR, now - 5 * HOUR), ("B", "conveyor", now - 5 * HOUR, now - 2 * HOUR),
    ]  # fmt: skip
    assert twin.open_events("installation") == []
    with pytest.raises(NotFoundError, match="nothing is known to be installed"):
        twin.reports.remove(node="conveyor")


def test_an_asset_that_goes_elsewhere_leaves_its_place_and_keeps_its_age(twin: Twin) -> None:
    now = now_ns()
    install(twin, "A", "conveyor", now - 9 * HOUR)
    install(twin, "A", "robot", now - 3 * HOUR)
    assert shown(twin.as_of(), serial_number="A") == [
        ("A", "conveyor", now - 9 * HOUR, now - 3 * HOUR), ("A", "robot", now - 3 * HOUR, None),
    ]  # fmt: skip
    assert shown(twin.as_of(), node="conveyor") == [("A", "conveyor", now - 9 * HOUR, now - 3 * HOUR)]
    life = asset(twin.as_of(time=now), "A")
    assert (life.installed_s, life.in_service_s) == (3 * 3600, 9 * 3600)
    then = asset(twin.as_of(time=now - 4 * HOUR), "A")
    assert (then.installed_s, then.in_service_s) == (5 * 3600, 5 * 3600)
    assert then.current is not None
    assert then.current.event.node == twin.graph.find("line_1.conveyor").key


def test_taking_back_an_installation_gives_the_former_its_place_again(twin: Twin) -> None:
    now = now_ns()
    install(twin, "A", "conveyor", now - 9 * HOUR)
    second = install(twin, "B", "conveyor", now - 5 * HOUR)
    known = now_ns()
    twin.reports.retract(str(second.seq))
    assert shown(twin.as_of()) == [("A", "conveyor", now - 9 * HOUR, None)]
    assert [serial for serial, *_ in shown(twin.as_of(known_at=known))] == ["A", "B"]


def test_a_corrected_begin_moves_the_end_of_the_former(twin: Twin) -> None:
    now = now_ns()
    install(twin, "A", "conveyor", now - 9 * HOUR)
    second = install(twin, "B", "conveyor", now - 5 * HOUR)
    install(twin, "C", "conveyor", now - 2 * HOUR)
    twin.reports.amend(str(second.seq), Amendment(time=now - 1 * HOUR))
    assert shown(twin.as_of()) == [
        ("A", "conveyor", now - 9 * HOUR, now - 2 * HOUR),
        ("C", "conveyor", now - 2 * HOUR, now - HOUR),
        ("B", "conveyor", now - HOUR, None),
    ]


def test_two_cannot_come_at_the_same_instant(twin: Twin) -> None:
    install(twin, "A", "conveyor", HOUR)
    with pytest.raises(ConflictError, match="cannot both come to one place"):
        install(twin, "B", "conveyor", HOUR)
    with pytest.raises(ConflictError, match="cannot come to two places"):
        install(twin, "A", "robot", HOUR)
    assert len(stays(twin.as_of())) == 1


def test_serial_numbers_belong_to_makers(twin: Twin) -> None:
    install(twin, "7", "conveyor", HOUR, maker="Acme")
    install(twin, "7", "robot", HOUR, maker="Bolt")
    with pytest.raises(AmbiguousIdError, match="Acme 7, Bolt 7"):
        asset(twin.as_of(), "7")
    assert asset(twin.as_of(), "7", "Bolt").stays[0].start == HOUR
    with pytest.raises(ConflictError, match="several assets go by '7'"):
        twin.reports.remove(serial_number="7")
    assert [str(life.asset) for life in assets(twin.as_of(), maker="Bolt")] == ["Bolt M2 7"]
    with pytest.raises(NotFoundError, match="was ever installed"):
        asset(twin.as_of(), "seven")


def test_a_removal_that_comes_again_is_the_same(twin: Twin) -> None:
    now = now_ns()
    install(twin, "A", "conveyor", now - 9 * HOUR)
    gone = twin.reports.remove(node="conveyor", key="k")
    install(twin, "B", "conveyor", now)
    assert twin.reports.remove(node="conveyor", key="k") == gone
    assert shown(twin.as_of(), node="conveyor")[1][3] is None


def test_what_is_installed_outlasts_the_retention_of_events(tmp_path: Path) -> None:
    with one_line(tmp_path / "data") as twin:
        first = install(twin, "A", "conveyor", HOUR, key="k")
        failure = twin.reports.report(Report("failure", "robot"))
        for _ in range(5):
            twin.record([EventDraft(now_ns(), "note") for _ in range(1000)])
        twin.catch_up()
        twin._catalog.expire(now_ns())
    with Twin.open(tmp_path / "data") as twin:
        assert shown(twin.as_of()) == [("A", "conveyor", HOUR, None)]
        assert reported(twin.as_of(), node=failure.node) == [failure]
        assert install(twin, "A", "conveyor", HOUR, key="k") == first
        install(twin, "B", "conveyor", 2 * HOUR)
        assert shown(twin.as_of()) == [("A", "conveyor", HOUR, 2 * HOUR), ("B", "conveyor", 2 * HOUR, None)]


def test_a_history_follows_the_asset_across_places(twin: Twin) -> None:
    now = now_ns()
    start = now - 10 * HOUR
    put(twin, "conveyor.speed", *range(11), time=now, step=HOUR)
    put(twin, "line_1.packer.speed", *range(100, 111), time=now, step=HOUR)
    install(twin, "A", "conveyor", start + 2 * HOUR)
    install(twin, "B", "conveyor", start + 5 * HOUR)
    install(twin, "A", "packer", start + 7 * HOUR)
    plant = twin.as_of(time=now)
    life = asset(plant, "A")
    found = asset_history(plant, life, "speed", start, now + 1)
    assert [(s.signal.unit, s.history.value.tolist()) for s in found] == [
        ("m/s", [2.0, 3.0, 4.0]), ("1/min", [107.0, 108.0, 109.0, 110.0]),
    ]  # fmt: skip
    few = asset_history(plant, life, "speed", start, now + 1, 3)
    assert [len(stretch.history) for stretch in few] == [1, 1]
    with pytest.raises(InvalidValueError, match="2 stays, and each needs a point"):
        asset_history(plant, life, "speed", start, now, 1)
    with pytest.raises(NotFoundError, match="has no signal 'flow'"):
        asset_history(plant, life, "flow", start, now)
    # At a place that has no such signal there is nothing to show, but the others are shown.
    assert [s.stay.place.short_id for s in asset_history(plant, life, "motor_temp", start, now) if s.stay.place] == [
        "conveyor"
    ]


# Properties

# A twin on the disk for each example: shrinking would take minutes.
quickly = settings(
    max_examples=20,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)

ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("install"), st.integers(0, 2), st.sampled_from("ABC"), st.integers(1, 12),
            st.none() | st.integers(1, 14),
        ),
        st.tuples(st.sampled_from(["retract", "move", "end", "reopen"]), st.integers(0, 9), st.integers(1, 14)),
        st.tuples(st.just("remove"), st.integers(0, 2), st.integers(1, 14)),
    ),
    max_size=14,
)  # fmt: skip


def act(twin: Twin, action: tuple[Any, ...], base: int, told: list[Event]) -> None:
    word, *rest = action
    if word == "install":
        place, serial, begin, until = rest
        end = None if until is None else base + until * S
        told.append(install(twin, serial, PLACES[place], base + begin * S, end))
    elif word == "remove":
        twin.reports.remove(base + rest[1] * S, node=PLACES[rest[0]])
    elif told:
        id = str(told[rest[0] % len(told)].seq)
        at = base + rest[1] * S
        if word == "retract":
            twin.reports.retract(id)
        else:
            change = {"move": Amendment(time=at), "end": Amendment(until=at), "reopen": Amendment(until=None)}[word]
            twin.reports.amend(id, change)


def check_stays(view: AsOf, base: int) -> None:
    """The definition, instant by instant: who came last to the place, unless gone elsewhere or removed since."""
    found = stays(view)
    for lane in ("place", "asset"):
        for one in found:
            mine = [s for s in found if getattr(s, lane) == getattr(one, lane)]
            for a, b in pairwise(sorted(mine, key=lambda s: s.start)):
                assert a.end is not None
                assert a.end <= b.start
    for second in range(16):
        at = base + second * S + 1
        for place in PLACES:
            came = [s for s in found if s.place and s.place.id == place and s.start <= at]
            there = [s for s in came if s.end is None or s.end > at]
            assert len(there) <= 1
            if came and not there:
                last = max(came, key=lambda s: s.start)
                elsewhere = [s for s in found if s.asset == last.asset and last.start < s.start <= at]
                assert last.event.data.get("removed") or elsewhere


@quickly
@given(ACTIONS, st.integers(0, 13), st.integers(0, 16))
def test_places_and_assets_never_overlap_and_any_instant_is_as_a_prefix_tells(
    actions: list[tuple[Any, ...]], known: int, second: int
) -> None:
    with tempfile.TemporaryDirectory() as place, one_line(Path(place) / "data") as twin:
        base = now_ns() - 3600 * S
        told: list[Event] = []
        stamps = [now_ns()]
        for action in actions:
            with contextlib.suppress(IoTSenseError):
                act(twin, action, base, told)
            stamps.append(now_ns())
            check_stays(twin.as_of(), base)
        moment = (base + second * S, stamps[known % len(stamps)])
        with prefix_twin(twin, Path(place) / "rebuilt", *moment) as rebuilt:
            # The graph of an hour ago is empty, so places are compared by key.
            assert facts(stays(twin.as_of(*moment))) == facts(stays(rebuilt.as_of()))


def facts(found: list[Any]) -> list[tuple[Any, ...]]:
    return [(s.event.node, s.asset, s.start, s.end) for s in found]


@quickly
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("ABC"), st.integers(1, 12), st.none() | st.integers(12, 14)),
        max_size=6,
        unique_by=(lambda c: (c[0], c[2]), lambda c: (c[1], c[2])),
    ),
    st.randoms(),
)
def test_the_order_of_reports_does_not_matter(claims: list[Any], rng: random.Random) -> None:
    base = now_ns() - 3600 * S
    found = []
    for order in (claims, rng.sample(claims, len(claims))):
        with tempfile.TemporaryDirectory() as place, one_line(Path(place) / "data") as twin:
            for where, serial, begin, until in order:
                act(twin, ("install", where, serial, begin, until), base, [])
            found.append(sorted(facts(stays(twin.as_of())), key=str))
    assert found[0] == found[1]
