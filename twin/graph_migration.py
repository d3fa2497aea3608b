"""Fills a graph database from a running plant, and proves that it shows what the plant is."""

import asyncio
from dataclasses import dataclass
from typing import Any

from .errors import StoreError, StoreRefusedError
from .store_migration import Tell
from .store_projection import GraphProjection
from .store_status import StoreState
from .twin import Twin


@dataclass(frozen=True, slots=True)
class GraphMigrationReport:
    """How many nodes and relationships the database shows, all of them compared with the plant."""

    store: str
    equal: bool
    nodes: int
    relationships: int

    def as_dict(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "store": self.store,
            "equal": self.equal,
            "nodes": self.nodes,
            "relationships": self.relationships,
        }


async def migrate_graph(twin: Twin, projection: GraphProjection, tell: Tell) -> GraphMigrationReport:
    """Waits until the projection has written everything, then has it compared. Raises StoreError.

    What somebody changed in the database by hand is put right. Killed, it is started again: what is there, stays.
    """
    name = projection.status.name
    while not projection.settled:
        if projection.status.state is StoreState.FAILED:
            raise StoreRefusedError(projection.status.error or f"{name} failed")
        tell("nodes", min(projection.status.written, len(twin.graph)), len(twin.graph))
        await asyncio.sleep(0.1)
    graph = twin.graph
    changes = await projection.look(repair=True)
    if not changes.empty:
        raise StoreError(
            f"{name} is not equal to the plant after all: `iotsense plan --from {name}` shows what differs"
        )
    tell("nodes", len(graph), len(graph))
    return GraphMigrationReport(name, True, len(graph), sum(1 for _ in graph.relationships()))
