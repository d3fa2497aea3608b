"""A data directory of another version."""

import json
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import DeadLetter, EventDraft
from iotsense.twin.errors import NotFoundError, StorageReadOnlyError
from iotsense.twin.model import Level
from iotsense.twin.twin import StoreOptions, Twin

OPTIONS = StoreOptions(segment_bytes=100_000)


def as_of_version_1(directory: Path) -> None:
    """Makes the directory what version 0.1 had: readings in DuckDB, no format, no history; and an old journal gone."""
    with Twin.open(directory, OPTIONS) as twin:
        (day,) = twin.transfer.days(2**62)
        pieces = list(twin.transfer.readings(day, 2**62))
        seq, events, letters = twin.last_seq, twin.events(), twin.dead_letters(pending_only=False)
    columns = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in pieces[0]._fields}
    with duckdb.connect(str(directory / "plant.duckdb")) as database:
        database.execute("CREATE TABLE applied (seq BIGINT NOT NULL)")
        database.execute(
            "CREATE TABLE reading (signal INTEGER, time BIGINT, value DOUBLE, quality UTINYINT, recorded BIGINT)"
        )
        database.register("columns", columns)
        database.execute("INSERT INTO reading SELECT signal, time, value, quality, recorded FROM columns")
        database.execute("INSERT INTO applied VALUES (?)", [seq])
        database.execute(
            "CREATE TABLE event (seq BIGINT, time BIGINT, until BIGINT, recorded BIGINT, kind VARCHAR, node BIGINT,"
            " identity VARCHAR, retracts BIGINT, data VARCHAR)"
        )
        for e in events:
            row = [e.seq, e.time, e.until, e.recorded, e.kind, e.node, e.identity, e.retracts, json.dumps(e.data)]
            database.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        database.execute(
            "CREATE TABLE dead_letter (id BIGINT, time BIGINT, source VARCHAR, stage VARCHAR, reason VARCHAR,"
            " topic VARCHAR, metadata VARCHAR, payload BLOB, resolved VARCHAR)"
        )
        for d in letters:
            row = [d.id, d.time, d.source, d.stage, d.reason, d.topic, json.dumps(d.metadata), d.payload, d.resolved]
            database.execute("INSERT INTO dead_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    (directory / "plant.sqlite").unlink()
    shutil.rmtree(directory / "history")
    (directory / "format").unlink()
    segments = sorted((directory / "journal").glob("*.sqlite"))
    assert len(segments) > 3
    for segment in segments[:-1]:
        segment.unlink()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Such a directory: 30,000 readings, one of them corrected, one of them NaN."""
    directory = tmp_path / "data"
    with Twin.open(directory, OPTIONS) as twin:
        twin.change(lambda edit: edit.add_signal(edit.add_node(id="line", level=Level.LINE).key, "speed"), "test")
        for i in range(30):
            twin.apply(ReadingBatch.of([0] * 1000, range(i * 1000, i * 1000 + 1000), [float(i)] * 1000))
        twin.apply(ReadingBatch.of([0, 0], [5, 30_000], [7.0, np.nan]))
        twin.record([EventDraft(10, "anomaly", 1, None, {"rule": "hot"}, "a"), EventDraft(5, "failure", 1, 9)])
        twin.record([EventDraft(10, "anomaly", 1, 20, {"rule": "hot"}, "a")])
        twin.submit(dead_letters=[DeadLetter(5, "mqtt", "parse", "no JSON", b"\xff", "t", {"a": 1})]).result()
    as_of_version_1(directory)
    return directory


def check(directory: Path) -> None:
    with Twin.open(directory, OPTIONS) as twin:
        history = twin.history(0, 0, 2**62)
        assert history.time.tolist() == list(range(30_001))
        assert (history.value[5], history.value[29_999]) == (7.0, 29.0)
        assert np.isnan(history.value[30_000])
        assert twin.reading_count() == 30_002
        twin.apply(ReadingBatch.of([0], [30_001], [1.0]))
    assert (directory / "format").read_text() == "2\n"
    assert (directory / "plant.duckdb.v1").exists()
    assert not (directory / "plant.duckdb").exists()


def test_the_readings_of_version_1_are_taken_over(old: Path) -> None:
    check(old)
    with Twin.open(old, OPTIONS) as twin:
        assert len(twin.history(0, 0, 2**62)) == 30_002


def test_an_upgrade_that_was_killed_is_done_again(old: Path) -> None:
    (old / "plant.duckdb").rename(old / "plant.duckdb.v1")
    (old / "history").mkdir()
    (old / "history" / "raw-0-00000001.new").write_bytes(b"half")
    check(old)


def test_a_file_that_cannot_be_read_leaves_what_the_journal_has(old: Path) -> None:
    (old / "plant.duckdb").write_bytes(b"garbage" * 1000)
    with Twin.open(old, OPTIONS) as twin:
        assert any("history has a gap" in text for text in twin.damage)
        assert 0 < len(twin.history(0, 0, 2**62)) < 30_000
    assert (old / "plant.duckdb.v1").read_bytes() == b"garbage" * 1000


def test_files_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    Twin.open(tmp_path).close()
    (tmp_path / "format").write_text("99\n")
    with pytest.raises(StorageReadOnlyError, match="written by a newer version"):
        Twin.open(tmp_path)
    assert (tmp_path / "format").read_text() == "99\n"


def test_events_and_dead_letters_of_version_1_are_taken_over(old: Path) -> None:
    with Twin.open(old, OPTIONS) as twin:
        assert [(e.kind, e.until) for e in twin.events()] == [
            ("structure", None), ("anomaly", None), ("failure", 9), ("anomaly", 20),
        ]  # fmt: skip
        assert [e.identity for e in twin.as_of(time=15).open_events("anomaly")] == ["a"]
        (letter,) = twin.dead_letters()
        assert (letter.reason, letter.payload, letter.metadata) == ("no JSON", b"\xff", {"a": 1})
        assert twin.damage == []


def test_structure_of_version_1_was_always_as_it_is_first_known(old: Path) -> None:
    with Twin.open(old, OPTIONS) as twin:
        assert twin.as_of(time=5).graph.find("line").name == "line"
        twin.change(lambda edit: edit.update_node(edit.graph.find("line").key, name="Filling"), "test")
        assert twin.as_of().graph.find("line").name == "Filling"
        assert twin.as_of(time=5).graph.find("line").name == "line"
        with pytest.raises(NotFoundError, match="not known any more"):
            twin.revisions.graph(0)
