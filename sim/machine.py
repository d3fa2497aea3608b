"""A machine of the line: takes bottles from a belt, works on them, passes the good ones on."""

from random import Random

from .belt import Belt
from .drive import Drive
from .packml import PackML, Unit

Value = float | str | bool | list[float]


class Machine:
    """Common to all machines: PackML state, production speed, counters, starving and blocking.

    `rate` [bottles/s] is the design speed. `upstream` None means an endless supply, `downstream` None an endless sink.
    Every bottle taken is either rejected or passed on in the same instant, so bottles are conserved exactly:
    taken == good + rejected.
    """

    STARVED_AFTER = 1.5
    RESUME_AT = 6

    def __init__(self, name: str, drive: Drive, rate: float, reject_probability: float) -> None:
        self.name = name
        self.drive = drive
        self.rate = rate
        self.reject_probability = reject_probability
        self.unit = Unit()
        self.noise: Random = drive.noise
        self.upstream: Belt | None = None
        self.downstream: Belt | None = None
        self.taken = self.good = self.rejected = 0
        self._cycle = 0.0
        self._idle_for = 0.0

    def step(self, dt: float) -> None:
        """Lets `dt` [s] pass: state, drive, bottles, then what only this kind of machine does."""
        self.unit.step(dt)
        self._follow_the_flow(dt)
        self.drive.step(dt, self._speed_ratio(), 0.75)
        if self.unit.executing:
            self._produce(dt)
        self.process(dt)

    def process(self, dt: float) -> None:
        """What only this kind of machine does in `dt` [s]; nothing by default."""

    def _follow_the_flow(self, dt: float) -> None:
        # An outside cause (no bottles, no room) suspends the machine, an inside one (repair) holds it.
        blocked = self.downstream is not None and self.downstream.full
        starved = self.upstream is not None and self.upstream.waiting == 0
        self._idle_for = self._idle_for + dt if blocked or starved else 0.0
        if self._idle_for >= self.STARVED_AFTER:
            self.unit.command("suspend")
        elif self.unit.state is PackML.SUSPENDED and self._may_resume():
            self.unit.command("unsuspend")

    def _may_resume(self) -> bool:
        enough = self.upstream is None or self.upstream.waiting >= self.RESUME_AT
        room = self.downstream is None or len(self.downstream) <= 0.85 * self.downstream.capacity
        return enough and room

    def _speed_ratio(self) -> float:
        if not self.unit.executing:
            return 0.0
        if self.upstream is None:
            return 1.0
        # The infeed queue governs the speed, so that a machine faster than its supply does not stop and go.
        return min(1.0, 0.7 + 0.03 * self.upstream.waiting)

    def _produce(self, dt: float) -> None:
        self._cycle += self.rate * self.drive.speed * dt
        while self._cycle >= 1.0:
            if (self.upstream is not None and not self.upstream.waiting) or (self.downstream and self.downstream.full):
                self._cycle = 1.0
                return
            self._cycle -= 1.0
            self._work_on_one()

    def _work_on_one(self) -> None:
        if self.upstream is not None:
            self.upstream.take()
        self.taken += 1
        if self.noise.random() < self.reject_probability + 0.02 * self.drive.wear:
            self.rejected += 1
            return
        self.good += 1
        if self.downstream is not None:
            self.downstream.put()

    def readings(self) -> dict[str, Value]:
        """What the machine's sensors show now, by sensor id."""
        drive = self.drive
        return {
            "state": self.unit.state.label,
            "speed": self.rate * drive.speed * 60.0,
            "good": float(self.good),
            "rejected": float(self.rejected),
            "drive_current": drive.current(),
            "motor_temperature": drive.measured(drive.motor_temperature),
            "bearing_temperature": drive.measured(drive.bearing_temperature),
            "vibration_rms": drive.vibration(),
        }
