"""Payloads without a schema whose fields have telling names: which device, when, and what was measured.

`device_id`, `timestamp`, `unit`, `quality`, `name` and `value`, and what they are usually called besides, say what the
other fields are; every other number, text or truth value is a measurement called like its field (`bearing.temperature`
within a message `bearing`). Elements of a list of messages are read one by one. A list of numbers beside a sample rate
is a waveform, any other the values of one sensor.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ..twin.errors import InvalidValueError
from .burst import Burst
from .waveform import burst_numbers

_WORDS = {
    "device": ("deviceid", "device", "sensorid", "machineid", "equipmentid", "assetid", "devid", "source"),
    "name": ("name", "metric", "tag", "measurement", "channel", "signal", "axis"),
    "value": ("value", "val"),
    "unit": ("unit", "units", "uom", "engineeringunit"),
    "stamp": ("timestamp", "ts", "time", "datetime", "sourcetimestamp", "timestampms", "timestampus", "timestampns"),
    "quality": ("quality", "q"),
    "rate": (
        "samplerate",
        "samplingrate",
        "sampleratehz",
        "samplingratehz",
        "samplingfrequency",
        "samplingfrequencyhz",
    ),
}
_ROLE_OF = {word: role for role, words in _WORDS.items() for word in words}
_DEPTH = 8
_PLACES = {"plant", "site", "area", "line", "plantid", "siteid", "areaid", "lineid", "equipment"}


@dataclass(frozen=True, slots=True)
class _Known:
    """What the messages around a measurement say of it."""

    device: Any = None
    stamp: Any = None
    unit: Any = None
    quality: Any = None
    name: Any = None
    rate: Any = None
    metadata: tuple[tuple[str, Any], ...] = ()


Put = Callable[[list[Any], dict[str, Any] | None], None]
"""Takes a row: device, name, value, unit, stamp, quality; and what says where the device stands."""


def read_named(document: Any, put: Put) -> None:
    """Hands over a row for each measurement of a document. Raises InvalidValueError if it is no object."""
    if not isinstance(document, dict):
        raise InvalidValueError("the payload has no fields by whose names it could be read; a `schema` must say it")
    _message(document, _Known(), "", put, 0)


def _message(document: dict[str, Any], known: _Known, prefix: str, put: Put, depth: int) -> None:
    if depth > _DEPTH:
        raise InvalidValueError(f"the payload is nested deeper than {_DEPTH} levels; a `schema` must say what to read")
    roles, places, measured = _roles(tuple(document))
    said = {role: document[field] for role, field in roles.items() if _says(role, document[field])}
    metadata = known.metadata + tuple((name, document[name]) for name in places if _is_plain(document[name]))
    known = replace(known, **said, metadata=metadata)
    if "value" in roles:
        _field(str(known.name) if known.name is not None else prefix, document[roles["value"]], known, put, depth)
    for name in measured:
        whole = f"{prefix}.{name}" if prefix else name
        # `samples` says nothing: a burst is called what its message is called.
        if known.rate is not None and name in ("samples", "data", "waveform", "values"):
            whole = str(known.name) if known.name is not None else prefix or name
        _field(whole, document[name], known, put, depth)


def _field(name: str, value: Any, known: _Known, put: Put, depth: int) -> None:
    if isinstance(value, dict):
        _message(value, known, name, put, depth + 1)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for each in value:
            if isinstance(each, dict):
                _message(each, known, "", put, depth + 1)
    elif isinstance(value, list | np.ndarray) and known.rate is not None and len(value) > 1:
        numbers = burst_numbers(value)
        rate = known.rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or rate <= 0:
            raise InvalidValueError(f"the waveform's sample rate is {rate!r}, not a number above 0")
        _put(name, Burst(numbers, 1 / rate), known, put)
    elif isinstance(value, np.ndarray):
        _put(name, value.tolist(), known, put)
    elif value is not None and not isinstance(value, bytes) and value != []:
        _put(name, value, known, put)


def _put(name: str, value: Any, known: _Known, put: Put) -> None:
    row = [known.device, name or None, value, known.unit or None, known.stamp, known.quality]
    put(row, dict(known.metadata) or None)


def _says(role: str, value: Any) -> bool:
    """Whether a field says something: fields of protobuf that were not sent are 0 or empty."""
    return role != "value" and _is_plain(value) and (role not in ("stamp", "rate") or value != 0)


def _is_plain(value: Any) -> bool:
    return value is not None and value != "" and not isinstance(value, dict | list | np.ndarray | bytes)


@lru_cache(maxsize=4096)
def _roles(fields: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """The fields that say something of the others, those that say where it is, and those that are measured."""
    plain = {field: field.lower().replace("_", "").replace("-", "") for field in fields}
    roles: dict[str, str] = {}
    for field in fields:
        role = _ROLE_OF.get(plain[field])
        if role is not None and role not in roles:
            roles[role] = field
    if "device" not in roles and "id" in plain.values():
        roles["device"] = next(field for field in fields if plain[field] == "id")
    taken = set(roles.values())
    places = tuple(field for field in fields if field not in taken and plain[field] in _PLACES)
    return roles, places, tuple(field for field in fields if field not in taken and field not in places)
