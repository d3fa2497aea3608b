"""From a payload to samples or telemetry documents; compiled once for each topic.

A parser never throws away what it understood: what it could not use it adds to `failures`, and goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..twin.define_payload import PayloadSchema
from ..twin.errors import InvalidValueError
from ..twin.expressions import compile_template
from .decoders import Decode, DecodeLines, decode_json
from .jsonpath import JsonPath, Steps, compile_path, each, getter
from .named_fields import read_named
from .sample import Sample
from .stamps import Clock
from .telemetry import TelemetryDocument, decode_documents, quality_byte, split_documents
from .waveform import burst_maker, pace_path


class Failure(msgspec.Struct):
    """A part of a message that could not be used: at which `stage`, why, and its bytes (None: the whole message).

    count: how many measurements it was.
    """

    stage: str
    reason: str
    payload: bytes | None = None
    count: int = 1


Failures = list[Failure]
SamplesParser = Callable[[bytes, Failures], list[Sample]]
DocumentsParser = Callable[[bytes, Failures], Sequence[TelemetryDocument]]

PARSE = "parse"
_decode = msgspec.json.decode
_SCALARS = (int, float, bool)


# The telemetry shape --------------------------------------------------------------------------------------------------


def parse_telemetry(payload: bytes, failures: Failures) -> Sequence[TelemetryDocument]:
    """One document or an array; of an array with wrong elements, the right ones are kept.

    Raises InvalidValueError if there is nothing to keep.
    """
    try:
        return decode_documents(payload)
    except InvalidValueError as error:
        parts = _elements(payload)
        if len(parts) < 2:
            raise error
    documents: list[TelemetryDocument] = []
    for part in parts:
        try:
            documents += decode_documents(part)
        except InvalidValueError as error:
            failures.append(Failure(PARSE, str(error), part))
    return documents


def _elements(payload: bytes) -> list[bytes]:
    try:
        return split_documents(payload)
    except InvalidValueError:
        return []


def bare_value(payload: bytes) -> int | float | bool | None:
    """The number or truth value that is the whole payload, as simple devices send it; None if it is anything else."""
    if len(payload) > 32:
        return None
    try:
        value = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if value.__class__ in _SCALARS else None


def stamped(parse: DocumentsParser, path: JsonPath) -> DocumentsParser:
    """The telemetry shape with its stamp at another place of the document, as `timestamp_normalize` may say."""
    get = getter(path.rest)

    def parse_stamped(payload: bytes, failures: Failures) -> Sequence[TelemetryDocument]:
        documents = parse(payload, failures)
        raw = decode_json(payload)
        if len(documents) == (len(raw) if isinstance(raw, list) else 1):
            for document, source in zip(documents, raw if isinstance(raw, list) else [raw], strict=True):
                if document.timestamp is None:
                    document.timestamp = get(source)
        return documents

    return parse_stamped


# A schema of JSONPaths ------------------------------------------------------------------------------------------------

_FIELDS = ("device_id", "name", "value", "unit", "timestamp", "quality")
_DEVICE, _NAME, _VALUE, _UNIT, _STAMP, _QUALITY = range(6)
Row = list[Any]
Fill = Callable[[Any, str | int | None, Row], None]
Extract = Callable[[Any, list[Sample], Failures], None]
"""Adds the samples of a decoded payload, and what of it cannot be used."""


def compile_schema(
    schema: PayloadSchema,
    clock: Clock,
    namespace: Mapping[str, Any],
    stamp_path: str | None = None,
    device_clocks: Mapping[str, Clock] | None = None,
    decode: Decode = decode_json,
    lines: DecodeLines | None = None,
) -> SamplesParser:
    """The parser of a topic with a `schema:`; templates in it are filled in from `namespace` (topic, env) here.

    stamp_path: where the stamp is if the schema does not say. device_clocks: for devices whose stamps are read
    differently. decode: what is in a payload; `lines` instead for one whose lines are read one by one. Paths with a
    wildcard in common give one sample for each element. Raises InvalidValueError for a schema that cannot work.
    """
    texts = _texts(schema, stamp_path)
    paths: dict[int, JsonPath] = {}
    start: Row = []
    for slot, (field, text) in enumerate(texts.items()):
        start.append(None)
        if text is None:
            continue
        try:
            if text.startswith("$") and not text.startswith("${"):
                paths[slot] = compile_path(text)
            else:
                start[slot] = compile_template(text).render(namespace)
        except InvalidValueError as error:
            raise InvalidValueError(f"schema.{field}: {error}", field) from None
    if _VALUE not in paths:
        raise InvalidValueError(f"schema.value: {texts['value']!r} is not a JSONPath", "value")
    emit = _emitter(schema, clock, device_clocks or {}, str(texts["value"]))
    extract = _extractor(paths, start, emit)
    if lines is not None:
        return _line_parser(lines, extract)
    # A path to one value tells itself that it finds nothing.
    nothing = texts["value"] if any(path.many for path in paths.values()) else None
    return _document_parser(decode, extract, nothing)


def _texts(schema: PayloadSchema, stamp_path: str | None) -> dict[str, str | None]:
    """What the schema says of each slot of a row: the fields, the metadata, and a waveform's pace and start."""
    texts = {field: getattr(schema, field) for field in _FIELDS} | {
        f"metadata.{name}": text for name, text in schema.metadata.items()
    }
    texts["timestamp"] = texts["timestamp"] or stamp_path
    texts["value"] = texts["value"] or "$.value"
    if schema.waveform is not None:
        texts["value"] = schema.waveform.samples
        texts["waveform.pace"] = pace_path(schema.waveform)
        texts["timestamp"] = schema.waveform.start or texts["timestamp"]
    return texts


