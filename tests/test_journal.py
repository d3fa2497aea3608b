import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import Entry, EntryKind, Position
from iotsense.twin.errors import DamagedFileError, OverloadedError, StorageReadOnlyError
from iotsense.twin.journal import Journal, Part


class Owner:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def number(self, parts: Sequence[Part], recorded: int) -> list[Part]:
        return list(parts)

    def committed(self, entries: Sequence[Entry]) -> None:
        self.entries.extend(entries)

    def snapshot(self) -> bytes:
        return b"snapshot of %d" % len(self.entries)


def started(directory: Path, **options: int) -> tuple[Journal, Owner]:
    owner = Owner()
    journal = Journal(directory, owner, **options)
    journal.start()
    return journal, owner


def readings(value: float, rows: int = 1) -> Part:
    return (EntryKind.READINGS, ReadingBatch.of(np.arange(rows), 1, np.full(rows, value)))


def values(entries: Sequence[Entry]) -> list[float]:
    return [float(v) for entry in entries if entry.kind is EntryKind.READINGS for v in entry.value.value]


def test_what_was_submitted_is_there_again_in_order(tmp_path: Path) -> None:
    journal, _ = started(tmp_path)
    seqs = [journal.submit([readings(i), (EntryKind.POSITION, Position("x", i))]).result() for i in range(20)]
    assert seqs == [2 * (i + 1) for i in range(20)]
    journal.close()
    journal, _ = started(tmp_path)
    entries = list(journal.read(0))
    assert [entry.seq for entry in entries] == list(range(1, 41))
    assert values(entries) == list(range(20))
    recorded = [entry.recorded for entry in entries]
    assert recorded == sorted(set(recorded))
    assert journal.submit([readings(99)]).result() == 41
    assert next(iter(journal.read(40))).recorded > recorded[-1]
    journal.close()


def test_concurrent_callers_share_commits_and_none_is_told_early(tmp_path: Path) -> None:
    journal, owner = started(tmp_path)
    missing: list[int] = []

    def caller(number: int) -> None:
        for i in range(50):
            seq = journal.submit([readings(number * 1000 + i)]).result()
            with sqlite3.connect(journal.segments[-1].path) as other:
                (last,) = other.execute("SELECT max(seq) FROM entry").fetchone()
            other.close()
            missing.extend([seq] if last < seq else [])

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert sorted(values(owner.entries)) == sorted(n * 1000 + i for n in range(8) for i in range(50))
    assert journal.last_seq < 400, "group commit never took two callers along"
    journal.close()


async def test_coroutines_wait_for_durability_and_for_entries(tmp_path: Path) -> None:
    journal, owner = started(tmp_path)
    waiting = asyncio.create_task(journal.wait_beyond(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    seqs = await asyncio.gather(*(journal.append([readings(i)]) for i in range(100)))
    await waiting
    assert max(seqs) == journal.last_seq
    assert values(owner.entries) == list(range(100))
    journal.close()


def test_segments_roll_begin_with_a_snapshot_and_can_be_dropped(tmp_path: Path) -> None:
    journal, _ = started(tmp_path, segment_bytes=200_000)
    for i in range(60):
        journal.submit([readings(i, rows=1000)]).result()
    assert len(journal.segments) > 3
    for segment in journal.segments[1:]:
        first = next(iter(journal.read_from_files(segment.first - 1)))
        assert first.kind is EntryKind.SNAPSHOT
        assert first.value.startswith(b"snapshot of")
    assert len(values(list(journal.read(0)))) == 60_000
    third = journal.segments[2].first
    assert journal.drop_before(third, 2**62) == 2
    assert journal.first_seq == third
    assert len(list(tmp_path.glob("*.sqlite"))) == len(journal.segments)
    journal.close()
    journal, _ = started(tmp_path)
    assert [entry.seq for entry in journal.read(third - 1)] == list(range(third, journal.last_seq + 1))
    with pytest.raises(DamagedFileError, match=f"no longer has the entries 1 to {third - 1}"):
        list(journal.read(0))
    journal.close()


def test_entries_within_retention_are_not_dropped(tmp_path: Path) -> None:
    journal, _ = started(tmp_path, segment_bytes=200_000)
    for i in range(40):
        journal.submit([readings(i, rows=1000)]).result()
    assert journal.drop_before(journal.last_seq, 1) == 0
    journal.close()


def test_a_missing_segment_and_a_shorter_one_are_damage_that_names_the_range(tmp_path: Path) -> None:
    journal, _ = started(tmp_path, segment_bytes=200_000)
    for i in range(60):
        journal.submit([readings(i, rows=1000)]).result()
    first, second = journal.segments[:2]
    journal.close()
    last = second.first - 1
    with sqlite3.connect(first.path) as file:
        file.execute("DELETE FROM entry WHERE seq >= ?", (last - 1,))
    file.close()
    damaged, _ = started(tmp_path)
    assert f"entries are missing between {last - 1} and {last}" in str(damaged.damage)
    with pytest.raises(StorageReadOnlyError, match="refused because of damage"):
        damaged.submit([readings(1)])
    assert values(list(damaged.read(last)))[-1] == 59
    damaged.close()


def test_a_flipped_byte_is_found_when_it_is_read(tmp_path: Path) -> None:
    journal, _ = started(tmp_path)
    for i in range(3):
        journal.submit([readings(i)]).result()
    path = journal.segments[0].path
    journal.close()
    with sqlite3.connect(path) as file:
        (payload,) = file.execute("SELECT payload FROM entry WHERE seq = 2").fetchone()
        file.execute("UPDATE entry SET payload = ? WHERE seq = 2", (payload[:-1] + b"\x07",))
    file.close()
    journal, _ = started(tmp_path)
    with pytest.raises(DamagedFileError, match="entry 2: a batch of readings fails its checksum"):
        list(journal.read(0))
    journal.close()


def test_the_queue_is_bounded_and_a_closed_journal_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, Owner())
    monkeypatch.setattr("iotsense.twin.journal.PENDING_BYTES", 100_000)
    accepted = 0
    with pytest.raises(OverloadedError):
        while accepted < 1000:
            journal.submit([readings(1, rows=1000)])
            accepted += 1
    assert 4 <= accepted <= 6
    journal.start()
    journal.close()
    with pytest.raises(StorageReadOnlyError, match="closed"):
        journal.submit([readings(1)])
    again, _ = started(tmp_path)
    assert len(values(list(again.read(0)))) == 1000 * accepted
    again.close()


def test_identities_are_known_for_as_long_as_asked(tmp_path: Path) -> None:
    journal, _ = started(tmp_path)
    journal.submit([readings(1)], [b"a" * 16]).result()
    recorded = next(iter(journal.read(0))).recorded
    journal.close()
    journal, _ = started(tmp_path)
    assert journal.has_identity(b"a" * 16, recorded)
    assert not journal.has_identity(b"a" * 16, recorded + 1)
    assert not journal.has_identity(b"b" * 16, 0)
    journal.close()
