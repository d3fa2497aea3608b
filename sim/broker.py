"""An MQTT broker inside this process, so that the demo needs no server."""

import contextlib
import logging
from collections.abc import AsyncIterator

from ..twin.errors import MissingExtraError, SourceError


@contextlib.asynccontextmanager
async def mqtt_broker(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Runs a broker (MQTT 3.1.1, no authentication, for this machine only) and yields its address, mqtt://host:port.

    Port 0 chooses a free one. Raises MissingExtraError, SourceError if the port is taken.
    """
    try:
        from amqtt.broker import Broker
        from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
        from amqtt.errors import AMQTTError, BrokerError
    except ImportError:
        raise MissingExtraError("the demo's MQTT broker", "demo") from None
    # It tells of every session and packet, and warns of what its own clients do.
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    config = BrokerConfig(
        listeners={"default": ListenerConfig(type=ListenerType.TCP, bind=f"{host}:{port}")},
        plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    )
    broker = Broker(config)
    try:
        await broker.start()
    except (AMQTTError, BrokerError, OSError) as error:
        raise SourceError(f"the demo's MQTT broker cannot listen on {host}:{port}: {error}") from error
    try:
        yield f"mqtt://{host}:{_port(broker)}"
    finally:
        await broker.shutdown()


def _port(broker: object) -> int:
    # amqtt has no public way to ask which port the system chose.
    servers = broker._servers  # type: ignore[attr-defined]
    return int(servers["default"].instance.sockets[0].getsockname()[1])
