"""PackML states of a machine (ISA-TR88.00.02): which there are, and how a unit moves between them."""

from enum import IntEnum


class PackML(IntEnum):
    """The states with the numbers that the standard's `StateCurrent` tag carries."""

    UNDEFINED = 0
    CLEARING = 1
    STOPPED = 2
    STARTING = 3
    IDLE = 4
    SUSPENDED = 5
    EXECUTE = 6
    STOPPING = 7
    ABORTING = 8
    ABORTED = 9
    HOLDING = 10
    HELD = 11
    UNHOLDING = 12
    SUSPENDING = 13
    UNSUSPENDING = 14
    RESETTING = 15
    COMPLETING = 16
    COMPLETED = 17

    @property
    def label(self) -> str:
        """The word in which machines report the state, such as `Execute`."""
        return self.name.capitalize()


# An acting state ends by itself: how long it takes [s], and where it leads.
_ACTING: dict[PackML, tuple[float, PackML]] = {
    PackML.CLEARING: (1.0, PackML.STOPPED),
    PackML.RESETTING: (1.0, PackML.IDLE),
    PackML.STARTING: (2.0, PackML.EXECUTE),
    PackML.STOPPING: (2.0, PackML.STOPPED),
    PackML.ABORTING: (0.5, PackML.ABORTED),
    PackML.HOLDING: (1.0, PackML.HELD),
    PackML.UNHOLDING: (1.5, PackML.EXECUTE),
    PackML.SUSPENDING: (0.5, PackML.SUSPENDED),
    PackML.UNSUSPENDING: (0.5, PackML.EXECUTE),
}

# A command is obeyed only in these states; elsewhere it is ignored, as on a real machine.
_COMMANDS: dict[str, tuple[frozenset[PackML], PackML]] = {
    "reset": (frozenset({PackML.STOPPED, PackML.COMPLETED}), PackML.RESETTING),
    "start": (frozenset({PackML.IDLE}), PackML.STARTING),
    "hold": (frozenset({PackML.EXECUTE, PackML.SUSPENDED, PackML.UNSUSPENDING, PackML.SUSPENDING}), PackML.HOLDING),
    "unhold": (frozenset({PackML.HELD}), PackML.UNHOLDING),
    "suspend": (frozenset({PackML.EXECUTE}), PackML.SUSPENDING),
    "unsuspend": (frozenset({PackML.SUSPENDED}), PackML.UNSUSPENDING),
    "stop": (frozenset(PackML) - {PackML.ABORTING, PackML.ABORTED, PackML.CLEARING, PackML.STOPPED}, PackML.STOPPING),
    "abort": (frozenset(PackML) - {PackML.ABORTING, PackML.ABORTED}, PackML.ABORTING),
    "clear": (frozenset({PackML.ABORTED}), PackML.CLEARING),
}


class Unit:
    """The state machine of one PackML unit, driven by commands and by time."""

    def __init__(self, state: PackML = PackML.STOPPED) -> None:
        self.state = state
        self.seconds = 0.0

    @property
    def executing(self) -> bool:
        """Whether the machine produces."""
        return self.state is PackML.EXECUTE

    def command(self, name: str) -> bool:
        """Obeys `reset`, `start`, `hold`, ... if the state allows it, and says whether it did."""
        allowed, target = _COMMANDS[name]
        if self.state not in allowed:
            return False
        self._enter(target)
        return True

    def step(self, dt: float) -> None:
        """Lets `dt` [s] pass; an acting state that has had its time leads on."""
        self.seconds += dt
        acting = _ACTING.get(self.state)
        if acting is not None and self.seconds >= acting[0]:
            self._enter(acting[1])

    def _enter(self, state: PackML) -> None:
        self.state = state
        self.seconds = 0.0
