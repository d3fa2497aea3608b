"""A command: a value that a signal shall have, from the request to its confirmation at the device.

Its life is an event of the kind `command` that is amended under one identity: open until it is confirmed or ends
otherwise, so what was not finished is found again after a restart.
"""

from enum import StrEnum
from typing import Any

import msgspec

from .entry import EventDraft
from .model import Event
from .times import format_time, parse_time

COMMAND = "command"


class CommandState(StrEnum):
    """Where a command is in its life."""

    REQUESTED = "requested"
    SENT = "sent"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    HELD = "held"


# Those that the event's data tell, in ISO 8601.
_TIMES = ("deadline", "sent")
OPEN = (CommandState.REQUESTED, CommandState.SENT)


class Asked(msgspec.Struct, frozen=True):
    """What somebody asks for: `value` in `unit`, the signal's own unless told; a text or a truth value is as it is.

    actor: who says they ask; origin: from where. within: how long it may take [s], the definition's deadline unless
    told.
    """

    signal: str
    value: Any
    unit: str | None = None
    reason: str | None = None
    actor: str | None = None
    origin: str | None = None
    within: float | None = None

    def content(self) -> "Asked":
        """What makes two requests the same: not who sends it from where."""
        return msgspec.structs.replace(self, actor=None, origin=None)


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command; `value` is in the signal's unit. Times are [ns].

    signal, node: index of the measured signal, key of its sensor. given: the value as it was asked for, if its unit is
    another. source, address: where it was sent. why: what was in the way. request: what the same request is known by.
    """

    id: str
    signal: int
    node: int
    signal_id: str
    value: Any
    requested: int
    deadline: int
    state: CommandState = CommandState.REQUESTED
    unit: str | None = None
    given: str | None = None
    actor: str | None = None
    origin: str | None = None
    reason: str | None = None
    source: str | None = None
    address: str | None = None
    sent: int | None = None
    read_back: Any = None
    why: str | None = None
    ended: int | None = None
    request: str | None = None

    @property
    def identity(self) -> str:
        """Of its event."""
        return identity_of(self.id)

    def draft(self) -> EventDraft:
        """The event that tells how it stands."""
        data = msgspec.to_builtins(self)
        for name in ("id", "node", "requested", "ended"):  # the event itself says these
            data.pop(name, None)
        times = {name: format_time(data[name]) for name in _TIMES if name in data}
        data |= {"state": str(self.state), **times}
        return EventDraft(self.requested, COMMAND, self.node, self.ended, data, self.identity)

    def became(self, state: CommandState, at: int, why: str | None = None, **fields: Any) -> "Command":
        """As it stands from `at` [ns] on."""
        ended = None if state in OPEN else max(at, self.requested)
        return msgspec.structs.replace(self, state=state, ended=ended, why=why, **fields)


def identity_of(id: str) -> str:
    """The identity of a command's event."""
    return f"{COMMAND}:{id}"


def command_of(event: Event, time: int | None = None) -> Command:
    """The command that an event tells of, as of an instant [ns], now unless told: what came later had not happened."""
    times = {name: parse_time(event.data[name]) for name in _TIMES if name in event.data}
    fields = {
        **event.data,
        **times,
        "id": (event.identity or "").partition(":")[2],
        "node": event.node or 0,
        "requested": event.time,
        "ended": event.until,
    }
    command = msgspec.convert(fields, Command)
    if time is not None and command.sent is not None and command.sent > time:
        command = msgspec.structs.replace(command, sent=None)
    if command.ended is None:
        state = CommandState.REQUESTED if command.sent is None else CommandState.SENT
        return msgspec.structs.replace(command, state=state, why=None, read_back=None)
    return command
