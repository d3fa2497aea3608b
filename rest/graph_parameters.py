"""The parameters of questions about the graph: what they are called and how they are read."""

from collections.abc import Sequence

from starlette.requests import Request

from ..twin.as_of import AsOf
from ..twin.errors import InvalidValueError
from ..twin.model import Level
from ..twin.question import FLOW, MOST, Around, Between, Points
from ..twin.question_impact import HALF_FULL
from ..twin.question_paths import LIMIT as PATHS
from ..twin.question_reach import LIMIT as NODES
from ..twin.question_rollup import Aggregate
from ..twin.question_step import Direction
from . import query
from .context import Context
from .endpoint import Parameter
from .moment import moment

_LEVELS = [level.value for level in Level]
_MANY = {"type": "array", "items": {"type": "string"}}


def _whole(low: int, high: int | None = None, default: int | None = None) -> dict[str, object]:
    given = {"minimum": low, "maximum": high, "default": default}
    return {"type": "integer"} | {name: value for name, value in given.items() if value is not None}


def _direction(default: Direction) -> Parameter:
    schema = {"type": "string", "enum": [direction.value for direction in Direction], "default": default.value}
    return Parameter("direction", "Which way relationships are followed", schema)


NODE = Parameter("node", "The node", required=True)
RELATIONSHIP = Parameter(
    "relationship",
    "Types of relationships to follow, `contains` and `has_sensor` among them; repeat, or use commas",
    _MANY,
)
ALONG = Parameter("along", "Only relationships for which this holds: `transfer_time < 5`")
THROUGH = Parameter("through", "Only pass nodes for which this holds: `status != 'blocked'`")
SELECTING = (
    Parameter("level", "Only nodes of these levels", {"type": "array", "items": {"type": "string", "enum": _LEVELS}}),
    Parameter("type", "Only nodes of these types", _MANY),
    Parameter("where", "Only nodes for which this holds: `criticality == 'high' and power > 5 kW`"),
)
HOPS = Parameter("hops", "At most so many hops away; however far unless told", _whole(0))
WALKING = (RELATIONSHIP, ALONG, THROUGH, HOPS)
DOWNSTREAM = (NODE, *WALKING, *SELECTING, Parameter("limit", "How many nodes", _whole(1, MOST, NODES)))
NEIGHBOURS = (*DOWNSTREAM, _direction(Direction.BOTH))
PATHS_BETWEEN = (
    Parameter("from", "Where the paths start", required=True),
    Parameter("to", "Where they end", required=True),
    *WALKING,
    _direction(Direction.OUT),
    Parameter("weight", "Seek the least sum of this instead of the fewest hops: `transfer_time`"),
    Parameter("all", "All simple paths instead of the shortest", {"type": "boolean", "default": False}),
    Parameter("limit", "How many paths, with `all`", _whole(1, MOST, PATHS)),
)
ROLLUP = (
    NODE,
    Parameter("signal", "The name of the signal: `power`", required=True),
    Parameter(
        "aggregate",
        "How many values become one",
        {"type": "string", "enum": [each.value for each in Aggregate], "default": Aggregate.SUM.value},
    ),
    Parameter("unit", "The unit of the value; that of the first signal unless told"),
    Parameter("weight", "How much each value counts: a signal, parameter or property of its node, or an expression"),
    *WALKING,
    *SELECTING,
    _direction(Direction.OUT),
)
IMPACT = (
    Parameter("node", "What stops", required=True),
    Parameter("within", "Only what happens within so many seconds", {"type": "number", "minimum": 0}),
    Parameter(
        "fill",
        "To what share a buffer whose level is not known is taken to be filled",
        {"type": "number", "minimum": 0, "maximum": 1, "default": HALF_FULL},
    ),
)
POINTS = (
    Parameter("from", "A source to look at instead of all"),
    Parameter("to", "A sink to look at instead of all"),
    Parameter("within", "Only what this node contains"),
    RELATIONSHIP,
    ALONG,
    Parameter("limit", "How many", _whole(1, MOST, NODES)),
)


async def plant(context: Context, request: Request, parameters: Sequence[Parameter]) -> AsOf:
    """The plant as of the instant asked for.

    Raises InvalidValueError for a parameter that is none of these, or where a required one is missing.
    """
    instant = await moment(context, request, *(parameter.name for parameter in parameters))
    for parameter in parameters:
        if parameter.required:
            required(request, parameter.name)
    return instant


def required(request: Request, name: str) -> str:
    """A text that must be given."""
    text = request.query_params.get(name)
    if not text:
        raise InvalidValueError(f"{name} is missing", name)
    return text


def many(request: Request, name: str) -> list[str]:
    """All values of a parameter that may be repeated, or hold several between commas."""
    texts = [word.strip() for text in request.query_params.getlist(name) for word in text.split(",")]
    return [text for text in texts if text]


def text(request: Request, name: str) -> str | None:
    """A text that may be left out; an empty one is."""
    return request.query_params.get(name) or None


def number(request: Request, name: str) -> float | None:
    """A number that may be left out."""
    given = request.query_params.get(name)
    if given is None:
        return None
    try:
        return float(given)
    except ValueError:
        raise InvalidValueError(f"{name} must be a number, not {given!r}", name) from None


def around(request: Request, direction: Direction, relationship: Sequence[str] = (), hops: int | None = None) -> Around:
    """The nodes that a request is about; what it does not say is as told here."""
    return Around(
        required(request, "node"),
        many(request, "relationship") or relationship,
        query.choice(request, "direction", Direction) or direction,
        _levels(request),
        many(request, "type"),
        text(request, "where"),
        text(request, "along"),
        text(request, "through"),
        hops if "hops" not in request.query_params else _hops(request),
        query.whole(request, "limit", NODES, low=1, high=MOST),
    )


def between(request: Request) -> Between:
    """The paths that a request is about."""
    return Between(
        required(request, "from"),
        required(request, "to"),
        many(request, "relationship") or FLOW,
        query.choice(request, "direction", Direction) or Direction.OUT,
        text(request, "along"),
        text(request, "through"),
        text(request, "weight"),
        query.flag(request, "all"),
        _hops(request),
        query.whole(request, "limit", PATHS, low=1, high=MOST),
    )


def points(request: Request) -> Points:
    """The single points of failure that a request is about."""
    return Points(
        many(request, "relationship") or FLOW,
        text(request, "from"),
        text(request, "to"),
        text(request, "within"),
        text(request, "along"),
        query.whole(request, "limit", NODES, low=1, high=MOST),
    )


def _levels(request: Request) -> list[Level]:
    levels = []
    for word in many(request, "level"):
        if word not in _LEVELS:
            raise InvalidValueError(f"level must be one of {', '.join(_LEVELS)}, not {word!r}", "level")
        levels.append(Level(word))
    return levels


def _hops(request: Request) -> int | None:
    return query.whole(request, "hops", 0) if "hops" in request.query_params else None
