"""One value as a source gives it."""

from typing import Any

import msgspec

from ..twin.model import Quality


class Sample(msgspec.Struct):
    """One value of one address, before it is known whose signal it is.

    `address` is the measurement's name or the tag's address at the source; "" if the message does not say.
    `time` [ns since the epoch] is None where the source gave none: the arrival time is taken. `quality` is an OPC
    quality byte; a bad one may come without a value. `unit` is what the value is in, if the source says. `device` is
    the device that measured. `tag` is where it is at the source, if `address` is another name for that.
    """

    address: str
    value: Any
    time: int | None = None
    quality: int = int(Quality.GOOD)
    unit: str | None = None
    device: str | None = None
    metadata: dict[str, Any] | None = None
    tag: str | None = None
