"""The way of one value from the bytes that came to the twin's signal."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..ingest.explain_question import Question, explained
from ..ingest.explain_steps import Explanation
from ..twin.errors import InvalidValueError
from . import query
from .answer import json_answer
from .body import json_body
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint

_decode = msgspec.json.Decoder(Question).decode


async def explain(context: Context, request: Request) -> Response:
    """Explains the next message of a point, or one that is given."""
    query.only(request)
    try:
        asked = _decode(await json_body(request, context.max_body))
    except msgspec.DecodeError as error:
        raise InvalidValueError(f'expected {{"point": "conveyor_1.speed"}}: {error}', "$") from None
    return json_answer(await explained(asked, context.pipeline.explainer(), context.sources()))


ENDPOINTS = [
    Endpoint(
        "POST",
        f"{PREFIX}/explain",
        explain,
        "The way of a value from its bytes to its signal",
        (Answer("Every step with its values", Explanation),),
        "sources",
        body=Body({JSON: Question}, "Which point, and how long to wait for a message, or the payload to explain"),
        problems=(400, 404, 409, 413, 415, 503),
        description="Nothing is changed. Waits for the next message that concerns the point unless a payload is given.",
    ),
]
