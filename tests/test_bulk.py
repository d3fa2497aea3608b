"""Bulk export and import: what goes out comes back the same, however often it is killed on the way."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bulk_fixtures import RULE, fill, filled, image

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.bulk_exact import import_exact
from iotsense.twin.bulk_export import bulk_export
from iotsense.twin.bulk_files import Manifest, load_manifest
from iotsense.twin.bulk_import import bulk_import
from iotsense.twin.bulk_report import BadRow
from iotsense.twin.errors import ConflictError, DamagedFileError, InvalidValueError, OverloadedError
from iotsense.twin.twin import Twin

LINES = [
    {"row": "node", "id": "hall.press.force", "level": "sensor", "parent": "hall.press"},
    {"row": "node", "id": "hall", "level": "line"},
    {"row": "node", "id": "hall.press", "level": "component", "parent": "hall", "properties": {"maker": "X"}},
    {"row": "signal", "node": "hall.press.force", "unit": "kN"},
    {"row": "signal", "node": "hall.press", "name": "mode"},
    {"row": "node", "id": "hall.oven", "level": "component", "parent": "hall"},
    {"row": "relationship", "source": "hall.press", "type": "feeds_into", "target": "hall.oven",
     "properties": {"transfer_time": 3, "source": "drawing"}},
    {"row": "definition", "section": "anomaly_detection", "value": {"rules": [RULE]}},
    {"row": "event", "time": "2026-01-01T10:00:00Z", "kind": "failure", "node": "hall.press", "identity": "f1",
     "seq": 7, "until": "2026-01-01T11:00:00Z"},
    {"row": "event", "time": "2026-01-02T10:00:00Z", "kind": "failure", "identity": "f1", "retracts": 7},
    {"row": "reading", "signal": "hall.press.force", "time": "2026-01-01T10:00:00Z", "value": 12.5},
    {"row": "reading", "signal": "hall.press.force", "time": 1767261700000000000, "value": 13, "quality": 64},
    {"row": "reading", "signal": "hall.press.mode", "time": "2026-01-01T10:00:00Z", "value": "pressing"},
]  # fmt: skip


def quiet(*_: object) -> None:
    pass


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# Out and back


def test_an_empty_twin_becomes_the_same_as_the_exported_one(tmp_path: Path) -> None:
    with filled(tmp_path / "a") as twin:
        manifest = bulk_export(twin, tmp_path / "export")
        before = image(twin)
        index = twin.graph.find_signal("line.p0.flow").index
        middle = before["changes"][2][0]
        then = twin.as_of(known_at=middle)
        known, graph = str(then.history(index, 0, 2**62).value), then.graph
        assert known != str(twin.history(index, 0, 2**62).value)
        assert graph != twin.graph
    with Twin.open(tmp_path / "b") as twin:
        report = bulk_import(twin, [tmp_path / "export"], readers=["monitor"])
        assert report.mode == "exact"
        assert report.rows["readings"] == len(before["readings"])
        assert image(twin) == before
        then = twin.as_of(known_at=middle)
        assert str(then.history(index, 0, 2**62).value) == known
        assert then.graph == graph
        assert twin.position("monitor") == twin.last_seq - 1
        twin.apply(ReadingBatch.of([index], [1], [1.0]))
    with Twin.open(tmp_path / "b") as twin:
        assert twin.graph == before["structure"].graph()
        bulk_export(twin, tmp_path / "again")
    assert load_manifest(tmp_path / "again").counts()["readings"] == manifest.counts()["readings"] + 1


def test_an_export_is_of_one_instant_while_readings_come(tmp_path: Path) -> None:
    with filled(tmp_path / "a") as twin:
        before = image(twin)

        def busy(what: str, done: int, total: int) -> None:
            index = twin.graph.find_signal("line.p0.flow").index
            twin.apply(ReadingBatch.of([index] * 10, list(range(10)), [float(done)] * 10))

        bulk_export(twin, tmp_path / "export", busy)
    with Twin.open(tmp_path / "b") as twin:
        bulk_import(twin, [tmp_path / "export"])
        assert image(twin) == before


KILLED = """
import sys
from pathlib import Path
from iotsense.twin import bulk_exact, bulk_series
from iotsense.twin.bulk_export import bulk_export
from iotsense.twin.bulk_import import bulk_import
from iotsense.twin.twin import Twin

