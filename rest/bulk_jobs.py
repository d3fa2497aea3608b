"""Background jobs of bulk export and import: a folder of the data directory each, so that a restart loses none."""

import asyncio
import contextlib
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..twin.backup import Backup, backup, link_file, load_backup
from ..twin.bulk_export import bulk_export
from ..twin.bulk_files import FileInfo, Manifest, load_manifest
from ..twin.bulk_import import bulk_import, is_exact
from ..twin.bulk_report import BadRow, BulkReport
from ..twin.errors import ConflictError, InvalidValueError, IoTSenseError, NotFoundError
from .context import Context
from .problem import members

ERRORS = "errors.jsonl"
READERS = ("monitor", "computed")
"""Those whose conclusions an export holds."""
_ID = re.compile(r"[0-9a-f]{16}")
_FILE = re.compile(r"[\w.-]+(/[\w.-]+)?")


class BulkJob(msgspec.Struct):
    """An export, import or backup; `done` of `total` is how far it is with `what`.

    state: `waiting`, `running`, `done`, `failed` (`problem` says why) or `stopped` (by a restart; start it again).
    """

    id: str
    verb: str
    state: str = "waiting"
    what: str = ""
    done: int = 0
    total: int = 0
    manifest: Manifest | None = None
    backup: Backup | None = None
    report: BulkReport | None = None
    problem: dict[str, Any] | None = None


class BulkJobs:
    """The jobs of a service; one runs at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._root = context.twin.directory / "bulk"
        self._jobs: dict[str, BulkJob] = {}
        self._task: asyncio.Task[None] | None = None
        for folder in sorted(self._root.glob("*-*")) if self._root.is_dir() else ():
            verb, _, id = folder.name.partition("-")
            job = self._jobs[id] = BulkJob(id, verb, "waiting" if verb == "import" else "stopped")
            with contextlib.suppress(IoTSenseError):
                if verb == "export":
                    job.manifest, job.state = load_manifest(folder), "done"
                elif verb == "backup":
                    job.backup, job.state = load_backup(folder), "done"

    def create(self, verb: str) -> BulkJob:
        """A new job; nothing is done yet."""
        job = BulkJob(secrets.token_hex(8), verb)
        self.folder(job).mkdir(parents=True)
        self._jobs[job.id] = job
        return job

    def get(self, id: str, verb: str) -> BulkJob:
        """A job; raises NotFoundError."""
        job = self._jobs.get(id)
        if job is None or job.verb != verb:
            raise NotFoundError(f"there is no {verb} {id!r}")
        return job

    def folder(self, job: BulkJob) -> Path:
        """Where its files are."""
        return self._root / f"{job.verb}-{job.id}"

    def file(self, job: BulkJob, name: str) -> Path:
        """A file of a job; raises InvalidValueError for a name that could lead elsewhere."""
        if not _FILE.fullmatch(name) or any(part.startswith(".") for part in name.split("/")):
            raise InvalidValueError(f"{name!r} is no name of a file here", "name")
        return self.folder(job) / name

    def start(self, job: BulkJob, *, by_id: bool = False, strict: bool = False) -> None:
        """Lets it run in the background; raises ConflictError if another one does."""
        if self._task is not None and not self._task.done():
            raise ConflictError("another bulk export or import is running; wait for its end")
        if job.state == "done":
            raise ConflictError(f"the {job.verb} {job.id} is done already")
        job.state, job.problem = "running", None
        work = {"export": self._export, "import": self._import, "backup": self._backup}[job.verb]
        self._task = asyncio.create_task(self._run(job, work, by_id, strict))

    def remove(self, job: BulkJob) -> None:
        """Forgets it and its files; raises ConflictError while it runs."""
        if job.state == "running":
            raise ConflictError(f"the {job.verb} {job.id} is running")
        shutil.rmtree(self.folder(job), ignore_errors=True)
        del self._jobs[job.id]

    async def _run(self, job: BulkJob, work: Callable[[BulkJob, bool, bool], None], by_id: bool, strict: bool) -> None:
        folder = self.folder(job)
        try:
            exact = job.verb == "import" and not by_id and is_exact(self._context.twin, [folder]) is not None
            async with self._context.alone() if exact else contextlib.nullcontext():
                await asyncio.to_thread(work, job, by_id, strict)
            if job.verb == "import":
                await self._context.applied()
            job.state = "done"
        except IoTSenseError as error:
            job.state, job.problem = "failed", members(error)
        except Exception as error:
            job.state, job.problem = "failed", members(IoTSenseError(f"an unforeseen error: {error!r}"))
            raise

    def _export(self, job: BulkJob, by_id: bool, strict: bool) -> None:
        job.manifest = bulk_export(self._context.twin, self.folder(job), self._teller(job))

    def _backup(self, job: BulkJob, by_id: bool, strict: bool) -> None:
        folder = self.folder(job)
        shutil.rmtree(folder)  # one that a restart stopped is made anew: it would be of another moment
        job.backup = backup(self._context.twin, folder, carry=link_file, progress=self._teller(job))

    def _import(self, job: BulkJob, by_id: bool, strict: bool) -> None:
        folder = self.folder(job)
        with (folder / f".{ERRORS}").open("wb") as errors:

            def tell(row: BadRow) -> None:
                errors.write(msgspec.json.encode(row) + b"\n")

            job.report = bulk_import(
                self._context.twin,
                [folder],
                by_id=by_id,
                strict=strict,
                readers=READERS,
                tell=tell,
                progress=self._teller(job),
            )

    @staticmethod
    def _teller(job: BulkJob) -> Callable[[str, int, int], None]:
        def tell(what: str, done: int, total: int) -> None:
            job.what, job.done, job.total = what, done, total

        return tell


def file_of(job: BulkJob, name: str) -> FileInfo:
    """A file of a finished export or backup; raises ConflictError, NotFoundError."""
    held = job.manifest or job.backup
    if job.state != "done" or held is None:
        raise ConflictError(f"the {job.verb} {job.id} is not done; it is {job.state}")
    found = held.file(name)
    if found is None:
        raise NotFoundError(f"the {job.verb} holds no file {name!r}")
    return found
