"""Definitions of the configuration file: the section `iotsense`."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .define_bacnet import BacnetProtocol
from .define_coap import CoapProtocol
from .define_line_protocol import LineProtocol
from .define_modbus import ModbusConfigDevice
from .define_mqtt import MqttConfig
from .define_opcua import OpcUaEndpoint
from .define_opcua_server import OpcUaServerConfig
from .define_protocols import (
    AmqpProtocol,
    HttpProtocol,
    KafkaProtocol,
)
from .define_publishing import AnyEndpoint
from .define_types import (
    Bytes,
    Count,
    Duration,
    FileName,
    Id,
    Model,
    Name,
    Port,
    Positive,
    ScheduleText,
    Secret,
    refuse,
)
from .define_url import Url

_AGGREGATES = re.compile(r"raw\Z|events\Z|[1-9]\d*[smhdw]_aggregates\Z")


class OpcUaConfig(Model):
    """OPC UA in the configuration file."""

    endpoints: list[OpcUaEndpoint] = []
    """The servers."""


class ModbusConfig(Model):
    """Modbus in the configuration file."""

    devices: list[ModbusConfigDevice] = []
    """The devices."""


class IngestionConfig(Model):
    """Connections; they add to those of `sensor_ingestion`."""

    mqtt: MqttConfig = MqttConfig()
    """MQTT brokers and topics."""
    opcua: OpcUaConfig = OpcUaConfig()
    """OPC UA servers."""
    modbus: ModbusConfig = ModbusConfig()
    """Modbus devices."""
    amqp: list[AmqpProtocol] = []
    """AMQP brokers, as in `sensor_ingestion`."""
    coap: list[CoapProtocol] = []
    """CoAP servers, as in `sensor_ingestion`."""
    bacnet: list[BacnetProtocol] = []
    """BACnet devices, as in `sensor_ingestion`."""
    kafka: list[KafkaProtocol] = []
    """Kafka clusters, as in `sensor_ingestion`."""
    http: list[HttpProtocol] = []
    """HTTP addresses, as in `sensor_ingestion`."""
    line_protocol: LineProtocol = LineProtocol()
    """What is written in the InfluxDB line protocol, by Telegraf and others."""


def _retention(spans: dict[str, float]) -> dict[str, float]:
    for name in spans:
        if not _AGGREGATES.match(name):
            raise refuse(f"found {name!r}, expected raw, or aggregates such as 1m_aggregates, 1h_aggregates, or events")
    return spans


class JournalBudget(Model):
    """How much the journal keeps for a store that is away, and what happens beyond that."""

    budget: Bytes = 10_000_000_000
    """What it keeps at most that the store has not had yet."""
    when_full: Literal["drop_oldest", "refuse"] = "drop_oldest"
    """`drop_oldest`: the store never gets the oldest of it, which is told. `refuse`: no reading is taken in."""


class Storage(Model):
    """Where history is kept."""

    type: Literal["embedded", "timescaledb", "postgresql", "influxdb"] = "embedded"
    """`embedded` needs no server; the others get a copy."""
    host: Name | None = None
    """Host of the database."""
    port: Port | None = None
    """Port of the database; left out, its usual one."""
    graph: Literal["embedded", "neo4j"] | None = None
    """`neo4j` publishes the graph to the Neo4j that `iotsense.graph` or the environment names; `embedded` does not."""
    url: Annotated[str, Url(("http", "https", "postgresql"))] | None = None
    """Address of the database, instead of host and port."""
    database: Name | None = None
    """Name of the database, or of the bucket."""
    organization: Name | None = None
    """Organisation (InfluxDB)."""
    username: Name | None = None
    """User at the database."""
    password: Secret | None = None
    """The user's password."""
    token: Secret | None = None
    """Token (InfluxDB)."""
    tls: bool = False
    """Whether the connection is encrypted."""
    retention: Annotated[dict[str, Duration], AfterValidator(_retention)] = {}
    """How long `raw` readings, aggregates (`1m_aggregates`, `1h_aggregates`, ...) and `events` are kept."""
    journal: JournalBudget = JournalBudget()
    """How long a database may be away."""

    @model_validator(mode="after")
    def _reachable(self) -> "Storage":
        if self.type != "embedded" and self.host is None and self.url is None:
            raise refuse(f"storage of type {self.type} needs a `host` or a `url`", field="type")
        if self.url is not None and "${" not in self.url:
            wanted = ("http", "https") if self.type == "influxdb" else ("postgresql",)
            if self.type != "embedded" and self.url.partition(":")[0] not in wanted:
                raise refuse(f"storage of type {self.type} needs a `url` that begins with {wanted[0]}://", field="url")
        return self


class GraphStore(Model):
    """A graph database that the plant's graph is published to. What is left out is taken from the environment."""

    type: Literal["neo4j"] = "neo4j"
    """Kind of graph database."""
    url: Annotated[str, Url(("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc"))] | None = None
    """bolt://host:7687; left out, NEO4J_URL or NEO4J_URI, else this machine's."""
    username: Name | None = None
    """User at the database; left out, NEO4J_USERNAME."""
    password: Secret | None = None
    """The user's password; left out, NEO4J_PASSWORD."""
    database: Name | None = None
    """Name of the database; left out, NEO4J_DATABASE, else `neo4j`."""


