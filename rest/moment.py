"""The instant of a read: `as_of`, `known_at`, `scenario` and `min_revision`, which every read of the plant takes."""

from starlette.requests import Request
from starlette.responses import Response

from ..twin.as_of import AsOf
from . import query
from .context import Context
from .endpoint import Parameter

MOMENT = (
    Parameter(
        "as_of",
        "The plant as it was then, ISO 8601: structure, state and events together. Default: now",
        {"type": "string", "format": "date-time"},
    ),
    Parameter(
        "known_at",
        "By what was recorded until then, ISO 8601: without later corrections and late readings. Default: now",
        {"type": "string", "format": "date-time"},
    ),
    Parameter("scenario", "In this scenario instead of in the plant"),
    Parameter(
        "min_revision",
        "Sees at least this revision of the structure, as a write answered it; waits for it a little",
        {"type": "integer", "minimum": 0},
    ),
)
PRECISION = "IoTSense-Precision"
_NAMES = tuple(parameter.name for parameter in MOMENT)


async def moment(context: Context, request: Request, *names: str) -> AsOf:
    """The plant as of what the query says; `names` are the other parameters that it may hold.

    Raises InvalidValueError, NotFoundError (no such scenario), NotYetError (`min_revision`).
    """
    query.only(request, *names, *_NAMES)
    time, known_at = query.instant(request, "as_of"), query.instant(request, "known_at")
    await context.twin.revisions.seen(query.whole(request, "min_revision", 0))
    plant = await context.twin.as_of_async(time, known_at, request.query_params.get("scenario"))
    request.state.precision = plant.precision
    return plant


def told(request: Request, response: Response) -> Response:
    """The answer; where not all readings of the instant are left, a header says how exact its times are [s]."""
    if (precision := getattr(request.state, "precision", None)) is not None:
        response.headers[PRECISION] = f"{precision:g}"
    return response