def _document_parser(decode: Decode, extract: Extract, nothing: str | None) -> SamplesParser:
    def parse(payload: bytes, failures: Failures) -> list[Sample]:
        samples: list[Sample] = []
        extract(decode(payload), samples, failures)
        if not samples and not failures and nothing is not None:
            raise InvalidValueError(f"{nothing} finds nothing in the payload")
        return samples

    return parse


def _line_parser(lines: DecodeLines, extract: Extract) -> SamplesParser:
    def parse(payload: bytes, failures: Failures) -> list[Sample]:
        samples: list[Sample] = []
        for line, cells in lines(payload):
            before = len(failures)
            try:
                extract(cells, samples, failures)
            except InvalidValueError as error:
                failures.append(Failure(PARSE, str(error)))
            for failure in failures[before:]:
                failure.payload = line
        if not samples and not failures:
            raise InvalidValueError("the payload holds no line with values")
        return samples

    return parse


def named_parser(
    clock: Clock, device_clocks: Mapping[str, Clock], decode: Decode, lines: DecodeLines | None = None
) -> SamplesParser:
    """The parser of payloads without a schema, whose fields' names tell what they are."""
    emit = _emitter(PayloadSchema(), clock, device_clocks, "the payload")

    def extract(document: Any, samples: list[Sample], failures: Failures) -> None:
        def put(row: Row, metadata: dict[str, Any] | None) -> None:
            before = len(samples)
            emit(row, samples, failures)
            for sample in samples[before:]:
                sample.metadata = metadata

        read_named(document, put)

    return _line_parser(lines, extract) if lines is not None else _document_parser(decode, extract, "a measurement")


Emit = Callable[[Row, list[Sample], Failures], None]


