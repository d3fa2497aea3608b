"""What a client of the state stream says, and the table of signals that it is told."""

from typing import Any, Literal, TypeAlias

import msgspec

from ..twin.errors import InvalidValueError
from ..twin.graph import Graph
from ..twin.model import Signal
from ..twin.state_subscription import FASTEST_HZ
from .stream_frames import Flags


class Subscribe(msgspec.Struct, tag="subscribe", tag_field="type", rename="camel", forbid_unknown_fields=True):
    """What of the plant is wanted; it takes the place of what was wanted before.

    Everything at and below `nodes`, and `signals`; all of the plant unless told. `max_hz` is how often at most
    [1/s]; `times`: each reading's own time, too.
    """

    nodes: list[str] | None = None
    signals: list[str] | None = None
    max_hz: float = 20.0
    precision: Literal["float32", "float64"] = "float32"
    times: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.max_hz <= FASTEST_HZ:
            raise ValueError(f"maxHz must be above 0 and at most {FASTEST_HZ:g}, not {self.max_hz:g}")

    @property
    def flags(self) -> Flags:
        """As the frames have them."""
        return Flags(Flags.FLOAT64 * (self.precision == "float64") | Flags.TIMES * self.times)


class Unsubscribe(msgspec.Struct, tag="unsubscribe", tag_field="type", forbid_unknown_fields=True):
    """Nothing more is wanted for now."""


class Resnapshot(msgspec.Struct, tag="resnapshot", tag_field="type", forbid_unknown_fields=True):
    """A frame is missing: the same again from its whole state on."""


class Authorize(msgspec.Struct, tag="authorize", tag_field="type", forbid_unknown_fields=True):
    """Who asks, from where no header can be set: `Bearer KEY`."""

    authorization: str


class Ping(msgspec.Struct, tag="ping", tag_field="type", forbid_unknown_fields=True):
    """Is anybody there? The `pong` bears the server's time, by which a client can set its clock."""

    id: int | str | None = None


Message: TypeAlias = Subscribe | Unsubscribe | Resnapshot | Authorize | Ping
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def message(text: str | bytes) -> Message:
    """A client's message; raises InvalidValueError."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"the message is not understood: {error}", "message") from None


class SignalRow(msgspec.Struct, frozen=True):
    """A signal of the table. Where there are `labels`, a value is the number of one of them."""

    index: int
    id: str
    node: str
    name: str
    role: str
    unit: str | None
    type: str | None
    labels: tuple[str, ...] = ()


def row(graph: Graph, signal: Signal, labels: tuple[str, ...]) -> SignalRow:
    """A signal as the table has it, with all labels so far."""
    return SignalRow(
        index=signal.index,
        id=graph.signal_id(signal),
        node=graph.node(signal.node).id,
        name=signal.name,
        role=str(signal.role),
        unit=signal.unit,
        type=None if signal.data_type is None else str(signal.data_type),
        labels=labels,
    )


def encoded(document: dict[str, Any]) -> str:
    """A message of ours."""
    return msgspec.json.encode(document).decode()
