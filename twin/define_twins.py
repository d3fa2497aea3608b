"""Definitions of the plant's graph: enterprises, sites, areas and digital twins with components and sensors."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from .define_computed import ComputedList
from .define_repetition import Repeatable
from .define_reporting import Reporting
from .define_types import (
    Count,
    Duration,
    FileName,
    Id,
    Model,
    Name,
    Positive,
    Properties,
    Reference,
    Seconds,
    Timezone,
    UnitText,
    refuse,
)
from .define_writing import Writable

MAX_LABELS = 256
MAX_JOINTS = 64


class Pose(Model):
    """Where a node is and how it is turned, in a right-handed frame."""

    position: Annotated[list[float], Field(min_length=3, max_length=3)]
    """x, y, z [m]."""
    orientation: Annotated[list[float], Field(min_length=4, max_length=4)] = [0.0, 0.0, 0.0, 1.0]
    """Unit quaternion x, y, z, w."""
    frame: Name | None = None
    """What it is relative to: a node's id or `world`; left out, the node that it belongs to."""

    @field_validator("orientation")
    @classmethod
    def _unit_quaternion(cls, orientation: list[float]) -> list[float]:
        length = math.hypot(*orientation)
        if not math.isclose(length, 1.0, abs_tol=1e-3):
            raise refuse(f"found a quaternion of length {length:.4g}, expected length 1 (x, y, z, w)")
        return orientation


class Geo(Model):
    """A place on Earth (WGS 84)."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    """Degrees, north positive."""
    longitude: Annotated[float, Field(ge=-180, le=180)]
    """Degrees, east positive."""
    altitude: float | None = None
    """Metres above the ellipsoid."""


class DocumentLink(Model):
    """A manual, drawing or data sheet that belongs to a node."""

    title: Name
    """What it is called."""
    url: Name | None = None
    """Where it is on the network."""
    file: FileName | None = None
    """Where it is on disk."""

    @model_validator(mode="after")
    def _somewhere(self) -> "DocumentLink":
        if (self.url is None) == (self.file is None):
            raise refuse("a document has either a `url` or a `file`", field="file")
        return self


class NodeFields(Model):
    """What every node may have."""

    description: str | None = None
    """What an engineer wants to tell about it."""
    pose: Pose | None = None
    """Position [m], orientation and frame."""
    geo: Geo | None = None
    """Latitude and longitude."""
    external_ids: dict[str, Name] = {}
    """Its ids in other systems, such as `sap: "10004711"`."""
    documents: list[DocumentLink] = []
    """Manuals, drawings, data sheets."""
    properties: Properties = {}
    """Anything else, by name."""
    reporting: Reporting | None = None
    """Which readings of the sensors at or below it are stored; left out, what the nodes above it or the source say."""
    moved_from: Reference | None = None
    """The full id that it had before; its history moves along."""


class Enterprise(NodeFields):
    """An enterprise: the top of the ISA-95 hierarchy."""

    id: Id
    """Its id."""
    name: Name | None = None
    """What people call it; left out, its id."""


class Site(NodeFields):
    """A site; its time zone governs shifts, schedules and days."""

    id: Id
    """Its id."""
    name: Name | None = None
    """What people call it; left out, its id."""
    enterprise: Id | None = None
    """The enterprise that it belongs to; left out, the only one if there is exactly one."""
    timezone: Timezone | None = None
    """IANA time zone, such as Europe/Berlin; left out, UTC."""


class Area(NodeFields):
    """An area of a site."""

    id: Id
    """Its id."""
    name: Name | None = None
    """What people call it; left out, its id."""
    site: Id | None = None
    """The site that it belongs to; left out, the only one if there is exactly one."""
    area: Id | None = None
    """The area that it is a part of, for plants whose areas nest."""

    @model_validator(mode="after")
    def _one_parent(self) -> "Area":
        if self.area is not None and self.site is not None:
            raise refuse(
                "an area that is part of another `area` takes its site from there; leave `site` out", field="site"
            )
        return self


def _labels(labels: list[str]) -> list[str]:
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise refuse(f"found the label {twice[0]!r} twice")
    return labels


class Sensor(NodeFields, Repeatable):
    """A sensor: one measured signal, or one per joint."""

    id: Id
    """Its id within the component."""
    type: Name | None = None
    """What kind of sensor it is, such as temperature."""
    name: Name | None = None
    """Its key in the component's state; left out, its id."""
    unit: UnitText | None = None
    """Unit of its values by name, symbol, UCUM or UNECE code."""
    joints: Annotated[int, Field(ge=1, le=MAX_JOINTS)] | None = None
    """Number of values that it delivers as one list."""
    source: Name | None = None
    """The address at the source (topic, OPC UA node, register name) whose readings are its own."""
    low: float | None = None
    """Lowest plausible value [unit]."""
    high: float | None = None
    """Highest plausible value [unit]."""
    stepped: bool = False
    """Whether a value holds until the next one (a state, a counter) instead of being interpolated."""
    data_type: Literal["number", "boolean", "text"] | None = None
    """Kind of its values; left out, the first reading decides."""
    labels: Annotated[list[Name], Field(max_length=MAX_LABELS), AfterValidator(_labels)] = []
    """The texts that the codes 0, 1, ... of a text signal stand for."""
    expected_interval: Duration | None = None
    """Longest normal silence; beyond it the sensor is stale."""
    model: Name | None = None
    """Make and model."""
    writable: Writable = None
    """Whether its value may be set, and within what limits; left out, it may not."""

    @model_validator(mode="after")
    def _range(self) -> "Sensor":
        if self.low is not None and self.high is not None and self.low > self.high:
            raise refuse(f"found low {self.low:g} above high {self.high:g}", field="low")
        if self.labels and self.data_type == "number":
            raise refuse(
                "found labels on a sensor of data_type number; labels belong to text and boolean", field="labels"
            )
        if self.writable is not None and self.joints is not None:
            raise refuse("found `writable` on a sensor with joints; one value is set at a time", field="writable")
        return self


