"""The SDK: telemetry in, state, history and events out.

from iotsense import IoTSense

with IoTSense() as iot:
    iot.telemetry.send({"device_id": "pump_1", "measurements": [{"name": "flow", "value": 3.2}]})
    print(iot.state("line_1"))
"""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, Unpack

import httpx
import msgspec

from .client_anomalies import Anomalies, AsyncAnomalies
from .client_commands import AsyncCommands, Commands
from .client_graph import AsyncGraphQuestions, GraphQuestions
from .client_history import Histories, Moment, moment, series_of
from .client_moment import Instant, at
from .client_outbox import MAX_DOCUMENTS, Outbox
from .client_replay import ReplayOptions, frame_of, replay_query
from .client_reports import Assets, AsyncAssets, AsyncReports, Reports
from .client_scenarios import AsyncScenarios, Scenarios
from .client_structure import AsyncStructure, Structure
from .client_telemetry import CLOSE_S, AsyncTelemetry, Telemetry
from .rest.problem import error_of
from .twin.errors import InvalidValueError, SourceError

DEFAULT_URL = "http://127.0.0.1:8080"
API = "/api/v1/iotsense"
LONGEST_WAIT_S = 60

Json = dict[str, Any]


def _settings(api_key: str | None, url: str | None, timeout: float) -> dict[str, Any]:
    key = api_key or os.environ.get("IOTSENSE_API_KEY")
    base = url or os.environ.get("IOTSENSE_URL") or DEFAULT_URL
    headers = {"User-Agent": "iotsense-python"} | ({"Authorization": f"Bearer {key}"} if key else {})
    return {"base_url": base, "headers": headers, "timeout": httpx.Timeout(timeout, read=timeout + LONGEST_WAIT_S)}


