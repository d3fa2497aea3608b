"""Checks of the sources: what `sensor_ingestion` and `iotsense.ingestion` say of one connection adds up."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .define_mqtt import broker_address
from .define_project import Project
from .define_types import Model
from .finding import Path
from .plant_index import Problem

# What identifies an item of a list of a connection.
ITEM_KEYS = {
    "topics": ("pattern", "topic"), "nodes": ("id",), "registers": ("table", "address", "unit_id", "bit"),
    "queues": ("queue",), "resources": ("path",), "devices": ("device_id",), "endpoints": ("url",),
    "tables": ("table",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as one document gives it. `address` tells it from others."""

    protocol: str
    address: Any
    model: Model
    path: Path

    def given(self) -> set[str]:
        """The fields that are given, apart from the address and what may differ."""
        return self.model.model_fields_set - _ADDRESS - ITEM_KEYS.keys()


_ADDRESS = {
    "name", "broker", "url", "endpoint", "listen", "host", "port", "transport", "serial_port", "unit_id", "address",
    "bootstrap_servers",
}  # fmt: skip


def check_sources(project: Project) -> Iterator[Problem]:
    """Contradictions between what is said of one connection in several places."""
    first: dict[tuple[str, Any], list[Connection]] = {}
    for connection in connections(project):
        if connection.address is None:
            continue  # without an address of its own each is a source by itself
        earlier = first.setdefault((connection.protocol, connection.address), [])
        for other in earlier:
            yield from _contradictions(connection, other)
        earlier.append(connection)
    config = project.iotsense.ingestion.mqtt
    if config.topics and not config.brokers:
        path = ("iotsense", "ingestion", "mqtt", "topics")
        yield Problem(path, "found topics without a broker, expected `brokers` beside them", key=True)


def connections(project: Project) -> Iterator[Connection]:
    """All connections of both sections."""
    for number, protocol in enumerate(project.sensor_ingestion.protocols):
        path: Path = ("sensor_ingestion", "protocols", number)
        yield Connection(protocol.name, _address(protocol), protocol, path)
    config = project.iotsense.ingestion
    lists: tuple[tuple[str, str, Any], ...] = (
        ("mqtt", "brokers", config.mqtt.brokers),
        ("opcua", "endpoints", config.opcua.endpoints),
        ("modbus", "devices", config.modbus.devices),
    )
    for name, key, items in lists:
        for number, item in enumerate(items):
            yield Connection(name, _address(item), item, ("iotsense", "ingestion", name, key, number))
    for name in ("amqp", "coap", "bacnet", "kafka", "http"):
        for number, item in enumerate(getattr(config, name)):
            yield Connection(name, _address(item), item, ("iotsense", "ingestion", name, number))


def _address(model: Any) -> Any:
    for name in ("broker", "url", "endpoint", "listen"):
        if (url := getattr(model, name, None)) is not None:
            return broker_address(url) if urlsplit(url).scheme in ("mqtt", "mqtts", "ws", "wss") else url.rstrip("/")
    if hasattr(model, "registers"):
        return (model.transport, model.host, model.port, model.serial_port, model.unit_id)
    if hasattr(model, "bootstrap_servers"):
        return tuple(sorted(model.bootstrap_servers))
    return getattr(model, "address", None)


def _contradictions(later: Connection, earlier: Connection) -> Iterator[Problem]:
    for name in sorted(later.given() & earlier.given()):
        found, before = getattr(later.model, name), getattr(earlier.model, name)
        if found != before:
            yield Problem((*later.path, name), _words(name, found, before, earlier.path, f" of {_name(later)}"))
    for name in ITEM_KEYS:
        items = {_item_key(name, item): item for item in getattr(earlier.model, name, ())}
        for number, item in enumerate(getattr(later.model, name, ())):
            other = items.get(_item_key(name, item))
            if other is not None:
                yield from _item_contradictions(item, other, (*later.path, name, number), earlier)


def _item_contradictions(item: Model, other: Model, path: Path, earlier: Connection) -> Iterator[Problem]:
    for name in sorted(item.model_fields_set & other.model_fields_set):
        found, before = getattr(item, name), getattr(other, name)
        if found != before:
            key = type(item).model_fields[name].alias if name in type(item).model_fields else None
            yield Problem((*path, key or name), _words(key or name, found, before, earlier.path, ""))


def _item_key(name: str, item: Any) -> tuple[Any, ...]:
    return tuple(getattr(item, key, None) for key in ITEM_KEYS[name])


def _name(connection: Connection) -> str:
    return f"{connection.protocol} {connection.address}"


def _words(name: str, found: Any, before: Any, path: Path, of: str) -> str:
    plain = all(isinstance(value, (str, int, float, bool)) for value in (found, before))
    values = f" {found!r}" if plain else ""
    others = f"{before!r}" if plain else "another"
    return f"found {name}{values}{of}, which contradicts {others} in {path[0]}"
