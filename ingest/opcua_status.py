"""OPC UA status codes as OPC quality bytes, and the overflow bit that servers set when a queue has lost values."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..twin.model import Quality

WAITING = 32
"""Quality of a value that the source has not had yet: bad, waiting for initial data."""

# Substatus of the quality byte by the code's upper half (OPC 10000-8, annex A: mapping to OPC DA).
_QUALITY: Mapping[int, int] = {
    0x0000: 192,  # Good
    0x0096: 216,  # GoodLocalOverride
    0x4090: 68,  # UncertainLastUsableValue
    0x4091: 64,  # UncertainSubstituteValue
    0x4092: 64,  # UncertainInitialValue
    0x4093: 80,  # UncertainSensorNotAccurate
    0x4094: 84,  # UncertainEngineeringUnitsExceeded
    0x4095: 88,  # UncertainSubNormal
    0x8089: 4,  # BadConfigurationError
    0x808A: 8,  # BadNotConnected
    0x808B: 12,  # BadDeviceFailure
    0x808C: 16,  # BadSensorFailure
    0x8005: 24,  # BadCommunicationError
    0x8031: 24,  # BadNoCommunication
    0x808D: 28,  # BadOutOfService
    0x8032: WAITING,  # BadWaitingForInitialData
}
_BY_SEVERITY = (int(Quality.GOOD), int(Quality.UNCERTAIN), int(Quality.BAD), int(Quality.BAD))
# The info type "data value" together with its bit "overflow" (OPC 10000-4, 7.39.1).
_OVERFLOW = 0x0480


def quality_of(status: int) -> int:
    """The quality byte of a status code."""
    return _QUALITY.get(status >> 16, _BY_SEVERITY[status >> 30])


def qualities_of(status: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """The quality bytes of a column of status codes."""
    codes, where = np.unique(status, return_inverse=True)
    return np.array([quality_of(code) for code in codes.tolist()], np.uint8)[where]


def overflowed(status: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which values stand behind others that the server had to throw away."""
    found: NDArray[np.bool_] = (status & _OVERFLOW) == _OVERFLOW
    return found
