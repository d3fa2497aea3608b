"""The way of one value, from the bytes that came to the signal of the twin: every step with what it made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from ..twin.errors import IoTSenseError
from ..twin.model import Signal, quality_word
from ..twin.times import NS, format_time, now_ns
from ..twin.twin import Twin
from .binding import Address, Binder, Unbound, Undecided
from .binding_words import considered
from .burst import Burst
from .content_types import parser_of
from .explain_steps import (
    ExplainedReading,
    Explanation,
    Step,
    a_few,
    converted,
    counted,
    finite,
    message_step,
    normalize_step,
    row_of,
    sample_step,
    source_step,
    store_step,
)
from .explained_point import Subject, find_point, indexes
from .lane import Lane, Lanes
from .message import Message
from .message_reading import Measured, messages_in, read_message
from .parsers import Failures
from .reporting import Reporter
from .source_reporting import SourceReporting
from .source_state import SourceStatus
from .traces import Traced, Traces

MAX_READINGS = 16


class Explainer:
    """Explains points of a running pipeline. It reads with the pipeline's own lanes and binder, and changes nothing."""

    def __init__(
        self, twin: Twin, lanes: Lanes, binder: Binder, reporter: Reporter, traces: Traces, max_ahead: int
    ) -> None:
        self._twin = twin
        self._lanes = lanes
        self._binder = binder
        self._reporter = reporter
        self._traces = traces
        self._max_ahead = max_ahead

    async def next(self, point: str, wait: float, sources: Mapping[str, SourceStatus]) -> Explanation:
        """Of the next message that concerns the point; of what is known anyway if none comes within `wait` [s].

        Raises NotFoundError with candidates, OverloadedError.
        """
        self._binder.refresh()
        subject = find_point(point, self._binder.book, self._lanes)
        traced = await self._traces.next(subject.signals, subject.topic, wait) if wait > 0 else None
        if traced is None:
            return self._without_message(subject, wait, sources)
        return self._of_message(subject, traced.message, traced, sources)

    def given(self, point: str, message: Message, sources: Mapping[str, SourceStatus]) -> Explanation:
        """Of a message that is given; nothing is stored. Without a source it is of the one that has its topic."""
        self._binder.refresh()
        message.source = message.source or self._lanes.source_of(message.topic, message.via)
        subject = find_point(point, self._binder.book, self._lanes, is_topic=point in (message.topic, message.via))
        message.received = message.received or now_ns()
        return self._of_message(subject, message, None, sources)

    # The steps of a message

    def _of_message(
        self, subject: Subject, message: Message, traced: Traced | None, sources: Mapping[str, SourceStatus]
    ) -> Explanation:
        steps = [source_step(message.source, sources)]
        readings: list[ExplainedReading] = []
        # A dry run must not leave behind that anything has been bound.
        lanes = self._lanes if traced is not None else self._lanes.afresh()
        lane = lanes.of(message.source, message.topic, message.via, message.under)
        all_of_it = subject.topic is not None and subject.topic in (message.topic, message.via)
        shown_message = message
        reasons: list[str] = []
        total = 0
        for part in messages_in(message):
            found, failed = self._read(lane, part)
            reasons += failed
            total += len(found)
            chosen = [each for each in found if all_of_it or self._concerns(lane, each, subject)]
            if chosen:
                shown_message = part
            room = MAX_READINGS - len(readings)
            readings += [self._reading(lane, part, each, subject, traced) for each in chosen[:room]]
        steps += [message_step(shown_message), self._parse_step(lane, shown_message, total, reasons)]
        return Explanation(subject.text, self._ids(subject), True, traced is None, steps, readings)

    def _read(self, lane: Lane, message: Message) -> tuple[Sequence[Measured], list[str]]:
        failures: Failures = []
        try:
            found = read_message(self._lanes, lane, message, failures)
        except IoTSenseError as error:
            return (), [str(error), *(failure.reason for failure in failures)]
        return found, [failure.reason for failure in failures]

    def _concerns(self, lane: Lane, measured: Measured, subject: Subject) -> bool:
        return any(signal.index in subject.signals for signal in self._binder.signals(lane, measured.address))

    def _parse_step(self, lane: Lane, message: Message, total: int, reasons: list[str]) -> Step:
        payload = self._lanes.payload(lane.source, lane.topic, lane.via)
        parser: str = "json" if message.payload is not None else "values of the connection's points"
        parser = "telemetry documents" if message.telemetry is not None else parser
        values: dict[str, Any] = {}
        if message.payload is not None and payload is not None:
            parser = payload.usual_parser
            values = payload.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
            values = {
                name: values[name] for name in ("schema", "schema_file", "message_type", "csv", "raw") if name in values
            }
        if message.content_type:
            values["content_type"] = message.content_type
            if payload is None or payload.fixed_parser is None:
                parser = parser_of(message.content_type) or parser
        if lane.sparkplug:
            parser = "sparkplug"
        if lane.lines is not None:
            parser = "line protocol"
        said = f"read as {parser}: {counted(total, 'measurement')}"
        said += f"; {counted(len(reasons), 'part')} could not be read" if reasons else ""
        return Step("parse", said, {"parser": parser, **values, **({"reasons": reasons[:8]} if reasons else {})})

    # The steps of a measurement

    def _reading(
        self, lane: Lane, message: Message, measured: Measured, subject: Subject, traced: Traced | None
    ) -> ExplainedReading:
        address = measured.address
        steps = [sample_step(measured)]
        signals = self._binder.signals(lane, address)
        node = self._twin.graph.node(signals[0].node) if signals else None
        rules, units = self._binder.normalized(lane, address, node)
        time, words = self._time(measured, message)
        steps.append(normalize_step(len(rules), units, time, words, self._lanes.metadata(lane, address.device, rules)))
        steps.append(self._bind_step(lane, address, signals))
        if not signals:
            steps.append(self._unbound_step(lane, measured))
            return ExplainedReading(None, steps)
        signal = next((each for each in signals if each.index in subject.signals), signals[0])
        id = self._twin.graph.signal_id(signal)
        value, step = self._convert(lane, measured, signal)
        steps.append(step)
        if value is not None:
            steps.append(self._report_step(lane.source, signal, value, time, measured.quality, traced))
            steps.append(store_step(signal, message, traced))
        steps.append(self._live_step(signal))
        return ExplainedReading(id, steps)

    def _time(self, measured: Measured, message: Message) -> tuple[int, str]:
        latest = message.received + self._max_ahead
        length = measured.value.length if isinstance(measured.value, Burst) else 0
        if measured.time is None:
            own = message.time is not None and message.time <= latest
            return message.stamp(latest) - length, "of the message" if own else "of the arrival: the message says none"
        if measured.time + length > latest:
            ahead = format_time(measured.time)
            return message.received - length, f"of the arrival: its own, {ahead}, is too far in the future"
        return measured.time, "of the source"

    def _bind_step(self, lane: Lane, address: Address, signals: Sequence[Signal]) -> Step:
        looked = considered(self._binder.book, lane, address)
        ids = [self._twin.graph.signal_id(signal) for signal in signals]
        nodes = {self._twin.graph.node(signal.node).id for signal in signals}
        why = next((each for each in looked if len(each.found) == 1 and each.found[0] in nodes), None)
        said = f"{address.text} is {a_few(ids)}" if ids else f"{address.text} fits no signal"
        if why is not None:
            said += f", as {why.rule} {why.looked_for!r}"
        return Step("bind", said, {"signals": ids, "considered": [msgspec.to_builtins(each) for each in looked]})

    def _unbound_step(self, lane: Lane, measured: Measured) -> Step:
        try:
            bound = self._binder.bind(lane, measured.address, measured.value)
        except IoTSenseError as error:
            return Step("discover", f"a dead letter: {error}")
        if isinstance(bound, Unbound):
            return Step(
                "discover", f"unknown: a sensor {bound.name} of {bound.device} would be discovered, or a dead letter"
            )
        return Step("discover", "it would be bound")

    def _convert(self, lane: Lane, measured: Measured, signal: Signal) -> tuple[float | None, Step]:
        try:
            bound = self._binder.bind(lane, measured.address, measured.value)
            if isinstance(bound, Unbound | Undecided):
                return None, Step("convert", "the first reading decides whether the signal is a number or a text")
            value, words = converted(self._twin, bound, measured.value, signal)
        except IoTSenseError as error:
            return None, Step("convert", f"a dead letter: {error}", {"reason": str(error)})
        return value, Step("convert", words, {"value": finite(value), "unit": signal.unit})

    def _report_step(
        self, source: str, signal: Signal, value: float, time: int, quality: int, traced: Traced | None
    ) -> Step:
        policy = self._reporter.policy(source, signal.index)
        values: dict[str, Any] = {"policy": policy.words()}
        if traced is not None and (number := row_of(traced, signal)) is not None:
            kept = traced.stored[number]
            said = "stored" if kept else "not stored: history says the same within the policy"
            return Step("report", f"{policy.words()}: {said}", values | {"stored": kept})
        if not policy.stores_all:
            dry = SourceReporting(lambda _: policy, self._twin.state)
            slot = dry.slots(np.array([signal.index], np.int32))
            columns = (np.array([time]), np.array([value]), np.array([quality], np.uint8))
            keep, _ = dry.decide(slot, *columns)
            values["stored"] = bool(keep[0])
        said = "it would be stored" if values.get("stored", True) else "it would not be stored"
        return Step("report", f"{policy.words()}: {said}", {"stored": True} | values)

    def _live_step(self, signal: Signal) -> Step:
        reading = self._twin.state.read(signal.index)
        if reading is None:
            return Step("live", "the signal has no value yet")
        value = self._twin.label(signal.index, reading.value) or finite(reading.value)
        age = (now_ns() - reading.time) / NS
        unit = f" {signal.unit}" if signal.unit else ""
        quality = quality_word(reading.quality)
        values = {"value": value, "time": format_time(reading.time), "quality": quality, "entry": reading.seq}
        return Step("live", f"{value}{unit}, {quality}, {age:.3g} s old", values | {"age_s": round(age, 3)})

    # Without a message

    def _without_message(self, subject: Subject, wait: float, sources: Mapping[str, SourceStatus]) -> Explanation:
        steps = [Step("message", f"none came within {wait:g} s" if wait > 0 else "none was waited for")]
        ways = [
            (lane, key)
            for lane in self._lanes.known()
            for key, t in lane.targets.items()
            if subject.signals & {*indexes(t)}
        ]
        names = dict.fromkeys(lane.source for lane, _ in ways) or dict.fromkeys(sources)
        steps = [*(source_step(name, sources) for name in names), *steps]
        for lane, (device, name, _) in ways[:MAX_READINGS]:
            address = ".".join(part for part in (device, name) if part)
            by = lane.topic or lane.via
            steps.append(
                Step(
                    "known", f"{address or by} of {lane.source}" + (f" on {by}" if by else "") + " has been bound to it"
                )
            )
        graph = self._twin.graph
        readings = []
        for index in sorted(subject.signals)[:MAX_READINGS]:
            signal = graph.signal(index)
            source = graph.node(signal.node).properties.get("source")
            told = [Step("bind", f"its sensor's `source` is {source!r}")] if source else []
            readings.append(ExplainedReading(graph.signal_id(signal), [*told, self._live_step(signal)]))
        return Explanation(subject.text, self._ids(subject), False, False, steps, readings)

    def _ids(self, subject: Subject) -> list[str]:
        graph = self._twin.graph
        return [graph.signal_id(graph.signal(index)) for index in sorted(subject.signals)]
