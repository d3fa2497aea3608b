"""Replay, as the SDK asks for it."""

import json
from collections.abc import Sequence
from typing import Any, TypedDict

from .client_history import Moment, moment


class ReplayOptions(TypedDict, total=False):
    """How a stretch is played.

    speed: seconds of the plant in a second, or "max". granularity: time between frames, such as "100ms". node: only
    these nodes and what they contain. known_at: by what was recorded until then. scenario: in this scenario.
    """

    speed: float | str
    granularity: str
    node: str | Sequence[str]
    known_at: Moment
    scenario: str


def replay_query(start: Moment, end: Moment | None, options: ReplayOptions) -> dict[str, Any]:
    """The parameters of the stream."""
    given = {"from": moment(start), "to": moment(end), **options}
    if "known_at" in options:
        given["known_at"] = moment(options["known_at"])
    return {name: value for name, value in given.items() if value is not None}


def frame_of(line: str) -> dict[str, Any] | None:
    """The frame that a line of the stream holds; None for all other lines."""
    if not line.startswith("data: ") or line == "data: {}":
        return None
    return dict(json.loads(line.removeprefix("data: ")))
