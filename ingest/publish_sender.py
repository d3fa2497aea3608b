"""What sends to an endpoint, and how the endpoint is doing."""

from collections.abc import Sequence
from typing import Any, Protocol

from ..twin.errors import SourceError
from .publish_message import Outgoing
from .source_state import SourceStatus


class RefusedMessageError(SourceError):
    """The endpoint understood a message and will not have it, however often it is sent."""


class Sender(Protocol):
    """One connection at a time; all raise SourceError with the reason, InvalidValueError or MissingExtraError if
    somebody has to change something."""

    address: str
    default_topics: tuple[str, str, str]
    """Templates of the topics of states, events and twins, where a rule names none."""

    async def open(self) -> None:
        """Connects."""

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Returns when the endpoint has acknowledged all of them; after an error any of them may have arrived."""

    async def lost(self) -> None:
        """Raises when the connection is lost, and does not return before."""

    async def close(self) -> None:
        """Ends the connection."""


class PublisherStatus(SourceStatus):
    """How an endpoint is doing. published: messages since the start; refused: those that it will not have.

    behind: what waits, by feed. gaps: entries of the journal whose readings it will never have.
    """

    def __init__(self, name: str, protocol: str, address: str) -> None:
        super().__init__(name, protocol, address)
        self.published = 0
        self.refused = 0
        self.refusal: str | None = None
        self.behind: dict[str, int] = {}
        self.gaps: list[tuple[int, int]] = []

    def as_dict(self) -> dict[str, Any]:
        """For /health."""
        told = super().as_dict()
        names = ("name", "protocol", "address", "state", "since", "error", "connects")
        return {name: told[name] for name in names} | {
            "published": self.published,
            "refused": self.refused,
            "refusal": self.refusal,
            "behind": dict(self.behind),
            "gaps": [{"first": first, "last": last} for first, last in self.gaps],
        }
