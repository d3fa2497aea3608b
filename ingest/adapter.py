"""What every protocol adapter is. An adapter knows its connection and nothing else.

It must
- run until it is cancelled, and reconnect by itself with bounded, jittered backoff;
- keep its `status` true: connecting, running, backoff with the reason, failed if trying again makes no sense;
- hand over what it receives in the order of receipt, and stop reading from its connection while `deliver` waits;
- acknowledge to its source what `Message.ack` tells it to, and nothing else.

It might give messages an `identity`, where its protocol has one that survives a restart.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from .message import Message
from .source_state import SourceStatus

Deliver = Callable[[Sequence[Message]], Awaitable[None]]
"""Takes messages over; waits while the pipeline's bounded buffer is full, which is how back-pressure arrives."""


class Adapter(Protocol):
    """One configured source."""

    name: str
    status: SourceStatus

    async def run(self, deliver: Deliver) -> None:
        """Delivers what the source sends until cancelled; cancelling closes the connection."""
