"""What every protocol adapter is. An adapter knows its connection and nothing else.

It must
- run until it is cancelled, and reconnect by itself with bounded, jittered backoff (`ReconnectingAdapter` does that);
- keep its `status` true: connecting, running, backoff with the reason, failed if trying again makes no sense;
- hand over what it receives in the order of receipt, and stop reading from its connection while `deliver` waits;
- acknowledge to its source what `Message.ack` tells it to, and nothing else.

It might give messages an `identity`, where its protocol has one that survives a restart; and it might be a
`WritingAdapter`, if its protocol can set values.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from .message import Message
from .points import Point
from .sample import Sample
from .source_state import SourceStatus

Deliver = Callable[[Sequence[Message]], Awaitable[None]]
"""Takes messages over; waits while the pipeline's bounded buffer is full, which is how back-pressure arrives."""


class Adapter(Protocol):
    """One configured source."""

    name: str
    status: SourceStatus

    async def run(self, deliver: Deliver) -> None:
        """Delivers what the source sends until cancelled; cancelling closes the connection."""


@runtime_checkable
class WritingAdapter(Protocol):
    """A source that also sets values. A point is named as the samples that come from it are.

    Values are in the unit of the point: scaling to what is on the wire is the adapter's.
    """

    name: str
    status: SourceStatus

    def writable(self) -> Sequence[Point]:
        """The points that the configuration lets be written (`writable: true`)."""

    async def write(self, point: Point, value: float | bool | str) -> None:
        """Sets it, and returns when the device has confirmed the request.

        Raises SourceError if the device cannot be reached or refuses, InvalidValueError if the point cannot hold it.
        """

    async def read(self, point: Point) -> Sample:
        """What the point holds now, asked at the device; raises SourceError."""
