"""Why a reading is bad, in the codes of an OPC quality byte (OPC Data Access 3.0, 6.8), whatever the protocol."""

from enum import IntEnum


class BadQuality(IntEnum):
    """All are below 64, so all are bad."""

    CONFIGURATION = 4
    """The device has no such address, or not of this kind."""
    NOT_CONNECTED = 8
    """It was never connected."""
    DEVICE = 12
    """The device says that it has failed."""
    SENSOR = 16
    """The device says that its sensor has failed."""
    LAST_KNOWN = 20
    """Communication failed; the value is the last one that was known."""
    COMMUNICATION = 24
    """Communication failed, and there is no value."""
    OUT_OF_SERVICE = 28
    """The point is switched off."""
    WAITING = 32
    """No value has come yet."""
