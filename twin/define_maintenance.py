"""Definitions of predictive maintenance: models by type, and what is done when they warn."""

from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from .define_types import (
    Count,
    Days,
    Duration,
    Expression,
    Model,
    Name,
    Positive,
    Reference,
    ScheduleText,
    refuse,
)
from .define_url import Url

Aggregation = Literal[
    "mean", "median", "min", "max", "sum", "std", "range", "first", "last", "count", "rms", "peak", "crest_factor",
    "kurtosis", "skewness", "p05", "p95", "p99",
]  # fmt: skip
Algorithm = Literal[
    "isolation_forest", "autoencoder", "one_class_svm", "local_outlier_factor", "mahalanobis", "half_space_trees",
    "gradient_boosting", "random_forest", "logistic_regression", "neural_network", "weibull", "cox",
    "exponential_degradation", "wiener_process", "similarity",
]  # fmt: skip


class Feature(Model):
    """What a model looks at: a signal over a window. A text alone is its name."""

    name: Name
    """The feature; without `sensor`, also the sensor that it is computed from."""
    sensor: Name | None = None
    """Id, name or type of the sensor that it is computed from."""
    type: Literal["aggregate", "cumulative", "spectrum", "slope"] = "aggregate"
    """An aggregate over the window, a running total, a spectrum in bands, or a trend."""
    window: Duration | None = None
    """Span of the signal."""
    aggregation: Aggregation | None = None
    """How the window becomes a number."""
    bands: list[Positive] = []
    """Upper edges of the bands of a spectrum [Hz], rising."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _consistent(self) -> "Feature":
        if (self.type == "spectrum") != bool(self.bands):
            raise refuse("`bands` belong to a feature of type spectrum, and it needs them", field="bands")
        if self.bands != sorted(set(self.bands)):
            raise refuse("found bands that do not rise; write their upper edges from low to high", field="bands")
        if self.aggregation is not None and self.type != "aggregate":
            raise refuse(f"found an aggregation on a feature of type {self.type}, which has none", field="aggregation")
        if self.type == "slope" and self.window is None:
            raise refuse('a feature of type slope needs a `window`, such as "24h"', field="type")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}


class PredictiveModel(Model):
    """What every predictive model may have."""

    name: Name
    """Its name; predictions refer to it."""
    description: str | None = None
    """What it is for."""
    enabled: bool = True
    """Whether it predicts."""
    equipment_class: Name | None = None
    """The `type` of the components that it is for."""
    equipment: list[Reference] = []
    """The components that it is for, one by one."""
    features: Annotated[list[Feature], Field(min_length=1)]
    """What it looks at."""
    failure_mode: Name | None = None
    """What it foresees; left out, its name."""
    recommended_action: Name | None = None
    """What should be done then."""
    min_samples: Count | None = None
    """Samples below which it is not trained."""


class LifeThresholds(Model):
    """Remaining life at which a component counts as what."""

    critical: Days
    """At most this many days are left: critical."""
    warning: Days
    """At most this many days are left: warning."""
    normal: Days | None = None
    """At least this many days are left: no concern."""

    @model_validator(mode="after")
    def _rising(self) -> "LifeThresholds":
        rising = [value for value in (self.critical, self.warning, self.normal) if value is not None]
        if rising != sorted(set(rising)):
            raise refuse("expected critical < warning < normal [days]", field="warning")
        return self


class RemainingLifeModel(PredictiveModel):
    """Remaining useful life."""

    type: Literal["remaining_useful_life"]
    """Days until failure."""
    algorithm: Algorithm | None = None
    """How it is learned; left out, chosen by validation."""
    thresholds: LifeThresholds | None = None
    """Days at which it warns."""


class FailureProbabilityModel(PredictiveModel):
    """Probability of a failure within a horizon."""

    type: Literal["failure_probability"]
    """Probability of failure."""
    algorithm: Algorithm | None = None
    """How it is learned; left out, chosen by validation."""
    horizon: Duration
    """How far it looks ahead."""
    thresholds: dict[Literal["warning", "critical"], Annotated[float, Field(gt=0, le=1)]] = {}
    """Probabilities at which it warns."""


class AnomalyModel(PredictiveModel):
    """Departure from what is normal."""

    type: Literal["anomaly_detection"]
    """Departure from what is normal."""
    algorithm: Algorithm = "isolation_forest"
    """How it is learned."""
    contamination: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Expected share of anomalies in the training data."""