def _emitter(schema: PayloadSchema, clock: Clock, clocks: Mapping[str, Clock], value_path: str) -> Emit:
    metadata = tuple(schema.metadata)
    make_burst = burst_maker(schema.waveform) if schema.waveform is not None else None

    def emit(row: Row, samples: list[Sample], failures: Failures) -> None:
        device, name, value, unit, stamp, quality = row[:6]
        if value is None:
            failures.append(Failure(PARSE, f"{value_path} finds nothing in the payload"))
            return
        if device is not None and device.__class__ is not str:
            device = str(device)
        try:
            read = clocks.get(device, clock) if clocks else clock
            time = None if stamp is None else read(stamp)
            byte = 192 if quality is None else quality_byte(quality)
            if make_burst is not None:
                value = make_burst(value, row[-1])
        except InvalidValueError as error:
            failures.append(Failure(PARSE, str(error)))
            return
        if name is None:
            name = ""
        elif name.__class__ is not str:
            name = str(name)
        if unit is not None and unit.__class__ is not str:
            unit = str(unit)
        extra = dict(zip(metadata, row[6:], strict=False)) if metadata else None
        samples.append(Sample(name, value, time, byte, unit, device, extra))

    return emit


def _extractor(paths: dict[int, JsonPath], start: Row, emit: Emit) -> Extract:
    if any(path.many for path in paths.values()):
        rows = _nested(paths, start) or _zipped(paths, start)

        def extract_many(document: Any, samples: list[Sample], failures: Failures) -> None:
            for row in rows(document):
                emit(row, samples, failures)

        return extract_many
    gets = [(slot, getter(path.rest)) for slot, path in paths.items()]

    def extract_one(document: Any, samples: list[Sample], failures: Failures) -> None:
        row = start.copy()
        for slot, get in gets:
            row[slot] = get(document)
        emit(row, samples, failures)

    return extract_one


Rows = Callable[[Any], list[Row]]


def _nested(paths: dict[int, JsonPath], start: Row) -> Rows | None:
    """Rows where the paths' wildcards lie within one another: `$.lines[*].id` and `$.lines[*].tags[*].value`.

    None if they do not: then they are parallel lists.
    """
    if any(path.steps is None for path in paths.values()):
        return None
    prefixes = sorted({path.prefix for path in paths.values()} | {()}, key=len)
    deepest = prefixes[-1]
    if any(deepest[: len(prefix)] != prefix for prefix in prefixes):
        return None
    levels: list[tuple[Steps, Fill]] = []
    before = 0
    for prefix in prefixes:
        here = {slot: path for slot, path in paths.items() if path.prefix == prefix}
        levels.append((prefix[before:], _filler(here)))
        before = len(prefix)

    def rows(document: Any) -> list[Row]:
        found: list[Row] = []
        _descend(levels, 0, document, None, start, found)
        return found

    return rows


def _filler(paths: dict[int, JsonPath]) -> Fill:
    gets = [(slot, None if path.names else getter(path.rest)) for slot, path in paths.items()]

    def fill(element: Any, name: str | int | None, row: Row) -> None:
        for slot, get in gets:
            row[slot] = name if get is None else get(element)

    return fill


def _descend(
    levels: Sequence[tuple[Steps, Fill]], level: int, element: Any, name: str | int | None, row: Row, found: list[Row]
) -> None:
    row = row.copy()
    levels[level][1](element, name, row)
    if level + 1 == len(levels):
        found.append(row)
        return
    for child_name, child in each(levels[level + 1][0], element):
        _descend(levels, level + 1, child, child_name, row, found)


def _zipped(paths: dict[int, JsonPath], start: Row) -> Rows:
    """Rows of parallel lists: `$.names[*]` and `$.values[*]`; they must be equally long."""

    def rows(document: Any) -> list[Row]:
        columns = {slot: path.find(document) for slot, path in paths.items()}
        count = len(columns[_VALUE])
        found = [start.copy() for _ in range(count)]
        for slot, column in columns.items():
            if not paths[slot].many or len(column) == 1:
                column = [column[0] if column else None] * count
            if len(column) != count:
                value = paths[_VALUE].text
                raise InvalidValueError(
                    f"{paths[slot].text} finds {len(column)} elements where {value} finds {count}; they belong together"
                )
            for row, cell in zip(found, column, strict=True):
                row[slot] = cell
        return found

    return rows
