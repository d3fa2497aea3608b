"""Dead letters: what could not be used, with its bytes and the reason, so that it can be looked at and taken in again.

Secrets are blacked out before anything is written: the texts that the service knows as secrets, and the values of
members that are called like one (`password`, `token`, ...).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ..twin.entry import DeadLetter
from ..twin.errors import InvalidValueError
from .message import Message
from .parsers import Failure
from .sample import Sample
from .telemetry import Measurement, TelemetryDocument, decode_documents, encode_documents

MAX_PAYLOAD = 1 << 20
MAX_PENDING = 100_000
_REASONS = 5
_SHAPE = "payload_shape"
_RAW, _DOCUMENTS, _SAMPLES = "raw", "telemetry", "samples"
_BLACK = "***"
_OF_MESSAGE = (_SHAPE, "content_type", "via", "source_time", "under")
_SECRET_NAME = r"(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|authorization|credential|private[_-]?key)"
_MEMBER = re.compile(
    rb'("[^"]{0,40}?' + _SECRET_NAME.encode() + rb'[^"]{0,40}?"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE
)
_NAME = re.compile(_SECRET_NAME, re.IGNORECASE)

_encode = msgspec.json.Encoder().encode
_decode_samples = msgspec.json.Decoder(list[Sample]).decode


class Redaction:
    """Blacks out secrets. `secrets` are the texts known as such; shorter than four characters would black out all."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        texts = sorted({text for text in secrets if len(text) >= 4}, key=len, reverse=True)
        self._text = re.compile("|".join(map(re.escape, texts))) if texts else None
        self._bytes = re.compile(b"|".join(re.escape(text.encode()) for text in texts)) if texts else None

    def payload(self, payload: bytes) -> bytes:
        """Bytes without secrets."""
        payload = _MEMBER.sub(rb'\1"' + _BLACK.encode() + b'"', payload)
        return self._bytes.sub(_BLACK.encode(), payload) if self._bytes else payload

    def text(self, text: str) -> str:
        """A text without secrets."""
        return self._text.sub(_BLACK, text) if self._text else text

    def metadata(self, metadata: dict[str, Any] | None) -> dict[str, Any]:
        """Metadata without secrets."""
        return {
            name: _BLACK if _NAME.search(name) else self.text(value) if isinstance(value, str) else value
            for name, value in (metadata or {}).items()
        }


class Misfit(msgspec.Struct):
    """A measurement that could not be stored. `document` and `item` are its places in the message."""

    stage: str
    reason: str
    document: int
    item: int


def letters_of(
    message: Message,
    documents: Sequence[TelemetryDocument],
    samples: Sequence[Sample],
    failures: Sequence[Failure],
    misfits: Sequence[Misfit],
    redaction: Redaction,
) -> list[DeadLetter]:
    """The dead letters of one message: one for each part that failed, each with what is needed to try again."""
    letters = []
    whole: dict[str, list[str]] = {}
    for failure in failures:
        if failure.payload is None:
            whole.setdefault(failure.stage, []).append(failure.reason)
        else:
            letters.append(_letter(message, failure.stage, [failure.reason], failure.payload, _RAW, redaction))
    if documents:
        letters += _of_documents(message, documents, misfits, redaction)
    elif message.payload is None:
        for stage, chosen in _by_stage(misfits).items():
            payload = _encode([samples[misfit.item] for misfit in chosen])
            reasons = [misfit.reason for misfit in chosen]
            letters.append(_letter(message, stage, reasons, payload, _SAMPLES, redaction))
    else:
        for misfit in misfits:
            whole.setdefault(misfit.stage, []).append(misfit.reason)
    for stage, reasons in whole.items():
        letters.append(_letter(message, stage, reasons, message.payload or b"", _RAW, redaction))
    return letters


def _of_documents(
    message: Message, documents: Sequence[TelemetryDocument], misfits: Sequence[Misfit], redaction: Redaction
) -> list[DeadLetter]:
    """A letter for each document and stage, that holds the failed measurements only."""
    letters = []
    by_document: dict[int, list[Misfit]] = {}
    for misfit in sorted(misfits, key=lambda misfit: (misfit.document, misfit.item)):
        by_document.setdefault(misfit.document, []).append(misfit)
    for number, failed in by_document.items():
        document = documents[number]
        for stage, chosen in _by_stage(failed).items():
            items: list[Measurement] = [document.measurements[m.item] for m in chosen]
            payload = encode_documents([msgspec.structs.replace(document, measurements=items)])
            letters.append(_letter(message, stage, [m.reason for m in chosen], payload, _DOCUMENTS, redaction))
    return letters


def _by_stage(misfits: Iterable[Misfit]) -> dict[str, list[Misfit]]:
    stages: dict[str, list[Misfit]] = {}
    for misfit in misfits:
        stages.setdefault(misfit.stage, []).append(misfit)
    return stages


def _letter(
    message: Message, stage: str, reasons: Sequence[str], payload: bytes, shape: str, redaction: Redaction
) -> DeadLetter:
    metadata = redaction.metadata(message.metadata) | {_SHAPE: shape}
    if message.content_type:
        metadata["content_type"] = message.content_type
    if message.via:
        metadata["via"] = message.via
    if message.time is not None:
        metadata["source_time"] = message.time
    if message.under is not None:
        metadata["under"] = sorted(message.under)
    payload = redaction.payload(payload)
    if len(payload) > MAX_PAYLOAD:
        metadata["cut_from_bytes"] = len(payload)
        payload = payload[:MAX_PAYLOAD]
    return DeadLetter(
        time=message.received,
        source=message.source,
        stage=stage,
        reason=redaction.text(joined(reasons)),
        payload=payload,
        topic=message.topic,
        metadata=metadata,
    )


def joined(reasons: Iterable[str]) -> str:
    """Different reasons in one line, the first few of them."""
    different = list(dict.fromkeys(reasons))
    more = len(different) - _REASONS
    return "; ".join(different[:_REASONS]) + (f"; and {more} more" if more > 0 else "")


def message_of(letter: DeadLetter) -> Message:
    """The message that a dead letter was, as of its first arrival. Raises InvalidValueError if it was cut off."""
    if "cut_from_bytes" in letter.metadata:
        size = letter.metadata["cut_from_bytes"]
        raise InvalidValueError(f"dead letter {letter.id} kept only the beginning of its {size} bytes")
    shape = letter.metadata.get(_SHAPE, _RAW)
    metadata = {name: value for name, value in letter.metadata.items() if name not in _OF_MESSAGE}
    message = Message(
        letter.source,
        topic=letter.topic,
        content_type=letter.metadata.get("content_type"),
        via=letter.metadata.get("via"),
        metadata=metadata or None,
        received=letter.time,
        time=letter.metadata.get("source_time"),
        under=frozenset(letter.metadata["under"]) if "under" in letter.metadata else None,
    )
    if shape == _SAMPLES:
        message.samples = _decode_samples(letter.payload)
    elif shape == _DOCUMENTS:
        decode_documents(letter.payload)  # raises, if the redaction of secrets left no document
        message.telemetry = letter.payload
    else:
        message.payload = letter.payload
    return message