bulk_exact.CHUNK_ENTRIES, bulk_series.READINGS = 7, 20

def tell(what, done, total):
    print(what, done, total, flush=True)
    sys.stdin.readline()

with Twin.open(sys.argv[2]) as twin:
    if sys.argv[1] == "export":
        bulk_export(twin, Path(sys.argv[3]), tell)
    else:
        bulk_import(twin, [Path(sys.argv[3])], progress=tell, by_id=sys.argv[1] == "by_id")
"""


def killed_until_done(verb: str, data: Path, export: Path) -> int:
    """Runs it as a process, kills it after some of its steps, again and again; how often that took."""
    for attempt in range(100):
        command = [sys.executable, "-c", KILLED, verb, str(data), str(export)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                _steps(process, random.randint(3, 9) + 4 * attempt)
            finally:
                process.kill()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0
            return attempt
    raise AssertionError("it never came to its end")


def _steps(process: "subprocess.Popen[str]", steps: int) -> None:
    """Lets it do so many steps, or all if there are fewer."""
    assert process.stdout is not None
    assert process.stdin is not None
    for _ in range(steps):
        if not process.stdout.readline():
            process.wait()
            return
        process.stdin.write("\n")
        process.stdin.flush()


def test_killed_exports_and_imports_go_on_where_they_stopped(tmp_path: Path) -> None:
    with filled(tmp_path / "a") as twin:
        before = image(twin)
    assert killed_until_done("export", tmp_path / "a", tmp_path / "export") >= 1
    assert killed_until_done("import", tmp_path / "b", tmp_path / "export") >= 2
    with Twin.open(tmp_path / "b") as twin:
        assert image(twin) == before
        assert not twin.transfer.marker.exists()


def test_nobody_else_writes_while_an_import_is_not_finished(tmp_path: Path) -> None:
    with filled(tmp_path / "a") as twin:
        manifest = bulk_export(twin, tmp_path / "export")
        other = Manifest("other", manifest.taken, 1, 1)

    def stop(what: str, done: int, total: int) -> None:
        if what == "importing":
            raise KeyboardInterrupt

    with Twin.open(tmp_path / "b") as twin, pytest.raises(KeyboardInterrupt):
        import_exact(twin, tmp_path / "export", manifest, [], stop)
    with Twin.open(tmp_path / "b") as twin:
        with pytest.raises(OverloadedError, match=f"the import of the export {manifest.id} is not finished"):
            twin.apply(ReadingBatch.of([0], [1], [1.0]))
        with pytest.raises(ConflictError, match="only an empty twin"):
            import_exact(twin, tmp_path / "export", other, [], quiet)
        import_exact(twin, tmp_path / "export", manifest, [], quiet)
        twin.apply(ReadingBatch.of([0], [1], [1.0]))


@pytest.mark.parametrize("name", ["events.jsonl", "revisions.jsonl", "readings"])
def test_an_export_that_was_altered_or_is_not_whole_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    with filled(tmp_path / "a", 10) as twin:
        bulk_export(twin, tmp_path / "export")
    path = tmp_path / "export" / name
    path = next(path.iterdir()) if path.is_dir() else path
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    (tmp_path / "export" / "labels.jsonl").unlink()
    with Twin.open(tmp_path / "b") as twin:
        with pytest.raises(DamagedFileError, match=f"labels.jsonl is missing.*{path.name} was altered|{path.name}"):
            bulk_import(twin, [tmp_path / "export"])
        assert twin.transfer.empty
        assert twin.writable


def test_what_is_in_the_way_of_an_export_is_not_overwritten(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 5) as twin:
        bulk_export(twin, tmp_path / "export")
        with pytest.raises(ConflictError, match="holds an export already"):
            bulk_export(twin, tmp_path / "export")
        with pytest.raises(ConflictError, match="is not empty"):
            bulk_export(twin, tmp_path)


def test_an_export_that_was_killed_before_its_first_manifest_begins_again(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "manifest.partial.json.new").write_bytes(b"{")
    with filled(tmp_path / "a", 5) as twin:
        bulk_export(twin, tmp_path / "export")
    assert (tmp_path / "export" / "manifest.json").exists()


# By ids


def test_an_export_is_merged_by_ids_into_a_twin_that_holds_something(tmp_path: Path) -> None:
    with filled(tmp_path / "a") as twin:
        bulk_export(twin, tmp_path / "export")
        graph = twin.graph
        expected = {
            graph.signal_id(signal): [
                (t, twin.label(signal.index, v) or str(v), q)
                for t, v, q in zip(*_columns(twin, signal.index), strict=True)
            ]
            for signal in graph.signals()
        }
        happened = _happened(twin)
    with Twin.open(tmp_path / "b") as twin:
        twin.change(lambda edit: edit.add_signal(edit.add_node(id="old", level="line").key), "test")  # type: ignore[arg-type]
        told: list[BadRow] = []
        report = bulk_import(twin, [tmp_path / "export"], tell=told.append)
        assert report.mode == "by_id"
        merged = twin.graph
        assert {node.id for node in merged.nodes()} == {"old", *(node.id for node in graph.nodes())}
        for node in graph.nodes():
            there = merged.find(node.id)
            assert (there.name, there.type, there.properties) == (node.name, node.type, node.properties)
        assert merged.definition == graph.definition
        assert len(list(merged.relationships())) == len(list(graph.relationships()))
        for id, rows in expected.items():
            index = merged.find_signal(id).index
            assert [
                (t, twin.label(index, v) or str(v), q) for t, v, q in zip(*_columns(twin, index), strict=True)
            ] == rows
        assert _happened(twin) == happened
        # What hung on a sensor that is gone cannot be merged; each such row is told.
        assert report.bad_rows == len(told) > 0
        assert {row.reason.rpartition(" ")[0] for row in told} == {"no row of signals has the index"}
        last, readings = twin.last_event_seq, twin.reading_count()
        again = bulk_import(twin, [tmp_path / "export"])
        assert twin.last_event_seq == last
        assert twin.reading_count() == readings
        assert again.skipped > 0


def _happened(twin: Twin) -> list[tuple[object, ...]]:
    return [(e.kind, e.time, e.until, e.data) for e in twin.events(limit=10_000) if e.kind != "structure"]


def _columns(twin: Twin, index: int) -> tuple[list[int], list[float], list[int]]:
    history = twin.history(index, 0, 2**62)
    return history.time.tolist(), history.value.tolist(), history.quality.tolist()


def test_rows_written_by_hand_need_no_numbers_and_no_order(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "plant.jsonl", LINES)
    with Twin.open(tmp_path / "data") as twin:
        report = bulk_import(twin, [file])
        assert report.bad_rows == 0
        assert report.rows == {
            "nodes": 4, "signals": 2, "relationships": 1, "definitions": 1, "events": 2, "readings": 3,
        }  # fmt: skip
        graph = twin.graph
        assert graph.find("press").properties == {"maker": "X"}
        (arrow,) = graph.relationships()
        assert arrow.properties == {"transfer_time": 3, "source": "drawing"}
        assert graph.definition == {"anomaly_detection": {"rules": [RULE]}}
        failure, retraction = (event for event in twin.events() if event.kind == "failure")
        assert retraction.retracts == failure.seq
        mode = graph.find_signal("hall.press.mode")
        reading = twin.state.read(mode.index)
        assert reading is not None
        assert twin.label(mode.index, reading.value) == "pressing"
        assert twin.history(graph.find_signal("force").index, 0, 2**62).value.tolist() == [12.5, 13.0]
        revision = graph.revision
        bulk_import(twin, [file])
        assert twin.graph.revision == revision


BAD = [
    ({"row": "node", "id": "x", "level": "sensor"}, "needs a parent"),
    ({"row": "node", "id": "x.y", "level": "component", "parent": "nowhere"}, "no node is called 'nowhere'"),
    ({"row": "node", "id": "hall", "level": "line"}, "is in line 2 already"),
    ({"row": "node", "id": "y", "level": "storey"}, "Invalid enum value 'storey'"),
    ({"row": "node", "id": "y", "level": "line", "colour": 1}, "unknown field `colour`"),
    ({"row": "signal", "node": "hall.lathe"}, "no node is called 'hall.lathe'"),
    ({"row": "relationship", "source": "hall", "type": "contains", "target": "hall.press"}, "told by a node's parent"),
    ({"row": "definition", "section": "anomaly_detection", "value": {"rules": 5}}, "are no project"),
    ({"row": "definition", "section": "notes", "value": 5}, "are no project"),
    ({"row": "reading", "signal": "hall.press.nothing", "time": 1, "value": 1}, "has no signal 'nothing'"),
    ({"row": "reading", "signal": "hall.press.force", "time": "yesterday", "value": 1}, "is not a time"),
    ({"row": "reading", "signal": "hall.press.force", "time": "2999-01-01T00:00:00Z", "value": 1}, "in the future"),
    ({"row": "reading", "signal": "hall.press.force", "time": 1, "value": 1, "quality": 256}, "no quality"),
    ({"row": "reading", "signal": "hall.press.mode", "time": 1, "value": True}, "is no text"),
    ({"row": "event", "time": 1, "kind": "failure", "node": "nowhere"}, "no node is called 'nowhere'"),
    ({"row": "event", "time": 1, "kind": "failure", "retracts": 99}, "retracts event 99"),
    ({"row": "shelf", "id": 1}, "Invalid value 'shelf'"),
    ({"id": 1}, "missing required field `row`"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "words"), BAD)
def test_a_bad_row_is_told_with_its_line_and_the_others_go_on(
    tmp_path: Path, row: dict[str, object], words: str
) -> None:
    file = write_lines(tmp_path / "plant.jsonl", [*LINES, row, {"row": "node", "id": "hall.last", "level": "area"}])
    told: list[BadRow] = []
    with Twin.open(tmp_path / "data") as twin:
        report = bulk_import(twin, [file], tell=told.append)
        bad = next(each for each in told if each.line == len(LINES) + 1)
        assert words in bad.reason
        assert bad.file == "plant.jsonl"
        assert report.rows["readings"] == 3
        assert report.bad_rows == len(told) == (1 if "hall.last" in twin.graph else 2)
    with Twin.open(tmp_path / "strict") as twin, pytest.raises(InvalidValueError, match=f"line {len(LINES) + 1}"):
        bulk_import(twin, [write_lines(tmp_path / "plant.jsonl", [*LINES, row])], strict=True)


def test_a_line_that_is_no_json_and_a_circle_of_parents_are_told(tmp_path: Path) -> None:
    file = tmp_path / "nodes.jsonl"
    file.write_text(
        '{"id": "a", "level": "area", "parent": "b"}\n{"id": "b", "level": "area", "parent": "a"}\n{oops\n\n'
        '{"id": "c", "level": "area"}\n'
    )
    told: list[BadRow] = []
    with Twin.open(tmp_path / "data") as twin:
        bulk_import(twin, [file], tell=told.append)
        assert [node.id for node in twin.graph.nodes()] == ["c"]
    assert sorted(row.line for row in told) == [1, 2, 3]
    assert any("make a circle" in row.reason for row in told)
    assert next(row for row in told if row.line == 3).text == "{oops"


def test_a_killed_import_by_ids_stores_nothing_twice(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 10) as twin:
        bulk_export(twin, tmp_path / "export")
        count, happened = twin.reading_count(), _happened(twin)
    assert killed_until_done("by_id", tmp_path / "b", tmp_path / "export") >= 2
    with Twin.open(tmp_path / "b") as twin:
        assert twin.reading_count() == count
        assert _happened(twin) == happened


def test_filling_differs_from_time_to_time(tmp_path: Path) -> None:
    images = []
    for name in ("a", "b"):
        with Twin.open(tmp_path / name) as twin:
            fill(twin, 10)
            images.append(image(twin)["readings"])
    assert images[0] != images[1]
