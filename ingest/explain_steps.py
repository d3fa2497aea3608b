"""The steps of an explanation: what each came to, in words and values."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from ..twin.errors import InvalidValueError
from ..twin.model import Signal, quality_word
from ..twin.times import NS, format_time
from ..twin.twin import Twin
from .burst import Burst
from .explained_point import indexes
from .message import Message
from .message_reading import Measured
from .source_state import SourceStatus
from .targets import ListTarget, NumberTarget, Target, is_missing, number, shown
from .traces import Traced

MAX_PAYLOAD = 4096


class Step(msgspec.Struct):
    """One step: its name, what it came to in words, and its values by name."""

    step: str
    said: str
    values: dict[str, Any] = {}


class ExplainedReading(msgspec.Struct):
    """The steps of one measurement from its sample to the live state. signal: null if it is nobody's."""

    signal: str | None
    steps: list[Step]


class Explanation(msgspec.Struct):
    """steps: those of the message (source, message, parse). readings: what of it concerns the point.

    came: whether a message was looked at. dry_run: it was given, and nothing was stored.
    """

    point: str
    signals: list[str]
    came: bool
    dry_run: bool
    steps: list[Step]
    readings: list[ExplainedReading]


def source_step(name: str, sources: Mapping[str, SourceStatus]) -> Step:
    status = sources.get(name)
    if status is None:
        return Step("source", f"{name}: no source of this name runs here", {"name": name})
    values = {"name": name, "protocol": status.protocol, "address": status.address, "state": str(status.state)}
    error = f", {status.error}" if status.error else ""
    where = f" ({status.protocol} {status.address})".replace(" )", ")") if status.protocol else ""
    return Step("source", f"{name}{where} is {status.state}{error}", values | {"error": status.error})


def message_step(message: Message) -> Step:
    values: dict[str, Any] = {"received": format_time(message.received)}
    for name in ("topic", "via", "content_type", "identity", "metadata"):
        if (value := getattr(message, name)) is not None:
            values[name] = value
    said = f"came at {values['received']}" + (
        f" on {message.topic or message.via}" if message.topic or message.via else ""
    )
    given = (each for each in (message.payload, message.telemetry, message.raw) if each is not None)
    whole = next(given, None)
    if whole is None:
        return Step("message", said, values)
    payload = whole[:MAX_PAYLOAD]
    try:
        text, encoding = payload.decode(), "text"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(payload).decode(), "base64"
    values |= {"payload": text, "encoding": encoding, "size": len(whole)}
    return Step("message", f"{said}, {counted(len(whole), 'byte')}", values)


def sample_step(measured: Measured) -> Step:
    address = measured.address
    values = {name: getattr(address, name) for name in ("device", "name", "unit", "tag", "metadata")}
    values = {name: value for name, value in values.items() if value} | {"quality": measured.quality}
    value = measured.value.tolist() if isinstance(measured.value, np.ndarray) else measured.value
    values["value"] = repr(value) if isinstance(value, Burst) else value
    values["time"] = None if measured.time is None else format_time(measured.time)
    unit = f" {address.unit}" if address.unit else ""
    return Step("sample", f"{address.text} = {shown(value)}{unit}, {quality_word(measured.quality)}", values)


def normalize_step(rules: int, units: Any, time: int, words: str, metadata: Mapping[str, str]) -> Step:
    said = f"{counted(rules, 'rule')}; its time is {format_time(time)}, {words}"
    said += f"; it is in {units.given}" if units.given else ""
    values = {"rules": rules, "time": format_time(time), "unit": units.given, "metadata_added": dict(metadata)}
    return Step("normalize", said, values)


def converted(twin: Twin, target: Target, value: Any, signal: Signal) -> tuple[float, str]:
    if isinstance(target, ListTarget):
        elements = value if isinstance(value, list | tuple) else [value]
        at = next((n for n, each in enumerate(target.elements) if signal.index in indexes(each)), 0)
        if len(elements) != len(target.elements):
            raise InvalidValueError(f"{target.name} takes {len(target.elements)} values, not {len(elements)}")
        return converted(twin, target.elements[at], elements[at], signal)
    if not isinstance(target, NumberTarget):
        labels = twin.labels(signal.index)
        if value.__class__ is str and value in labels:
            return float(labels.index(value)), f"the text {value!r} is label {labels.index(value)}"
        if value.__class__ is str and not target.is_boolean:
            return math.nan, f"the text {value!r} becomes a new label"
        return float(value in (True, 1, "true", "on", "1")) if target.is_boolean else float(
            value
        ), f"{shown(value)} as a code"
    _, scale, offset = target.plain
    if isinstance(value, Burst):
        last = float(value.values[-1] * scale + offset)
        return last, f"{value!r} become {len(value)} readings, {value.length / NS:g} s long; the last is {last:g}"
    given = math.nan if is_missing(value) else number(value, target.name)
    result = given * scale + offset
    if (scale, offset) == (1.0, 0.0):
        return result, f"{given:g}: it is in the signal's unit already"
    return result, f"{given:g} x {scale:g} + {offset:g} = {result:g} {signal.unit or ''}".rstrip()


def store_step(signal: Signal, message: Message, traced: Traced | None) -> Step:
    if traced is None:
        return Step("store", "nothing: this is a dry run")
    if traced.durable is None:
        return Step("store", f"refused: {traced.error or 'storage failed'}", {"reason": str(traced.error)})
    number = row_of(traced, signal)
    lag = (traced.durable - message.received) / 1e6
    values: dict[str, Any] = {"entry": traced.seq, "durable": format_time(traced.durable), "lag_ms": round(lag, 3)}
    if number is None or not traced.stored[number]:
        return Step("store", f"nothing of it; its message was durable {lag:.3g} ms after it came", values)
    _, time, value, quality = traced.rows[number]
    values |= {"time": format_time(time), "value": finite(value), "quality": quality_word(quality)}
    values["source_lag_ms"] = round((message.received - time) / 1e6, 3)
    return Step("store", f"entry {traced.seq} of the journal, durable {lag:.3g} ms after it came", values)


def row_of(traced: Traced, signal: Signal) -> int | None:
    found = [number for number, row in enumerate(traced.rows) if row[0] == signal.index]
    return found[-1] if found else None


def finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def a_few(ids: Sequence[str], most: int = 6) -> str:
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")
