"""Setting values by MQTT: the configured commands of a broker, and the metrics of Sparkplug's edge nodes."""

import json
from typing import TYPE_CHECKING, Any

from ..twin.define_mqtt import MqttCommand
from ..twin.errors import SourceError
from ..twin.expressions import compile_template
from ..twin.times import format_time, now_ns
from .jsonpath import compile_path, getter
from .mqtt_broker import MqttBroker
from .points import Point
from .sample import Sample
from .sparkplug_payload import encode_command
from .sparkplug_source import SparkplugSource
from .sparkplug_values import encode_value

if TYPE_CHECKING:
    from .mqtt_connection import MqttConnection

_MS = 1_000_000


class MqttWriter:
    """What can be set at one broker. `states`: topics that show what devices hold, with the last message of each."""

    def __init__(self, broker: MqttBroker, sparkplug: SparkplugSource | None) -> None:
        self._sparkplug = sparkplug if broker.writable else None
        commands = broker.settings.commands if broker.writable else []
        self._commands = {Point(each.name, each.device, each.unit): each for each in commands}
        self.states: dict[str, tuple[bytes, int] | None] = {each.state: None for each in commands if each.state}

    def points(self) -> list[Point]:
        """What can be set now."""
        return [*self._commands, *self._metrics()]

    def show(self, topic: str, payload: bytes, received: int) -> None:
        """A device shows what it holds."""
        if topic in self.states:
            self.states[topic] = (payload, received)

    async def write(self, connection: "MqttConnection | None", point: Point, value: float | bool | str) -> None:
        """As `WritingAdapter.write`."""
        if connection is None:
            raise SourceError("there is no connection to the broker")
        command = self._commands.get(point)
        if command is not None:
            await connection.send_surely(command.topic, _rendered(command, value), command.qos, command.retain)
        else:
            await self._write_metric(connection, point, value)

    def read(self, point: Point) -> Sample:
        """As `WritingAdapter.read`: what the device showed last; MQTT cannot ask."""
        command = self._commands.get(point)
        if command is None:
            return self._read_metric(point)
        if command.state is None:
            raise SourceError(f"no topic shows what {_name(point)} holds: name it as the command's `state`")
        shown = self.states[command.state]
        if shown is None:
            raise SourceError(f"nothing has come on {command.state} yet")
        return Sample(point.address, _value(command, shown[0]), shown[1], unit=point.unit, device=point.device)

    # Sparkplug

    def _metrics(self) -> list[Point]:
        if self._sparkplug is None:
            return []
        return [Point(known.name, topic.address, known.unit) for topic, known in self._sparkplug.host.writable()]

    async def _write_metric(self, connection: "MqttConnection", point: Point, value: float | bool | str) -> None:
        found = self._sparkplug.host.writable() if self._sparkplug is not None else ()
        wanted = (point.address, point.device)
        topic, known = next((one for one in found if (one[1].name, one[0].address) == wanted), (None, None))
        if topic is None or known is None:
            raise SourceError(f"{_name(point)} cannot be set: no birth certificate tells of it")
        assert self._sparkplug is not None
        device = self._sparkplug.host.device(topic.address)
        if device is None or not device.born:
            raise SourceError(f"{topic.address} is offline")
        field = encode_value(_name(point), known.datatype, value)
        payload = encode_command(known.name, known.datatype, field, now_ns(), known.alias)
        await connection.send_surely(topic.command(), payload, qos=0)

    def _read_metric(self, point: Point) -> Sample:
        device = self._sparkplug.host.device(point.device or "") if self._sparkplug is not None else None
        last = device.last.get(point.address) if device is not None else None
        if device is None or last is None:
            raise SourceError(f"{_name(point)} has told no value yet")
        if not device.born:
            raise SourceError(f"{device.address} is offline")
        return Sample(point.address, last.value, last.time, unit=last.unit, device=point.device)


def _rendered(command: MqttCommand, value: float | bool | str) -> bytes:
    """The payload that sets a value."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if command.payload_template is None:
        return value.encode() if isinstance(value, str) else json.dumps(value).encode()
    now = now_ns()
    names = {
        "value": json.dumps(value, ensure_ascii=False),
        "time": format_time(now),
        "time_ms": now // _MS,
    }
    return compile_template(command.payload_template).render(names).encode()


def _value(command: MqttCommand, payload: bytes) -> Any:
    try:
        content = json.loads(payload)
    except ValueError:
        return payload.decode("utf-8", "replace")
    return getter(compile_path(command.value).rest)(content) if isinstance(content, dict) else content


def _name(point: Point) -> str:
    return f"{point.device}.{point.address}" if point.device else point.address
