"""An electric drive with a bearing: what its sensors show of speed, load and wear."""

from dataclasses import dataclass
from math import exp
from random import Random


def lag(value: float, target: float, time_constant: float, dt: float) -> float:
    """One exact step of a first-order lag: `value` moves towards `target` with `time_constant` [s] over `dt` [s]."""
    return target + (value - target) * exp(-dt / time_constant)


@dataclass
class DriveRating:
    """The name plate. current [A] and torque [N.m] at full load, heat [K] over ambient that they cause at steady state.

    Thermal time constants of real motors are tens of minutes; these are some ten seconds, so that a viewer sees them.
    """

    current: float
    idle_current: float
    torque: float
    heat: float = 32.0
    vibration: float = 1.2
    ramp: float = 0.8
    motor_lag: float = 25.0
    bearing_lag: float = 9.0


class Drive:
    """Speed ratio 0..1, current [A], torque [N.m], motor and bearing temperature [celsius], vibration [mm/s RMS]."""

    AMBIENT = 24.0

    def __init__(self, rating: DriveRating, noise: Random) -> None:
        self.rating = rating
        self.noise = noise
        self.speed = 0.0
        self.load = 0.0
        self.wear = 0.0
        self.motor_temperature = self.AMBIENT
        self.bearing_temperature = self.AMBIENT

    def step(self, dt: float, speed: float, load: float) -> None:
        """Moves towards the commanded `speed` ratio at `load` (0..1) for `dt` [s]; heat follows the losses."""
        rating = self.rating
        self.speed = lag(self.speed, speed, rating.ramp, dt)
        if speed == 0.0 and self.speed < 1e-3:
            self.speed = 0.0
        self.load = load + 0.35 * self.wear
        losses = (self.true_current() / rating.current) ** 2
        self.motor_temperature = lag(self.motor_temperature, self.AMBIENT + rating.heat * losses, rating.motor_lag, dt)
        friction = self.AMBIENT + self.speed * (16.0 + 55.0 * self.wear)
        self.bearing_temperature = lag(self.bearing_temperature, friction, rating.bearing_lag, dt)

    def true_current(self) -> float:
        """Current [A] without the sensor's noise; none at standstill."""
        rating = self.rating
        if self.speed == 0.0:
            return 0.0
        return rating.idle_current + (rating.current - rating.idle_current) * self.load * self.speed

    def current(self) -> float:
        """Measured current [A]."""
        return max(0.0, self.true_current() * self.noise.gauss(1.0, 0.01))

    def torque(self) -> float:
        """Measured shaft torque [N.m]."""
        return max(0.0, self.rating.torque * self.load * min(1.0, self.speed * 4) * self.noise.gauss(1.0, 0.015))

    def power(self, voltage: float = 400.0, power_factor: float = 0.84) -> float:
        """Electric power [kW] of a three-phase motor: sqrt(3) U I cos(phi)."""
        return 1.7320508 * voltage * self.true_current() * power_factor / 1000.0 * self.noise.gauss(1.0, 0.005)

    def vibration(self) -> float:
        """Vibration velocity [mm/s RMS]: a floor, an imbalance that grows with speed, and the bearing's wear."""
        level = 0.12 + self.speed * (self.rating.vibration + 9.5 * self.wear)
        return level * self.noise.lognormvariate(0.0, 0.035)

    def measured(self, temperature: float) -> float:
        """A temperature [celsius] as its Pt100 shows it."""
        return temperature + self.noise.gauss(0.0, 0.08)
