"""Definitions of edge computing: what nodes near the machines compute, pass on and keep."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from .define_maintenance import Aggregation
from .define_types import Duration, Expression, FileName, Id, Model, Name, Positive, Properties, refuse
from .define_url import Url


class Hardware(Model):
    """What a node runs on."""

    type: Name
    """Such as nvidia_jetson."""
    model: Name | None = None
    """Such as orin_nano."""
    properties: Properties = {}
    """Anything else about it, by name."""


class Processing(Model):
    """What every step on an edge node has."""

    name: Name
    """Its name."""
    input: Annotated[
        list[Name],
        Field(min_length=1),
        BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    ]
    """The sensors, or outputs of earlier steps, that it takes."""
    output: Name
    """What it yields."""
    latency_target_ms: Positive | None = None
    """How long it may take [ms]."""
    enabled: bool = True
    """Whether it runs."""


class Transform(Processing):
    """Computes one signal from another."""

    type: Literal["transform"]
    """Compute a signal."""
    method: Literal["fft", "rms", "envelope", "lowpass", "highpass", "bandpass", "expression"] | None = None
    """How; left out, what its name says."""
    sampling_rate: Positive | None = None
    """Rate of the input [Hz]."""
    parameters: Properties = {}
    """Numbers of the method, such as a cut-off frequency."""
    expression: Expression | None = None
    """The formula of the method expression."""


class Inference(Processing):
    """Runs a trained model."""

    type: Literal["ml_inference"]
    """Run a model."""
    model: Name
    """A model of `predictive_maintenance`, or one that was published by name."""
    model_file: FileName | None = None
    """An ONNX or TensorRT file."""


class Filter(Processing):
    """Lets values through."""

    type: Literal["filter"]
    """Let values through."""
    condition: Expression | None = None
    """What passes."""
    deadband: Annotated[float, Field(ge=0)] | None = None
    """Change below which nothing passes."""


class Aggregate(Processing):
    """Condenses a window to one value."""

    type: Literal["aggregation"]
    """Condense a window."""
    window: Duration
    """The window."""
    method: Aggregation = "mean"
    """How."""


Step = Annotated[Transform | Inference | Filter | Aggregate, Field(discriminator="type")]


# Unquoted, `condition: true` is a boolean.
RouteCondition = Annotated[
    Expression,
    BeforeValidator(lambda given: str(given).lower() if isinstance(given, bool) else given),
    WithJsonSchema({"type": ["string", "boolean"]}),
]


class Route(Model):
    """Where values go from an edge node."""

    condition: RouteCondition
    """Which values; `true` means all that no earlier route took."""
    destination: Name
    """`cloud`, `local`, or another edge node's id."""
    priority: Literal["low", "normal", "high"] = "normal"
    """What goes first when the line is narrow."""
    aggregation: Duration | None = None
    """Condense over this window before sending."""
    method: Aggregation | None = None
    """How; left out, mean."""

    @model_validator(mode="after")
    def _method_fits(self) -> "Route":
        if self.method is not None and self.aggregation is None:
            raise refuse("found a `method` without an `aggregation` window", field="method")
        return self


class OfflineBuffer(Model):
    """What an edge node keeps while the line is down."""

    enabled: bool = True
    """Whether it keeps anything."""
    max_size_gb: Positive | None = None
    """How much [GB]."""
    sync_on_reconnect: bool = True
    """Whether it sends what it kept once the line is up."""
    path: Name | None = None
    """Where it is kept."""


class EdgeNode(Model):
    """A computer near the machines."""

    id: Id
    """Its id."""
    location: Name | None = None
    """The area or site that it stands in."""
    endpoint: Annotated[str, Url(("https", "http", "mqtt", "mqtts"))] | None = None
    """How it is reached."""
    hardware: Hardware | None = None
    """What it runs on."""
    local_processing: list[Step] = []
    """What it computes, in order."""
    data_routing: list[Route] = []
    """What it sends where; the first route that fits is taken."""
    offline_buffer: OfflineBuffer | None = None
    """What it keeps while the line is down."""


class EdgeComputing(Model):
    """Edge nodes."""

    nodes: list[EdgeNode] = []
    """The nodes."""