class Training(Model):
    """When models are trained."""

    schedule: ScheduleText | None = None
    """Such as weekly, or sunday 02:00."""
    min_samples: Count | None = None
    """Samples below which a model is not trained."""


class MaintenanceConfig(Model):
    """How predictive maintenance runs."""

    enabled: bool = True
    """Whether it runs."""
    models_path: Name | None = None
    """Folder of the trained models."""
    prediction_interval: Duration | None = None
    """How often it predicts."""
    training: Training | None = None
    """When models are trained."""


class TwinConfig(Model):
    """How digital twins run."""

    enabled: bool = True
    """Whether they run."""
    sync_interval_ms: Positive | None = None
    """How often subscribers of state are told at most [ms]."""
    simulation_engine: Literal["gazebo", "pybullet"] | None = None
    """Physics engine of twins that name none."""


class EdgeEndpoint(Model):
    """An edge node that is reached."""

    id: Id
    """Its id."""
    endpoint: Annotated[str, Url(("https", "http", "mqtt", "mqtts"))]
    """How it is reached."""
    api_key: Secret | None = None
    """What it accepts us with."""


class EdgeConfig(Model):
    """How edge nodes are reached."""

    enabled: bool = True
    """Whether they are."""
    nodes: list[EdgeEndpoint] = []
    """The nodes."""
    sync_interval_s: Positive | None = None
    """How often they are synchronised [s]."""
    offline_buffer_gb: Positive | None = None
    """What they keep while the line is down [GB]."""


class Channel(Model):
    """A way to tell people or systems; which fields it needs depends on its type."""

    type: Literal["opcenter", "webhook", "email", "sms", "pagerduty", "opsgenie", "slack", "teams", "mqtt"] | None = (
        None
    )
    """What it is; left out, its name says so."""
    url: Annotated[str, Url(("https", "http", "mqtt", "mqtts"))] | None = None
    """Address of a web service."""
    api_key: Secret | None = None
    """Key of the web service."""
    headers: dict[str, Name] = {}
    """Headers of requests; `${VARIABLE}` is filled in when they are sent."""
    smtp: Name | None = None
    """Mail server."""
    port: Port | None = None
    """Port of the mail server."""
    tls: bool = True
    """Whether the mail server is spoken to in secret."""
    username: Name | None = None
    """User at the mail server."""
    password: Secret | None = None
    """The user's password."""
    sender: Name | None = None
    """Address or number that messages come from."""
    provider: Literal["twilio", "vonage", "sns"] | None = None
    """Provider of text messages."""
    account_sid: Name | None = None
    """Account at the provider."""
    auth_token: Secret | None = None
    """Token of the account."""
    routing_key: Secret | None = None
    """Integration key (PagerDuty)."""
    topic: Name | None = None
    """Topic that is published to (MQTT)."""
    recipients: list[Name] = []
    """Who is told where an alert names nobody."""
    enabled: bool = True
    """Whether it is used."""


class Recipient(Model):
    """A person or team that alerts go to."""

    name: Name | None = None
    """What they are called."""
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    """Mail address."""
    phone: Annotated[str, Field(pattern=r"^\+?[0-9 ()/-]{3,}$")] | None = None
    """Telephone number, quoted."""


CHANNEL_NEEDS = {
    "opcenter": "url", "webhook": "url", "slack": "url", "teams": "url", "mqtt": "url", "email": "smtp",
    "sms": "provider", "pagerduty": None, "opsgenie": None,
}  # fmt: skip


class Alerts(Model):
    """Who is told how."""

    channels: dict[str, Channel] = {}
    """Channels by name."""
    recipients: dict[str, Recipient] = {}
    """People and teams by the name that actions call them."""

    @model_validator(mode="after")
    def _usable(self) -> "Alerts":
        for name, channel in self.channels.items():
            kind = channel.type or name
            if kind not in CHANNEL_NEEDS:
                raise refuse(f"channel {name!r}: its name is no type, so it needs one: {', '.join(CHANNEL_NEEDS)}")
            need = CHANNEL_NEEDS[kind]
            if need is not None and getattr(channel, need) is None:
                raise refuse(f"channel {name!r}: a channel of type {kind} needs `{need}`")
        return self


class OeeConfig(Model):
    """How OEE tracking runs."""

    enabled: bool = True
    """Whether it runs."""
    shift_calendar: FileName | None = None
    """File of shifts and holidays."""
    downtime_reasons: FileName | None = None
    """File of reasons for downtime."""


class IotsenseConfig(Model):
    """The configuration of the service."""

    ingestion: IngestionConfig = IngestionConfig()
    """Connections; they add to those of `sensor_ingestion`."""
    storage: Storage = Storage()
    """Where history is kept."""
    graph: GraphStore | None = None
    """A graph database that the plant's graph is published to."""
    predictive_maintenance: MaintenanceConfig | None = None
    """How predictive maintenance runs."""
    digital_twins: TwinConfig = TwinConfig()
    """How digital twins run."""
    edge: EdgeConfig | None = None
    """How edge nodes are reached."""
    alerts: Alerts | None = None
    """Who is told how."""
    publishing: list[AnyEndpoint] = []
    """What of the plant is told to brokers and web services as it changes."""
    oee: OeeConfig | None = None
    """How OEE tracking runs."""
    opcua_server: OpcUaServerConfig | None = None
    """The OPC UA server that shows the twin."""
