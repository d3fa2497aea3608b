"""Payloads of a unified namespace, where the topic says whose value it is: a bare value, or an object around it."""

from typing import Any

from ..twin.errors import InvalidValueError
from .decoders import Decode
from .jsonpath import JsonPath, getter
from .parsers import PARSE, Failure, Failures, SamplesParser
from .place import Place
from .sample import Sample
from .stamps import Clock
from .telemetry import as_documents, quality_byte

_STAMPS = ("timestamp", "ts", "time", "timestamp_ms", "t")
_VALUES = ("value", "val", "v")
_UNITS = ("unit", "units", "uom")
_BESIDE = {*_STAMPS, *_UNITS, "quality"}


def uns_parser(place: Place, clock: Clock, decode: Decode, stamp_path: JsonPath | None = None) -> SamplesParser:
    """The parser of the topic of a place; NAME is its last level.

    `72.5`, `"running"`; `{"value": 72.5, "timestamp": ..., "unit": ..., "quality": ...}`; an object without a value
    gives a sample NAME/MEMBER for each of its members; a telemetry document its measurements.
    """
    name, device = place.name or "", place.address
    get_stamp = getter(stamp_path.rest) if stamp_path is not None else None

    def parse(payload: bytes, failures: Failures) -> list[Sample]:
        content = decode(payload)
        if not isinstance(content, dict):
            return [Sample(name, content, device=device)]
        stamp = get_stamp(content) if get_stamp is not None else _first(content, _STAMPS)
        time = None if stamp is None else clock(stamp)
        if isinstance(content.get("measurements"), list):
            return _of_documents(content, place, clock)
        quality, unit = quality_byte(content.get("quality")), _first(content, _UNITS)
        word = next((word for word in _VALUES if word in content), None)
        if word is not None:
            return [Sample(name, content[word], time, quality, unit, device)]
        samples = []
        for key, value in content.items():
            if isinstance(value, dict):
                failures.append(Failure(PARSE, f"{key} is an object; a `schema` would say what is in it"))
            elif key not in _BESIDE:
                samples.append(Sample(f"{name}/{key}", value, time, quality, None, device))
        if not samples and not failures:
            raise InvalidValueError("there is no value in the payload")
        return samples

    return parse


def _first(content: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((content[name] for name in names if content.get(name) is not None), None)


def _of_documents(content: dict[str, Any], place: Place, clock: Clock) -> list[Sample]:
    samples = []
    for document in as_documents(content):
        time = None if document.timestamp is None else clock(document.timestamp)
        for each in document.measurements:
            name, device = each.name or place.name or "", document.device_id or place.address
            samples.append(Sample(name, each.value, time, quality_byte(each.quality), each.unit, device))
    return samples
