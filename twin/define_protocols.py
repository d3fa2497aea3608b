"""Definitions of the protocols other than MQTT."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .define_payload import Payload, Polled, Protocol, Tls
from .define_types import Count, Duration, FileName, Model, Name, Port, Positive, Secret, UnitText, refuse
from .define_url import Url

# OPC UA -------------------------------------------------------------------------------------------------------------

OpcUaUrl = Annotated[str, Url(("opc.tcp", "opc.wss"))]
SecurityPolicy = Literal[
    "None", "Basic128Rsa15", "Basic256", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"
]
_NODE_ID = r"^(ns=\d+;)?(i=\d+|s=.+|g=[0-9A-Fa-f-]{36}|b=[A-Za-z0-9+/=]+)$|^nsu=.+;(i|s|g|b)=.+$"


class OpcUaNode(Model):
    """A variable of an OPC UA server."""

    id: Annotated[str, Field(pattern=_NODE_ID)]
    """Node id, such as ns=2;s=Line1.Motor1.Speed."""
    name: Name | None = None
    """What its readings are called; left out, the node id."""
    sampling_interval_ms: Positive | None = None
    """How often the server looks [ms]; left out, the connection's publishing interval."""
    deadband: Annotated[float, Field(ge=0)] | None = None
    """Absolute change below which the server stays silent."""
    queue_size: Count | None = None
    """Values that the server keeps between two publications."""
    unit: UnitText | None = None
    """Unit of its values; left out, what the server says."""


class OpcUaConnection(Model):
    """How an OPC UA server is spoken to."""

    security_policy: SecurityPolicy = "None"
    """How messages are signed and encrypted."""
    security_mode: Literal["None", "Sign", "SignAndEncrypt"] | None = None
    """Left out: SignAndEncrypt with a policy, None without."""
    certificate: FileName | None = None
    """Our certificate."""
    private_key: FileName | None = None
    """Its private key."""
    private_key_password: Secret | None = None
    """What opens the private key."""
    server_certificate: FileName | None = None
    """The server's certificate, if only that one is trusted."""
    username: Name | None = None
    """User at the server."""
    password: Secret | None = None
    """The user's password."""
    application_uri: Name | None = None
    """Our application URI, as in our certificate."""
    publishing_interval_ms: Positive = 500.0
    """How often the server publishes [ms]."""
    session_timeout: Duration = 60.0
    """How long the server keeps a silent session."""
    nodes: list[OpcUaNode] = []
    """The variables that are subscribed to."""

    @model_validator(mode="after")
    def _mode_fits(self) -> "OpcUaConnection":
        if self.security_mode and (self.security_policy == "None") != (self.security_mode == "None"):
            raise refuse(
                f"security_mode {self.security_mode} does not go with security_policy {self.security_policy}",
                field="security_mode",
            )
        return self


class OpcUaProtocol(Protocol, OpcUaConnection):
    """An OPC UA server."""

    name: Literal["opcua"]
    """OPC UA."""
    endpoint: OpcUaUrl
    """opc.tcp://host:4840."""


class OpcUaEndpoint(OpcUaConnection):
    """A server in `iotsense.ingestion.opcua`."""

    url: OpcUaUrl
    """opc.tcp://host:4840."""
    id: Name | None = None
    """Name of the source; left out, opcua."""


# Modbus -------------------------------------------------------------------------------------------------------------

