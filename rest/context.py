"""What the REST and GraphQL facades may see of a running service."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..twin.times import now_ns
from ..twin.twin import Twin
from .layout import Layouts

if TYPE_CHECKING:
    from ..ingest.pipeline import Pipeline
    from ..ingest.source_state import SourceStatus

MAX_BODY = 16 << 20


class Definitions(Protocol):
    """The project that governs the graph. All block, so that a coroutine calls them in a thread."""

    def plan(self, documents: Mapping[str, str]) -> Any:
        """What applying the documents (text by file name) would change; raises DefinitionError."""

    def apply(self, documents: Mapping[str, str], allow_remove: bool, author: str) -> Any:
        """Applies them, all or nothing, and tells what changed; raises DefinitionError, ConflictError."""

    def export(self) -> str:
        """The applied project as one document."""


@dataclass
class Context:
    """The parts of a service, running or opened for one command, that its facades work on.

    `health` tells how its tasks are; `stopping` ends streams; `instance` differs from process to process.
    """

    twin: Twin
    pipeline: "Pipeline"
    definitions: Definitions
    sources: Callable[[], Mapping[str, "SourceStatus"]] = dict
    health: Callable[[], dict[str, Any]] = dict
    version: str = ""
    max_body: int = MAX_BODY
    started: int = field(default_factory=now_ns)
    instance: str = field(default_factory=lambda: secrets.token_hex(4))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    layouts: Layouts = field(default_factory=Layouts)
