"""Who speaks what: machines bought over the years speak the protocols of their years."""

from typing import NamedTuple

from .machine import Value

OPCUA, MODBUS, BACNET, MQTT = "opcua", "modbus", "bacnet", "mqtt"
PROTOCOLS = (MQTT, OPCUA, MODBUS, BACNET)
_MACHINES = {
    "filler": OPCUA,
    "palletiser": OPCUA,
    "capper": MQTT,
    "labeller": MQTT,
    "conveyor_1": MODBUS,
    "conveyor_2": MODBUS,
    "conveyor_3": MODBUS,
}
# The building's controller looks after the product tank.
_TANK = ("tank_level", "tank_pressure", "product_temperature")


class Range(NamedTuple):
    """What a sensor can show: its unit, and the limits [unit]."""

    unit: str
    low: float
    high: float


RANGES = {
    "speed": Range("1/min", 0, 450),
    "drive_current": Range("A", 0, 20),
    "motor_temperature": Range("celsius", 0, 110),
    "bearing_temperature": Range("celsius", 0, 110),
    "vibration_rms": Range("mm/s", 0, 25),
    "drive_torque": Range("N.m", 0, 120),
    "power": Range("kW", 0, 12),
    "fill_volume": Range("mL", 480, 520),
    "joint_positions": Range("degree", -180, 180),
    "gripper_vacuum": Range("kPa", -100, 5),
    "tank_level": Range("percent", 0, 100),
    "tank_pressure": Range("bar", 0, 5),
    "product_temperature": Range("celsius", 0, 20),
}


def protocol_of(machine: str, sensor: str) -> str:
    """The protocol by which a sensor of a machine speaks."""
    return BACNET if machine == "filler" and sensor in _TANK else _MACHINES[machine]


def machines_of(protocol: str) -> list[str]:
    """The machines that speak a protocol."""
    return [machine for machine, spoken in _MACHINES.items() if spoken == protocol]


class Moment(NamedTuple):
    """What all sensors show at one time [ns]: machine -> sensor -> value. tick: how many moments came before."""

    time: int
    tick: int
    values: dict[str, dict[str, Value]]

    def spoken(self, protocol: str) -> dict[str, dict[str, Value]]:
        """What is told by one protocol."""
        chosen = {
            machine: {name: value for name, value in values.items() if protocol_of(machine, name) == protocol}
            for machine, values in self.values.items()
        }
        return {machine: values for machine, values in chosen.items() if values}
