"""The external stores of a running service: those that the definition names, each followed by a task of its own."""

from .graph_stores import GraphStores
from .supervisor import Supervisor
from .twin.define_config import Storage
from .twin.define_project import Project
from .twin.store_config import history_store
from .twin.store_follower import StoreFollower
from .twin.store_status import StoreStatus
from .twin.twin import Twin


class Stores:
    """Starts, replaces and ends the stores' tasks as definitions change."""

    def __init__(self, twin: Twin, supervisor: Supervisor) -> None:
        self.graph = GraphStores(twin, supervisor)
        self._twin = twin
        self._supervisor = supervisor
        self.history: dict[str, StoreFollower] = {}
        self._storage: Storage | None = None

    def statuses(self) -> list[StoreStatus]:
        """How each of them is now."""
        graph = [projection.status for projection in self.graph.projections.values()]
        return [*graph, *(follower.refresh() for follower in self.history.values())]

    async def follow(self, project: Project) -> None:
        """Takes over what was applied; a store that stayed as it was goes on undisturbed."""
        await self.graph.follow(project)
        storage = project.iotsense.storage
        if storage == self._storage:
            return
        for name in tuple(self.history):
            await self._supervisor.stop(_task(name))
            del self.history[name]
        self._storage = storage
        if storage.type != "embedded":
            follower = StoreFollower(self._twin, history_store(storage), storage.type)
            self.history[storage.type] = follower
            self._supervisor.start(_task(storage.type), follower.run)


def _task(name: str) -> str:
    return f"store {name}"
