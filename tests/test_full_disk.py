"""A disk that fills up and gets room again: reads go on, writes are refused with words, nothing is lost."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import StorageFullError, StorageReadOnlyError
from iotsense.twin.model import Level
from iotsense.twin.twin import StoreOptions, Twin

pytestmark = pytest.mark.needs("tmpfs")

OPTIONS = StoreOptions(projection_interval=0.1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def fill(twin: Twin) -> int:
    """Writes until it is refused; how many readings were accepted."""
    twin.change(lambda edit: edit.add_signal(edit.add_node(id="line", level=Level.LINE).key, "speed"), "test")
    for n in range(10_000):
        try:
            twin.apply(ReadingBatch.of([0] * 1000, range(n * 1000, n * 1000 + 1000), [float(n)] * 1000))
        except StorageFullError as full:
            assert "no room left" in str(full)
            return n * 1000
    pytest.fail("the disk never filled up")


def test_reads_go_on_and_writes_resume_when_there_is_room(disk: Path) -> None:
    with Twin.open(disk / "data", OPTIONS) as twin:
        accepted = fill(twin)
        assert twin.trouble is not None
        assert not twin.writable
        times = twin.history(0, 0, 2**62).time
        assert times.tolist() == list(range(accepted))
        reading = twin.state.read(0)
        assert reading is not None
        assert reading.time == accepted - 1
        subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
        twin.apply(ReadingBatch.of([0], accepted, [1.0]))
        assert twin.writable
        assert len(twin.history(0, 0, 2**62)) == accepted + 1


def test_a_plant_starts_on_a_full_disk(disk: Path) -> None:
    with Twin.open(disk / "data", OPTIONS) as twin:
        accepted = fill(twin)
    padding = disk / "padding"
    with pytest.raises(OSError, match="No space left"), padding.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with Twin.open(disk / "data", OPTIONS) as twin:
        assert twin.damage == []
        assert twin.history(0, 0, 2**62).time.tolist()[:accepted] == list(range(accepted))
        subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
        twin.apply(ReadingBatch.of([0], accepted, [1.0]))


def test_a_directory_that_cannot_be_written_is_refused_at_start(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StorageReadOnlyError, match="cannot write"):
        Twin.open(disk / "data")
    assert list(disk.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
