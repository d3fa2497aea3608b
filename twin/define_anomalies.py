"""Definitions of anomaly detection: rules by type."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from .define_types import Count, Duration, InstantText, Model, Name, Positive, UnitText, refuse

Severity = Literal["warning", "critical"]
Operator = Literal[">", ">=", "<", "<=", "==", "!="]
SignalFeature = Literal[
    "mean", "std", "min", "max", "range", "rms", "peak", "peak_to_peak", "crest_factor", "kurtosis", "skewness",
    "shape_factor", "impulse_factor", "zero_crossing_rate", "spectral_centroid", "spectral_entropy",
]  # fmt: skip
ControlRule = Literal[
    "beyond_3sigma",
    "2_of_3_beyond_2sigma",
    "4_of_5_beyond_1sigma",
    "8_consecutive_same_side",
    "6_consecutive_trend",
    "14_consecutive_alternating",
    "15_consecutive_within_1sigma",
    "8_consecutive_beyond_1sigma",
]


class Rule(Model):
    """What every rule may have."""

    # Whether this version has the detector; those that it has not are told at the start of the service.
    engine: ClassVar[bool] = True
    name: Name
    """Its name; events refer to it."""
    description: str | None = None
    """What it is for."""
    enabled: bool = True
    """Whether it watches."""


class Condition(Model):
    """One limit of a threshold rule."""

    metric: Literal["value", "rate_of_change"] = "value"
    """The value itself, or its change over the window."""
    operator: Operator
    """How the metric is compared with the threshold."""
    threshold: float | str | bool
    """The limit, in `unit`; a text is one of the sensor's labels; in a component type, `"${parameters.NAME}"` too."""
    unit: UnitText | None = None
    """Unit of threshold and hysteresis; left out, the sensor's."""
    severity: Severity = "warning"
    """How bad it is."""
    window: Duration | None = None
    """How far back a rate of change looks."""
    hysteresis: Annotated[float, Field(ge=0)] = 0.0
    """How far the metric must come back behind the threshold before the anomaly clears."""

    @model_validator(mode="after")
    def _consistent(self) -> "Condition":
        if self.metric == "rate_of_change" and self.window is None:
            raise refuse('a rate_of_change needs a `window`, such as "5m"', field="metric")
        if self.metric == "value" and self.window is not None:
            raise refuse("found a `window` with the metric value, which has none", "rate_of_change", field="metric")
        if isinstance(self.threshold, str) and "${" in self.threshold:
            return self
        if isinstance(self.threshold, (str, bool)) and (self.operator not in ("==", "!=") or self.hysteresis):
            raise refuse(
                "a threshold that is a label or a boolean is compared by == or !=, without hysteresis",
                field="threshold",
            )
        return self


class ThresholdRule(Rule):
    """Limits on a sensor's value or on its rate of change."""

    type: Literal["threshold"]
    """Limits on a value."""
    sensor: Name
    """Id (or the end of one), name or type of the sensors that it watches."""
    conditions: Annotated[list[Condition], Field(min_length=1)]
    """The limits."""
    effective_from: InstantText | None = None
    """From when on it judges readings, by their time; left out, from when it is applied."""


