"""Definitions of sensor ingestion: the sources, and what becomes of readings that nobody asked for."""

from typing import Annotated, Literal

from pydantic import Field

from .define_mqtt import MqttProtocol
from .define_protocols import (
    AmqpProtocol,
    BacnetProtocol,
    CoapProtocol,
    HttpProtocol,
    KafkaProtocol,
    ModbusProtocol,
    OpcUaProtocol,
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
    | HttpProtocol,
    Field(discriminator="name"),
]


class SensorIngestion(Model):
    """Where readings come from."""

    protocols: list[AnyProtocol] = []
    """The sources, by protocol."""
    unbound: Literal["create", "dead_letter"] = "create"
    """What becomes of a reading that fits no sensor: a discovered node, or a dead letter."""
    discovery_limit: Annotated[int, Field(ge=0)] = 100
    """New nodes a minute; what goes beyond becomes dead letters that replay themselves."""
    max_ahead: Duration = 600.0
    """How far a source's clock may be ahead before its stamp is not believed."""
