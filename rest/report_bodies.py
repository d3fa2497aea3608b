"""What clients send to report something: times are ISO 8601, naive ones are meant in UTC."""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request

from ..twin.errors import InvalidValueError
from ..twin.report import Amendment, Asset, Report
from ..twin.times import parse_time
from .body import json_body
from .context import Context

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
T = TypeVar("T")


class ReportBody(msgspec.Struct, forbid_unknown_fields=True):
    """An event at a node: `failure`, `repair`, `inspection`, `downtime`, `batch`, `product_run`, or another kind.

    `time` is now unless told; `until` may come later. `capture` names the signals whose readings at begin and end
    become part of the event: the node's state unless told. `id` is your name for it.
    """

    kind: str
    node: str
    time: Time | None = None
    until: Time | None = None
    reason: str | None = None
    values: dict[str, Any] = {}
    capture: list[str] | None = None
    id: str | None = None

    def report(self) -> Report:
        """With instants."""
        return Report(
            self.kind, self.node, _instant(self.time, "time"), _instant(self.until, "until"), self.reason, self.values,
            None if self.capture is None else tuple(self.capture), self.id,
        )  # fmt: skip


class AmendmentBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is different. An `until` of null opens the event again; a null in `values` takes that value out."""

    node: str | UnsetType = UNSET
    time: Time | UnsetType = UNSET
    until: Time | UnsetType | None = UNSET
    reason: str | UnsetType | None = UNSET
    values: dict[str, Any] = {}

    def amendment(self) -> Amendment:
        """With instants."""
        time = UNSET if isinstance(self.time, UnsetType) else parsed(self.time, "time")
        until = UNSET if isinstance(self.until, UnsetType) else _instant(self.until, "until")
        return Amendment(self.node, time, until, self.reason, self.values)


class RetractionBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why it is taken back."""

    reason: str | None = None


class InstallationBody(msgspec.Struct, forbid_unknown_fields=True):
    """An asset comes to a node; what was there before, and where the asset was before, ends then."""

    node: str
    serial_number: str
    maker: str | None = None
    model: str | None = None
    time: Time | None = None
    until: Time | None = None
    reason: str | None = None
    values: dict[str, Any] = {}
    capture: list[str] | None = None
    id: str | None = None

    def report(self) -> Report:
        """With instants."""
        return Report(
            "installation", self.node, _instant(self.time, "time"), _instant(self.until, "until"), self.reason,
            self.values, None if self.capture is None else tuple(self.capture), self.id,
            Asset(self.serial_number, self.maker, self.model),
        )  # fmt: skip


class RemovalBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is installed at a node, or an asset by its serial number, is taken out; now unless told."""

    node: str | None = None
    serial_number: str | None = None
    maker: str | None = None
    time: Time | None = None
    reason: str | None = None

    def chosen(self) -> dict[str, Any]:
        """As `Reports.remove` takes it; raises InvalidValueError if it names neither."""
        if self.node is None and self.serial_number is None:
            raise InvalidValueError("say what is removed: node, or serial_number", "node")
        names = ("node", "serial_number", "maker", "reason")
        return {"time": _instant(self.time, "time")} | {name: getattr(self, name) for name in names}


async def decoded(context: Context, request: Request, type: type[T]) -> T:
    """The body; raises InvalidValueError with the place of what is wrong."""
    try:
        return msgspec.json.decode(await json_body(request, context.max_body), type=type)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `")
        raise InvalidValueError(text, place.rstrip("`") or "$") from None
    except msgspec.DecodeError as error:
        raise InvalidValueError(f"the body is no JSON: {error}", "$") from None


def idempotency_key(request: Request) -> str | None:
    """The header; None if there is none."""
    return request.headers.get("idempotency-key")


def _instant(text: str | None, name: str) -> int | None:
    return None if text is None else parsed(text, name)


def parsed(text: str, name: str) -> int:
    """A time as ns; raises InvalidValueError that names the field."""
    try:
        return parse_time(text)
    except InvalidValueError as error:
        raise InvalidValueError(f"{name}: {error}", name) from None
