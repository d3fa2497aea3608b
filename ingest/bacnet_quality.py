"""How far a BACnet value can be trusted: its status flags and reliability as an OPC quality byte."""

from typing import Any

from ..twin.model import Quality
from .bad_quality import BadQuality

# OPC Data Access: good, but set by hand on the spot.
LOCAL_OVERRIDE = 216
_SENSOR = {"no-sensor", "over-range", "under-range", "open-loop", "shorted-loop", "unreliable-other", "no-output"}
_RELIABILITY = {
    **dict.fromkeys(_SENSOR, BadQuality.SENSOR),
    "communication-failure": BadQuality.COMMUNICATION,
    "configuration-error": BadQuality.CONFIGURATION,
}


def quality_of(flags: Any, reliability: Any = None) -> int:
    """Of status flags (in alarm, fault, overridden, out of service) and of the reliability, if there is a fault.

    An object that is out of service does not show what is measured, and so is bad; an alarm says nothing about trust.
    """
    _, fault, overridden, out_of_service = (*flags, 0, 0, 0, 0)[:4] if isinstance(flags, tuple) else (0, 0, 0, 0)
    if fault:
        return _RELIABILITY.get(str(reliability), BadQuality.DEVICE)
    if out_of_service:
        return BadQuality.OUT_OF_SERVICE
    return LOCAL_OVERRIDE if overridden else Quality.GOOD
