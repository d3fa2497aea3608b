"""Events that people report, and the assets that stand in places: amended, taken back, and seen as of any instant."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iotsense.twin.assets import asset, asset_history, installed_at, stays
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import ConflictError, InvalidValueError, NotFoundError
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import DataType, Level, Role
from iotsense.twin.report_words import Amendment, Report
from iotsense.twin.reports import Reports
from iotsense.twin.times import NS, parse_time
from iotsense.twin.twin import Twin

HOUR = 3600 * NS


def plant(edit: GraphEdit) -> None:
    line = edit.add_node(id="line", level=Level.LINE)
    for number in (1, 2):
        pump = edit.add_node(id=f"line.pump_{number}", level=Level.COMPONENT, parent=line.key)
        edit.add_signal(pump.key, "health", role=Role.DERIVED, unit="percent", data_type=DataType.NUMBER)
        flow = edit.add_node(id=f"line.pump_{number}.flow", level=Level.SENSOR, parent=pump.key)
        edit.add_signal(flow.key, unit="m3/h", data_type=DataType.NUMBER)
        mode = edit.add_node(id=f"line.pump_{number}.mode", level=Level.SENSOR, parent=pump.key)
        edit.add_signal(mode.key, data_type=DataType.TEXT, labels=("idle", "running"))


def at(hour: int) -> str:
    return datetime(2026, 1, 1, hour, tzinfo=UTC).isoformat()


def ns(hour: int) -> int:
    return parse_time(at(hour))


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(plant, "test")
        for number in (1, 2):
            flow = twin.graph.find_signal(f"pump_{number}.flow").index
            mode = twin.graph.find_signal(f"pump_{number}.mode").index
            hours = list(range(24))
            twin.apply(ReadingBatch.of([flow] * 24, [ns(h) for h in hours], [100.0 * number + h for h in hours]))
            twin.apply(ReadingBatch.of([mode] * 2, [ns(0), ns(9)], [0.0, 1.0]))
        yield twin


def install(twin: Twin, serial: str, pump: int, hour: int, until: int | None = None) -> str:
    end = None if until is None else at(until)
    data = {"serial_number": serial, "maker": "KSB"}
    made = Reports(twin).report(Report("installation", f"pump_{pump}", at(hour), end, data=data))
    assert made.identity is not None
    return made.identity


def places(twin: Twin, serial: str) -> list[tuple[str, int, int | None]]:
    return [
        (twin.graph.node(stay.node).short_id, (stay.since - ns(0)) // HOUR, stay.until and (stay.until - ns(0)) // HOUR)
        for stay in asset(twin.as_of(), serial)
    ]


def test_a_report_captures_what_the_node_showed_when_it_began_and_ended(twin: Twin) -> None:
    reports = Reports(twin)
    failure = reports.report(Report("failure", "pump_1", at(10), reason="bearing", data={"work_order": 7}, by="Ada"))
    assert failure.node == twin.graph.find("pump_1").key
    assert failure.data["reason"] == "bearing"
    assert failure.data["work_order"] == 7
    begin = failure.data["at_begin"]
    assert begin["line.pump_1.flow"] == {
        "value": 110.0, "unit": "m3/h", "time": "2026-01-01T10:00:00.000Z", "quality": "good",
    }  # fmt: skip
    assert begin["line.pump_1.mode"]["value"] == "running"
    assert "at_end" not in failure.data
    assert [event.identity for event in twin.open_events("failure")] == [failure.identity]
    assert failure.identity is not None
    ended = reports.amend(failure.identity, Amendment(until=at(12), data={"cost": 300}))
    assert ended.identity == failure.identity
    assert ended.data["at_begin"] == begin
    assert ended.data["at_end"]["line.pump_1.flow"]["value"] == 112.0
    assert (ended.data["reason"], ended.data["cost"]) == ("bearing", 300)
    assert twin.open_events("failure") == []


def test_chosen_signals_are_captured_instead_and_none_if_none_are_wanted(twin: Twin) -> None:
    reports = Reports(twin)
    batch = Report("batch", "line", at(3), at(4), data={"batch": "B7"}, capture=["pump_1.flow", "pump_2.flow"])
    made = reports.report(batch)
    assert {id: shown["value"] for id, shown in made.data["at_end"].items()} == {
        "line.pump_1.flow": 104.0,
        "line.pump_2.flow": 204.0,
    }
    bare = reports.report(Report("inspection", "line", at(3), at(4), capture=[]))
    assert bare.data == {}
    assert bare.identity is not None
    assert "at_end" not in reports.amend(bare.identity, Amendment(until=at(5))).data
    with pytest.raises(NotFoundError):
        reports.report(Report("inspection", "line", at(3), capture=["pump_1.torque"]))


def test_a_key_that_was_used_makes_no_second_event(twin: Twin) -> None:
    first = Reports(twin).report(Report("failure", "pump_1", at(10)), key="k1")
    assert Reports(twin).report(Report("failure", "pump_1", at(10)), key="k1") == first
    with pytest.raises(ConflictError, match="was used for a failure already"):
        Reports(twin).report(Report("failure", "pump_2", at(10)), key="k1")
    assert len(twin.events(kind="failure")) == 1


def test_what_was_retracted_is_gone_but_was_known(twin: Twin) -> None:
    reports = Reports(twin)
    failure = reports.report(Report("failure", "pump_1", at(10)))
    retracted = reports.retract(str(failure.seq), "it was pump 2", "Ada")
    assert retracted.retracts == failure.seq
    assert retracted.data == {"reason": "it was pump 2", "by": "Ada"}
    assert twin.open_events("failure") == []
    assert [e.seq for e in twin.as_of(known_at=failure.recorded).open_events("failure")] == [failure.seq]
    with pytest.raises(ConflictError, match="was retracted already"):
        reports.retract(str(failure.seq))
    with pytest.raises(ConflictError, match="was retracted"):
        reports.amend(str(failure.seq), Amendment(until=at(12)))


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Report("Failure!", "pump_1"), "is no kind of event"),
        (Report("anomaly", "pump_1"), "are the service's own"),
        (Report("downtime", "pump_1"), "a downtime needs 'reason'"),
        (Report("batch", "line"), "a batch needs 'batch'"),
        (Report("product_run", "line", data={"product": 5}), "a product_run needs 'product', a text"),
        (Report("installation", "pump_1", data={"maker": "KSB"}), "needs 'serial_number'"),
        (Report("failure", "pump_1", "yesterday"), "is not a time"),
        (Report("failure", "pump_1", "2999-01-01"), "is in the future"),
        (Report("failure", "pump_1", at(10), at(10)), "is not after the beginning"),
        (Report("failure", "pump_1", data={"at_end": 1}), "is where captured values stand"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(twin: Twin, report: Report, words: str) -> None:
    last = twin.last_event_seq
    with pytest.raises(InvalidValueError, match=words):
        Reports(twin).report(report)
    assert twin.last_event_seq == last


def test_free_kinds_are_kept_and_the_services_own_events_are_not_for_people_to_change(twin: Twin) -> None:
    reports = Reports(twin)
    assert reports.report(Report("cleaning", "pump_1", at(3), at(4))).kind == "cleaning"
    with pytest.raises(NotFoundError, match="no event is called 'nothing'"):
        reports.amend("nothing", Amendment())
    twin.mark_stale([(twin.graph.find_signal("pump_1.flow").index, ns(23))])
    with pytest.raises(InvalidValueError, match="the service's own"):
        reports.retract(str(twin.last_event_seq))


# Assets


def test_installing_another_asset_ends_the_former_and_age_follows_the_asset(twin: Twin) -> None:
    install(twin, "A", 1, 2)
    install(twin, "B", 1, 8)
    install(twin, "A", 2, 12)
    install(twin, "B", 2, 20)
    assert places(twin, "A") == [("pump_1", 2, 8), ("pump_2", 12, 20)]
    assert places(twin, "B") == [("pump_1", 8, 20), ("pump_2", 20, None)]
    plant = twin.as_of(time=ns(14))
    pump_1 = twin.graph.find("pump_1").key
    there = installed_at(plant, pump_1)
    assert there is not None
    assert (there.serial_number, there.maker, there.age(ns(14))) == ("B", "KSB", 6 * HOUR)
    assert [stay.serial_number for stay in stays(twin.as_of(), node=pump_1)] == ["A", "B"]
    assert installed_at(twin.as_of(time=ns(1)), pump_1) is None
    with pytest.raises(NotFoundError, match="no asset has the serial number 'C'"):
        asset(plant, "C")


def test_an_installation_that_is_reported_late_finds_its_place_between_the_others(twin: Twin) -> None:
    install(twin, "A", 1, 2)
    install(twin, "C", 1, 20)
    install(twin, "B", 1, 10)
    assert places(twin, "A") == [("pump_1", 2, 10)]
    assert places(twin, "B") == [("pump_1", 10, 20)]
    with pytest.raises(ConflictError, match="something was installed at"):
        install(twin, "D", 1, 10)


def test_an_installation_that_is_amended_or_taken_back_moves_the_end_of_the_former(twin: Twin) -> None:
    install(twin, "A", 1, 2)
    second = install(twin, "B", 1, 10)
    known = twin.transfer.recorded
    Reports(twin).amend(second, Amendment(time=at(12)))
    assert places(twin, "A") == [("pump_1", 2, 12)]
    Reports(twin).retract(second)
    assert places(twin, "A") == [("pump_1", 2, None)]
    with pytest.raises(NotFoundError):
        asset(twin.as_of(), "B")
    before = asset(twin.as_of(known_at=known), "A")
    assert [stay.until for stay in before] == [ns(10)]


def test_a_signals_history_follows_the_asset_across_places(twin: Twin) -> None:
    install(twin, "A", 1, 2)
    install(twin, "B", 1, 8)
    install(twin, "A", 2, 12)
    pieces = asset_history(twin.as_of(), "A", "flow", ns(0), ns(0) + 24 * HOUR)
    assert [piece.signal.index for piece in pieces] == [
        twin.graph.find_signal("pump_1.flow").index,
        twin.graph.find_signal("pump_2.flow").index,
    ]
    values = [value for piece in pieces for value in piece.history.value.tolist()]
    assert values == [100.0 + h for h in range(2, 8)] + [200.0 + h for h in range(12, 24)]
    assert asset_history(twin.as_of(), "A", "torque", ns(0), ns(0) + 24 * HOUR) == []
    thinned = asset_history(twin.as_of(), "A", "flow", ns(0), ns(0) + 24 * HOUR, points=6)
    assert sum(len(piece.history) for piece in thinned) <= 7


def test_reports_are_there_again_after_a_restart(tmp_path: Path) -> None:
    with Twin.open(tmp_path) as twin:
        twin.change(plant, "test")
        made = Reports(twin).report(Report("failure", "pump_1", at(10), reason="x"), key="k")
    with Twin.open(tmp_path) as twin:
        assert Reports(twin).report(Report("failure", "pump_1", at(10), reason="x"), key="k") == made
        assert Reports(twin).find("k") == made
