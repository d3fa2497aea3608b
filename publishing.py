"""The endpoints that a running service publishes to: those that the definition names, each with a task of its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ingest.publish_sender import PublisherStatus
from .ingest.publisher import Publisher
from .rest.layout import Layouts, state_document
from .supervisor import Supervisor
from .twin.as_of import AsOf
from .twin.define_project import Project
from .twin.define_publishing import Endpoint
from .twin.graph import Graph
from .twin.model import Node
from .twin.twin import Twin


class TwinDocuments:
    """The state of twins in the specification's shape, as the REST interface shows it."""

    def __init__(self) -> None:
        self._layouts = Layouts()

    def signals(self, graph: Graph, node: Node) -> NDArray[np.int32]:
        """The indexes of all that a twin shows."""
        return self._layouts.of(graph, node).signals

    def document(self, plant: AsOf, node: Node) -> dict[str, Any]:
        """What it shows."""
        layout = self._layouts.of(plant.graph, node)
        return state_document(layout, plant.snapshot(layout.signals), plant)


class Publishing:
    """Starts, replaces and ends the endpoints' tasks as definitions change."""

    def __init__(self, twin: Twin, supervisor: Supervisor) -> None:
        self._twin = twin
        self._supervisor = supervisor
        self._documents = TwinDocuments()
        self._publishers: dict[str, Publisher] = {}
        self._endpoints: dict[str, Endpoint] = {}

    def statuses(self) -> list[PublisherStatus]:
        """How each of them is now."""
        return [publisher.refresh() for publisher in self._publishers.values()]

    async def follow(self, project: Project) -> None:
        """Takes over what was applied; an endpoint that stayed as it was goes on undisturbed."""
        wanted = {endpoint.id: endpoint for endpoint in project.iotsense.publishing if endpoint.enabled}
        for id in [id for id, endpoint in self._endpoints.items() if wanted.get(id) != endpoint]:
            await self._supervisor.stop(_task(id))
            del self._publishers[id], self._endpoints[id]
        for id, endpoint in wanted.items():
            if id not in self._endpoints:
                publisher = self._publishers[id] = Publisher(self._twin, endpoint, self._documents)
                self._endpoints[id] = endpoint
                self._supervisor.start(_task(id), publisher.run)


def _task(id: str) -> str:
    return f"publishing {id}"
