"""Definitions of sensor ingestion: the sources, and what becomes of readings that nobody asked for."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from .define_bacnet import BacnetProtocol
from .define_cdc import DebeziumProtocol, PostgresProtocol
from .define_coap import CoapProtocol
from .define_modbus import ModbusProtocol
from .define_mqtt import MqttProtocol
from .define_opcua import OpcUaProtocol
from .define_protocols import (
    AmqpProtocol,
    HttpProtocol,
    KafkaProtocol,
)
from .define_types import Duration, Model

AnyProtocol = Annotated[
    MqttProtocol
    | OpcUaProtocol
    | ModbusProtocol
    | AmqpProtocol
    | CoapProtocol
    | BacnetProtocol
    | KafkaProtocol
    | HttpProtocol
    | PostgresProtocol
    | DebeziumProtocol,
    Field(discriminator="name"),
]


def _limit(value: Any) -> Any:
    return "unlimited" if value in ("off", "none") else value


DiscoveryLimit = Annotated[
    Annotated[int, Field(ge=0)] | Literal["unlimited"],
    BeforeValidator(_limit),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["unlimited", "off", "none"]}]}),
]


class SensorIngestion(Model):
    """Where readings come from."""

    protocols: list[AnyProtocol] = []
    """The sources, by protocol."""
    unbound: Literal["create", "dead_letter"] = "create"
    """What becomes of a reading that fits no sensor: a discovered node, or a dead letter."""
    discovery_limit: DiscoveryLimit = 100
    """New nodes a minute (`off`: no limit, 0: none); what goes beyond becomes dead letters that replay themselves."""
    max_ahead: Duration = 600.0
    """How far a source's clock may be ahead before its stamp is not believed."""
