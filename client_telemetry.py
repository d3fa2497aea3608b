"""Sending telemetry in the background: by a thread, or by a task."""

import asyncio
import atexit
import concurrent.futures
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from .client_outbox import Batch, Document, Outbox, encode
from .twin.errors import IoTSenseError, SourceError

log = logging.getLogger("iotsense.client")

PATH = "/api/v1/iotsense/telemetry"
CLOSE_S = 10.0
WAIT_S = 30.0


def _documents(documents: Document | Sequence[Document]) -> list[bytes]:
    if isinstance(documents, Mapping):
        return [encode(documents)]
    return [encode(document) for document in documents]


def _request(batch: Batch) -> dict[str, Any]:
    return {"content": batch.body, "headers": {"Content-Type": "application/json", "Idempotency-Key": batch.key}}


def _settle(outbox: Outbox, batch: Batch, response: httpx.Response) -> float:
    try:
        body = response.json()
    except ValueError:
        body = None  # a proxy's page; the status says enough
    after = response.headers.get("retry-after", "")
    return outbox.answered(batch, response.status_code, body, float(after) if after.isdigit() else None)


def _raise_refusals(outbox: Outbox) -> None:
    """Raises what was refused behind the caller's back, the first with its own class."""
    found = outbox.refusals()
    if not found:
        return
    if len(found) > 1:
        found[0].add_note(f"{len(found) - 1} more documents were refused; the last: {found[-1]}")
    raise found[0]


def _undelivered(outbox: Outbox) -> IoTSenseError:
    return SourceError(f"{len(outbox)} telemetry documents are not delivered: {outbox.trouble or 'no time was left'}")


class Telemetry:
    """Takes documents at once and delivers them from a thread of its own, in order, each exactly once.

    What the service refuses is raised by the next call; a full buffer raises OverloadedError and takes nothing.
    """

    def __init__(self, http: httpx.Client, outbox: Outbox) -> None:
        self._http = http
        self._outbox = outbox
        self._change = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def send(self, documents: Document | Sequence[Document], *, wait: bool = False, timeout: float = WAIT_S) -> None:
        """Takes a document or a list of them, in the shape of `POST /telemetry`.

        With `wait` it returns when they are durable in the service; after `timeout` [s] it raises, and goes on trying.
        Raises InvalidValueError (refused, now or by an earlier call), OverloadedError, SourceError (not delivered).
        """
        _raise_refusals(self._outbox)
        bodies = _documents(documents)
        if self._closing.is_set():
            raise SourceError("the client is closed")
        durable = self._outbox.put(bodies, wait)
        with self._change:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="iotsense-telemetry", daemon=True)
                self._thread.start()
                atexit.register(self._close_at_exit)
            self._change.notify_all()
        done, late = concurrent.futures.wait(durable, timeout)
        for future in done:
            future.result()
        if late:
            raise _undelivered(self._outbox)

    def flush(self, timeout: float | None = None) -> None:
        """Returns when all that was taken is durable; raises what was refused, or SourceError after `timeout` [s]."""
        with self._change:
            if not self._change.wait_for(lambda: not self._outbox, timeout):
                raise _undelivered(self._outbox)
        _raise_refusals(self._outbox)

    def close(self, timeout: float = CLOSE_S) -> None:
        """Delivers what waits and ends the thread; raises SourceError for what could not be delivered in time."""
        try:
            if not self._closing.is_set():
                self.flush(timeout)
        finally:
            self._closing.set()
            atexit.unregister(self._close_at_exit)
            with self._change:
                self._change.notify_all()
            if self._thread is not None:
                self._thread.join(CLOSE_S)
            left = self._outbox.abandon(SourceError("the client was closed"))
            if left:
                log.error("%d telemetry documents were not delivered", left)

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except IoTSenseError as error:
            log.error("%s", error)

    def _run(self) -> None:
        while not self._closing.is_set():
            batch = self._outbox.take()
            if batch is None:
                with self._change:
                    self._change.wait_for(lambda: self._outbox or self._closing.is_set())
                continue
            try:
                delay = _settle(self._outbox, batch, self._http.post(PATH, **_request(batch)))
            except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: the client was closed under us
                delay = self._outbox.unanswered(error)
            with self._change:
                self._change.notify_all()
            if delay:
                self._closing.wait(delay)


class AsyncTelemetry:
    """The same for coroutines: a task delivers; `send` with `wait` returns when the documents are durable."""

    def __init__(self, http: httpx.AsyncClient, outbox: Outbox) -> None:
        self._http = http
        self._outbox = outbox
        self._change = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def send(self, documents: Document | Sequence[Document], *, wait: bool = False) -> None:
        """As `Telemetry.send`; put it under `asyncio.timeout` if you do not want to wait for ever."""
        _raise_refusals(self._outbox)
        bodies = _documents(documents)
        if self._closed:
            raise SourceError("the client is closed")
        durable = self._outbox.put(bodies, wait)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="iotsense-telemetry")
        async with self._change:
            self._change.notify_all()
        if durable:
            for future in (await asyncio.wait([asyncio.wrap_future(future) for future in durable]))[0]:
                future.result()

    async def flush(self) -> None:
        """Returns when all that was taken is durable; raises what was refused."""
        async with self._change:
            await self._change.wait_for(lambda: not self._outbox)
        _raise_refusals(self._outbox)

    async def aclose(self) -> None:
        """Delivers what waits and ends the task; raises SourceError for what could not be delivered in time."""
        try:
            if not self._closed:
                async with asyncio.timeout(CLOSE_S):
                    await self.flush()
        except TimeoutError:
            raise _undelivered(self._outbox) from None
        finally:
            self._closed = True
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
            self._outbox.abandon(SourceError("the client was closed"))

    async def _run(self) -> None:
        while True:
            batch = self._outbox.take()
            if batch is None:
                async with self._change:
                    await self._change.wait_for(lambda: bool(self._outbox))
                continue
            try:
                delay = _settle(self._outbox, batch, await self._http.post(PATH, **_request(batch)))
            except httpx.HTTPError as error:
                delay = self._outbox.unanswered(error)
            async with self._change:
                self._change.notify_all()
            if delay:
                await asyncio.sleep(delay)
