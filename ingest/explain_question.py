"""What may be asked about the way of a value, the same over every facade."""

import base64
import binascii
from collections.abc import Mapping

import msgspec

from ..twin.errors import InvalidValueError
from .explain import Explainer
from .explain_steps import Explanation
from .message import Message
from .source_state import SourceStatus

WAIT_S, LONGEST_S = 10.0, 300.0


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """`point` is a signal, sensor, component, address at the source, or topic. `wait_s` [s]: how long to wait.

    With a `payload` (or `payload_base64`) nothing is waited for: it is explained as if it had come from `source` on
    `topic`, and nothing is stored.
    """

    point: str
    wait_s: float = WAIT_S
    payload: str | None = None
    payload_base64: str | None = None
    topic: str | None = None
    source: str | None = None
    via: str | None = None
    content_type: str | None = None


async def explained(asked: Question, explainer: Explainer, sources: Mapping[str, SourceStatus]) -> Explanation:
    """The answer. Raises InvalidValueError, NotFoundError with candidates, OverloadedError."""
    if not 0 <= asked.wait_s <= LONGEST_S:
        raise InvalidValueError(f"wait_s is from 0 to {LONGEST_S:g} seconds, not {asked.wait_s:g}", "wait_s")
    payload = _payload(asked)
    if payload is None:
        if asked.topic or asked.source or asked.via or asked.content_type:
            raise InvalidValueError("topic, source, via and content_type belong to a payload", "payload")
        return await explainer.next(asked.point, asked.wait_s, sources)
    message = Message(asked.source or "", payload, asked.topic, asked.content_type, via=asked.via)
    return explainer.given(asked.point, message, sources)


def _payload(asked: Question) -> bytes | None:
    if asked.payload_base64 is None:
        return None if asked.payload is None else asked.payload.encode()
    if asked.payload is not None:
        raise InvalidValueError("give the payload once: as text or as base64", "payload_base64")
    try:
        return base64.b64decode(asked.payload_base64, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValueError("payload_base64 is not base64", "payload_base64") from None
