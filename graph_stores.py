"""The graph databases that a project names, kept running beside the service."""

import os
from collections.abc import Mapping

from .analytics.health import health_status
from .supervisor import Supervisor
from .twin.define_config import GraphStore
from .twin.define_project import Project
from .twin.store_neo4j import DEFAULT_URL, Neo4jAddress, Neo4jGraph
from .twin.store_projection import GraphProjection
from .twin.twin import Twin

NAME = "neo4j"
_PASSWORD = "NEO4J_PASSWORD"


def neo4j_address(project: Project, env: Mapping[str, str] = os.environ) -> Neo4jAddress | None:
    """Where the graph is published: `iotsense.graph`, `iotsense.storage.graph`, the environment; None if nowhere."""
    config = project.iotsense
    wanted = config.storage.graph
    if wanted == "embedded" or (wanted is None and config.graph is None):
        return None
    given = config.graph or GraphStore()
    return Neo4jAddress(
        url=given.url or env.get("NEO4J_URL") or env.get("NEO4J_URI") or DEFAULT_URL,
        username=given.username or env.get("NEO4J_USERNAME") or ("neo4j" if _PASSWORD in env else None),
        password=given.password or (f"${{{_PASSWORD}}}" if _PASSWORD in env else None),
        database=given.database or env.get("NEO4J_DATABASE") or "neo4j",
    )


class GraphStores:
    """None or one, by name. `follow` starts, stops and changes them."""

    def __init__(self, twin: Twin, supervisor: Supervisor) -> None:
        self.projections: dict[str, GraphProjection] = {}
        self._twin = twin
        self._supervisor = supervisor
        self._address: Neo4jAddress | None = None

    async def follow(self, project: Project) -> None:
        """Takes over what a project says."""
        address = neo4j_address(project)
        if address == self._address:
            return
        await self.stop()
        self._address = address
        if address is not None:
            projection = GraphProjection(self._twin, Neo4jGraph(address), health_status, NAME)
            self.projections[NAME] = projection
            self._supervisor.start(f"store {NAME}", projection.run)

    async def stop(self) -> None:
        """Ends them."""
        if self.projections:
            await self._supervisor.stop(*(f"store {name}" for name in self.projections))
        self.projections.clear()
        self._address = None
