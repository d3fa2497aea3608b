"""The specification's telemetry document: what `POST /telemetry` takes, and topics without a parser carry."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ..twin.errors import InvalidValueError
from ..twin.model import Quality

MeasuredValue = int | float | bool | str | list[int | float | bool | str | None] | None
Stamp = str | int | float | None


class Measurement(msgspec.Struct, omit_defaults=True, gc=False):
    """One measured value. `quality` is a word (good, uncertain, bad) or an OPC quality byte."""

    name: str | None = None
    value: MeasuredValue = None
    unit: str | None = None
    quality: str | int | None = None


class TelemetryDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """What one device measured at one time.

    `timestamp` is ISO 8601, or seconds, milliseconds, microseconds or nanoseconds since the epoch (told apart by their
    size); left out, the time of arrival counts. `metadata` says where the device stands (`plant`, `line`,
    `equipment`), which decides the place of a device that nobody has defined.
    """

    device_id: str | None = None
    timestamp: Stamp = None
    measurements: list[Measurement] = []
    metadata: dict[str, Any] | None = None


_decode_one = msgspec.json.Decoder(TelemetryDocument).decode
_decode_many = msgspec.json.Decoder(list[TelemetryDocument]).decode
_decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encoder = msgspec.json.Encoder()
_PLACE = re.compile(r" - at `\$(?P<place>.*)`$")
_WHITE = b" \t\r\n"
_WORDS = {"good": int(Quality.GOOD), "uncertain": int(Quality.UNCERTAIN), "bad": int(Quality.BAD)}


def decode_documents(payload: bytes) -> Sequence[TelemetryDocument]:
    """One document or an array of them.

    Raises InvalidValueError that names the field (`[3].measurements[0].value`) if it is neither.
    """
    try:
        several = payload.lstrip(_WHITE)[:1] == b"["
        documents = _decode_many(payload) if several else [_decode_one(payload)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_document(error) from None
    return _checked(documents, several)


def as_documents(decoded: Any) -> Sequence[TelemetryDocument]:
    """The same of what was decoded from another encoding than JSON; times may be datetimes."""
    several = isinstance(decoded, list)
    try:
        documents = [msgspec.convert(each, TelemetryDocument) for each in (decoded if several else [decoded])]
    except msgspec.ValidationError as error:
        raise invalid_document(error) from None
    return _checked(documents, several)


def _checked(documents: list[TelemetryDocument], several: bool) -> list[TelemetryDocument]:
    for i, document in enumerate(documents):
        if not document.measurements:
            place = f"[{i}].measurements" if several else "measurements"
            raise InvalidValueError("a telemetry document needs at least one measurement", place)
    return documents


def split_documents(payload: bytes) -> list[bytes]:
    """The elements of an array of documents, as they were sent; raises InvalidValueError if it is no JSON array."""
    try:
        return [bytes(raw) for raw in _decode_raw(payload)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_document(error) from None


def invalid_document(error: Exception) -> InvalidValueError:
    """msgspec's mistake in the words of the person who sent the document, with the field's name."""
    text = str(error)
    if isinstance(error, RecursionError):
        return InvalidValueError("the payload is nested too deep")
    if isinstance(error, msgspec.ValidationError):
        place = _PLACE.search(text)
        field = place["place"].lstrip(".") if place else ""
        words = text[: place.start()] if place else text
        return InvalidValueError(f"{field or 'the document'}: {_plain(words)}", field or None)
    return InvalidValueError(f"the payload is not JSON: {text}")


def _plain(words: str) -> str:
    return words.replace("`", "").replace("Expected", "expected").replace("object", "an object", 1)


def encode_documents(documents: Sequence[TelemetryDocument]) -> bytes:
    """The documents as JSON: one by itself, several as an array."""
    return _encoder.encode(documents[0] if len(documents) == 1 else list(documents))


def quality_byte(quality: object) -> int:
    """The OPC quality byte of a word, a number or nothing (good). Raises InvalidValueError."""
    if quality is None:
        return int(Quality.GOOD)
    if isinstance(quality, str):
        known = _WORDS.get(quality) or _WORDS.get(quality.strip().lower())
        if known is not None:
            return known
        if quality.strip().isdigit():
            return quality_byte(int(quality))
    if isinstance(quality, float) and quality.is_integer():
        quality = int(quality)
    if isinstance(quality, bool):
        return int(Quality.GOOD if quality else Quality.BAD)
    if isinstance(quality, int) and 0 <= quality <= 255:
        return quality
    raise InvalidValueError(f"{quality!r} is not a quality: good, uncertain, bad or an OPC quality byte", "quality")
