"""What a schema's `waveform` makes of a message: one burst of samples."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..twin.define_payload_formats import Waveform
from ..twin.errors import InvalidValueError
from .burst import MAX_SAMPLES, Burst, packed_type

_NUMBERS = {int, float, type(None)}
MakeBurst = Callable[[Any, Any], Burst]
"""From what the message holds as samples and as rate or interval (None: the definition says it); InvalidValueError."""


def pace_path(waveform: Waveform) -> str | None:
    """Where a message says how fast it was sampled, if it is the message that says it."""
    given = waveform.sample_rate if waveform.sample_rate is not None else waveform.sample_interval
    return given if isinstance(given, str) else None


def burst_maker(waveform: Waveform) -> MakeBurst:
    """Compiles a waveform's definition."""
    is_rate = waveform.sample_rate is not None
    fixed = waveform.sample_rate if is_rate else waveform.sample_interval
    packed = packed_type(waveform.type, waveform.byte_order) if waveform.type else None
    scale, offset = waveform.scale, waveform.offset

    def make(found: Any, pace: Any) -> Burst:
        interval = _interval(pace if isinstance(fixed, str) else fixed, is_rate)
        values = _numbers(found, packed)
        if not 0 < len(values) <= MAX_SAMPLES:
            raise InvalidValueError(f"a waveform has 1 to {MAX_SAMPLES} samples, not {len(values)}")
        if (scale, offset) != (1.0, 0.0):
            values = values * scale + offset
        return Burst(values, interval)

    return make


def _interval(pace: Any, is_rate: bool) -> float:
    name = "sample_rate" if is_rate else "sample_interval"
    if pace is None:
        raise InvalidValueError(f"the payload does not hold the waveform's {name}")
    try:
        number = float(pace)
    except (TypeError, ValueError):
        number = 0.0
    if isinstance(pace, bool) or not 0 < number < 1e12:
        raise InvalidValueError(f"the waveform's {name} is {pace!r}, not a number above 0")
    return 1.0 / number if is_rate else number


def _numbers(found: Any, packed: np.dtype[Any] | None) -> NDArray[np.float64]:
    if isinstance(found, np.ndarray | list | tuple):
        return burst_numbers(found)
    if isinstance(found, str):
        found = _from_base64(found)
    if not isinstance(found, bytes | bytearray | memoryview):
        raise InvalidValueError("the waveform's samples are neither a list of numbers nor packed numbers")
    if packed is None:
        raise InvalidValueError("the waveform's samples are packed; say with `type` what they are, such as int16")
    if len(found) % packed.itemsize:
        raise InvalidValueError(f"the waveform's {len(found)} bytes are no whole number of {packed.name} samples")
    return np.frombuffer(found, packed).astype(np.float64)


def burst_numbers(found: Any) -> NDArray[np.float64]:
    """A list or an array of samples, null for one that is missing, as numbers. Raises InvalidValueError."""
    if isinstance(found, np.ndarray):
        return found.astype(np.float64, copy=False)
    if len(found) > MAX_SAMPLES:
        raise InvalidValueError(f"a waveform has 1 to {MAX_SAMPLES} samples, not {len(found)}")
    if not _NUMBERS.issuperset(map(type, found)):
        raise InvalidValueError("the waveform's samples are not all numbers")
    return np.array(found, np.float64)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValueError("the waveform's samples are a text that is not base64") from None