class ClassificationModel(PredictiveModel):
    """Which of several conditions a component is in."""

    type: Literal["classification"]
    """One of several conditions."""
    algorithm: Algorithm = "gradient_boosting"
    """How it is learned."""
    classes: Annotated[list[Name], Field(min_length=2)]
    """The conditions, from the best to the worst."""


AnyModel = Annotated[
    RemainingLifeModel | FailureProbabilityModel | AnomalyModel | ClassificationModel, Field(discriminator="type")
]


class PredictiveMaintenance(Model):
    """Models that foresee failures."""

    models: list[AnyModel] = []
    """The models."""


# What is done -------------------------------------------------------------------------------------------------------

Priority = Literal["low", "medium", "high", "emergency"]
PartText = Name


class WorkOrder(Model):
    """Opens a work order."""

    type: Literal["work_order"]
    """Open a work order."""
    priority: Priority = "medium"
    """How urgent it is."""
    template: Name | None = None
    """Work plan that it follows."""
    assign_to: Name | None = None
    """Who does it."""
    description: str | None = None
    """What is to be done; `${equipment.id}` and the like are filled in."""
    due_in: Duration | None = None
    """Until when."""


class Alert(Model):
    """Tells people."""

    type: Literal["alert"]
    """Tell people."""
    channels: Annotated[list[Name], Field(min_length=1)]
    """Channels of `iotsense.alerts.channels`."""
    recipients: list[Name] = []
    """Who is told; left out, the channel's own recipients."""
    message: str | None = None
    """What is said; `${equipment.id}` and the like are filled in."""


class InventoryCheck(Model):
    """Looks whether parts are in stock."""

    type: Literal["inventory_check"]
    """Look into the stock."""
    parts: Annotated[list[PartText], Field(min_length=1)]
    """The parts; `${equipment.model}` and the like are filled in."""


class ScheduleMaintenance(Model):
    """Plans maintenance into a window of time."""

    type: Literal["schedule_maintenance"]
    """Plan maintenance."""
    window: ScheduleText
    """When it may be, such as next_weekend or sunday 06:00-10:00."""
    duration: Duration
    """How long it takes."""
    template: Name | None = None
    """Work plan that it follows."""
    assign_to: Name | None = None
    """Who does it."""


class OrderParts(Model):
    """Orders parts."""

    type: Literal["order_parts"]
    """Order parts."""
    parts: list[PartText] = []
    """The parts; left out, those of the trigger's inventory check or work plan."""
    if_stock_below: Annotated[int, Field(ge=0)] | None = None
    """Only if fewer are in stock."""
    quantity: Count = 1
    """How many."""


class Webhook(Model):
    """Calls another system."""

    type: Literal["webhook"]
    """Call another system."""
    url: Annotated[str, Url(("http", "https"))]
    """The address; it gets `type` and `data` as JSON."""
    headers: dict[str, Name] = {}
    """Headers of the request; `${VARIABLE}` is filled in when it is sent."""


Action = Annotated[
    WorkOrder | Alert | InventoryCheck | ScheduleMaintenance | OrderParts | Webhook, Field(discriminator="type")
]


class Trigger(Model):
    """Actions that follow from a condition."""

    name: Name | None = None
    """Its name."""
    condition: Expression
    """When it fires, such as rul_days < 7."""
    equipment: list[Reference] = []
    """The components that it is for; left out, all."""
    equipment_class: Name | None = None
    """The `type` of the components that it is for."""
    actions: Annotated[list[Action], Field(min_length=1)]
    """What is done, in order."""
    settle: Duration | None = None
    """How long the condition must hold before anything is done."""
    cooldown: Duration | None = None
    """How long it keeps quiet about the same component then."""
    enabled: bool = True
    """Whether it fires."""


class MaintenanceActions(Model):
    """What is done when something is foreseen."""

    triggers: list[Trigger] = []
    """The triggers."""
