"""Bulk export and import of a service: its jobs are started, watched, and their files carried over."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from .rest.problem import error_of
from .twin.backup import MANIFEST as BACKUP
from .twin.backup import Backup
from .twin.bulk_files import (
    MANIFEST,
    FileInfo,
    Manifest,
    Progress,
    check_files,
    checksum,
    load_manifest,
    quiet,
    save_json,
    save_manifest,
    whole_file,
)
from .twin.bulk_report import BadRow, BulkReport
from .twin.bulk_source import find_files
from .twin.errors import ConflictError, NotFoundError, SourceError

BULK = "/api/v1/iotsense/bulk"
LOOK_S = 0.2
JOB = ".job"
_CHUNK = 1 << 20


def export_to(http: httpx.Client, directory: Path, progress: Progress = quiet) -> Manifest:
    """Exports a service's twin into a directory here; goes on with what was begun there. Raises IoTSenseError."""
    if (directory / MANIFEST).exists():
        raise ConflictError(f"{directory} holds an export already")
    directory.mkdir(parents=True, exist_ok=True)
    job = _begun(http, "/exports", directory) or _asked(http, "POST", "/exports")
    (directory / JOB).write_text(job["id"])
    if job["state"] in ("stopped", "failed"):
        job = _asked(http, "POST", "/exports", params={"resume": job["id"]})
    job = _watched(http, f"/exports/{job['id']}", progress)
    manifest = msgspec.convert(job["manifest"], Manifest)
    _fetch(http, f"/exports/{job['id']}", manifest.files, directory, progress)
    save_manifest(manifest, directory)
    _asked(http, "DELETE", f"/exports/{job['id']}")
    (directory / JOB).unlink()
    return load_manifest(directory)


def backup_to(http: httpx.Client, directory: Path, progress: Progress = quiet) -> Backup:
    """Copies a service's data directory, as of one moment, into a directory here. Raises IoTSenseError."""
    if directory.is_dir() and any(directory.iterdir()):
        raise ConflictError(f"{directory} is not empty")
    directory.mkdir(parents=True, exist_ok=True)
    place = f"/backups/{_asked(http, 'POST', '/backups')['id']}"
    try:
        made = msgspec.convert(_watched(http, place, progress)["backup"], Backup)
        _fetch(http, place, made.files, directory, progress)
    finally:
        with contextlib.suppress(ConflictError, SourceError):
            _asked(http, "DELETE", place)
    check_files(made.files, directory, progress)
    save_json(made, directory / BACKUP)
    return made


def _fetch(http: httpx.Client, place: str, files: Sequence[FileInfo], directory: Path, progress: Progress) -> None:
    """The files of a job; those that are here already stay."""
    total, done = sum(file.bytes for file in files), 0
    for file in files:
        path = directory / file.name
        if not (path.is_file() and path.stat().st_size == file.bytes and checksum(path) == file.sha256):
            _download(http, f"{place}/files/{file.name}", path)
        done += file.bytes
        progress("fetching", done, total)


def import_from(
    http: httpx.Client,
    paths: Sequence[Path],
    *,
    by_id: bool = False,
    strict: bool = False,
    tell: Callable[[BadRow], None] | None = None,
    progress: Progress = quiet,
) -> BulkReport:
    """Imports an export or files of rows into a service's twin; what became of them. Raises IoTSenseError."""
    files = _named(paths)
    id = _asked(http, "POST", "/imports")["id"]
    try:
        total, done = sum(path.stat().st_size for path in files.values()), 0
        for name, path in files.items():
            _asked(http, "PUT", f"/imports/{id}/files/{name}", content=_chunks(path), headers=_BINARY)
            done += path.stat().st_size
            progress("sending", done, total)
        _asked(http, "POST", f"/imports/{id}", params={"by_id": by_id, "strict": strict})
        job = _watched(http, f"/imports/{id}", progress)
        if tell is not None:
            for line in _asked(http, "GET", f"/imports/{id}/errors").splitlines():
                tell(msgspec.json.decode(line, type=BadRow))
    finally:
        with contextlib.suppress(ConflictError, SourceError):
            _asked(http, "DELETE", f"/imports/{id}")
    return msgspec.convert(job["report"], BulkReport)


_BINARY = {"Content-Type": "application/octet-stream"}


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """The files of an import by their names there: those of one directory keep their places in it."""
    if len(paths) == 1 and paths[0].is_dir():
        inside = [path for path in paths[0].rglob("*") if path.is_file() and not path.name.startswith(".")]
        known = [
            path for path in inside if path.name == "manifest.json" or path.suffix in (".jsonl", ".ndjson", ".parquet")
        ]
        if not known:
            raise NotFoundError(f"there is nothing to import in {paths[0]}")
        return {path.relative_to(paths[0]).as_posix(): path for path in sorted(known)}
    return {path.name: path for path in find_files(paths)}


def _begun(http: httpx.Client, kind: str, directory: Path) -> Any:
    """The job that an export into this directory was begun with, if the service still knows it."""
    if not (directory / JOB).exists():
        if any(directory.iterdir()):
            raise ConflictError(f"{directory} is not empty")
        return None
    try:
        return _asked(http, "GET", f"{kind}/{(directory / JOB).read_text()}")
    except NotFoundError:
        return None


def _watched(http: httpx.Client, path: str, progress: Progress) -> Any:
    while True:
        job = _asked(http, "GET", path)
        progress(job["what"], job["done"], max(1, job["total"]))
        if job["state"] == "done":
            return job
        if job["state"] != "running":
            problem = job["problem"] or {"type": "", "detail": f"the {job['verb']} was {job['state']}"}
            raise error_of(problem.get("status", 500), problem)
        time.sleep(LOOK_S)


def _asked(http: httpx.Client, method: str, path: str, **request: Any) -> Any:
    try:
        response = http.request(method, BULK + path, **request)
    except httpx.HTTPError as error:
        raise SourceError(f"no service answers at {http.base_url}: {error}") from error
    is_json = response.headers.get("content-type", "").endswith("json")
    if response.is_success:
        return response.json() if is_json and "ndjson" not in response.headers["content-type"] else response.text
    raise error_of(response.status_code, response.json() if is_json else None)


def _download(http: httpx.Client, path: str, to: Path) -> None:
    try:
        with whole_file(to) as draft, draft.open("wb") as file, http.stream("GET", BULK + path) as response:
            if not response.is_success:
                raise error_of(response.status_code, json.loads(response.read()))
            for chunk in response.iter_bytes(_CHUNK):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except httpx.HTTPError as error:
        raise SourceError(f"no service answers at {http.base_url}: {error}") from error


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
