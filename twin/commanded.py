"""Commands as they stand: read from the log of events, now or as of any instant."""

from collections.abc import Iterable, Sequence

from .as_of import AsOf
from .command import COMMAND, Command, CommandState, command_of, identity_of
from .errors import NotFoundError
from .model import Event

MOST = 1000
_LOOKED_AT = 50  # commands of a signal, for one that was not refused
_ROWS = 4  # that one command usually has: requested, sent, and its end


def commands(
    plant: AsOf, signal: int | None = None, state: CommandState | None = None, limit: int = MOST
) -> list[Command]:
    """The newest commands, of one signal (index) or in one state if told, the newest first; blocks."""
    node = None if signal is None else plant.graph.signal(signal).node
    rows = plant.events(0, limit * _ROWS if state is None else MOST * _ROWS, node=node, kind=COMMAND, newest_first=True)
    return _standing(plant, [*rows, *plant.open_events(COMMAND, node)], signal, state, limit)


def _standing(
    plant: AsOf, rows: Iterable[Event], signal: int | None, state: CommandState | None, limit: int
) -> list[Command]:
    newest: dict[str, Event] = {}
    for event in rows:
        newest.setdefault(event.identity or "", event)
    found = sorted(newest.values(), key=lambda event: (event.time, event.seq), reverse=True)
    fitting = (command_of(event, plant.time) for event in found)
    return [c for c in fitting if signal in (None, c.signal) and state in (None, c.state)][:limit]


def command(plant: AsOf, id: str) -> Command:
    """One command; blocks. Raises NotFoundError."""
    rows = plant.told(identity_of(id))
    if not rows:
        raise NotFoundError(f"there is no command {id!r}")
    return command_of(rows[-1], plant.time)


def latest(plant: AsOf, signal: int) -> Command | None:
    """The newest command to a signal (index) that was not refused; blocks."""
    return _not_refused(commands(plant, signal, limit=_LOOKED_AT))


def latest_of(plant: AsOf, signals: Sequence[int]) -> list[Command | None]:
    """The same of several signals, in their order, from one look at the log."""
    nodes = [plant.graph.signal(signal).node for signal in signals]
    told = plant.events_of(nodes, _LOOKED_AT * _ROWS, COMMAND)
    for event in plant.open_events(COMMAND):
        if event.node in told:
            told[event.node].append(event)
    pairs = zip(nodes, signals, strict=True)
    return [_not_refused(_standing(plant, told[node], signal, None, _LOOKED_AT)) for node, signal in pairs]


def _not_refused(found: list[Command]) -> Command | None:
    return next((each for each in found if each.state is not CommandState.REFUSED), None)
