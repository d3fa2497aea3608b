"""A conveyor belt: bottles keep their order, take time, queue at its end and block its start when it is full."""

from collections import deque

from .drive import Drive


class Belt:
    """`length` [m], `speed` [m/s] at full drive, `pitch` [m] of a standing bottle; its capacity is length / pitch."""

    def __init__(self, name: str, drive: Drive, length: float, speed: float, pitch: float = 0.07) -> None:
        self.name = name
        self.drive = drive
        self.length = length
        self.rated_speed = speed
        self.capacity = int(length / pitch)
        self._travelled = 0.0
        self._entered: deque[float] = deque()
        self._waiting = 0

    def __len__(self) -> int:
        """Bottles on the belt."""
        return len(self._entered) + self._waiting

    @property
    def waiting(self) -> int:
        """Bottles that have reached the end."""
        return self._waiting

    @property
    def full(self) -> bool:
        """Whether no further bottle fits."""
        return len(self) >= self.capacity

    def step(self, dt: float, running: bool) -> None:
        """Moves the belt for `dt` [s]; bottles at its end slip and queue."""
        self.drive.step(dt, 1.0 if running else 0.0, 0.35 + 0.5 * len(self) / self.capacity)
        self._travelled += self.rated_speed * self.drive.speed * dt
        while self._entered and self._travelled - self._entered[0] >= self.length:
            self._entered.popleft()
            self._waiting += 1

    def put(self) -> None:
        """A bottle enters; the caller has seen that the belt is not full."""
        self._entered.append(self._travelled)

    def take(self) -> None:
        """A bottle leaves; the caller has seen that one is waiting."""
        self._waiting -= 1

    def readings(self) -> dict[str, float]:
        """What the conveyor's sensors show now."""
        drive = self.drive
        return {
            "speed": max(0.0, self.rated_speed * drive.speed * drive.noise.gauss(1.0, 0.004)),
            "motor_current": drive.current(),
            "motor_temperature": drive.measured(drive.motor_temperature),
            "vibration_rms": drive.vibration(),
            "bottles": float(len(self)),
        }
