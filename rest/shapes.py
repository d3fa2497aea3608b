"""The shapes of answers, as they stand in the OpenAPI document. Times are ISO 8601 in UTC."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field


class Health(Struct):
    """`score` is 0 (worst) to 100; `status` is `healthy`, `warning` or `critical`."""

    score: float | int | None
    status: str


class ComponentState(Struct):
    """A component's readings under the names of its sensors; `quality` names those that are not good."""

    id: str
    state: dict[str, Any]
    health: Health | None
    quality: dict[str, str] | UnsetType = UNSET


class State(Struct):
    """A twin's state; `timestamp` is the newest reading's time, `kpis` holds what an engine computes."""

    twin_id: str
    timestamp: str | None
    components: list[ComponentState]
    kpis: dict[str, Any]
    state: dict[str, Any] | UnsetType = UNSET
    quality: dict[str, str] | UnsetType = UNSET


class TwinSummary(Struct):
    """A line (or an area with components of its own) at a glance."""

    id: str
    name: str
    type: str | None
    components: int
    sensors: int
    health: Health | None
    open_anomalies: int


class TwinList(Struct):
    """All twins of the plant."""

    twins: list[TwinSummary]


class SignalView(Struct):
    """A signal and its latest reading; `stale` if it is silent for longer than its `expected_interval` [s]."""

    id: str
    name: str
    role: str
    unit: str | None
    data_type: str | None
    value: Any
    time: str | None
    quality: str | None
    stale: bool
    low: float | None = None
    high: float | None = None
    stepped: bool = False
    expected_interval: float | None = None
    labels: list[str] = []


class Arrow(Struct):
    """A relationship as seen from a node: its type, the node at the other end, its properties."""

    type: str
    node: str
    properties: dict[str, Any]


class NodeSummary(Struct):
    """A node at a glance."""

    id: str
    name: str
    level: str
    type: str | None
    parent: str | None
    origin: str


class NodeView(Struct):
    """A node with what it contains, its own and its sensors' signals, and its relationships."""

    id: str
    name: str
    level: str
    type: str | None
    parent: str | None
    origin: str
    properties: dict[str, Any]
    children: list[NodeSummary]
    signals: list[SignalView]
    outgoing: list[Arrow]
    incoming: list[Arrow]
    health: Health | None
    open_anomalies: list[int]


class NodeList(Struct):
    """A page of nodes; `next` is the `after` of the following page."""

    nodes: list[NodeSummary]
    next: int | None


class SignalHistory(Struct):
    """Readings of a signal as columns in the order of time.

    With `bucket_s` each row stands for a bucket of that many seconds: `value` is the mean of its readings that are not
    bad, `low` and `high` their extremes, `count` their number, `quality` the worst. `tier` is the coarsest of what it
    was made from: `raw`, `thinned` (for replay) or a tier such as `1m`; then `precision_s` says how exact times are.
    A tier also has `first`, `last`, `mean_over_time` and `good_percent` (of all readings, bad ones too) of each bucket.
    `next` is the `from` of the following page.
    """

    signal: str
    unit: str | None
    start: str = field(default="", name="from")
    to: str = ""
    bucket_s: float | None = None
    tier: str = "raw"
    precision_s: float | None = None
    time: list[str] = []
    value: list[Any] = []
    quality: list[str] = []
    low: list[float | None] | UnsetType = UNSET
    high: list[float | None] | UnsetType = UNSET
    count: list[int] | UnsetType = UNSET
    first: list[float | None] | UnsetType = UNSET
    last: list[float | None] | UnsetType = UNSET
    mean_over_time: list[float | None] | UnsetType = UNSET
    good_percent: list[float] | UnsetType = UNSET
    next: str | None = None


class EventView(Struct):
    """Something that happened. `seq` numbers the log; `id` is shared by an event and what amends it.

    One of the kind `gone` stands where events are gone: `data` has their numbers, `from` and `to`; `seq` is `to`.
    """

    seq: int
    time: str
    recorded: str
    kind: str
    node: str | None
    until: str | None
    data: dict[str, Any]
    id: str | None
    retracts: int | None


class EventList(Struct):
    """Events behind `after`, in order; `last` is the number of the log's last event."""

    events: list[EventView]
    last: int


class DeadLetterView(Struct):
    """Input that could not be used; `payload` is text, or base64 if `encoding` says so."""

    id: int
    time: str
    source: str
    stage: str
    reason: str
    topic: str | None
    payload: str
    encoding: str
    size: int
    metadata: dict[str, Any]
    resolved: str | None


class DeadLetterList(Struct):
    """A page of dead letters; `pending` is how many wait in all, `next` the `after` of the following page."""

    dead_letters: list[DeadLetterView]
    pending: int
    next: int | None


class Chosen(Struct, forbid_unknown_fields=True):
    """Which dead letters are meant: those with these ids, or all that wait."""

    ids: list[Annotated[int, Meta(ge=0, le=2**53)]] | None = None
    all: bool = False


class Replayed(Struct):
    """How many dead letters went in again, and how many of them failed again."""

    replayed: int
    failed: int


class Purged(Struct):
    """How many dead letters were forgotten."""

    purged: int
