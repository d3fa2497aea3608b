"""The verb that tells how the sources are, and what became of everything that came from them."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .cli_options import coloured, connected, console, json_option, print_json, table, target_options

if TYPE_CHECKING:
    from .connection import Connection, Target

_MESSAGES = ("received", "acknowledged", "duplicate", "refused", "waiting")
_READINGS = ("read", "stored", "applied", "superseded", "late", "dead_lettered", "unstored", "suppressed", "ahead")
_REPORTED = ("signal", "source", "policy", "received", "stored", "ratio", "worst_error", "mean_error")
_PERIOD_S = 2.0


@click.command()
@click.argument("name", required=False)
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Points of NAME at most.")
@target_options
@json_option
def sources(target: "Target", name: str | None, watch: bool, limit: int, as_json: bool) -> None:
    """The sources of readings: their connections, and what became of their messages and readings.

    With NAME one of them, and the points that it feeds, those first that were silent for longest.
    """
    try:
        _sources(target, name, watch, limit, as_json)
    except KeyboardInterrupt:
        if not watch:
            raise


@connected
async def _sources(connection: "Connection", name: str | None, watch: bool, limit: int, as_json: bool) -> None:
    while True:
        found = await connection.get("/sources" if name is None else f"/sources/{name}", **_limited(name, limit))
        reporting = [] if name or as_json else (await connection.get("/reporting"))["signals"]
        if watch:
            console().clear()
        if as_json:
            print_json(found)
        elif name is None:
            _all(found, reporting)
        else:
            _one(found)
        if not watch:
            return
        await asyncio.sleep(_PERIOD_S)


def _limited(name: str | None, limit: int) -> dict[str, Any]:
    return {} if name is None else {"limit": limit}


def _all(found: dict[str, Any], reporting: list[dict[str, Any]]) -> None:
    states = [
        [each["name"], each["protocol"], each["address"], coloured(each["state"]), _clock(each["since"]),
         _short(each["messages_per_s"]), _short(each["readings_per_s"]), _age(each["lag_s"]), _trouble(each)]
        for each in found["sources"]
    ]  # fmt: skip
    table(["source", "protocol", "address", "state", "since", "messages/s", "readings/s", "lag", "trouble"], states)
    counted = [*found["sources"], *found["others"]]
    _accounts("messages", _MESSAGES, counted)
    _accounts("readings", _READINGS, counted)
    _reporting(reporting)


def _one(found: dict[str, Any]) -> None:
    source = found["source"]
    shown = [[words, look(source[key])] for key, (words, look) in _ONE.items()]
    shown += [["remark", remark] for remark in source["remarks"]]
    table(["source", source["name"]], [row for row in shown if row[1] is not None])
    _accounts("messages", _MESSAGES, [source])
    _accounts("readings", _READINGS, [source])
    points = [
        [point["signal"], _short(point["value"]), point["unit"], _clock(point["time"]), coloured(point["quality"])]
        for point in found["points"]
    ]
    more = found["total"] - len(points)
    title = f"{found['total']} points since the start" + (f", {len(points)} of them shown" if more else "")
    table(["signal", "value", "unit", "last time", "quality"], points, title=title)


def _trouble(source: dict[str, Any]) -> str | None:
    """What is wrong now, and when it is tried again; else what is to be remarked."""
    if source["error"] and source["next_attempt"]:
        return f"{source['error']}; next attempt {_clock(source['next_attempt'])}"
    remarks = "; ".join(source["remarks"])
    return source["error"] or remarks or (f"{source['stretched']} polls left out" if source["stretched"] else None)


def _accounts(title: str, counters: tuple[str, ...], counted: list[dict[str, Any]]) -> None:
    rows = [[each["name"], *(each[name] for name in counters)] for each in counted]
    table(["source", *(name.replace("_", "-") for name in counters)], rows, title=title)


def _reporting(signals: list[dict[str, Any]]) -> None:
    if signals:
        rows = [[_short(each[name]) for name in _REPORTED] for each in signals]
        table([name.replace("_", "-") for name in _REPORTED], rows, title="reporting")


def _short(cell: Any) -> Any:
    return f"{cell:.4g}" if isinstance(cell, float) else cell


def _clock(time: str | None) -> str | None:
    """A time without the digits that nobody reads."""
    return time and time[:19] + "Z"


def _age(seconds: float | None) -> str | None:
    """An age in whole units."""
    if seconds is None or seconds < 1:
        return None if seconds is None else f"{seconds * 1000:.0f}ms"
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


_ONE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "protocol": ("protocol", _short), "address": ("address", _short), "state": ("state", coloured),
    "since": ("since", _clock), "error": ("error", _short), "next_attempt": ("next attempt", _clock),
    "last_error": ("last error", _short), "last_error_at": ("at", _clock), "connects": ("connects", _short),
    "stretched": ("polls left out", _short), "lag_s": ("lag", _age), "messages_per_s": ("messages/s", _short),
    "readings_per_s": ("readings/s", _short), "last_received": ("last message", _clock),
}  # fmt: skip
