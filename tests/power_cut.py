"""What a power cut would have left of files: rebuilt from a recording of all writes and syncs (see iotrace.c)."""

import os
import random
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from iotsense.twin.errors import StorageError
from iotsense.twin.twin import StoreOptions, Twin

WRITE, TRUNCATE, SYNC, RENAME, UNLINK, CREATE = range(1, 7)
SECTOR = 512
POINTS = 50
ROWS = 10
PROGRAM = textwrap.dedent("""
    import os, sys
    from iotsense.twin.batch import ReadingBatch
    from iotsense.twin.model import Level
    from iotsense.twin.twin import StoreOptions, Twin

    directory = sys.argv[1]
    told = os.open(directory + "/acknowledged", os.O_WRONLY | os.O_CREAT)
    twin = Twin.open(directory + "/data", StoreOptions(projection_interval=0.01, segment_bytes=400_000, tail_rows=300))
    twin.change(lambda e: e.add_signal(e.add_node(id="line", level=Level.LINE).key, "speed"), "test")
    for i in range(400):
        twin.apply(ReadingBatch.of([0] * 10, range(i * 10, i * 10 + 10), [float(i)] * 10))
        os.pwrite(told, b"%06d" % i, 0)
        if i % 150 == 149:
            twin._upkeep.save_checkpoint()
    twin.close()
""")
_HEAD = struct.Struct("<IIqq")


class Record(NamedTuple):
    kind: int
    path: str
    offset: int
    size: int
    data: bytes


def read_trace(path: Path) -> list[Record]:
    """All records of a trace, in order."""
    data = path.read_bytes()
    records = []
    position = 0
    while position < len(data):
        kind, name, offset, size = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        text = data[position : position + name].decode()
        position += name
        body = data[position : position + size] if kind in (WRITE, RENAME) else b""
        position += len(body)
        records.append(Record(kind, text, offset, size, body))
    return records


@dataclass
class File:
    """What is surely on the disk, and what was written since the last sync."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Record] = field(default_factory=list)

    def sync(self) -> None:
        for record in self.pending:
            apply(self.synced, record, keep=None)
        self.pending.clear()

    def after_cut(self, fate: random.Random) -> bytes:
        """The synced bytes and, of the others: nothing, a tail of zeros, or torn sectors in any mixture."""
        left = bytearray(self.synced)
        mode = fate.choice(("cut", "zeros", "torn"))
        if mode == "zeros":
            length = max([len(left), *(r.offset + r.size for r in self.pending if r.kind == WRITE)])
            left.extend(bytes(length - len(left)))
        elif mode == "torn":
            for record in self.pending:
                apply(left, record, keep=fate)
        return bytes(left)


def apply(content: bytearray, record: Record, keep: random.Random | None) -> None:
    """One write or truncation; with `keep` only some of its sectors reach the disk."""
    if record.kind == TRUNCATE:
        if keep is None or keep.random() < 0.5:
            del content[record.size :]
            content.extend(bytes(record.size - len(content)))
        return
    for start in range(0, record.size, SECTOR):
        if keep is not None and keep.random() < 0.5:
            continue
        part = record.data[start : start + SECTOR]
        at = record.offset + start
        content.extend(bytes(max(0, at + len(part) - len(content))))
        content[at : at + len(part)] = part


class Disk:
    """A disk that follows a trace: files, the names that are surely in their directories, and those that are now."""

    def __init__(self) -> None:
        self.names: dict[str, File] = {}
        self.durable_names: dict[str, File] = {}
        self.acknowledged = -1

    def follow(self, record: Record) -> None:
        if record.path.endswith("/acknowledged"):
            if record.kind == WRITE:
                self.acknowledged = int(record.data)
            return
        match record.kind:
            case 1 | 2:
                self.names.setdefault(record.path, File()).pending.append(record)
            case 3 if record.path in self.names:
                self.names[record.path].sync()
            case 3:
                self._sync_directory(record.path)
            case 4:
                self.names[record.data.decode()] = self.names.pop(record.path)
            case 5:
                self.names.pop(record.path, None)
            case 6:
                self.names[record.path] = File()

    def _sync_directory(self, directory: str) -> None:
        for names in (self.durable_names, self.names):
            for path in [path for path in names if os.path.dirname(path) == directory]:
                if path in self.names:
                    self.durable_names[path] = self.names[path]
                else:
                    self.durable_names.pop(path, None)

    def cut(self, source: Path, target: Path, fate: random.Random) -> None:
        """Writes below `target` what is left of the files below `source`."""
        for directory in {os.path.dirname(path) for path in [*self.names, *self.durable_names]}:
            names = fate.choice((self.names, self.durable_names))
            for path, file in names.items():
                if os.path.dirname(path) != directory or path.endswith("-shm"):
                    continue
                left = target / Path(path).relative_to(source)
                left.parent.mkdir(parents=True, exist_ok=True)
                left.write_bytes(file.after_cut(fate))


def cuts(records: list[Record], points: int, seed: int) -> Iterator[tuple[Disk, random.Random]]:
    """The disk at so many random moments of the trace."""
    fate = random.Random(seed)
    disk = Disk()
    moments = sorted(fate.sample(range(len(records)), points))
    done = 0
    for moment in moments:
        for record in records[done:moment]:
            disk.follow(record)
        done = moment
        yield disk, fate


def build(directory: Path, name: str = "iotrace") -> Path:
    """A library to load before a program, compiled: the recording one, or another of this folder."""
    library = directory / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


def lost(recorder: Path, directory: Path, drop: str = "") -> tuple[int, int]:
    """Acknowledged readings that are missing after power cuts at random moments, and how many cuts were made."""
    work = directory / "work"
    work.mkdir()
    trace = directory / "trace"
    environment = os.environ | {"LD_PRELOAD": str(recorder), "IOTRACE_DIR": str(work), "IOTRACE_FILE": str(trace)}
    environment |= {"IOTRACE_DROP": drop} if drop else {}
    subprocess.run([sys.executable, "-c", PROGRAM, str(work)], env=environment, check=True)
    missing = cut = 0
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    for number, (disk, fate) in enumerate(cuts(read_trace(trace), POINTS, seed)):
        left = directory / f"cut-{number}"
        (left / "data").mkdir(parents=True)
        disk.cut(work, left, fate)
        cut += 1
        missing += missing_in(left / "data", disk.acknowledged)
    return missing, cut


def missing_in(directory: Path, acknowledged: int) -> int:
    wanted = set(range((acknowledged + 1) * ROWS))
    try:
        with Twin.open(directory, StoreOptions(projection_interval=60)) as twin:
            if twin.trouble is not None:
                return max(1, len(wanted))
            known = 0 in twin.graph.signal_map
            return len(wanted - set(twin.history(0, 0, 2**62).time.tolist() if known else ()))
    except StorageError:
        return max(1, len(wanted))
