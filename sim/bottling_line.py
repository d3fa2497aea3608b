"""The simulated bottling line: filler, capper, labeller and palletiser with conveyors between them.

Small physical models, stepped at a fixed interval with seeded noise: the same seed gives the same readings for ever.
A bearing of the capper wears out, is repaired and wears again, every `WEAR_CYCLE` seconds.
"""

from collections.abc import Iterator
from itertools import pairwise
from random import Random

from .belt import Belt
from .drive import Drive, DriveRating
from .machine import Machine, Value
from .packml import PackML
from .stations import Capper, Filler, Labeller, Palletiser

STEP = 0.1
WEAR_CYCLE = 120.0
WEAR_ONSET = 15.0
WEAR_DURATION = 45.0
REPAIR_AT = 72.0
REPAIR_TIME = 14.0


class BottlingLine:
    """The line at one moment of its own time [s]; `step` moves it on."""

    def __init__(self, seed: int = 1) -> None:
        # One stream of noise per machine: adding a sensor to one does not change what the others show.
        streams = Random(seed)
        self.filler, self.capper, self.labeller, self.palletiser = (
            kind(Random(streams.getrandbits(64))) for kind in (Filler, Capper, Labeller, Palletiser)
        )
        self.machines: list[Machine] = [self.filler, self.capper, self.labeller, self.palletiser]
        self.belts = [
            Belt(f"conveyor_{i + 1}", self._belt_drive(streams), length=4.0, speed=1.0)
            for i in range(len(self.machines) - 1)
        ]
        for belt, (before, behind) in zip(self.belts, pairwise(self.machines), strict=True):
            before.downstream = behind.upstream = belt
        self.time = 0.0
        self._steps = 0

    @staticmethod
    def _belt_drive(streams: Random) -> Drive:
        return Drive(
            DriveRating(current=3.1, idle_current=1.1, torque=9.0, vibration=0.7), Random(streams.getrandbits(64))
        )

    def step(self) -> None:
        """Moves everything on by `STEP` [s], the last machine first, so that room opens before it is asked for."""
        self._start_up()
        self._wear_and_repair()
        for machine in reversed(self.machines):
            machine.step(STEP)
        for belt in self.belts:
            belt.step(STEP, running=self.time > 1.0)
        self._steps += 1
        self.time = self._steps * STEP

    def advance(self, seconds: float) -> None:
        """Steps on until `seconds` have passed, rounded to whole steps."""
        for _ in range(round(seconds / STEP)):
            self.step()

    def _start_up(self) -> None:
        # A line starts from its end, so that nobody pushes bottles into a machine that stands.
        for order, machine in enumerate(reversed(self.machines)):
            if machine.unit.state is PackML.STOPPED and self.time >= 0.5 * order:
                machine.unit.command("reset")
            elif machine.unit.state is PackML.IDLE:
                machine.unit.command("start")

    def _wear_and_repair(self) -> None:
        # Wear accelerates as it grows (the square); it ends when the bearing is replaced on a held machine.
        phase = self.time % WEAR_CYCLE
        capper = self.capper
        if WEAR_ONSET <= phase < REPAIR_AT:
            capper.drive.wear = min(1.0, (phase - WEAR_ONSET) / WEAR_DURATION) ** 2
        elif REPAIR_AT <= phase < REPAIR_AT + REPAIR_TIME:
            capper.unit.command("hold")
            if capper.unit.state is PackML.HELD:
                capper.drive.wear = 0.0
        else:
            capper.unit.command("unhold")

    def readings(self) -> Iterator[tuple[str, dict[str, Value]]]:
        """(component id, what its sensors show by sensor id) in the order of flow."""
        for machine, belt in zip(self.machines, [*self.belts, None], strict=True):
            yield machine.name, machine.readings()
            if belt is not None:
                yield belt.name, dict(belt.readings())

    @property
    def supplied(self) -> int:
        """Empty bottles that entered the line."""
        return self.filler.taken

    @property
    def accounted(self) -> int:
        """Bottles that were rejected, stand on a belt or were palletised; always equal to `supplied`."""
        return sum(m.rejected for m in self.machines) + sum(len(b) for b in self.belts) + self.palletiser.good