REGISTERS = {"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4, "float64": 4}


class ModbusRegister(Model):
    """One value in a device's registers or coils."""

    address: Annotated[int, Field(ge=0, le=65_535)]
    """Address of its first register, counted from 0."""
    count: Annotated[int, Field(ge=1, le=125)] | None = None
    """Number of registers; left out, what the type needs."""
    type: Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bool", "string"]
    """How the registers are read."""
    name: Name
    """What its readings are called."""
    table: Literal["holding", "input", "coil", "discrete"] | None = None
    """Where it is; left out, a coil for bool and a holding register for all else."""
    byte_order: Literal["big", "little"] = "big"
    """Order of the bytes in a register."""
    word_order: Literal["big", "little"] = "big"
    """Order of the registers of a value."""
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    """The bit of a register that a bool is."""
    scale: float = 1.0
    """What the raw number is multiplied by."""
    offset: float = 0.0
    """What is added then."""
    unit: UnitText | None = None
    """Unit of the result."""
    unit_id: Annotated[int, Field(ge=0, le=255)] | None = None
    """Unit (slave) that holds it; left out, the device's."""

    @model_validator(mode="after")
    def _count_fits(self) -> "ModbusRegister":
        needed = REGISTERS.get(self.type)
        if needed is not None and self.count not in (None, needed):
            raise refuse(
                f"found count {self.count}, expected {needed}: {self.type} takes {needed} registers", field="count"
            )
        if self.type == "string" and self.count is None:
            raise refuse("a string needs its `count` of registers", field="type")
        if self.scale == 0:
            raise refuse("found scale 0, which makes every value the same", field="scale")
        return self


class ModbusDevice(Model):
    """A device on Modbus TCP or RTU, in `iotsense.ingestion.modbus` or `sensor_ingestion`."""

    transport: Literal["tcp", "rtu", "rtu_over_tcp"] = "tcp"
    """How it is reached."""
    host: Name | None = None
    """Host of Modbus TCP."""
    port: Port = 502
    """Port of Modbus TCP."""
    serial_port: Name | None = None
    """Serial device of Modbus RTU, such as /dev/ttyUSB0."""
    baudrate: Count = 9600
    """Bits a second on the serial line."""
    parity: Literal["none", "even", "odd"] = "none"
    """Parity on the serial line."""
    stop_bits: Annotated[int, Field(ge=1, le=2)] = 1
    """Stop bits on the serial line."""
    unit_id: Annotated[int, Field(ge=0, le=255)] = 1
    """Unit (slave) address."""
    polling_interval_ms: Positive = 1000.0
    """How often the registers are read [ms]."""
    timeout: Duration = 3.0
    """How long an answer may take."""
    registers: list[ModbusRegister] = []
    """What is read."""

    @model_validator(mode="after")
    def _reachable(self) -> "ModbusDevice":
        serial = self.transport == "rtu"
        if serial and self.serial_port is None:
            raise refuse("the transport rtu needs a `serial_port`", field="transport")
        if not serial and self.host is None:
            raise refuse(f"the transport {self.transport} needs a `host`", field="transport")
        return self


class ModbusConfigDevice(ModbusDevice):
    """A device in `iotsense.ingestion.modbus`."""

    id: Name | None = None
    """Name of the source; left out, modbus."""


class ModbusProtocol(Protocol, ModbusDevice):
    """A device on Modbus TCP or RTU."""

    name: Literal["modbus"]
    """Modbus."""


# AMQP ---------------------------------------------------------------------------------------------------------------


class AmqpQueue(Payload):
    """A queue that is consumed."""

    queue: Name
    """The queue."""
    exchange: Name | None = None
    """The exchange that it is bound to."""
    routing_key: Name | None = None
    """The routing key that it is bound with."""
    durable: bool = True
    """Whether the queue survives a restart of the broker."""


class AmqpProtocol(Protocol):
    """An AMQP 0-9-1 broker."""

    name: Literal["amqp"]
    """AMQP."""
    url: Annotated[str, Url(("amqp", "amqps"))]
    """amqp://host:5672/vhost or amqps://."""
    queues: Annotated[list[AmqpQueue], Field(min_length=1)]
    """What is consumed."""
    prefetch: Count = 1000
    """Unacknowledged messages that the broker may send ahead."""
    username: Name | None = None
    """User at the broker."""
    password: Secret | None = None
    """The user's password."""
    tls: Tls | None = None
    """Transport security."""


# CoAP ---------------------------------------------------------------------------------------------------------------


class CoapResource(Payload, Polled):
    """A resource of a CoAP server."""

    path: Name
    """Its path, such as /sensors/temp."""
    observe: bool = True
    """Whether the server tells of changes (RFC 7641) instead of being asked."""


class CoapProtocol(Protocol):
    """A CoAP server."""

    name: Literal["coap"]
    """CoAP."""
    endpoint: Annotated[str, Url(("coap", "coaps", "coap+tcp", "coaps+tcp"))]
    """coap://host:5683 or coaps://."""
    resources: Annotated[list[CoapResource], Field(min_length=1)]
    """What is read."""
    psk_identity: Name | None = None
    """Identity of the pre-shared key (DTLS)."""
    psk: Secret | None = None
    """The pre-shared key (DTLS)."""


# BACnet -------------------------------------------------------------------------------------------------------------


class BacnetObject(Polled):
    """An object of a BACnet device."""

    object: Annotated[str, Field(pattern=r"^[a-z-]+[,:]\d+$")]
    """Its type and instance, such as analog-input,1."""
    property: Name = "present-value"
    """The property that is read."""
    name: Name
    """What its readings are called."""
    change_of_value: bool = True
    """Whether the device tells of changes instead of being asked."""
    unit: UnitText | None = None
    """Unit of its values; left out, what the device says."""


class BacnetDevice(Model):
    """A device on BACnet/IP."""

    device_id: Annotated[int, Field(ge=0, le=4_194_303)]
    """Its device instance."""
    address: Name | None = None
    """Its address; left out, it is found by Who-Is."""
    objects: Annotated[list[BacnetObject], Field(min_length=1)]
    """What is read."""


class BacnetProtocol(Protocol):
    """Devices on BACnet/IP."""

    name: Literal["bacnet"]
    """BACnet/IP."""
    address: Name | None = None
    """Our own address with its mask, such as 192.168.1.5/24; left out, the host's first."""
    port: Port = 47_808
    """UDP port."""
    devices: Annotated[list[BacnetDevice], Field(min_length=1)]
    """The devices."""


# Kafka --------------------------------------------------------------------------------------------------------------


class KafkaTopic(Payload):
    """A topic that is consumed."""

    topic: Name
    """The topic."""


class KafkaProtocol(Protocol):
    """A Kafka cluster."""

    name: Literal["kafka"]
    """Kafka."""
    bootstrap_servers: Annotated[list[Name], Field(min_length=1)]
    """host:9092 of some of its brokers."""
    topics: Annotated[list[KafkaTopic], Field(min_length=1)]
    """What is consumed."""
    group_id: Name = "iotsense"
    """Consumer group."""
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    """Where a new group begins."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How the connection is secured."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How we log in."""
    username: Name | None = None
    """User at the cluster."""
    password: Secret | None = None
    """The user's password."""
    tls: Tls | None = None
    """Transport security."""


# HTTP ---------------------------------------------------------------------------------------------------------------


class HttpEndpoint(Payload):
    """An address that is asked for readings."""

    url: Annotated[str, Url(("http", "https"))]
    """The address."""
    interval: Duration
    """How often it is asked."""
    headers: dict[str, Name] = {}
    """Headers of the request; `${VARIABLE}` is filled in when it is sent."""
    timeout: Duration = 10.0
    """How long an answer may take."""


class HttpProtocol(Protocol):
    """HTTP: telemetry sent to the REST interface, and addresses that are asked."""

    name: Literal["http"]
    """HTTP."""
    endpoints: list[HttpEndpoint] = []
    """Addresses that are asked; sending to the REST interface needs none."""
    tls: Tls | None = None
    """Transport security."""
