"""Listening to a broker for a while, to look around: no session is left behind, and nothing is acknowledged."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..twin.define_mqtt import MqttProtocol
from ..twin.errors import MissingExtraError, SourceError
from .checked_settings import checked
from .found import DataType
from .mqtt_broker import MqttBroker
from .mqtt_packets import Publish
from .mqtt_session import MqttSession

if TYPE_CHECKING:
    from .mqtt_connection import MqttConnection


def listening_protocol(url: str, settings: dict[str, Any]) -> MqttProtocol:
    """The connection as a definition has it; raises InvalidValueError for what it cannot have."""
    return checked(MqttProtocol, {"name": "mqtt", "broker": url, **settings})


def data_type_word(value: Any) -> DataType | None:
    """What a value says that its signal is."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    return None if value is None else "number"


async def listen(
    protocol: MqttProtocol, filters: Sequence[str], seconds: float
) -> AsyncIterator[tuple["MqttConnection", list[Publish]]]:
    """What the broker publishes on these topics, with the connection that it comes by; ends after so many seconds.

    Raises SourceError if the broker cannot be reached, refuses us or goes; MissingExtraError, InvalidValueError.
    """
    try:
        import aiomqtt

        from .mqtt_connection import MqttConnection
    except ImportError:
        raise MissingExtraError("MQTT", "mqtt") from None
    own = {"client_id": f"iotsense-look-{secrets.token_hex(4)}", "clean_start": True, "session_expiry": 0.0}
    broker = MqttBroker("look", protocol.broker, (), protocol.model_copy(update=own))
    loop = asyncio.get_running_loop()
    connection = MqttConnection(broker, MqttSession(), protocol.version == "5.0")
    try:
        async with connection:
            subscribing = asyncio.create_task(connection.subscribe_all([(each, 0) for each in filters]))
            try:
                end = loop.time() + seconds
                while (left := end - loop.time()) > 0:
                    with suppress(TimeoutError):
                        yield connection, await asyncio.wait_for(connection.receive(), left)
                if refused := await subscribing:
                    raise SourceError(f"the broker does not let us subscribe to {', '.join(refused)}")
            finally:
                subscribing.cancel()
    except aiomqtt.MqttError as error:
        told = f"; it says: {connection.told}" if connection.told else ""
        raise SourceError(f"{protocol.broker}: {error}{told}") from None
    except OSError as error:
        raise SourceError(f"{protocol.broker}: {error}") from None
