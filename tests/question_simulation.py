"""A line simulated step by step, to compare the answers of `impact` with: belts move a slot a second, machines work or
stand, each part that a machine makes takes one of each part that is fed to it, and goes out by each of its ways.

It knows nothing of fronts. Belts do not accumulate: where the foremost part is not taken, the whole belt stands.
"""

from dataclasses import dataclass, field


@dataclass
class Belt:
    """Parts on their way, the foremost last; full while the line runs."""

    length: int
    slots: list[bool] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = [True] * self.length

    @property
    def offers(self) -> bool:
        """Whether a part can be taken."""
        return self.slots[-1]

    def step(self, taken: bool, given: bool) -> None:
        """One second: it moves unless its foremost part stays."""
        if taken or not self.slots[-1]:
            self.slots = [given, *self.slots[:-1]]


@dataclass
class Place:
    """A machine, or (with a level) a buffer."""

    capacity: int | None = None
    level: int = 0
    works_until: int | None = None


@dataclass
class Line:
    """Places by number, in the order of the flow, and belts between them."""

    places: list[Place]
    belts: dict[tuple[int, int], Belt]

    def run(self, stop: int, seconds: int) -> dict[int, int]:
        """The second from which on each place does nothing any more, of those that come to stand."""
        last = dict.fromkeys(range(len(self.places)), -1)
        for second in range(seconds):
            for number in self._step(stop):
                last[number] = second
        return {number: second + 1 for number, second in last.items() if second < seconds - 1}

    def _step(self, stop: int) -> set[int]:
        """One second, from the end of the line to its beginning; the places that did something."""
        working = set()
        taken: dict[tuple[int, int], bool] = {}
        given: dict[tuple[int, int], bool] = {}
        for number in reversed(range(len(self.places))):
            place = self.places[number]
            ways_in = [pair for pair in self.belts if pair[1] == number]
            ways_out = [pair for pair in self.belts if pair[0] == number]
            offered = all(self.belts[pair].offers for pair in ways_in)
            free = all(taken[pair] or not self.belts[pair].offers for pair in ways_out)
            if number == stop:
                takes = gives = False
            elif place.capacity is None:
                takes = gives = offered and free
            else:
                gives = free and (place.level > 0 or offered)
                takes = offered and place.level - gives < place.capacity
                place.level += takes - gives
            taken |= dict.fromkeys(ways_in, takes)
            given |= dict.fromkeys(ways_out, gives)
            if takes or gives:
                working.add(number)
        for pair, belt in self.belts.items():
            belt.step(taken[pair], given[pair])
        return working
