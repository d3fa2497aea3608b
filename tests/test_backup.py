"""Backups while readings come, and what is restored of them."""

import threading
from pathlib import Path

import pytest
from bulk_fixtures import filled, image
from service_fixtures import process, run_cli, write_plant

from iotsense import IoTSense
from iotsense.twin.backup import backup, link_file, load_backup, restore
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.errors import ConflictError, DamagedFileError, NotFoundError
from iotsense.twin.twin import StoreOptions, Twin


def then(twin: Twin, known_at: int) -> dict[str, object]:
    """All that was known then."""
    plant = twin.as_of(known_at=known_at)
    rows = [
        tuple(row)
        for day in twin.transfer.days(known_at)
        for piece in twin.transfer.readings(day, known_at)
        for row in zip(*(column.tolist() for column in piece), strict=True)
    ]
    return {
        "graph": plant.graph,
        "readings": sorted(map(repr, rows)),
        "events": plant.events(limit=100_000),
        "changes": [change for change in twin.transfer.changes(plant.graph.revision) if change[0] <= known_at],
    }


@pytest.mark.parametrize("carry", ["copied", "linked"])
def test_a_backup_under_load_is_of_one_entry_of_the_journal(tmp_path: Path, carry: str) -> None:
    options = StoreOptions(projection_interval=0.01, segment_bytes=60_000)
    with Twin.open(tmp_path / "a", options) as twin:
        from bulk_fixtures import fill

        fill(twin)
        index = twin.graph.find_signal("line.p0.flow").index
        stop = threading.Event()

        def load() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                twin.apply(ReadingBatch.of([index] * 10, [number * 100 + k for k in range(10)], [float(number)] * 10))
                if number % 20 == 0:
                    twin.change(lambda edit, n=number: edit.update_node(1, name=f"Bremen {n}"), "load")  # type: ignore[misc]

        thread = threading.Thread(target=load)
        thread.start()
        taken = []
        for number in range(3):
            kept = {"carry": link_file} if carry == "linked" else {}
            taken.append(backup(twin, tmp_path / f"backup-{number}", **kept))
        stop.set()
        thread.join()
        assert taken[0].seq < taken[1].seq < taken[2].seq < twin.last_seq
        expected = [then(twin, made.taken) for made in taken]
    for number, made in enumerate(taken):
        found = restore(tmp_path / f"backup-{number}", tmp_path / f"restored-{number}")
        assert found == made
        with Twin.open(tmp_path / f"restored-{number}") as twin:
            assert twin.damage == []
            assert twin.graph.revision == made.revision
            assert (twin.last_seq, twin.transfer.recorded) == (made.seq, made.taken)
            assert then(twin, 2**62) == expected[number]
            twin.apply(ReadingBatch.of([index], [1], [1.0]))


def test_a_restored_twin_is_the_same_in_everything(tmp_path: Path) -> None:
    with filled(tmp_path / "a") as twin:
        backup(twin, tmp_path / "backup")
        before = image(twin)
    restore(tmp_path / "backup", tmp_path / "b")
    # A later version must see which version wrote the files.
    assert (tmp_path / "b" / "format").read_text() == (tmp_path / "a" / "format").read_text()
    with Twin.open(tmp_path / "b") as twin:
        assert image(twin) == before


def test_an_altered_backup_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 10) as twin:
        made = backup(twin, tmp_path / "backup")
        with pytest.raises(ConflictError, match="is not empty"):
            backup(twin, tmp_path / "backup")
    with pytest.raises(ConflictError, match="overwrites nothing"):
        restore(tmp_path / "backup", tmp_path / "a")
    with pytest.raises(NotFoundError, match="holds no backup"):
        restore(tmp_path / "a", tmp_path / "b")
    for name in (file.name for file in made.files):
        path = tmp_path / "backup" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(DamagedFileError, match=f"{path.name} was altered"):
            restore(tmp_path / "backup", tmp_path / "b")
        path.write_bytes(whole)
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "b.restoring").exists()
    restore(tmp_path / "backup", tmp_path / "b")


def test_a_running_service_is_backed_up_by_a_verb_and_restored(tmp_path: Path) -> None:
    with process(tmp_path / "a", "-c", str(write_plant(tmp_path))) as a, IoTSense(url=a.url) as iot:
        document = {"device_id": "conveyor", "measurements": [{"name": "speed", "value": 1.5}]}
        for _ in range(20):
            iot.telemetry.send(document)
        iot.flush()
        for path in ("backup", "backup.tar"):
            done = run_cli("backup", path, "--data", "a", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert "as of" in done.stdout
        assert not list((tmp_path / "a" / "bulk").iterdir())
        made = iot.backup(tmp_path / "third")
        assert made["seq"] >= load_backup(tmp_path / "backup").seq
        again = run_cli("backup", "backup.tar", "--data", "a", cwd=tmp_path)
        assert again.returncode == 1
        assert "is there already" in again.stderr
    for number, path in enumerate(("backup", "backup.tar")):
        done = run_cli("restore", path, "--data", f"b{number}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / f"{path}.files").exists()
        with process(tmp_path / f"b{number}") as b, IoTSense(url=b.url) as iot:
            assert len(iot.history("line_1.conveyor.c_speed")["line_1.conveyor.c_speed"]) == 20
    refused = run_cli("restore", "backup", "--data", "b0", cwd=tmp_path)
    assert refused.returncode == 1
    assert "overwrites nothing" in refused.stderr


def test_a_directory_that_no_service_has_is_backed_up_too(tmp_path: Path) -> None:
    filled(tmp_path / "a", 5).close()
    assert run_cli("backup", "backup", "--data", "a", cwd=tmp_path).returncode == 0
    assert run_cli("restore", "backup", "--data", "b", cwd=tmp_path).returncode == 0
    (tmp_path / "no.tar").write_bytes(b"nothing")
    broken = run_cli("restore", "no.tar", "--data", "c", cwd=tmp_path)
    assert broken.returncode == 5
    assert "no archive" in broken.stderr
