"""What a start makes of files that are damaged, cut short or gone."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import DamagedFileError, StorageReadOnlyError
from iotsense.twin.model import Level
from iotsense.twin.twin import StoreOptions, Twin

OPTIONS = StoreOptions(segment_bytes=100_000)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A closed data directory: one signal, 30,000 readings in several segments."""
    directory = tmp_path / "data"
    with Twin.open(directory, OPTIONS) as twin:
        twin.change(lambda edit: edit.add_signal(edit.add_node(id="line", level=Level.LINE).key, "speed"), "test")
        for i in range(30):
            twin.apply(ReadingBatch.of([0] * 1000, range(i * 1000, i * 1000 + 1000), [float(i)] * 1000))
    return directory


def check_complete(directory: Path) -> None:
    with Twin.open(directory, OPTIONS) as twin:
        assert twin.writable
        assert twin.history(0, 0, 2**62).time.tolist() == list(range(30_000))
        reading = twin.state.read(0)
        assert reading is not None
        assert reading.time == 29_999
        assert twin.graph.find_signal("line.speed").index == 0


def test_without_checkpoints_the_journal_is_enough(directory: Path) -> None:
    shutil.rmtree(directory / "checkpoints")
    check_complete(directory)


def test_a_damaged_checkpoint_is_passed_over(directory: Path) -> None:
    (newest,) = (directory / "checkpoints").glob("*.checkpoint")
    newest.write_bytes(newest.read_bytes()[:-3] + b"\x00\x01\x02")
    with Twin.open(directory, OPTIONS) as twin:
        assert "fails its checksum" in twin.damage[0]
    check_complete(directory)


@pytest.mark.parametrize("harm", ["gone", "torn", "garbage"])
@pytest.mark.parametrize("name", ["manifest", "*.part"])
def test_history_is_built_anew(directory: Path, name: str, harm: str) -> None:
    (harmed,) = (directory / "history").glob(name)
    if harm == "gone":
        harmed.unlink()
    elif harm == "torn":
        harmed.write_bytes(harmed.read_bytes()[:-20])
    else:
        harmed.write_bytes(b"garbage" * 10_000)
    check_complete(directory)
    with Twin.open(directory, OPTIONS) as twin:
        assert twin.damage == []
        assert twin.reading_count() == 30_000


def test_a_lost_part_is_made_again_beside_those_that_are_left(directory: Path) -> None:
    with Twin.open(directory, OPTIONS) as twin:
        twin.apply(ReadingBatch.of([0] * 3, [5, 40_000, 86_400_000_000_000], [7.0, 8.0, 9.0]))
    parts = sorted((directory / "history").glob("*.part"))
    assert len(parts) == 3
    parts[0].unlink()
    with Twin.open(directory, OPTIONS) as twin:
        assert twin.damage == []
        assert twin.reading_count() == 30_003
        assert twin.history(0, 4, 6).value.tolist() == [0.0, 7.0]


def test_what_the_journal_no_longer_has_is_told_and_not_passed_over(directory: Path) -> None:
    with Twin.open(directory, OPTIONS) as twin:
        twin.apply(ReadingBatch.of([0], 86_400_000_000_000, [9.0]))
    for segment in sorted((directory / "journal").glob("*.sqlite"))[:-1]:
        segment.unlink()
    lost, _ = sorted((directory / "history").glob("*.part"))
    lost.unlink()
    with Twin.open(directory, OPTIONS) as twin:
        (told,) = twin.damage
        assert f"{lost.name}: 30000 rows of history (raw) from 1970-01-01T00:00:00" in told
        with pytest.raises(DamagedFileError, match="are lost"):
            twin.history(0, 0, 10)
        assert len(twin.history(0, 86_400_000_000_000, 2**62)) == 1


def test_without_its_oldest_segments_a_plant_still_starts(directory: Path) -> None:
    oldest, *_, newest = sorted((directory / "journal").glob("*.sqlite"))
    assert oldest != newest
    shutil.rmtree(directory / "checkpoints")
    for segment in sorted((directory / "journal").glob("*.sqlite"))[:-1]:
        segment.unlink()
    check_complete(directory)


