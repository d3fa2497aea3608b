"""Definitions of change data capture: rows of databases that become readings and nodes."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .define_payload import Protocol, Tls
from .define_protocols import KafkaConnection
from .define_types import Duration, Model, Name, Secret, UnitText, refuse
from .define_url import Url


class RowColumn(Model):
    """A column that is a measurement."""

    column: Name
    """The column."""
    name: Name | None = None
    """What its readings are called; left out, like the column."""
    unit: UnitText | None = None
    """Unit of its values."""


class RowSignals(Model):
    """Which readings a row is. `$.column` is a column, any other text a constant."""

    device_id: Name
    """Whose readings they are, such as $.machine_id."""
    timestamp: Name | None = None
    """When it was so, such as $.measured_at; left out, when the row was committed."""
    columns: list[RowColumn | Name] = []
    """Columns that are measurements, of a wide table; a name alone has no unit."""
    name: Name | None = None
    """What was measured, of a narrow table that has a row for each value."""
    value: Name | None = None
    """The value of a narrow table."""
    unit: Name | None = None
    """The value's unit of a narrow table."""
    quality: Name | None = None
    """How far it can be trusted: good, uncertain, bad or an OPC quality code."""
    only_changed: bool = False
    """Whether an update tells only the columns that changed; needs before-images (REPLICA IDENTITY FULL)."""

    @model_validator(mode="after")
    def _one_shape(self) -> "RowSignals":
        narrow = self.name is not None or self.value is not None
        if narrow == bool(self.columns):
            raise refuse(
                "expected either `columns` (a wide table) or `name` and `value` (a narrow one)", field="columns"
            )
        if narrow and (self.name is None or self.value is None):
            raise refuse("`name` and `value` belong together", field="name")
        return self


class RowNodes(Model):
    """Which node a row is. `$.column` is a column, any other text a constant."""

    id: Name
    """Its id below its parent, such as $.machine_id; readings of a device of this name are its own."""
    parent: Name
    """Id of the node that it stands below, such as line_1 or $.line; it must be there."""
    level: Literal["line", "component"] = "component"
    """What it is."""
    name: Name | None = None
    """What it is called; left out, its id."""
    type: Name | None = None
    """Its type."""
    properties: list[Name] | None = None
    """Columns that become properties; left out, all that are not used otherwise."""
    on_delete: Literal["mark", "remove"] = "mark"
    """When its row is deleted: it stays and bears the property `deleted`, or goes with all below it."""


class Rows(Model):
    """What the rows of a table become."""

    signals: RowSignals | None = None
    """Readings."""
    nodes: RowNodes | None = None
    """Nodes."""

    @model_validator(mode="after")
    def _something(self) -> "Rows":
        if self.signals is None and self.nodes is None:
            raise refuse("expected `signals`, `nodes` or both", field="signals")
        return self


class PostgresTable(Rows):
    """A table of a PostgreSQL database."""

    table: Annotated[Name, Field(pattern=r"^[^.\s]+(\.[^.\s]+)?$")]
    """Its name, with its schema unless that is public."""

    @property
    def full_name(self) -> str:
        """Schema and table."""
        return self.table if "." in self.table else f"public.{self.table}"


class PostgresProtocol(Protocol):
    """Changes of a PostgreSQL database, by logical replication."""

    name: Literal["postgresql"]
    """PostgreSQL."""
    url: Annotated[str, Url(("postgresql", "postgres"))]
    """postgresql://host:5432/database."""
    tables: Annotated[list[PostgresTable], Field(min_length=1)]
    """The tables that are followed."""
    username: Name | None = None
    """User at the database; it needs REPLICATION, and SELECT on the tables."""
    password: Secret | None = None
    """The user's password."""
    tls: Tls | None = None
    """Transport security; left out, as the server asks."""
    slot: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,63}$")] = "iotsense"
    """Replication slot: the server's memory of how far we have read."""
    publication: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "iotsense"
    """Publication: which tables are followed, as the server knows it."""
    create: bool = True
    """Whether slot and publication are made where they are missing."""
    snapshot: Literal["initial", "never"] = "initial"
    """Whether the rows that are there are read before the first change."""
    status_interval: Duration = 1.0
    """How often the server is told how far everything is durable."""


class DebeziumTopic(Rows):
    """A topic with the changes of one table."""

    topic: Name
    """The topic, such as mes.public.machines."""


class DebeziumProtocol(Protocol, KafkaConnection):
    """Changes that Debezium has written to Kafka."""

    name: Literal["debezium"]
    """Debezium."""
    topics: Annotated[list[DebeziumTopic], Field(min_length=1)]
    """The topics that are followed."""
