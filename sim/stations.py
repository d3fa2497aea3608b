"""The four machines of the bottling line, each with what only it does and measures."""

from math import cos, pi, sin
from random import Random

from .drive import Drive, DriveRating, lag
from .machine import Machine, Value


class Filler(Machine):
    """Rotary filler: bottles/s decide the draw from the product tank, the tank's level and pressure the dose."""

    DOSE = 0.5

    def __init__(self, noise: Random) -> None:
        rating = DriveRating(current=9.5, idle_current=2.6, torque=62.0)
        super().__init__("filler", Drive(rating, noise), rate=5.0, reject_probability=0.003)
        self.tank_litres = 320.0
        self.refilling = False
        self.tank_pressure = 1.0
        self.product_temperature = 6.5

    def process(self, dt: float) -> None:
        """The tank empties by what is filled and refills between 60 and 90 percent of its 400 litres."""
        drawn = self.rate * self.drive.speed * self.DOSE if self.unit.executing else 0.0
        self.refilling = self.tank_litres < 240.0 or (self.refilling and self.tank_litres < 360.0)
        self.tank_litres += ((6.0 if self.refilling else 0.0) - drawn) * dt
        self.tank_pressure = lag(self.tank_pressure, 2.4 if self.unit.executing else 1.6, 2.0, dt)
        self.product_temperature = lag(self.product_temperature, 6.0 if self.refilling else 6.9, 30.0, dt)

    def readings(self) -> dict[str, Value]:
        volume = self.DOSE * 1000 + 0.8 * (self.tank_pressure - 2.4) + self.noise.gauss(0.0, 0.6)
        return super().readings() | {
            "drive_torque": self.drive.torque(),
            "power": self.drive.power(),
            "fill_volume": volume,
            "tank_level": self.tank_litres / 4.0,
            "tank_pressure": self.tank_pressure + self.noise.gauss(0.0, 0.008),
            "product_temperature": self.product_temperature + self.noise.gauss(0.0, 0.03),
        }


class Capper(Machine):
    """Rotary capper: a worn spindle bearing makes its torque scatter and its rejects rise."""

    def __init__(self, noise: Random) -> None:
        rating = DriveRating(current=7.2, idle_current=1.9, torque=38.0, vibration=1.5)
        super().__init__("capper", Drive(rating, noise), rate=5.6, reject_probability=0.002)
        self.caps = 80.0
        self.hopper_filling = False
        self.air_pressure = 6.0

    def process(self, dt: float) -> None:
        """The hopper gives a cap per bottle and is filled up between 40 and 95 percent; strokes cost air pressure."""
        speed = self.drive.speed
        self.hopper_filling = self.caps < 40.0 or (self.hopper_filling and self.caps < 95.0)
        self.caps += ((2.5 if self.hopper_filling else 0.0) - 0.8 * speed) * dt
        self.air_pressure = lag(self.air_pressure, 6.3 - 0.5 * speed, 1.5, dt)

    def readings(self) -> dict[str, Value]:
        capping = self.drive.speed > 0.05
        torque = 1.9 + self.noise.gauss(0.0, 0.04 + 0.25 * self.drive.wear) if capping else 0.0
        return super().readings() | {
            "capping_torque": max(0.0, torque),
            "cap_hopper_level": self.caps,
            "air_pressure": self.air_pressure + self.noise.gauss(0.0, 0.02),
            "power": self.drive.power(),
        }


class Labeller(Machine):
    """Hot-melt labeller: a reel of labels runs out and is changed by holding the machine for a moment."""

    REEL = 900
    CHANGE_TIME = 4.0

    def __init__(self, noise: Random) -> None:
        rating = DriveRating(current=5.4, idle_current=1.4, torque=21.0)
        super().__init__("labeller", Drive(rating, noise), rate=5.8, reject_probability=0.004)
        self.reel_started_at = 0
        self.glue_temperature = 152.0
        self.heating = False

    @property
    def labels_left(self) -> int:
        """Labels on the reel."""
        return max(0, self.REEL - (self.taken - self.reel_started_at))

    def process(self, dt: float) -> None:
        """The glue's thermostat switches around 160 celsius; an empty reel holds the machine until it is changed."""
        self.heating = self.glue_temperature < 157.0 or (self.heating and self.glue_temperature < 163.0)
        self.glue_temperature = lag(self.glue_temperature, 185.0 if self.heating else 120.0, 40.0, dt)
        if self.labels_left == 0:
            self.unit.command("hold")
            if self.unit.state.label == "Held" and self.unit.seconds >= self.CHANGE_TIME:
                self.reel_started_at = self.taken
                self.unit.command("unhold")

    def readings(self) -> dict[str, Value]:
        tension = 18.0 + 6.0 * self.drive.speed + self.noise.gauss(0.0, 0.25)
        return super().readings() | {
            "web_tension": tension,
            "label_offset": self.noise.gauss(0.0, 0.15 + 0.2 * abs(1.0 - self.drive.speed)),
            "labels_left": float(self.labels_left),
            "glue_temperature": self.glue_temperature + self.noise.gauss(0.0, 0.2),
        }


class Palletiser(Machine):
    """Robot that builds pallets of 5 layers of 40 bottles."""

    LAYER = 40
    LAYERS = 5

    def __init__(self, noise: Random) -> None:
        rating = DriveRating(current=14.0, idle_current=4.0, torque=240.0, vibration=1.0)
        super().__init__("palletiser", Drive(rating, noise), rate=6.0, reject_probability=0.0)

    @property
    def layer_progress(self) -> float:
        """How far the current layer is, 0..1."""
        return self.good % self.LAYER / self.LAYER

    def readings(self) -> dict[str, Value]:
        gripping = self.unit.executing and self.layer_progress > 0.5
        vacuum = -62.0 if gripping else -4.0
        swing = 2 * pi * self.layer_progress
        return super().readings() | {
            "joint_positions": [90 * sin(swing), 35 + 20 * cos(swing), -40 + 25 * sin(swing), 90 * cos(swing)],
            "gripper_closed": gripping,
            "gripper_vacuum": vacuum + self.noise.gauss(0.0, 0.6),
            "layer": float(self.good // self.LAYER % self.LAYERS),
            "pallets": float(self.good // (self.LAYER * self.LAYERS)),
        }
