"""A twin's readings as OPC UA's data values: value, status, source time."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from asyncua import ua

from .twin.model import DataType, Quality, Signal
from .twin.state import Reading
from .twin.times import NS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1601, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_MICROSECOND = 1_000

# OPC quality bytes (low six bits: quality and its reason) as status codes; all others by their quality alone.
_STATUS = {
    4: ua.StatusCodes.BadConfigurationError,
    8: ua.StatusCodes.BadNotConnected,
    12: ua.StatusCodes.BadDeviceFailure,
    16: ua.StatusCodes.BadSensorFailure,
    24: ua.StatusCodes.BadNoCommunication,
    28: ua.StatusCodes.BadOutOfService,
    68: ua.StatusCodes.UncertainLastUsableValue,
    80: ua.StatusCodes.UncertainSensorNotAccurate,
    84: ua.StatusCodes.UncertainEngineeringUnitsExceeded,
    88: ua.StatusCodes.UncertainSubNormal,
    216: ua.StatusCodes.GoodLocalOverride,
}
_UNCERTAIN = 0x4000_0000
_BAD = 0x8000_0000


def status_of(quality: int) -> ua.StatusCode:
    """The status code of an OPC quality byte."""
    known = _STATUS.get(quality & 0b1111_1100)
    if known is not None:
        return ua.StatusCode(known)
    return ua.StatusCode(0 if quality >= Quality.GOOD else _UNCERTAIN if quality >= Quality.UNCERTAIN else _BAD)


def datetime_of(time: int) -> datetime:
    """A time [ns] to the microsecond, within what OPC UA can say."""
    try:
        return min(max(_EPOCH + timedelta(microseconds=time // _MICROSECOND), _FIRST), _LAST)
    except OverflowError:
        return _FIRST if time < 0 else _LAST


def ns_of(moment: datetime) -> int:
    """A time of OPC UA as ns since the epoch."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    since = aware - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS + since.microseconds * _MICROSECOND


def is_text(signal: Signal) -> bool:
    """Whether the values of a signal stand for texts; labels without a type say so too."""
    return signal.data_type is DataType.TEXT or (signal.data_type is None and bool(signal.labels))


def variant_type(signal: Signal) -> ua.VariantType:
    """What type the values of a signal are shown in; numbers while it is undecided."""
    if signal.data_type is DataType.BOOLEAN:
        return ua.VariantType.Boolean
    return ua.VariantType.String if is_text(signal) else ua.VariantType.Double


def variant(signal: Signal, value: float, label: Callable[[int, float], str | None]) -> ua.Variant:
    """A value of a signal; `label` tells the text of a code."""
    kind = variant_type(signal)
    if kind is ua.VariantType.Double:
        return ua.Variant(value, kind)
    if math.isnan(value):
        return ua.Variant(None, ua.VariantType.Null)
    return ua.Variant(bool(value) if kind is ua.VariantType.Boolean else label(signal.index, value), kind)


class Told(ua.DataValue):  # type: ignore[misc]
    """A value that nobody changes, so that the server need not copy it for each of its monitored items."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.Value is not None and self.Value.Value is None:
            # No value at all: a deadband would compare nothing with a number, and fail.
            object.__setattr__(self, "Value", None)

    def __deepcopy__(self, memo: object) -> "Told":
        return self


def data_value(shown: ua.Variant, time: int, quality: int, server_time: datetime | None = None) -> ua.DataValue:
    """A reading; a bad one has no value (Part 4, 7.7.1)."""
    value = shown if quality >= Quality.UNCERTAIN else None
    return Told(value, status_of(quality), SourceTimestamp=datetime_of(time), ServerTimestamp=server_time)


def latest(signal: Signal, reading: Reading | None, label: Callable[[int, float], str | None]) -> ua.DataValue:
    """The latest reading of a signal, or that there is none yet."""
    now = datetime.now(UTC)
    if reading is None:
        waiting = ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)
        return Told(None, waiting, ServerTimestamp=now)
    return data_value(variant(signal, reading.value, label), reading.time, reading.quality, now)


def gone() -> ua.DataValue:
    """What is told of a signal that is there no more."""
    return Told(None, ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown), ServerTimestamp=datetime.now(UTC))
