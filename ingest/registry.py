"""The protocols that there are, by the words of the configuration; each is loaded when its first source is made."""

from collections.abc import Mapping
from importlib import import_module

from .adapter import Adapter
from .configured import Configured
from .reconnecting import Surroundings

# protocol -> module:class (or what makes one); it takes a `Configured` and `Surroundings`
ADAPTERS: Mapping[str, str] = {
    "coap": "coap:coap_adapter",
    "bacnet": "bacnet:BacnetAdapter",
    "modbus": "modbus:ModbusAdapter",
    "http": "http_poll:HttpPollAdapter",
    "amqp": "amqp:AmqpAdapter",
    "kafka": "kafka:KafkaAdapter",
    "postgresql": "postgres_cdc:PostgresAdapter",
    "debezium": "debezium:DebeziumAdapter",
    "opcua": "opcua:OpcUaAdapter",
}


def make_adapter(source: Configured, surroundings: Surroundings) -> Adapter:
    """The adapter of a configured source; KeyError for a protocol without an engine."""
    module, _, name = ADAPTERS[source.protocol].partition(":")
    adapter: Adapter = getattr(import_module(f".{module}", __package__), name)(source, surroundings)
    return adapter
