"""The parts that make up history now: readers keep those that they began with, even while others replace them."""

import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from . import history_manifest
from .errors import DamagedFileError
from .history_manifest import NEVER_GONE, Manifest
from .history_part import Part
from .history_part_writer import TRAILER
from .history_raw_writer import PartInfo
from .times import NS, format_time, now_ns

log = logging.getLogger("iotsense.history")

DAY_NS = 86_400 * NS
OPEN_PARTS = 128
SUFFIX = ".part"


class View:
    """An unchanging set of parts, by UTC day."""

    def __init__(self, files: "PartFiles", manifest: Manifest) -> None:
        self._files = files
        self.parts = tuple(manifest.parts)
        self.lost = tuple(manifest.lost)
        self.raw_gone = manifest.raw_gone
        self.by_day: dict[tuple[str, int], list[PartInfo]] = {}
        for info in self.parts:
            self.by_day.setdefault((info.kind, info.day), []).append(info)

    def days(self, kind: str) -> list[int]:
        """The days of which there are parts of a kind, the newest first."""
        return sorted((day for of, day in self.by_day if of == kind), reverse=True)

    def of_kind(self, kind: str) -> Iterator[PartInfo]:
        """The parts of a kind."""
        return (info for info in self.parts if info.kind == kind)

    def open(self, info: PartInfo) -> Part:
        """The part itself; raises DamagedFileError."""
        return self._files.open(info)

    def refuse_lost(self, kind: str, start: int, end: int) -> None:
        """Raises DamagedFileError if a lost part held times in [start, end] [ns]: an answer would have a silent gap."""
        for info in self.lost:
            if info.kind == kind and info.min_time <= end and info.max_time >= start:
                raise DamagedFileError(told_lost(self._files.directory, info))


def told_lost(directory: Path, info: PartInfo) -> str:
    """What a lost part held, in words."""
    span = f"{format_time(info.min_time)} to {format_time(info.max_time)}"
    return f"{directory / info.name}: {info.rows} rows of history ({info.kind}) from {span} are lost"


class PartFiles:
    """Opens parts, the last ones used stay open."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Part] = OrderedDict()

    def open(self, info: PartInfo) -> Part:
        """The part; raises DamagedFileError."""
        with self._lock:
            part = self._open.get(info.name)
            if part is not None:
                self._open.move_to_end(info.name)
                return part
        part = Part(self.directory / info.name)
        with self._lock:
            self._open[info.name] = part
            if len(self._open) > OPEN_PARTS:
                self._open.popitem(last=False)
        return part

    def forget(self, name: str) -> None:
        """Removes a part for good."""
        with self._lock:
            self._open.pop(name, None)
        (self.directory / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Lets all parts go."""
        with self._lock:
            self._open.clear()


class Parts:
    """The manifest and its files. `replace` is the one way to change them; several threads may call it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.files = PartFiles(directory)
        self.lock = threading.RLock()  # held for moments only
        self._changing = threading.Lock()  # held while a manifest is written
        self._readers: dict[View, int] = {}
        self._retired: list[tuple[set[View], list[str]]] = []
        self.manifest = self._load()
        self._next_number = self.manifest.next_number
        self._view = View(self.files, self.manifest)

    def _load(self) -> Manifest:
        try:
            manifest = history_manifest.load(self.directory)
            if manifest is None and any(self.directory.glob(f"*{SUFFIX}")):
                raise DamagedFileError(f"{self.directory}: the manifest is gone")
        except DamagedFileError as damage:
            log.error("history is set aside and built anew from the journal: %s", damage)
            self._set_aside()
            manifest = None
        if manifest is None:
            manifest = Manifest()
            history_manifest.save(manifest, self.directory)  # so that parts without one are known to have lost it
        lost = [info for info in manifest.parts if not _whole(self.directory / info.name, info)]
        kept = [info for info in manifest.parts if info not in lost]
        self._remove_strays({info.name for info in (*manifest.parts, *manifest.lost)})
        return msgspec.structs.replace(manifest, parts=kept, lost=[*manifest.lost, *lost])

    def _set_aside(self) -> None:
        aside = self.directory.with_name(f"{self.directory.name}.damaged-{now_ns() // NS}")
        self.directory.rename(aside)
        self.directory.mkdir()

    def _remove_strays(self, known: set[str]) -> None:
        """What a crash left: files that no manifest names."""
        for path in self.directory.iterdir():
            if path.suffix == ".new" or (path.suffix == SUFFIX and path.name not in known):
                path.unlink()

    @contextlib.contextmanager
    def reading(self) -> Iterator[View]:
        """The parts now; their files stay until the block ends."""
        with self.lock:
            view = self._view
            self._readers[view] = self._readers.get(view, 0) + 1
        try:
            yield view
        finally:
            with self.lock:
                self._readers[view] -= 1
                if not self._readers[view]:
                    del self._readers[view]
                gone = self._unread()
            self._unlink(gone)

    def copy(self, directory: Path, carry: Callable[[Path, Path], None]) -> int:
        """Brings the parts as they are now, and their manifest, to another directory; up to which entry they go."""
        with contextlib.ExitStack() as stack:
            with self.lock:
                stack.enter_context(self.reading())
                manifest = self.manifest
            for info in manifest.parts:
                carry(self.directory / info.name, directory / info.name)
        history_manifest.save(manifest, directory)
        return manifest.applied_seq

    def new_name(self, kind: str, day: int) -> str:
        """A file name that was never used."""
        with self.lock:
            self._next_number += 1
            return f"{kind}-{day}-{self._next_number - 1:08d}{SUFFIX}"

    def replace(
        self,
        old: Iterable[PartInfo],
        new: Iterable[PartInfo],
        applied_seq: int | None = None,
        at_once: Callable[[], None] = lambda: None,
        found: Iterable[PartInfo] = (),
        raw_gone: int = NEVER_GONE,
    ) -> None:
        """Durably takes new parts (written already) for old ones, all or none; `found` are no longer lost, and
        of the days before `raw_gone` readings are taken away.

        `at_once` is called at the moment from which readers see the new parts. Raises StorageError; then everything is
        as before.
        """
        new = list(new)
        names = {info.name for info in old}
        recovered = {info.name for info in found}
        with self._changing:
            before = self.manifest
            manifest = Manifest(
                before.applied_seq if applied_seq is None else applied_seq,
                self._next_number,
                [*(info for info in before.parts if info.name not in names), *new],
                [info for info in before.lost if info.name not in recovered],
                max(before.raw_gone, raw_gone),
            )
            history_manifest.save(manifest, self.directory)
            with self.lock:
                self.manifest = manifest
                self._retired.append((set(self._readers), sorted(names - {info.name for info in new})))
                self._view = View(self.files, manifest)
                at_once()
                gone = self._unread()
        self._unlink(gone)

    def _unread(self) -> list[str]:
        gone = [name for views, names in self._retired if not views & self._readers.keys() for name in names]
        self._retired = [(views, names) for views, names in self._retired if views & self._readers.keys()]
        return gone

    def _unlink(self, names: list[str]) -> None:
        for name in names:
            self.files.forget(name)

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(info.size for info in self.manifest.parts)


def _whole(path: Path, info: PartInfo) -> bool:
    """Whether the file is there, of the right length, and ends as it was written; no more of it is read."""
    try:
        if path.stat().st_size != info.size:
            return False
        with path.open("rb") as file:
            file.seek(-TRAILER.size, 2)
            return bool(TRAILER.unpack(file.read())[1] == info.checksum)
    except OSError:
        return False
