"""Events that people report: captured readings, amendments, retractions, requests that come twice, files."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from facade_fixtures import S, put
from report_fixtures import one_line

from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import ConflictError, InvalidValueError, NotFoundError
from iotsense.twin.report import Amendment, Report
from iotsense.twin.report_file import load_reports
from iotsense.twin.reported import reported
from iotsense.twin.times import format_time, now_ns, parse_time
from iotsense.twin.twin import Twin

HOUR = 3600 * S


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with one_line(tmp_path / "data") as twin:
        yield twin


def test_an_event_keeps_what_its_node_showed_when_it_began_and_ended(twin: Twin) -> None:
    now = now_ns()
    put(twin, "conveyor.speed", 1.5, time=now - 3 * HOUR)
    put(twin, "conveyor.status", 1.0, time=now - 3 * HOUR)
    put(twin, "conveyor.speed", 0.0, time=now - HOUR)
    event = twin.reports.report(
        Report("failure", "conveyor", now - 2 * HOUR, now - HOUR, "belt torn", {"temperature": 81.5, "by": "Ada"})
    )
    assert (event.kind, event.time, event.until) == ("failure", now - 2 * HOUR, now - HOUR)
    assert event.node == twin.graph.find("line_1.conveyor").key
    assert (event.data["reason"], event.data["values"]) == ("belt torn", {"temperature": 81.5, "by": "Ada"})
    begin, end = event.data["captured"]["begin"], event.data["captured"]["end"]
    assert begin["speed"] == {
        "value": 1.5, "unit": "m/s", "time": format_time(now - 3 * HOUR), "quality": "good",
    }  # fmt: skip
    assert begin["status"]["value"] == "running"
    assert end["speed"]["value"] == 0.0
    assert "jam" not in begin


def test_chosen_signals_are_captured_alone_lists_whole_and_nothing_if_told(twin: Twin) -> None:
    put(twin, "conveyor.speed", 1.5)
    put(twin, "line_1.packer.speed", 30.0)
    for joint in range(2):
        put(twin, f"line_1.robot.joints.value[{joint}]", float(joint + 1))
    chosen = twin.reports.report(Report("inspection", "conveyor", capture=("speed", "line_1.packer.speed")))
    assert {name: each["value"] for name, each in chosen.data["captured"]["begin"].items()} == {
        "speed": 1.5, "line_1.packer.speed": 30.0,
    }  # fmt: skip
    robot = twin.reports.report(Report("inspection", "robot"))
    assert robot.data["captured"]["begin"]["joint_positions"]["value"] == [1.0, 2.0, None]
    assert "captured" not in twin.reports.report(Report("inspection", "conveyor", capture=())).data
    with pytest.raises(NotFoundError, match=r"has no signal 'spead'; it has health, speed, motor_temp"):
        twin.reports.report(Report("inspection", "conveyor", capture=("spead",)))


def test_the_end_comes_later_and_readings_are_captured_then(twin: Twin) -> None:
    event = twin.reports.report(Report("downtime", "conveyor", reason="no bottles"))
    assert event.until is None
    assert [e.seq for e in twin.open_events("downtime")] == [event.seq]
    put(twin, "conveyor.speed", 2.0)
    ended = twin.reports.amend(str(event.seq), Amendment(until=now_ns()))
    assert (ended.identity, ended.time, ended.data["reason"]) == (event.identity, event.time, "no bottles")
    assert ended.data["captured"]["end"]["speed"]["value"] == 2.0
    assert twin.open_events("downtime") == []
    opened = twin.reports.amend(ended.identity or "", Amendment(until=None))
    assert (opened.until, "end" in opened.data.get("captured", {})) == (None, False)
    assert [e.seq for e in twin.open_events("downtime")] == [opened.seq]


def test_an_amendment_that_changes_nothing_writes_nothing(twin: Twin) -> None:
    event = twin.reports.report(Report("repair", "conveyor", reason="oil", values={"litres": 2}))
    before = twin.last_seq
    assert twin.reports.amend(str(event.seq), Amendment(reason="oil", values={"litres": 2})) == event
    assert twin.last_seq == before
    amended = twin.reports.amend(str(event.seq), Amendment(values={"litres": None, "cost": 10}))
    assert amended.data["values"] == {"cost": 10}
    assert "values" not in twin.reports.amend(str(event.seq), Amendment(values={"cost": None})).data


def test_a_corrected_begin_or_node_leaves_no_old_row_in_the_way(twin: Twin) -> None:
    now = now_ns()
    event = twin.reports.report(Report("failure", "conveyor", now - 3 * HOUR))
    twin.reports.amend(event.identity or "", Amendment(node="robot", time=now - HOUR))
    conveyor, robot = (twin.graph.find(f"line_1.{id}").key for id in ("conveyor", "robot"))
    live = twin.as_of()
    assert reported(live, node=conveyor) == []
    assert [e.time for e in reported(live, node=robot)] == [now - HOUR]
    # Two hours ago it had not begun, by what we know now; by what we knew before the correction it had.
    assert reported(twin.as_of(time=now - 2 * HOUR)) == []
    assert [e.node for e in reported(twin.as_of(now - 2 * HOUR, event.recorded))] == [conveyor]
    assert [e.node for e in reported(twin.as_of(time=now))] == [robot]
    assert [e.time for e in twin.open_events("failure")] == [now - HOUR]
    assert twin.as_of(time=now - 2 * HOUR).open_events("failure") == []


def test_what_is_taken_back_stays_in_the_log_and_counts_no_more(twin: Twin) -> None:
    event = twin.reports.report(Report("failure", "conveyor"))
    known = now_ns()
    taken = twin.reports.retract(str(event.seq), "wrong machine")
    assert (taken.retracts, taken.identity, taken.data["retraction"]) == (event.seq, event.identity, "wrong machine")
    assert reported(twin.as_of()) == []
    assert [e.seq for e in reported(twin.as_of(known_at=known))] == [event.seq]
    assert twin.reports.retract(event.identity or "") == taken
    with pytest.raises(ConflictError, match="was taken back"):
        twin.reports.amend(str(event.seq), Amendment(reason="x"))


@pytest.mark.parametrize(
    ("report", "error", "words"),
    [
        (Report("failure", "conveyer"), NotFoundError, "did you mean line_1.conveyor"),
        (Report("failure", "robot", 20, 10), InvalidValueError, r"until \(1970.*\) is before time"),
        (Report("failure", "robot", 1 << 62), InvalidValueError, "too far in the future"),
        (Report("failure", "robot", 1, 1 << 62), InvalidValueError, r"until .* too far in the future"),
        (Report("anomaly", "robot"), InvalidValueError, "the service itself tells of anomaly"),
        (Report("tool change", "robot"), InvalidValueError, "a kind is a word"),
        (Report("failure", "robot", id="a:b"), InvalidValueError, "an id has up to 80"),
        (Report("failure", "robot", id="4711"), InvalidValueError, "is not a number alone"),
        (Report("installation", "robot"), InvalidValueError, "serial_number"),
        (Report("failure", "robot", values={"x": "y" * 70_000}), InvalidValueError, "an event carries 65536"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    twin: Twin, report: Report, error: type[Exception], words: str
) -> None:
    before = twin.last_event_seq
    with pytest.raises(error, match=words):
        twin.reports.report(report)
    assert twin.last_event_seq == before


def test_the_future_begins_where_the_definition_says(twin: Twin) -> None:
    soon = now_ns() + 3600 * S
    with pytest.raises(InvalidValueError, match="too far"):
        twin.reports.report(Report("batch", "robot", soon))
    twin.change(lambda edit: edit.set_definition({"sensor_ingestion": {"max_ahead": "2h"}}), "test")
    assert twin.reports.report(Report("batch", "robot", soon)).time == soon


def test_a_request_that_comes_again_is_one_event_restarts_included(tmp_path: Path) -> None:
    report = Report("failure", "conveyor", reason="jam")
    with one_line(tmp_path / "data") as twin:
        event = twin.reports.report(report, "key 1")
        ended = twin.reports.amend(event.identity or "", Amendment(until=now_ns()), "key 2")
        assert twin.reports.report(report, "key 1") == event
        assert twin.reports.report(report, "key 3") != event
        last = twin.last_event_seq
    with Twin.open(tmp_path / "data") as twin:
        assert twin.reports.report(report, "key 1") == event
        assert twin.reports.amend(str(event.seq), Amendment(until=ended.until), "key 2") == ended
        with pytest.raises(ConflictError, match="reported already, and differently"):
            twin.reports.report(Report("failure", "robot"), "key 1")
        with pytest.raises(ConflictError, match="key was used for another request"):
            twin.reports.amend(str(event.seq), Amendment(until=1), "key 2")
        taken = twin.reports.retract(str(event.seq), "no", "key 4")
        assert twin.reports.retract(str(event.seq), "no", "key 4") == taken
        assert twin.last_event_seq == last + 1


def test_the_reporters_id_names_one_event(twin: Twin) -> None:
    report = Report("batch", "line_1", 1 * HOUR, id="B-17")
    assert twin.reports.report(report).identity == "B-17"
    assert twin.reports.report(report) == twin.reports.find("B-17")
    with pytest.raises(ConflictError, match="differently"):
        twin.reports.report(Report("batch", "line_1", 2 * HOUR, id="B-17"))


def test_only_reports_can_be_changed(twin: Twin) -> None:
    with pytest.raises(ConflictError, match="of the kind structure, which nobody reported"):
        twin.reports.amend("1", Amendment(reason="x"))
    twin.record([EventDraft(now_ns(), "anomaly", identity="rule:1:2")])
    with pytest.raises(ConflictError, match="of the kind anomaly"):
        twin.reports.retract(str(twin.last_event_seq))
    for id in ("99", "0", "B-1"):
        with pytest.raises(NotFoundError):
            twin.reports.find(id)


def test_many_events_after_it_do_not_hide_a_report(twin: Twin) -> None:
    event = twin.reports.report(Report("failure", "conveyor"), "key")
    for _ in range(6):
        twin.record([EventDraft(now_ns(), "note") for _ in range(1000)])
    assert twin.reports.find(str(event.seq)) == event
    assert twin.reports.report(Report("failure", "conveyor"), "key") == event
    assert reported(twin.as_of()) == [event]


FILE = """\
kind,node,from,to,reason,temperature,shift
failure,conveyor,2024-01-15T10:00:00Z,2024-01-15T11:30:00Z,belt torn,81.5,0042
downtime,conveyer,2024-01-15T10:00:00Z,,no bottles,,
inspection,robot,yesterday,,,,
repair,robot,2024-01-16T10:00:00,2024-01-16T09:00:00,,,
batch,line_1,2024-01-16T10:00:00,,"a, b",,
,robot,2024-01-16T10:00:00,,,,
"""


def test_a_file_is_taken_row_by_row(twin: Twin) -> None:
    told = load_reports(twin, FILE.splitlines(), "Europe/Berlin")
    assert (told.rows, told.reported, told.amended, told.unchanged, told.bad_rows) == (6, 2, 0, 0, 4)
    assert [error.line for error in told.errors] == [3, 4, 5, 7]
    for error, words in zip(
        told.errors,
        ("did you mean line_1.conveyor", "'yesterday' is not a time", "before time", "kind is"),
        strict=True,
    ):
        assert re.search(words, error.reason)
    failure, batch = reported(twin.as_of())
    assert failure.data["values"] == {"temperature": 81.5, "shift": "0042"}
    assert batch.time == parse_time("2024-01-16T09:00:00Z")
    assert batch.data["reason"] == "a, b"


def test_a_file_that_comes_again_changes_what_is_different(twin: Twin) -> None:
    rows = ["kind,node,from,to,id", "failure,conveyor,2024-01-15T10:00:00Z,,", "batch,line_1,2024-01-15T10:00:00Z,,B1"]
    assert load_reports(twin, rows).reported == 2
    last = twin.last_event_seq
    again = load_reports(twin, rows)
    assert (again.reported, again.amended, again.unchanged, twin.last_event_seq) == (0, 0, 2, last)
    rows[1] = "failure,conveyor,2024-01-15T10:00:00Z,2024-01-15T12:00:00Z,"
    rows[2] = "batch,line_1,2024-01-15T11:00:00Z,,B1"
    changed = load_reports(twin, [row.replace(",", ";") for row in rows])  # as some spreadsheets write it
    assert (changed.reported, changed.amended) == (0, 2)
    assert [(e.kind, e.time, e.until) for e in reported(twin.as_of())] == [
        ("failure", parse_time("2024-01-15T10:00:00Z"), parse_time("2024-01-15T12:00:00Z")),
        ("batch", parse_time("2024-01-15T11:00:00Z"), None),
    ]


def test_a_file_without_the_columns_is_refused(twin: Twin) -> None:
    with pytest.raises(InvalidValueError, match="no column node, from"):
        load_reports(twin, ["kind,when", "failure,2024-01-15"])
    with pytest.raises(InvalidValueError, match="no time zone 'Mars'"):
        load_reports(twin, [], "Mars")