def _answer(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else None
    try:
        body = response.json()
    except ValueError:
        body = None  # no problem document, so not from us; the status says enough
    raise error_of(response.status_code, body)


def _span(start: Moment | None, end: Moment | None, points: int | None) -> Json:
    return _given({"from": moment(start), "to": moment(end), "points": points})


def _events_of(node: str | None, kind: str | None, follow: bool, instant: Instant) -> Json:
    if follow and instant.keys() - {"min_revision"}:
        raise InvalidValueError("whoever follows waits for what happens now; leave as_of, known_at and scenario out")
    return _given({"node": node, "kind": kind}) | at(instant)


def _with(body: Json | None, request: Json) -> Json:
    return request if body is None else {"json": body, **request}


def _given(parameters: Json) -> Json:
    return {name: value for name, value in parameters.items() if value is not None}


def _unreachable(error: httpx.HTTPError, url: httpx.URL) -> SourceError:
    return SourceError(f"no service answers at {url}: {error}")


class IoTSense:
    """A client of one service. `api_key` and `url` default to IOTSENSE_API_KEY, and IOTSENSE_URL or this machine.

    `buffer` is how many telemetry documents may wait. Everything raises the errors of `iotsense.twin.errors`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        url: str | None = None,
        *,
        timeout: float = 10.0,
        buffer: int = MAX_DOCUMENTS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**_settings(api_key, url, timeout), transport=transport)
        self.telemetry = Telemetry(self._http, Outbox(buffer))
        self.graph = GraphQuestions(self._get)
        self.scenarios = Scenarios(self._send)
        self.structure = Structure(self._get)
        self.anomalies = Anomalies(self._get, self._send)
        self.reports = Reports(self._get, self._send)
        self.assets = Assets(self._get, self._send)
        self.commands = Commands(self._get, self._send)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, timeout: float = CLOSE_S) -> None:
        """Delivers the telemetry that waits, for at most `timeout` [s]; raises SourceError for what is left."""
        try:
            self.telemetry.close(timeout)
        finally:
            self._http.close()

    def flush(self, timeout: float | None = None) -> None:
        """Returns when all telemetry is durable in the service."""
        self.telemetry.flush(timeout)

    def twins(self, **instant: Unpack[Instant]) -> list[Json]:
        """All twins at a glance."""
        return list(self._get("/twins", **at(instant))["twins"])

    def twin(self, id: str, **instant: Unpack[Instant]) -> Json:
        """A twin's node."""
        return dict(self._get(f"/twins/{id}", **at(instant)))

    def state(self, twin_id: str, **instant: Unpack[Instant]) -> Json:
        """A twin's components with their state and health."""
        return dict(self._get(f"/twins/{twin_id}/state", **at(instant)))

    def node(self, id: str, **instant: Unpack[Instant]) -> Json:
        """A node with its signals and relationships."""
        return dict(self._get(f"/nodes/{id}", **at(instant)))

    def nodes(
        self,
        *,
        level: str | None = None,
        type: str | None = None,
        origin: str | None = None,
        within: str | None = None,
        **instant: Unpack[Instant],
    ) -> Iterator[Json]:
        """All nodes, narrowed by what is given; pages are fetched as they are needed."""
        parameters = _given({"level": level, "type": type, "origin": origin, "within": within, "limit": 1000}) | at(
            instant
        )
        after: int | None = 0
        while after is not None:
            page = self._get("/nodes", **parameters, after=after)
            yield from page["nodes"]
            after = page["next"]

    def history(
        self,
        signals: Sequence[str] | str,
        start: Moment | None = None,
        end: Moment | None = None,
        points: int | None = None,
        **instant: Unpack[Instant],
    ) -> Histories:
        """Readings of signals in [start, end), default: the last hour; at most `points` rows each, as buckets."""
        series = {}
        for id in [signals] if isinstance(signals, str) else signals:
            parameters = _span(start, end, points) | at(instant)
            pages = [self._get(f"/signals/{id}/history", **parameters)]
            while pages[-1]["next"] is not None:
                rest = {**parameters, "from": pages[-1]["next"], "to": pages[0]["to"]}
                pages.append(self._get(f"/signals/{id}/history", **rest))
            series[id] = series_of(pages)
        return Histories(series)

    def events(
        self,
        after: int = 0,
        *,
        node: str | None = None,
        kind: str | None = None,
        follow: bool = False,
        **instant: Unpack[Instant],
    ) -> Iterator[Json]:
        """Events numbered above `after`, in order; with `follow` it waits for the next one, without end."""
        parameters = _events_of(node, kind, follow, instant)
        while True:
            headers = {"Prefer": f"wait={LONGEST_WAIT_S // 2}"} if follow else {}
            page = self._get("/events", headers, **parameters, after=after)
            yield from page["events"]
            if page["events"]:
                after = page["events"][-1]["seq"]
            elif not follow:
                return

    def bulk_export(self, directory: Path | str) -> Json:
        """Writes the whole twin into a directory here, and returns its manifest; one that was killed goes on."""
        from .client_bulk import export_to

        return dict(msgspec.to_builtins(export_to(self._http, Path(directory))))

    def backup(self, directory: Path | str) -> Json:
        """Copies the data directory, as of one moment, into a directory here; what it holds."""
        from .client_bulk import backup_to

        return dict(msgspec.to_builtins(backup_to(self._http, Path(directory))))

    def bulk_import(self, *paths: Path | str, by_id: bool = False, strict: bool = False) -> Json:
        """Takes in an export, or files of rows; what became of them. `strict` raises at the first bad row."""
        from .client_bulk import import_from

        given = [Path(path) for path in paths]
        return dict(msgspec.to_builtins(import_from(self._http, given, by_id=by_id, strict=strict)))

    def replay(self, start: Moment, end: Moment | None = None, **options: Unpack[ReplayOptions]) -> Iterator[Json]:
        """A stretch of the past as frames, at its speed; each holds what changed since the one before."""
        try:
            with self._http.stream("GET", f"{API}/replay", params=replay_query(start, end, options)) as response:
                if not response.is_success:
                    response.read()
                    _answer(response)
                yield from (frame for line in response.iter_lines() if (frame := frame_of(line)) is not None)
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error

    def health(self) -> Json:
        """How the service and its parts are."""
        return dict(self._get("/health", prefix=""))

    def _get(self, path: str, headers: dict[str, str] | None = None, *, prefix: str = API, **parameters: Any) -> Any:
        try:
            return _answer(self._http.get(prefix + path, params=parameters, headers=headers))
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error

    def _send(self, method: str, path: str, body: Json | None = None, **request: Any) -> Any:
        try:
            return _answer(self._http.request(method, API + path, **_with(body, request)))
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error


class AsyncIoTSense:
    """The same client for coroutines; `async with AsyncIoTSense() as iot:`."""

    def __init__(
        self,
        api_key: str | None = None,
        url: str | None = None,
        *,
        timeout: float = 10.0,
        buffer: int = MAX_DOCUMENTS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**_settings(api_key, url, timeout), transport=transport)
        self.telemetry = AsyncTelemetry(self._http, Outbox(buffer))
        self.graph = AsyncGraphQuestions(self._get)
        self.scenarios = AsyncScenarios(self._send)
        self.structure = AsyncStructure(self._get)
        self.anomalies = AsyncAnomalies(self._get, self._send)
        self.reports = AsyncReports(self._get, self._send)
        self.assets = AsyncAssets(self._get, self._send)
        self.commands = AsyncCommands(self._get, self._send)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """As `IoTSense.close`."""
        try:
            await self.telemetry.aclose()
        finally:
            await self._http.aclose()

    async def flush(self) -> None:
        """As `IoTSense.flush`."""
        await self.telemetry.flush()

    async def twins(self, **instant: Unpack[Instant]) -> list[Json]:
        """As `IoTSense.twins`."""
        return list((await self._get("/twins", **at(instant)))["twins"])

    async def twin(self, id: str, **instant: Unpack[Instant]) -> Json:
        """As `IoTSense.twin`."""
        return dict(await self._get(f"/twins/{id}", **at(instant)))

    async def state(self, twin_id: str, **instant: Unpack[Instant]) -> Json:
        """As `IoTSense.state`."""
        return dict(await self._get(f"/twins/{twin_id}/state", **at(instant)))

    async def node(self, id: str, **instant: Unpack[Instant]) -> Json:
        """As `IoTSense.node`."""
        return dict(await self._get(f"/nodes/{id}", **at(instant)))

    async def nodes(
        self,
        *,
        level: str | None = None,
        type: str | None = None,
        origin: str | None = None,
        within: str | None = None,
        **instant: Unpack[Instant],
    ) -> AsyncIterator[Json]:
        """As `IoTSense.nodes`."""
        parameters = _given({"level": level, "type": type, "origin": origin, "within": within, "limit": 1000}) | at(
            instant
        )
        after: int | None = 0
        while after is not None:
            page = await self._get("/nodes", **parameters, after=after)
            for node in page["nodes"]:
                yield node
            after = page["next"]

    async def history(
        self,
        signals: Sequence[str] | str,
        start: Moment | None = None,
        end: Moment | None = None,
        points: int | None = None,
        **instant: Unpack[Instant],
    ) -> Histories:
        """As `IoTSense.history`."""
        series = {}
        for id in [signals] if isinstance(signals, str) else signals:
            parameters = _span(start, end, points) | at(instant)
            pages = [await self._get(f"/signals/{id}/history", **parameters)]
            while pages[-1]["next"] is not None:
                rest = {**parameters, "from": pages[-1]["next"], "to": pages[0]["to"]}
                pages.append(await self._get(f"/signals/{id}/history", **rest))
            series[id] = series_of(pages)
        return Histories(series)

    async def events(
        self,
        after: int = 0,
        *,
        node: str | None = None,
        kind: str | None = None,
        follow: bool = False,
        **instant: Unpack[Instant],
    ) -> AsyncIterator[Json]:
        """As `IoTSense.events`."""
        parameters = _events_of(node, kind, follow, instant)
        while True:
            headers = {"Prefer": f"wait={LONGEST_WAIT_S // 2}"} if follow else {}
            page = await self._get("/events", headers, **parameters, after=after)
            for event in page["events"]:
                yield event
            if page["events"]:
                after = page["events"][-1]["seq"]
            elif not follow:
                return

    async def replay(
        self, start: Moment, end: Moment | None = None, **options: Unpack[ReplayOptions]
    ) -> AsyncIterator[Json]:
        """As `IoTSense.replay`."""
        try:
            async with self._http.stream("GET", f"{API}/replay", params=replay_query(start, end, options)) as response:
                if not response.is_success:
                    await response.aread()
                    _answer(response)
                async for line in response.aiter_lines():
                    if (frame := frame_of(line)) is not None:
                        yield frame
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error

    async def health(self) -> Json:
        """As `IoTSense.health`."""
        return dict(await self._get("/health", prefix=""))

    async def _get(
        self, path: str, headers: dict[str, str] | None = None, *, prefix: str = API, **parameters: Any
    ) -> Any:
        try:
            return _answer(await self._http.get(prefix + path, params=parameters, headers=headers))
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error

    async def _send(self, method: str, path: str, body: Json | None = None, **request: Any) -> Any:
        try:
            return _answer(await self._http.request(method, API + path, **_with(body, request)))
        except httpx.HTTPError as error:
            raise _unreachable(error, self._http.base_url) from error


__all__ = ["AsyncIoTSense", "Histories", "IoTSense"]
