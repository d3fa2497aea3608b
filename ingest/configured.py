"""The configured sources of a project, MQTT aside: what both forms of configuration say of one connection adds up."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from ..twin.define_ingestion import AnyProtocol
from ..twin.define_payload import Payload, Protocol
from ..twin.define_project import Project
from ..twin.source_checks import ITEM_KEYS, connections

_MODELS: dict[str, type[Protocol]] = {
    get_args(model.model_fields["name"].annotation)[0]: model for model in get_args(get_args(AnyProtocol)[0])
}
# Fields that the configuration file calls by another name than `sensor_ingestion`.
_SAME = {"opcua": {"url": "endpoint"}}
# Telemetry is sent to the REST interface under the name `http`; asking addresses is a source of its own.
_DEFAULT_NAMES = {"http": "http_poll"}


@dataclass(frozen=True, slots=True)
class Configured:
    """One connection and all that is wanted of it: two that are equal need no restart.

    name: of the source. settings: the model of `sensor_ingestion`, lists of both forms joined.
    """

    name: str
    protocol: str
    settings: Any

    def payloads(self) -> Iterator[tuple[str, Payload]]:
        """How the payloads of its queues, topics, paths or addresses are read, by `Message.via`."""
        for field in ITEM_KEYS:
            for item in getattr(self.settings, field, ()):
                if isinstance(item, Payload):
                    yield str(item_key(field, item)[0]), item


def item_key(field: str, item: Any) -> tuple[Any, ...]:
    """What identifies an item of a connection's list."""
    keys = (getattr(item, key, None) for key in ITEM_KEYS[field])
    return tuple(key for key in keys if key is not None)


def configured_sources(project: Project) -> list[Configured]:
    """All enabled connections but those to MQTT brokers, by unique names, in the order of the project."""
    groups: dict[tuple[str, Any], list[Any]] = {}
    for connection in connections(project):
        settings: Any = connection.model
        if connection.protocol == "mqtt" or not getattr(settings, "enabled", True):
            continue
        if connection.protocol == "http" and not settings.endpoints:
            continue
        # Two that poll are two sources: HTTP has no address of its own.
        address = connection.address if connection.address is not None else id(settings)
        groups.setdefault((connection.protocol, address), []).append(settings)
    sources: list[Configured] = []
    for (protocol, _), settings_of in groups.items():
        name = _free_name(protocol, settings_of, {source.name for source in sources} | {"http"})
        sources.append(Configured(name, protocol, _joined(protocol, settings_of)))
    return sources


def _joined(protocol: str, settings_of: list[Any]) -> Protocol:
    given: dict[str, Any] = {"name": protocol}
    for settings in settings_of:
        for field in settings.model_fields_set:
            value, field = getattr(settings, field), _SAME.get(protocol, {}).get(field, field)
            if field in ITEM_KEYS and isinstance(value, list):
                given[field] = _items(field, [*given.get(field, []), *value])
            else:
                given.setdefault(field, value)
    return _MODELS[protocol].model_construct(**given)


def _items(field: str, items: list[Any]) -> list[Any]:
    """Each item once; of one that both forms name, what either says."""
    found: dict[tuple[Any, ...], Any] = {}
    for item in items:
        key = item_key(field, item)
        other = found.get(key)
        found[key] = item if other is None else item.model_copy(update=_set(other))
    return list(found.values())


def _set(item: Any) -> dict[str, Any]:
    return {field: getattr(item, field) for field in item.model_fields_set}


def _free_name(protocol: str, settings_of: list[Any], taken: set[str]) -> str:
    wanted = next((settings.id for settings in settings_of if settings.id), _DEFAULT_NAMES.get(protocol, protocol))
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return str(name)
