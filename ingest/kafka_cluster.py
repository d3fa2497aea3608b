"""How a Kafka cluster is reached, and why it is not: aiokafka's errors in the words of who configured it."""

import logging
import ssl
from typing import TYPE_CHECKING, Any

from ..twin.define_payload import Tls
from ..twin.define_protocols import KafkaCluster, KafkaConnection
from ..twin.errors import InvalidValueError, IoTSenseError, SourceError
from ..twin.substitution import reveal
from .tls import client_context, tls_reason

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

_PROBE_MS = 5000
_METADATA_AGE_MS = 30_000


def security(settings: KafkaCluster) -> dict[str, Any]:
    """Protocol, login and TLS as aiokafka's clients take them; raises InvalidValueError."""
    protocol = settings.security_protocol
    context: ssl.SSLContext | None = None
    if protocol.endswith("SSL"):
        context = client_context(settings.tls or Tls())
    found: dict[str, Any] = {"security_protocol": protocol, "ssl_context": context}
    if protocol.startswith("SASL"):
        found |= {
            "sasl_mechanism": settings.sasl_mechanism or "PLAIN",
            "sasl_plain_username": settings.username,
            "sasl_plain_password": reveal(settings.password or ""),
        }
    return found


def consumer(settings: KafkaConnection, client_id: str) -> "AIOKafkaConsumer":
    """A consumer that commits nothing by itself, and skips what a transaction took back."""
    from aiokafka import AIOKafkaConsumer

    # It tells each of its attempts, many a second; the status of the source says it once, in better words.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    timeout = round(settings.session_timeout * 1000)
    return AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        client_id=client_id,
        group_id=settings.group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=timeout,
        heartbeat_interval_ms=max(100, timeout // 4),
        rebalance_timeout_ms=max(30_000, timeout),
        metadata_max_age_ms=_METADATA_AGE_MS,
        **security(settings),
    )


async def unreachable(settings: KafkaCluster) -> IoTSenseError:
    """Why no broker could be asked: aiokafka keeps that to its log, so each is tried once more."""
    from aiokafka.conn import create_conn
    from aiokafka.errors import KafkaError

    reasons = []
    for server in settings.bootstrap_servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            return InvalidValueError(f"bootstrap_servers: {server!r} is no host:port, such as kafka.local:9092")
        try:
            made = await create_conn(host, int(port), request_timeout_ms=_PROBE_MS, **security(settings))
            made.close()
            reasons.append(f"{server}: {_mute(settings)}")
        except (OSError, KafkaError, TimeoutError) as error:
            reasons.append(f"{server}: {_words(error, settings)}")
    return SourceError("; ".join(reasons))


def _words(error: BaseException, settings: KafkaCluster) -> str:
    from aiokafka import errors

    cause = error.__cause__ or error.__context__ or error
    if (handshake := tls_reason(error) or tls_reason(cause)) is not None:
        return handshake
    if isinstance(error, errors.SaslAuthenticationFailed | errors.AuthenticationFailedError):
        return f"the cluster does not let {settings.username} in: check username, password and sasl_mechanism"
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return f"the cluster does not offer {settings.sasl_mechanism}: {error}"
    if isinstance(error, ConnectionResetError) or "closed" in str(error).lower():
        return _mute(settings)
    if isinstance(error, TimeoutError | errors.RequestTimedOutError):
        return "no answer in time: check host, port and firewalls"
    return str(error) or type(error).__name__


def _mute(settings: KafkaCluster) -> str:
    spoken = settings.security_protocol
    return f"it ends the connection without an answer: is `security_protocol: {spoken}` what this port speaks?"


def in_words(error: BaseException, settings: KafkaConnection) -> str:
    """Why a connection that was made is of no use any more."""
    from aiokafka import errors

    if isinstance(error, errors.TopicAuthorizationFailedError):
        return f"the cluster does not let us read {error.args[0] if error.args else 'a topic'}: grant READ to our user"
    if isinstance(error, errors.GroupAuthorizationFailedError):
        return f"the cluster does not let us join the group {settings.group_id}: grant READ on the group to our user"
    return f"{type(error).__name__}: {error}"
