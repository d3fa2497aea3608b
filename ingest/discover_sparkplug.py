"""Looking around among Sparkplug edge nodes: each is asked for its birth certificate, which tells all that there is."""

from typing import Any

from ..twin.define_mqtt import Sparkplug
from ..twin.errors import SourceError
from ..twin.times import now_ns
from .checked_settings import checked
from .found import Found, FoundNode, FoundPoint, Look
from .mqtt_listening import data_type_word, listen, listening_protocol
from .sparkplug_host import SparkplugHost
from .sparkplug_node import Device, Known
from .sparkplug_topic import ALL, NAMESPACE, sparkplug_topic

# An edge node that answers does so at once; it is asked again after so many seconds.
_AGAIN = 3.0


async def discover(
    url: str,
    look: Look,
    *,
    group: str | None = None,
    username: str | None = None,
    password: str | None = None,
    tls: dict[str, Any] | None = None,
    version: str | None = None,
) -> Found:
    """Listens for `look.listen` seconds, and asks every edge node that speaks for a rebirth.

    group: only this one. Raises SourceError, InvalidValueError, MissingExtraError.
    """
    given = {"username": username, "password": password, "tls": tls, "version": version}
    settings = {name: value for name, value in given.items() if value is not None}
    protocol = listening_protocol(url, settings)
    sparkplug = {"groups": [group]} if group else {}
    checked(Sparkplug, sparkplug)
    host, unread = SparkplugHost(_AGAIN), dict[str, str]()
    async for connection, packets in listen(protocol, [f"{NAMESPACE}/{group}/#" if group else ALL], look.listen):
        for packet in packets:
            topic = sparkplug_topic(packet.topic)
            if topic is None or packet.retain:
                continue
            if any(heard.unread for heard in host.take(topic, packet.payload, now_ns())):
                unread.setdefault(topic.address, packet.topic)
        for wanted, payload in host.rebirths():
            connection.send(wanted, payload)
        look.tell("listening to births", _count(host))
    notes = _notes(host, unread, look)
    if not _count(host):
        raise SourceError(f"{url}: {'; '.join(notes)}")
    source = {"name": "mqtt", "broker": url, **settings, "sparkplug": sparkplug}
    return Found(source, _nodes(host, look), notes=notes)


def _count(host: SparkplugHost) -> int:
    return sum(len(device.last) for node in host.nodes.values() for device in (node.own, *node.devices.values()))


def _nodes(host: SparkplugHost, look: Look) -> list[FoundNode]:
    """Groups, their edge nodes, and their devices."""
    groups: dict[str, list[FoundNode]] = {}
    for address, node in host.nodes.items():
        group, _, name = address.partition("/")
        devices = [FoundNode(device_name, _points(device)) for device_name, device in node.devices.items()]
        groups.setdefault(group, []).append(FoundNode(name, _points(node.own), devices))
    return [FoundNode(group, nodes=nodes) for group, nodes in groups.items()]


def _points(device: Device) -> list[FoundPoint]:
    points = []
    for name, last in device.last.items():
        known = device.metrics.get(name) or Known(name, 0, read_only=True)
        value = last.value
        several = len(value) if isinstance(value, list) else None
        points.append(
            FoundPoint(
                name,
                source=f"{device.address}/{name}",
                data_type=data_type_word(value[0] if isinstance(value, list) and value else value),
                unit=last.unit or known.unit,
                low=known.low,
                high=known.high,
                elements=several,
                writable=not known.read_only,
            )
        )
    return points


def _notes(host: SparkplugHost, unread: dict[str, str], look: Look) -> list[str]:
    notes = [f"{address}: no birth certificate came" for address, node in host.nodes.items() if not node.own.born]
    for node in host.nodes.values():
        notes += [f"{device.address}: no birth certificate came" for device in node.devices.values() if not device.born]
    notes += [f"{address}: what came on {topic} could not be read" for address, topic in unread.items()]
    if not host.nodes:
        notes.append(f"no edge node spoke within {look.listen:g} s; one that reports changes only may need longer")
    return notes