def test_a_journal_that_ends_too_early_refuses_writes_and_names_the_range(directory: Path) -> None:
    newest = max((directory / "journal").glob("*.sqlite"))
    first = int(newest.stem)
    newest.unlink()
    with Twin.open(directory, OPTIONS) as twin:
        assert twin.trouble is not None
        assert f"the entries {first} to " in twin.trouble
        with pytest.raises(StorageReadOnlyError, match="refused because of damage"):
            twin.apply(ReadingBatch.of([0], 1, [1.0]))
        assert len(twin.history(0, 0, 2**62)) == 30_000
        assert twin.graph.find("line").level is Level.LINE


def test_a_journal_that_cannot_be_read_refuses_writes_and_leaves_the_rest_to_see(directory: Path) -> None:
    newest = max((directory / "journal").glob("*.sqlite"))
    newest.write_bytes(b"garbage" * 10_000)
    with Twin.open(directory, OPTIONS) as twin:
        assert twin.trouble is not None
        assert newest.name in twin.trouble
        with pytest.raises(StorageReadOnlyError, match="refused because of damage"):
            twin.apply(ReadingBatch.of([0], 1, [1.0]))
        assert len(twin.history(0, 0, 2**62)) == 30_000
    assert newest.read_bytes() == b"garbage" * 10_000


def killed(directory: Path) -> Path:
    """A copy of a directory whose process was killed with 300 readings that only the write-ahead log holds."""
    with Twin.open(directory, StoreOptions(projection_interval=60)) as twin:
        for i in range(300):
            twin.apply(ReadingBatch.of([0], [100_000 + i], [1.0]))
        return Path(shutil.copytree(directory, directory.with_name("killed")))


@pytest.mark.parametrize("harm", ["cut", "flipped"])
def test_a_write_ahead_log_that_lost_its_end_is_noticed(directory: Path, harm: str) -> None:
    copy = killed(directory)
    check = Path(shutil.copytree(copy, directory.with_name("whole")))
    with Twin.open(check) as twin:
        assert len(twin.history(0, 0, 2**62)) == 30_300
        last = twin.last_seq
    log = max((copy / "journal").glob("*-wal"))
    content = bytearray(log.read_bytes())
    if harm == "cut":
        del content[-1:]
    else:
        content[-100] ^= 1
    log.write_bytes(content)
    with Twin.open(copy) as twin:
        assert twin.trouble is not None
        assert f"the entries {last} to {last} are missing" in twin.trouble
        assert len(twin.history(0, 0, 2**62)) == 30_299


@pytest.mark.parametrize("content", [b"", b"\0" * 12])
def test_a_mark_that_was_just_being_made_says_nothing(directory: Path, content: bytes) -> None:
    (directory / "journal" / "end").write_bytes(content)
    check_complete(directory)


@pytest.mark.parametrize("content", [b"\1" * 12, b"\1" * 7])
def test_a_damaged_mark_is_told_and_made_anew(directory: Path, content: bytes) -> None:
    (directory / "journal" / "end").write_bytes(content)
    with Twin.open(directory, OPTIONS) as twin:
        assert "the journal's end cannot be verified" in twin.damage[0]
    with Twin.open(directory, OPTIONS) as twin:
        assert twin.damage == []
    check_complete(directory)


@pytest.mark.parametrize("table", ["event", "revision"])
def test_an_altered_value_in_the_catalog_is_told(directory: Path, table: str) -> None:
    column = {"event": "data", "revision": "change"}[table]
    with sqlite3.connect(directory / "plant.sqlite") as database:
        (value,) = database.execute(f"SELECT {column} FROM {table} LIMIT 1").fetchone()
        altered = value[:-3] + bytes([value[-3] ^ 1]) + value[-2:]
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (altered, value))
    database.close()
    with Twin.open(directory, OPTIONS) as twin:
        twin._live.recent_events.clear()  # as after many more of them
        with pytest.raises(DamagedFileError, match=f"{table} 1 fails its checksum"):
            twin.events() if table == "event" else twin._catalog.revisions()


def test_a_catalog_without_checksums_is_built_anew(directory: Path) -> None:
    with sqlite3.connect(directory / "plant.sqlite") as database:
        database.execute("ALTER TABLE event DROP COLUMN checksum")
    database.close()
    check_complete(directory)
    with Twin.open(directory, OPTIONS) as twin:
        assert [event.seq for event in twin.as_of().event_log(0)] == [1]