class MachineLearningRule(Rule):
    """A model that learned what is normal."""

    engine: ClassVar[bool] = False
    type: Literal["ml"]
    """A learned model."""
    sensor: Name
    """Id, name or type of the sensors that it watches."""
    model: Literal[
        "autoencoder", "isolation_forest", "one_class_svm", "local_outlier_factor", "mahalanobis", "half_space_trees"
    ]
    """The algorithm."""
    features: Annotated[list[SignalFeature], Field(min_length=1)]
    """What is computed from the signal's window."""
    reconstruction_threshold: Positive | None = None
    """Reconstruction error beyond which an autoencoder reports an anomaly."""
    contamination: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Expected share of anomalies in the training data."""
    window: Duration | None = None
    """Span of the signal that the features are computed from."""
    training_window: Duration | None = None
    """Span of history that it learns from."""
    severity: Severity = "warning"
    """How bad it is."""

    @model_validator(mode="after")
    def _threshold_fits(self) -> "MachineLearningRule":
        if self.reconstruction_threshold is not None and self.model != "autoencoder":
            raise refuse(
                f"found reconstruction_threshold with {self.model}, which reconstructs nothing",
                field="reconstruction_threshold",
            )
        return self


class CorrelationRule(Rule):
    """Signals that belong together and part."""

    engine: ClassVar[bool] = False
    type: Literal["correlation_break"]
    """A correlation that breaks."""
    sensors: Annotated[list[Name], Field(min_length=2)]
    """The sensors that belong together."""
    expected_correlation: Annotated[float, Field(ge=-1, le=1)]
    """Correlation in good health."""
    min_correlation: Annotated[float, Field(ge=-1, le=1)]
    """Correlation below which it is broken (above which, if the expected one is negative)."""
    window: Duration
    """Span over which it is computed."""
    severity: Severity = "warning"
    """How bad it is."""

    @model_validator(mode="after")
    def _room_to_break(self) -> "CorrelationRule":
        broken, good = self.min_correlation, self.expected_correlation
        if (broken >= good) if good >= 0 else (broken <= good):
            raise refuse(
                f"found min_correlation {broken:g}, which the expected correlation {good:g} already breaks",
                field="min_correlation",
            )
        return self


class ControlChartRule(Rule):
    """Statistical process control."""

    engine: ClassVar[bool] = False
    type: Literal["control_chart"]
    """A control chart."""
    sensor: Name
    """Id, name or type of the sensors that it watches."""
    chart_type: Literal["xbar_r", "xbar_s", "i_mr", "ewma", "cusum", "p", "np", "c", "u"]
    """Kind of chart."""
    subgroup_size: Count | None = None
    """Readings per subgroup."""
    rules: list[ControlRule] = ["beyond_3sigma"]
    """Western Electric and Nelson rules that it applies."""
    center: float | None = None
    """Centre line; left out, learned from the first subgroups."""
    sigma: Positive | None = None
    """Standard deviation of the process; left out, learned from the first subgroups."""
    baseline_subgroups: Annotated[int, Field(ge=2)] | None = None
    """How many subgroups it learns the limits from."""
    severity: Severity = "warning"
    """How bad it is."""

    @model_validator(mode="after")
    def _subgroups(self) -> "ControlChartRule":
        grouped = self.chart_type in ("xbar_r", "xbar_s")
        if grouped and (self.subgroup_size is None or self.subgroup_size < 2):
            raise refuse(
                f"a chart of type {self.chart_type} needs a `subgroup_size` of 2 or more", field="subgroup_size"
            )
        if self.chart_type == "i_mr" and self.subgroup_size not in (None, 1):
            raise refuse("a chart of type i_mr takes single readings; leave subgroup_size out", field="subgroup_size")
        return self


class PatternRule(Rule):
    """A shape in time that means trouble."""

    engine: ClassVar[bool] = False
    type: Literal["pattern"]
    """A shape in time."""
    sensor: Name
    """Id, name or type of the sensors that it watches."""
    shape: Annotated[list[float], Field(min_length=3)]
    """The shape, at equal steps over the window; level and scale do not matter."""
    window: Duration
    """How long the shape lasts."""
    max_distance: Positive
    """Normalised Euclidean distance up to which a window matches."""
    severity: Severity = "warning"
    """How bad it is."""


AnyRule = Annotated[
    ThresholdRule | MachineLearningRule | CorrelationRule | ControlChartRule | PatternRule, Field(discriminator="type")
]


class AnomalyDetection(Model):
    """What is watched, and when it is an anomaly."""

    rules: list[AnyRule] = []
    """The rules."""
