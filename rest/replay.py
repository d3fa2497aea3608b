"""Replay as a stream (server-sent events), and moving one that plays."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..twin.durations import parse_duration
from ..twin.errors import InvalidValueError
from ..twin.model import quality_word
from ..twin.replay import Frame, Player, Stretch, chosen_signals, granularity_of, texts_and_numbers
from ..twin.state import NEVER
from ..twin.times import NS, format_time, now_ns, parse_time
from . import query
from .answer import json_answer
from .body import json_body
from .context import Context
from .endpoint import JSON, PREFIX, Answer, Body, Endpoint, Parameter
from .events import STREAM
from .moment import MOMENT

PATH = f"{PREFIX}/replay"
AS_FAST_AS_POSSIBLE = "max"


class FrameView(msgspec.Struct):
    """The plant at `time`: the signals that changed since the frame before (all, in a `whole` one), as columns.

    `replay` is the id under which the replay can be moved.
    """

    replay: str
    time: str
    revision: int
    whole: bool
    signal: list[str]
    value: list[Any]
    at: list[str | None]
    quality: list[str]


class Move(msgspec.Struct, forbid_unknown_fields=True):
    """`pause`, `resume`, `seek` (to a time) or `speed` (seconds of the plant in a second)."""

    action: str
    to: str | None = None
    speed: float | None = None


class Moved(msgspec.Struct):
    """Where a replay stands now."""

    replay: str
    time: str


_move = msgspec.json.Decoder(Move).decode


async def replay(context: Context, request: Request) -> Response:
    """A stretch of the past as a stream of frames."""
    query.only(request, "from", "to", "speed", "granularity", "node", "known_at", "scenario")
    stretch = _stretch(context, request)
    chosen = chosen_signals(request.query_params.getlist("node"))
    chosen(context.twin.graph)  # an unknown node is told before the stream begins
    if stretch.scenario is not None:
        context.twin.scenarios.get(stretch.scenario)
    player = Player(context.twin, stretch, chosen)
    return StreamingResponse(
        _events(context, player), media_type=STREAM, headers={"Cache-Control": "no-store", "Replay": player.id}
    )


async def move_replay(context: Context, request: Request) -> Response:
    """Pauses, continues, moves or accelerates a replay that plays."""
    query.only(request)
    try:
        move = _move(await json_body(request, context.max_body))
    except msgspec.DecodeError as error:
        raise InvalidValueError(f'expected something like {{"action": "pause"}}: {error}', "$") from None
    player = context.players.get(request.path_params["id"])
    move_player(player, move)
    return json_answer(Moved(player.id, format_time(player.position)))


def move_player(player: Player, move: Move) -> None:
    """Does what a move says; raises InvalidValueError."""
    match move.action:
        case "pause":
            player.pause()
        case "resume":
            player.resume()
        case "seek" if move.to is not None:
            player.seek(parse_time(move.to))
        case "speed" if move.speed is not None:
            player.accelerate(move.speed)
        case _:
            known = "pause, resume, seek (with `to`) or speed (with `speed`)"
            raise InvalidValueError(f"the action is {known}, not {move.action!r}", "action")


async def _events(context: Context, player: Player) -> AsyncIterator[bytes]:
    async for frame in context.players.play(player):
        yield b"event: frame\ndata: %s\n\n" % msgspec.json.encode(_view(player, frame))
        if context.stopping.is_set():
            return
    yield b"event: end\ndata: {}\n\n"


def _view(player: Player, frame: Frame) -> FrameView:
    graph = frame.plant.graph
    return FrameView(
        replay=player.id,
        time=format_time(frame.time),
        revision=graph.revision,
        whole=frame.whole,
        signal=[graph.signal_id(graph.signal(index)) for index in frame.signals.tolist()],
        value=texts_and_numbers(frame),
        at=[None if time == NEVER else format_time(time) for time in frame.columns.time.tolist()],
        quality=[quality_word(quality) for quality in frame.columns.quality.tolist()],
    )


def _stretch(context: Context, request: Request) -> Stretch:
    start, end = query.instant(request, "from"), query.instant(request, "to")
    if start is None:
        raise InvalidValueError("say from which time to replay: from=2024-01-15T10:30:00Z", "from")
    given = request.query_params.get("granularity")
    step = granularity_of(context.twin) if given is None else round(parse_duration(given) * NS)
    return Stretch(
        start=start,
        end=now_ns() if end is None else end,
        speed=_speed(request),
        step=step,
        known_at=query.instant(request, "known_at"),
        scenario=request.query_params.get("scenario"),
    )


def _speed(request: Request) -> float | None:
    text = request.query_params.get("speed", "1")
    if text == AS_FAST_AS_POSSIBLE:
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidValueError(f"speed is a number, or max, not {text!r}", "speed") from None


_TIME = {"type": "string", "format": "date-time"}
ENDPOINTS = [
    Endpoint(
        "GET",
        PATH,
        replay,
        "Replay a stretch of the past as a stream of frames",
        (Answer("Server-sent events: a `frame` each, then `end`", None, STREAM),),
        "replay",
        (
            Parameter("from", "Begin, ISO 8601", _TIME, required=True),
            Parameter("to", "End, ISO 8601; default: now", _TIME),
            Parameter("speed", "Seconds of the plant in a second, or `max`; default 1"),
            Parameter("granularity", "Time between frames, such as 100ms; default: twin_operations.replay.granularity"),
            Parameter("node", "Only this node and what it contains; may be repeated"),
            *(parameter for parameter in MOMENT if parameter.name in ("known_at", "scenario")),
        ),
        problems=(400, 404, 409),
        description="There are at most 20 frames a second; at high speeds they are further apart. The header `Replay`"
        " has the id under which it can be paused, moved and accelerated.",
    ),
    Endpoint(
        "POST",
        f"{PATH}/{{id}}",
        move_replay,
        "Pause, continue, move or accelerate a replay",
        (Answer("Where it stands", Moved),),
        "replay",
        body=Body({JSON: Move}),
        problems=(400, 404, 413, 415),
    ),
]