class Component(NodeFields, Repeatable):
    """A machine or a part of one (ISA-95 work unit, equipment module)."""

    id: Id
    """Its id within the twin, or within the component that holds it."""
    type: Name | None = None
    """What kind of equipment it is: one of `component_types`, whose instance it is then, or a word of your own."""
    type_version: Count | None = None
    """Version of the component type that it stays at; left out, the newest."""
    name: Name | None = None
    """What people call it; left out, its id."""
    model: Name | None = None
    """Make and model, such as fanuc_m20."""
    sensors: list[Sensor] = []
    """Its sensors; of an instance, those that it has beside its type's, and what differs from the type's, by id."""
    without: list[Id] = []
    """Sensors of its type that it has not, by id."""
    parameters: dict[str, JsonValue] = {}
    """Fixed values such as length or max_speed, by name; of an instance, those that its type declares."""
    components: list["Component"] = []
    """The components that it contains."""
    computed: ComputedList = []
    """Signals of its own that follow from others; of an instance, those beside its type's, by name."""


class Relationship(Repeatable):
    """An arrow between two nodes of the plant."""

    from_: Annotated[Reference, Field(alias="from")]
    """Where it starts: a component of this twin, or a dotted id of another."""
    to: Reference
    """Where it ends."""
    type: Id
    """What it means: `feeds_into`, `contains`, or a word of your own."""
    transfer_time: Seconds | None = None
    """How long material takes from one to the other [s]."""
    properties: Properties = {}
    """Anything else about it, by name."""

    @field_validator("type")
    @classmethod
    def _not_reserved(cls, type: str) -> str:
        if type == "has_sensor":
            raise refuse("found has_sensor, which follows from where a sensor is listed; write the sensor there")
        return type


class Simulation(Model):
    """The physical model of a twin."""

    physics_engine: Literal["gazebo", "pybullet"] | None = None
    """What computes it; left out, `iotsense.digital_twins.simulation_engine`."""
    model_file: FileName | None = None
    """URDF, SDF or MJCF file."""
    world_file: FileName | None = None
    """World (SDF) that the model stands in."""
    update_rate_hz: Positive | None = None
    """Steps of the physics a second [Hz]."""
    real_time_factor: Positive | None = None
    """How many simulated seconds pass in a real one."""
    rosbridge: Name | None = None
    """WebSocket address of the rosbridge that Gazebo is reached through."""


class DigitalTwin(NodeFields, Repeatable):
    """A digital twin: a line with its components, sensors and relationships."""

    name: Id
    """Its id; REST and GraphQL call it twin_id."""
    type: Name | None = None
    """What kind of line it is."""
    title: Name | None = None
    """What people call it; left out, its name."""
    enterprise: Id | None = None
    """The enterprise that it belongs to, if it stands in no site."""
    site: Id | None = None
    """The site that it stands in, if it stands in no area."""
    area: Id | None = None
    """The area that it stands in."""
    components: list[Component] = []
    """Its components."""
    sensors: list[Sensor] = []
    """Sensors of the line itself, such as its energy meter."""
    parameters: dict[str, JsonValue] = {}
    """Fixed values of the line, by name."""
    relationships: list[Relationship] = []
    """How its components belong together."""
    simulation: Simulation | None = None
    """Its physical model."""
    computed: ComputedList = []
    """Signals of its own that follow from others, such as sums over its components."""

    @model_validator(mode="after")
    def _one_place(self) -> "DigitalTwin":
        given = [field for field in ("area", "site", "enterprise") if getattr(self, field) is not None]
        if len(given) > 1:
            raise refuse(f"found {' and '.join(given)}; name the nearest only, it knows the others", field=given[1])
        return self
