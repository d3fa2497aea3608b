"""How an AMQP 0-9-1 broker is reached, what is declared there, and why that may fail, in words."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from ..twin.define_payload import Tls
from ..twin.define_protocols import AmqpProtocol, AmqpQueue
from ..twin.errors import SourceError
from ..twin.substitution import reveal
from .amqp_wire import Delivery, transport_factory
from .tls import client_context, tls_reason

if TYPE_CHECKING:
    from aiormq import Connection
    from aiormq.abc import AbstractChannel

_HEARTBEAT_S = 20
Receive = Callable[[Sequence[Delivery]], None]


async def connection(settings: AmqpProtocol, name: str, receive: Receive) -> "Connection":
    """A connection that is open, whose deliveries are `receive`d; raises SourceError."""
    import aiormq

    parts = urlsplit(settings.url)
    login = ""
    if settings.username is not None:
        login = f"{quote(settings.username, safe='')}:{quote(reveal(settings.password or ''), safe='')}@"
    url = urlunsplit((parts.scheme, login + parts.netloc, parts.path, f"heartbeat={_HEARTBEAT_S}&name={name}", ""))
    context = client_context(settings.tls or Tls()) if parts.scheme == "amqps" else None
    made = aiormq.Connection(url, context=context, transport_factory=transport_factory(receive))
    try:
        await made.connect()
    except (aiormq.AMQPError, OSError, TimeoutError) as error:
        raise SourceError(why_unreachable(error, settings)) from None
    return made


def why_unreachable(error: BaseException, settings: AmqpProtocol) -> str:
    """What is to be done about a connection that was not made."""
    from aiormq import exceptions

    vhost = urlsplit(settings.url).path or "/"
    for cause in (error, error.__cause__, error.__context__):
        if cause is not None and (handshake := tls_reason(cause)) is not None:
            return handshake
    # aiormq does not tell with which words the broker closed it; at this step it is about the virtual host.
    if "Connection.Close" in str(error) or isinstance(error, exceptions.ConnectionNotAllowed):
        return f"the broker does not let us into the virtual host {vhost}: check the path of `url` and permissions"
    if isinstance(error, exceptions.ProtocolSyntaxError | exceptions.IncompatibleProtocolError):
        return (
            "it does not speak AMQP 0-9-1; AMQP 1.0 (Azure Service Bus, Artemis, Qpid) is another protocol, "
            "which is not spoken here: enable 0-9-1 at the broker, or use its MQTT or Kafka port"
        )
    if isinstance(error, exceptions.ProbableAuthenticationError | exceptions.AuthenticationError):
        return f"the broker does not let {settings.username or 'guest'} in: check username and password"
    return f"{error}" or type(error).__name__


async def declare(made: "Connection", queue: AmqpQueue) -> None:
    """Makes sure that the queue, its exchange and its binding are there; raises SourceError."""
    import aiormq

    try:
        if queue.exchange is not None and queue.declare_ == "active":
            await _exchange(made, queue)
        channel = await made.channel(publisher_confirms=False)
        await channel.queue_declare(
            queue.queue,
            passive=queue.declare_ == "passive",
            durable=queue.durable,
            arguments={**queue.arguments} or None,
        )
        if queue.exchange is not None and queue.declare_ == "active":
            await channel.queue_bind(queue.queue, queue.exchange, queue.routing_key or "")
        await channel.close()
    except aiormq.exceptions.ChannelClosed as error:
        raise SourceError(_why_not_declared(error, queue)) from None


async def _exchange(made: "Connection", queue: AmqpQueue) -> None:
    """An exchange that is there is taken as it is; one that is missing is made."""
    import aiormq

    assert queue.exchange is not None
    channel: AbstractChannel = await made.channel(publisher_confirms=False)
    try:
        await channel.exchange_declare(queue.exchange, passive=True)
    except aiormq.exceptions.ChannelNotFoundEntity:
        channel = await made.channel(publisher_confirms=False)
        await channel.exchange_declare(queue.exchange, exchange_type=queue.exchange_type, durable=True)
    await channel.close()


def _why_not_declared(error: Any, queue: AmqpQueue) -> str:
    from aiormq import exceptions

    words = str(error.args[-1] if error.args else error)
    if isinstance(error, exceptions.ChannelNotFoundEntity):
        what = f"exchange {queue.exchange}" if "exchange" in words else f"queue {queue.queue}"
        return f"the broker has no {what}: make it there, or say `declare: active`"
    if isinstance(error, exceptions.ChannelPreconditionFailed):
        return (
            f"the queue {queue.queue} is there with other settings; say `declare: passive` to take it as it is: {words}"
        )
    if isinstance(error, exceptions.ChannelAccessRefused):
        return (
            f"the broker does not let us declare {queue.queue}: grant `configure`, or say `declare: passive`: {words}"
        )
    if isinstance(error, exceptions.ChannelLockedResource):
        return f"the queue {queue.queue} belongs to one other connection (it is exclusive): {words}"
    return words
