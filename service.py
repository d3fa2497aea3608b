"""A running service: twin, pipeline, sources, monitor and HTTP, started in order and drained in reverse."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from . import __version__
from .analytics.computation import Computation
from .analytics.monitor import Monitor
from .analytics.staleness import Staleness
from .config import Settings, bind, bind_unix, require_loopback
from .http_server import HttpServer
from .ingest.adapter import Adapter
from .ingest.ingest_config import IngestConfig
from .ingest.mqtt import MqttAdapter
from .ingest.mqtt_broker import MqttBroker, mqtt_brokers
from .ingest.pipeline import Pipeline
from .ingest.source_state import SourceState, SourceStatus
from .notify import notify
from .rest.app import build_app
from .rest.context import Context
from .rest.telemetry import SOURCE
from .stores import Stores
from .supervisor import Supervisor
from .twin.apply_definition import apply_plan
from .twin.errors import DefinitionError
from .twin.finding import Finding, has_errors
from .twin.plan import plan
from .twin.project import Project, load_project
from .twin.twin import Twin

log = logging.getLogger("iotsense.service")

ENABLED = (
    "enterprise",
    "site",
    "area",
    "component_types",
    "relationship_types",
    "digital_twins",
    "sensor_ingestion",
    "normalization",
    "anomaly_detection",
    "iotsense.ingestion",
)
"""Sections with an engine: what they refer to must be there at the start."""


class Service:
    """All parts of one plant on one data directory. `start` leaves nothing half-started; `stop` drains.

    twin, pipeline, monitor and `sources` (adapters by name) are there between the two; `url` is where HTTP answers.
    """

    twin: Twin
    pipeline: Pipeline
    monitor: Monitor
    computation: Computation
    stores: Stores
    context: Context
    _staleness: Staleness

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sources: dict[str, Adapter] = {}
        self.notices: list[str] = []
        self.url = ""
        self._http_status = SourceStatus(SOURCE, "http")
        self._brokers: dict[str, MqttBroker] = {}
        self._supervisor = Supervisor()
        self._http: HttpServer | None = None
        self._stack = contextlib.AsyncExitStack()
        self._applying = asyncio.Lock()

    async def start(self) -> None:
        """Opens, applies the definitions, listens, connects. Raises IoTSenseError, with everything closed again."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Stops the sources, finishes requests, makes durable what was accepted, and closes the directory."""
        notify("STOPPING=1")
        self.context.stopping.set()
        await self._stack.aclose()
        log.info("stopped")

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Context]:
        """Only the twin and its pipeline, for one verb on a directory that no service has."""
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            yield self.context

    async def follow(self) -> None:
        """Takes over what was applied: the pipeline's configuration, and the sources that are new or different."""
        async with self._applying:
            project = self._project()
            brokers = {broker.name: broker for broker in mqtt_brokers(project)}
            self.pipeline.configure(_ingest_config(project))
            self._tell_notices(project)
            await self.stores.follow(project)
            await self._follow_sources(brokers)

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Only an import writes within: sources and analytics rest, and begin anew with what it brought."""
        async with self._applying:
            await self._follow_sources({})
            await self._supervisor.stop("computed", "monitor", "staleness")
        try:
            yield
        finally:
            self._watch()
            await self.follow()

    def _watch(self) -> None:
        self.computation = Computation(self.twin)
        self._supervisor.start("computed", self.computation.run)
        self.monitor = Monitor(self.twin)
        self._supervisor.start("monitor", self.monitor.run)
        self._staleness = Staleness(self.twin)
        self._supervisor.start("staleness", self._staleness.run)

    async def _start(self) -> None:
        require_loopback(self.settings.listen)
        stack = self._stack
        project = await asyncio.to_thread(_read, self.settings)
        await self._open(stack)
        tcp = bind(self.settings.listen)
        stack.callback(tcp.close)
        unix = bind_unix(self.settings.socket)
        stack.callback(self.settings.socket.unlink, missing_ok=True)
        if project is not None:
            await asyncio.to_thread(self._apply, project)
        self.context.applied = self.follow
        self.context.alone = self.alone
        stack.callback(lambda: self.monitor.close())
        stack.callback(lambda: self.computation.close())
        stack.push_async_callback(self._supervisor.stop)
        self._watch()
        self.stores = Stores(self.twin, self._supervisor)
        self.context.stores, self.context.graph_stores = self.stores.statuses, lambda: self.stores.graph.projections
        self.context.history_stores = lambda: self.stores.history
        await self._serve(stack, tcp, unix)
        stack.push_async_callback(self._stop_sources)
        await self.follow()
        notify("READY=1")
        log.info("listening on %s, data in %s", self.url, self.settings.data)

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        self.twin = await asyncio.to_thread(Twin.open, self.settings.data)
        stack.push_async_callback(asyncio.to_thread, self.twin.close)
        project = self._project()
        self.pipeline = Pipeline(self.twin, _ingest_config(project))
        self._http_status.running()
        self.pipeline.attach(self._http_status)
        self.pipeline.start()
        stack.push_async_callback(self.pipeline.aclose)
        self._tell_notices(project)
        self.context = Context(
            twin=self.twin,
            pipeline=self.pipeline,
            sources=self.source_statuses,
            health=self._health,
            version=__version__,
        )

    async def _serve(self, stack: contextlib.AsyncExitStack, *sockets: socket.socket) -> None:
        host, port = sockets[0].getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._http = HttpServer(build_app(self.context), sockets)
        await self._http.start()
        stack.push_async_callback(self._http.stop)

    def _apply(self, project: Project) -> None:
        changes = apply_plan(plan(project, self.twin.graph, self.twin.state), self.twin)
        log.info("definitions: %s", "unchanged" if changes.empty else changes.counts())

    def _project(self) -> Project:
        return Project.from_sections(self.twin.graph.definition)

    def source_statuses(self) -> Mapping[str, SourceStatus]:
        """HTTP, which needs no configuration, and the configured sources."""
        configured = {name: adapter.status for name, adapter in self.sources.items()}
        return {self._http_status.name: self._http_status, **configured}

    async def _follow_sources(self, brokers: dict[str, MqttBroker]) -> None:
        gone = [name for name, broker in self._brokers.items() if brokers.get(name) != broker]
        if gone:
            await self._supervisor.stop(*(f"source {name}" for name in gone))
        for name in gone:
            del self.sources[name], self._brokers[name]
        for name, broker in brokers.items():
            if name not in self.sources:
                adapter = self.sources[name] = MqttAdapter(broker)
                self._brokers[name] = broker
                self.pipeline.attach(adapter.status)
                self._supervisor.start(f"source {name}", partial(self._run_source, adapter))

    async def _run_source(self, adapter: Adapter) -> None:
        await adapter.run(self.pipeline.deliver)
        # A source that gave up needs somebody to change something; `follow` begins it anew then.
        if adapter.status.state is SourceState.FAILED:
            await asyncio.Event().wait()

    async def _stop_sources(self) -> None:
        if names := [f"source {name}" for name in self.sources]:
            await self._supervisor.stop(*names)

    def _tell_notices(self, project: Project) -> None:
        notices = [*project.notices(), *self.pipeline.notices()]
        for notice in notices:
            if notice not in self.notices:
                log.info("%s", notice)
        self.notices = notices

    def _health(self) -> dict[str, Any]:
        tasks = {name: status.as_dict() for name, status in self._supervisor.statuses.items()}
        if self._http is not None:
            tasks["http"] = {"running": self._http.error is None, "restarts": 0, "error": self._http.error}
        reasons = []
        if "monitor" in tasks:
            troubles = {
                "computed": self.computation.trouble,
                "monitor": self.monitor.trouble,
                "staleness": self._staleness.trouble,
            }
            for name, trouble in troubles.items():
                tasks[name]["error"] = tasks[name]["error"] or trouble
            tasks["monitor"]["lag_entries"] = self.monitor.lag
            tasks["computed"]["lag_entries"] = self.computation.lag
            reasons = [f"rule {name} cannot be used: {why}" for name, why in self.monitor.problems.items()]
            reasons += [f"{id} cannot be computed: {why}" for id, why in self.computation.problems.items()]
        return {"tasks": tasks, "reasons": reasons, "notices": self.notices}


def run_service(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Raises IoTSenseError if it cannot start."""
    import uvloop

    uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    service = Service(settings)
    starting = asyncio.create_task(service.start())
    ending = asyncio.create_task(end.wait())
    await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait([starting])
        return
    starting.result()
    _spare_the_collector()
    await ending
    log.info("stopping")
    await service.stop()
    gc.unfreeze()


def _spare_the_collector() -> None:
    """What is there now stays; messages, many and short-lived, are not looked through for cycles so often.

    Measured with arrays of 100 telemetry documents: 13 µs a document before, 8 µs after.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _read(settings: Settings) -> Project | None:
    """The project that the settings name; None if they name none. Raises DefinitionError.

    Warnings about what is going to run are errors here; those about sections without an engine are told.
    """
    if not settings.definitions:
        return None
    project, findings = load_project(settings.definitions)
    findings = [_severe(finding) for finding in findings]
    if project is None or has_errors(findings):
        raise DefinitionError([finding for finding in findings if finding.severity == "error"])
    for finding in findings:
        log.warning("%s", finding)
    return project


def _severe(finding: Finding) -> Finding:
    return replace(finding, severity="error") if finding.path.startswith(ENABLED) else finding


def _ingest_config(project: Project) -> IngestConfig:
    return IngestConfig.of(project)
