"""Readings of the line protocol, fast: what a series' fields are bound to is remembered, so a field costs a look-up.

A line takes the fast way if it has no quotes and escapes, and the signals of all its fields are known numbers. Any
other becomes a telemetry document, which goes the way of all documents: it is bound, discovered, refused with words.
"""

from array import array
from collections.abc import Mapping

from ..twin.errors import InvalidValueError, IoTSenseError
from ..twin.times import format_time
from .columns import Columns
from .line_protocol import BadLine, Line, parse_lines
from .line_series import Series, SeriesNaming
from .parsers import PARSE, Failure
from .points import Key
from .targets import EXACT
from .telemetry import Measurement, Stamp, TelemetryDocument

Plain = tuple[int, float, float]
PRECISIONS = {"ns": 1, "n": 1, "us": 1000, "u": 1000, "µ": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9,
              "h": 3600 * 10**9}  # fmt: skip
"""How many nanoseconds a unit of time is, by the words of `precision`."""
_GOOD = b"\xc0"
_I = ord("i")
_MAX_SERIES = 200_000
_EARLIEST, _LATEST = -(2**63) + 2, 2**63 - 2  # InfluxDB's own limits
# Bare numbers below this are not taken for nanoseconds by those who read stamps of any unit.
_PLAINLY_NS = 10**17


class LineReader:
    """Reads the payloads of one precision. `forget` when the graph changes: fields may be bound otherwise then."""

    def __init__(self, naming: SeriesNaming, factor: int) -> None:
        self._naming = naming
        self._factor = factor
        self._series: dict[tuple[str, tuple[tuple[str, str], ...]], Series] = {}
        self._bound: dict[bytes, dict[bytes, Plain]] = {}

    def afresh(self) -> "LineReader":
        """One that knows nothing yet, so that all it reads becomes documents."""
        return LineReader(self._naming, self._factor)

    def forget(self) -> None:
        """Another revision of the graph."""
        self._bound.clear()

    def read(
        self,
        payload: bytes,
        columns: Columns,
        plain: Mapping[Key, Plain],
        received: int,
        latest: int,
        failures: list[Failure],
    ) -> list[TelemetryDocument]:
        """Lays into the columns what is known, adds lines that are none to `failures`, returns the rest as documents.

        plain: the lane's known addresses. received, latest: time of arrival and the latest believable one [ns].
        """
        if b"\r" in payload:
            payload = payload.replace(b"\r\n", b"\n")
        lines = payload.split(b"\n")
        marked = b'"' in payload or b"\\" in payload
        if marked and any(line.count(b'"') & 1 for line in lines):  # a text may hold a line break
            return self._documents(payload, failures)
        signals: list[int] = []
        times: list[int] = []
        values: list[float] = []
        documents: list[TelemetryDocument] = []
        known, put_signal, put_value = self._bound.get, signals.append, values.append
        last, time = b"", self._time(b"", received, latest)
        for line in lines:
            head, _, rest = line.partition(b" ")
            fields, _, stamp = rest.partition(b" ")
            bound = known(head) or self._bind(head, fields, plain)
            if stamp != last:
                time, last = self._time(stamp, received, latest), stamp
            if bound and time is not None and not (marked and (b'"' in line or b"\\" in line)):
                rows = len(values)
                try:
                    for field in fields.split(b","):
                        name, _, text = field.partition(b"=")
                        index, scale, offset = bound[name]
                        value = int(text[:-1]) if text[-1] == _I else float(text)
                        if not -EXACT <= value <= EXACT or b"_" in text:
                            break
                        put_signal(index)
                        put_value(value * scale + offset)
                    else:
                        times += [time] * (len(values) - rows)
                        continue
                except (KeyError, ValueError, IndexError):
                    self._learn(bound, head, fields, plain)
                del signals[rows:], values[rows:]
            documents += self._documents(line, failures)
        columns.signal.extend(array("i", signals))
        columns.time.extend(array("q", times))
        columns.value.extend(array("d", values))
        columns.quality.frombytes(_GOOD * len(values))
        return documents

    def _time(self, stamp: bytes, received: int, latest: int) -> int | None:
        """The time of a line; None if it is for the slow way to look at."""
        if not stamp:
            return received
        time = int(stamp) * self._factor if stamp.isdigit() else latest + 1
        return time if time <= latest else None

    def _bind(self, head: bytes, fields: bytes, plain: Mapping[Key, Plain]) -> dict[bytes, Plain]:
        """What is known of a series that was not asked for yet."""
        bound: dict[bytes, Plain] = {}
        self._learn(bound, head, fields, plain)
        if bound:
            if len(self._bound) >= _MAX_SERIES:
                self._bound.clear()  # tags that carry ids or times would grow without bound
            self._bound[head] = bound
        return bound

    def _learn(self, bound: dict[bytes, Plain], head: bytes, fields: bytes, plain: Mapping[Key, Plain]) -> None:
        for line in parse_lines(head + b" " + fields):
            if not isinstance(line, Line):
                return
            try:
                series = self._series_of(line)
                for field in line.fields:
                    if (target := plain.get(series.key(field))) is not None:
                        bound[field.encode()] = target
            except IoTSenseError:
                return  # the slow way tells why

    def _series_of(self, line: Line) -> Series:
        key = (line.measurement, tuple(line.tags.items()))
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= _MAX_SERIES:
                self._series.clear()
            series = self._series[key] = self._naming.series(line.measurement, line.tags)
        return series

    # The slow way

    def _documents(self, payload: bytes, failures: list[Failure]) -> list[TelemetryDocument]:
        documents = []
        for line in parse_lines(payload):
            if isinstance(line, BadLine):
                failures.append(Failure(PARSE, line.reason, line.text))
                continue
            try:
                documents.append(self._document(line))
            except IoTSenseError as error:
                failures.append(Failure(PARSE, str(error), line.text))
        return documents

    def _document(self, line: Line) -> TelemetryDocument:
        series = self._series_of(line)
        measurements = []
        for field, value in line.fields.items():
            _, name, unit = series.key(field)
            measurements.append(Measurement(name, value, unit))
        stamp: Stamp = None
        if line.stamp is not None:
            stamp = line.stamp * self._factor
            if not _EARLIEST <= stamp <= _LATEST:
                raise InvalidValueError(f"the time of '{_start(line.text)}' is out of range; is the precision right?")
            stamp = stamp if stamp >= _PLAINLY_NS else format_time(stamp)
        return TelemetryDocument(series.device, stamp, measurements, series.metadata)


def _start(text: bytes) -> str:
    return text[:80].decode("utf-8", "replace")


VIA = "line_protocol"


def line_via(precision: str) -> str:
    """`Message.via` of the line protocol with a unit of time. Raises InvalidValueError for one that is none."""
    if precision not in PRECISIONS:
        raise InvalidValueError(f"invalid precision {precision!r}: use ns, us, ms or s", "precision")
    return f"{VIA}/{precision}"


def line_factor(via: str | None) -> int | None:
    """The unit of time [ns] that a message's `via` tells; None if it is not of the line protocol."""
    protocol, _, precision = (via or "").partition("/")
    return PRECISIONS.get(precision) if protocol == VIA else None
