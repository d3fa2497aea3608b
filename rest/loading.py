"""`POST /load`: a CSV or Parquet file, streamed to the disk of the service and from there into the twin."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..ingest.file_mapping import FileMapping
from ..ingest.files import LoadReport, load_file
from ..twin.directory import storage_error
from ..twin.errors import InvalidValueError, IoTSenseError, StorageFullError
from . import problem, query
from .answer import json_answer
from .body import header
from .context import Context
from .endpoint import PREFIX, Answer, Body, Endpoint, Parameter
from .http_errors import ClientGoneError, MediaTypeError

BINARY = "application/octet-stream"
STREAM = "application/x-ndjson"
_MEDIA = (BINARY, "text/csv", "application/vnd.apache.parquet")
_SPARE = 64 << 20
_WRITE = 1 << 20

Tell = Callable[[int, int, int], None]


async def load(context: Context, request: Request) -> Response:
    """Loads a file."""
    query.only(request, "name", "mapping")
    name = Path(request.query_params.get("name", "upload")).name
    mapping = _mapping(request.query_params.get("mapping", "{}"))
    media = header(request.scope, b"content-type").partition(b";")[0].decode("latin-1").strip().lower()
    if media not in _MEDIA:
        raise MediaTypeError(media, BINARY)
    spooled = await _spooled(context, request)
    if STREAM in request.headers.get("accept", ""):
        return StreamingResponse(_told(context, spooled, mapping, name), media_type=STREAM)
    try:
        return json_answer(await asyncio.to_thread(load_file, context.twin, spooled, mapping, name=name))
    finally:
        spooled.unlink()


def _mapping(text: str) -> FileMapping:
    try:
        return FileMapping.model_validate_json(text)
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'mapping'}: {each['msg']}" for each in error.errors())
        raise InvalidValueError(words, "mapping") from None


async def _spooled(context: Context, request: Request) -> Path:
    """The body in a file: Parquet is read from its end, and a slow client must not hold up a load."""
    spool = await asyncio.to_thread(Spool, context.twin.directory)
    try:
        async for chunk in request.stream():
            if spool.add(chunk):
                await asyncio.to_thread(spool.flush)
        await asyncio.to_thread(spool.close)
    except BaseException:
        spool.discard()
        raise
    return spool.path


class Spool:
    """A file that is received; it leaves the disk some room, for readings go before files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        handle, name = tempfile.mkstemp(prefix="upload-", dir=directory)
        self.path = Path(name)
        self._file = open(handle, "wb")  # noqa: SIM115 - closed by `close` or `discard`
        self._waiting = bytearray()

    def add(self, chunk: bytes) -> bool:
        """Takes bytes; whether it is time to `flush`."""
        self._waiting += chunk
        return len(self._waiting) >= _WRITE

    def flush(self) -> None:
        """Writes what was taken. Raises StorageFullError where that would fill the disk."""
        if shutil.disk_usage(self._directory).free < len(self._waiting) + _SPARE:
            raise StorageFullError("the file would fill the disk, and readings would have no room left")
        try:
            self._file.write(self._waiting)
        except OSError as error:
            raise storage_error(error, self._directory) from error
        self._waiting = bytearray()

    def close(self) -> None:
        """The file is whole."""
        self.flush()
        self._file.close()

    def discard(self) -> None:
        """The file is not wanted."""
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink()


async def _told(context: Context, path: Path, mapping: FileMapping, name: str) -> AsyncIterator[bytes]:
    """Lines of JSON: `progress` while it goes, then `report`, or `problem`."""
    news: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    gone = False

    def tell(rows: int, done: int, size: int) -> None:
        if gone:
            raise ClientGoneError("the client went away; what was loaded so far stays")
        line = {"progress": {"rows": rows, "done": done, "size": size}}
        loop.call_soon_threadsafe(news.put_nowait, msgspec.json.encode(line) + b"\n")

    work = asyncio.ensure_future(asyncio.to_thread(_load, context, path, mapping, name, tell))
    try:
        while not work.done() or not news.empty():
            next_line = asyncio.ensure_future(news.get())
            await asyncio.wait((work, next_line), return_when=asyncio.FIRST_COMPLETED)
            if next_line.done():
                yield next_line.result()
            else:
                next_line.cancel()
        yield work.result()
    finally:
        gone = True
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(work)


def _load(context: Context, path: Path, mapping: FileMapping, name: str, tell: Tell) -> bytes:
    try:
        report = load_file(context.twin, path, mapping, name=name, progress=tell)
        return msgspec.json.encode({"report": report})
    except IoTSenseError as error:
        return msgspec.json.encode({"problem": problem.members(error)})
    finally:
        path.unlink()


ENDPOINTS = [
    Endpoint(
        "POST",
        f"{PREFIX}/load",
        load,
        "Load a CSV or Parquet file",
        (
            Answer("All of it is durable; what became of it", LoadReport),
            Answer("The same with its progress, as lines of JSON", str, STREAM),
        ),
        "load",
        (
            Parameter("name", "What the file is called"),
            Parameter(
                "mapping",
                "How it is read, as JSON: `columns` (signal by column), `time`, `format`, `timezone`, `delimiter`,"
                " `decimal`, `encoding`. Without `columns`, those that are called like a signal",
            ),
        ),
        Body(dict.fromkeys(_MEDIA), "The file"),
        problems=(400, 404, 415, 503, 507),
        description="Loading a file again replaces its readings; what cannot be used goes to the dead letters.",
    )
]
