"""The SDK's telemetry buffer: what waits, what is under way, and what an answer means for it. No input or output here.

A document leaves the buffer when the service has it durably or has refused it by name. A batch that may or may not have
arrived goes again with the same idempotency key and the same bytes, so that it is stored once.
"""

import random
import threading
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from .rest.problem import error_of
from .twin.errors import InvalidValueError, IoTSenseError, OverloadedError, SourceError

Document = Mapping[str, Any]

MAX_DOCUMENTS = 100_000
MAX_BYTES = 64 << 20
BATCH_DOCUMENTS = 500
BATCH_BYTES = 1 << 20
SLOWEST_RETRY_S = 30.0
_SPLIT = (400, 413, 422)
_US = (401, 403, 404, 405, 415, 421)


@dataclass(slots=True)
class Waiting:
    """An encoded document; `done` is somebody who waits for it to be durable."""

    body: bytes
    done: "Future[None] | None"


@dataclass(slots=True)
class Batch:
    """Documents that go in one request, under one idempotency key."""

    documents: list[Waiting]
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def body(self) -> bytes:
        """The request's body: the document, or an array of them."""
        if len(self.documents) == 1:
            return self.documents[0].body
        return b"[" + b",".join(document.body for document in self.documents) + b"]"


def encode(document: Document) -> bytes:
    """A document as JSON; one without a timestamp gets the present, so that a late retry does not move it.

    Raises InvalidValueError if it is no mapping or holds what JSON cannot say.
    """
    if not isinstance(document, Mapping):
        raise InvalidValueError(f"a telemetry document is a mapping, not {type(document).__name__}", "$")
    timed = dict(document)
    if timed.get("timestamp") is None:
        timed["timestamp"] = datetime.now(UTC)
    try:
        return msgspec.json.encode(timed, enc_hook=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValueError(f"a telemetry document cannot be written as JSON: {error}", "$") from error


def _plain(value: Any) -> Any:
    # numpy's and pandas' scalars and arrays know how to become Python's.
    for name in ("isoformat", "tolist"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    raise TypeError(f"{type(value).__name__} is not JSON")


class Outbox:
    """A bounded buffer of documents; one batch is under way at a time, so their order is kept. Thread-safe."""

    def __init__(self, max_documents: int = MAX_DOCUMENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_documents = max_documents
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._queue: deque[Waiting] = deque()
        self._split: deque[Batch] = deque()
        self._current: Batch | None = None
        self._documents = 0
        self._bytes = 0
        self._failures = 0
        self._refusals: list[IoTSenseError] = []
        self.trouble: IoTSenseError | None = None

    def __len__(self) -> int:
        """Documents that are not yet durable."""
        return self._documents

    def put(self, bodies: Sequence[bytes], wait: bool) -> "list[Future[None]]":
        """Takes all the documents or, if there is no room, none: OverloadedError. A future each if `wait`."""
        size = sum(map(len, bodies))
        with self._lock:
            if self._documents + len(bodies) > self._max_documents or self._bytes + size > self._max_bytes:
                because = f"; the last trouble: {self.trouble}" if self.trouble else ""
                raise OverloadedError(f"the telemetry buffer is full: {self._documents} documents wait{because}")
            added = [Waiting(body, Future() if wait else None) for body in bodies]
            self._queue.extend(added)
            self._documents += len(added)
            self._bytes += size
        return [document.done for document in added if document.done is not None]

    def take(self) -> Batch | None:
        """What goes next: the batch whose fate is open, else a new one; None if nothing waits."""
        with self._lock:
            if self._current is None:
                self._current = self._split.popleft() if self._split else self._next()
            return self._current

    def _next(self) -> Batch | None:
        documents: list[Waiting] = []
        size = 0
        while self._queue and len(documents) < BATCH_DOCUMENTS:
            size += len(self._queue[0].body)
            if documents and size > BATCH_BYTES:
                break
            documents.append(self._queue.popleft())
        return Batch(documents) if documents else None

    def refusals(self) -> list[IoTSenseError]:
        """What was refused since the last time that somebody asked, and nobody waited for."""
        with self._lock:
            found, self._refusals = self._refusals, []
        return found

    def answered(self, batch: Batch, status: int, body: Any, retry_after: float | None = None) -> float:
        """What the service said about a batch; how long to wait [s] before the next request."""
        with self._lock:
            if 200 <= status < 300:
                self._settle_each(batch, _refused(body))
                return 0.0
            error = error_of(status, body)
            if status in _SPLIT:
                self._divide(batch, error)
                return 0.0
            if status in _US:
                self._give_back(batch, error)
            return max(self._later(error), retry_after or 0.0)

    def unanswered(self, error: Exception) -> float:
        """No answer came: the same batch goes again. How long to wait [s]."""
        with self._lock:
            return self._later(SourceError(f"the service cannot be reached: {error}"))

    def abandon(self, error: IoTSenseError) -> int:
        """Gives up all that waits; how many documents."""
        with self._lock:
            left = [*(self._current.documents if self._current else ()), *self._queue]
            left += [document for batch in self._split for document in batch.documents]
            for document in left:
                _finish(document, error)
            self._queue.clear()
            self._split.clear()
            self._current, self._documents, self._bytes = None, 0, 0
        return len(left)

    def _later(self, error: IoTSenseError) -> float:
        self.trouble = error
        self._failures += 1
        return random.uniform(0.5, 1.0) * min(SLOWEST_RETRY_S, 0.1 * 2.0 ** min(self._failures, 10))

    def _settle_each(self, batch: Batch, refused: dict[int, IoTSenseError]) -> None:
        """Stored, but for those that were refused."""
        for number, error in refused.items():
            document = batch.documents[number]
            if document.done is None:
                self._refusals.append(error)
            _finish(document, error)
        self._settle(batch, None)

    def _settle(self, batch: Batch, error: IoTSenseError | None) -> None:
        self._forget(batch.documents, error)
        self._current = None
        self._failures = 0
        self.trouble = None

    def _forget(self, documents: Sequence[Waiting], error: IoTSenseError | None) -> None:
        for document in documents:
            _finish(document, error)
        self._documents -= len(documents)
        self._bytes -= sum(len(document.body) for document in documents)

    def _divide(self, batch: Batch, error: IoTSenseError) -> None:
        """A refused batch: nothing of it was stored, so its halves may go alone until the culprit stands alone."""
        documents = batch.documents
        if len(documents) > 1:
            cut = _culprit(error, len(documents))
            parts = [documents[: cut.start], documents[cut], documents[cut.stop :]]
            self._split.extendleft(Batch(part) for part in reversed(parts) if part)
            self._current = None
            return
        if documents[0].done is None:
            self._refusals.append(error)
        self._settle(batch, error)

    def _give_back(self, batch: Batch, error: IoTSenseError) -> None:
        """We are refused, not the documents: who waits is told, the others stay until the service takes them."""
        self._forget([each for each in (*batch.documents, *self._queue) if each.done is not None], error)
        self._queue = deque(each for each in self._queue if each.done is None)
        rest = [each for each in batch.documents if each.done is None]
        self._current = Batch(rest) if rest else None


def _refused(body: Any) -> dict[int, IoTSenseError]:
    """Of a receipt, the documents that were not stored, by their number in the batch."""
    told = body.get("refused", ()) if isinstance(body, dict) else ()
    return {each["index"]: InvalidValueError(each["detail"], each["field"]) for each in told}


def _culprit(error: IoTSenseError, count: int) -> slice:
    """The document that the refusal names (`$[3].measurements`), else the first half."""
    place = getattr(error, "field", None) or ""
    number = place[2 : place.find("]")] if place.startswith("$[") else ""
    if number.isdigit() and int(number) < count:
        return slice(int(number), int(number) + 1)
    return slice(0, count // 2)


def _finish(document: Waiting, error: IoTSenseError | None) -> None:
    if document.done is None or document.done.done():
        return
    if error is None:
        document.done.set_result(None)
    else:
        document.done.set_exception(error)
