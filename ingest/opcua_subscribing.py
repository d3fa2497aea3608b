"""Subscriptions at an OPC UA server: one for each publishing interval, split by what the server takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..twin.define_opcua import OpcUaConnection, OpcUaNode
from ..twin.errors import SourceError
from .opcua_errors import explain, translated
from .opcua_memory import Subscription
from .opcua_session import OpcUaSession
from .opcua_variables import Variable

# A server without news says so after this [s].
_KEEP_ALIVE_S = 5.0
# Values that are kept for us while we, or the network, pause [s]; and at least, and at most so many.
_QUEUE_S, _FEWEST, _MOST = 10.0, 10, 10_000
_FASTEST_MS = 10.0
_NOTIFICATIONS = 10_000
_NO_DEADBAND = {"BadDeadbandFilterInvalid", "BadFilterNotAllowed", "BadMonitoredItemFilterUnsupported"}
_NAMED = 5


@dataclass(slots=True)
class Outcome:
    """What became of the wish to subscribe. failed: reasons by handle. remarks: what somebody should know."""

    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


async def subscribe(
    session: OpcUaSession, settings: OpcUaConnection, variables: Sequence[Variable], handles: Sequence[int]
) -> Outcome:
    """Subscribes to the variables of these handles, which are indices into `settings.nodes`."""
    outcome = Outcome()
    groups: dict[float, list[int]] = {}
    for handle in handles:
        interval = settings.nodes[handle].publishing_interval_ms or settings.publishing_interval_ms
        groups.setdefault(interval, []).append(handle)
    fits = session.limit("subscription") or max(len(handles), 1)
    bare: list[int] = []
    slower: list[int] = []
    for interval, members in groups.items():
        for start in range(0, len(members), fits):
            created = await create_subscription(session, settings, interval)
            outcome.subscriptions[created.id] = created
            part = members[start : start + fits]
            await _watch(session, settings, created, variables, part, outcome, bare, slower)
    if bare:
        outcome.remarks.append(f"the server takes no deadband for {_names(settings, bare)}: every change comes")
    if slower:
        outcome.remarks.append(f"the server looks less often than asked at {_names(settings, slower)}")
    return outcome


async def create_subscription(session: OpcUaSession, settings: OpcUaConnection, interval_ms: float) -> Subscription:
    """A subscription without items."""
    from asyncua import ua

    keep_alive = max(1, math.ceil(_KEEP_ALIVE_S * 1000 / interval_ms))
    request = ua.CreateSubscriptionRequest()
    request.Parameters = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=interval_ms,
        RequestedMaxKeepAliveCount=keep_alive,
        RequestedLifetimeCount=max(3 * keep_alive, math.ceil(settings.session_timeout * 1000 / interval_ms)),
        MaxNotificationsPerPublish=_NOTIFICATIONS,
        PublishingEnabled=True,
    )
    with translated("creating a subscription"):
        result = (await session.request(request)).Parameters
    interval = result.RevisedPublishingInterval / 1000
    return Subscription(result.SubscriptionId, interval, interval * result.RevisedMaxKeepAliveCount)


async def _watch(
    session: OpcUaSession,
    settings: OpcUaConnection,
    subscription: Subscription,
    variables: Sequence[Variable],
    handles: Sequence[int],
    outcome: Outcome,
    bare: list[int],
    slower: list[int],
) -> None:
    items = [_item(settings, handle, variables[handle]) for handle in handles]
    again = []
    for handle, item, result in zip(handles, items, await create_items(session, subscription, items), strict=True):
        if result.StatusCode.is_good():
            if result.RevisedSamplingInterval > item.RequestedParameters.SamplingInterval * 1.01:
                slower.append(handle)
        elif result.StatusCode.name in _NO_DEADBAND:
            again.append(handle)
        else:
            outcome.failed[handle] = explain(result.StatusCode.value)
    if again:
        bare += again
        items = [_item(settings, handle, variables[handle], deadband=False) for handle in again]
        for handle, result in zip(again, await create_items(session, subscription, items), strict=True):
            if not result.StatusCode.is_good():
                outcome.failed[handle] = explain(result.StatusCode.value)


async def create_items(session: OpcUaSession, subscription: Subscription, items: Sequence[Any]) -> list[Any]:
    """Monitored items, in as many requests as the server's limit makes necessary; a result for each."""
    from asyncua import ua

    async def ask(part: Sequence[Any]) -> Sequence[Any]:
        parameters = ua.CreateMonitoredItemsParameters(subscription.id, ua.TimestampsToReturn.Both, list(part))
        found: Sequence[Any] = await session.client.uaclient.session.create_monitored_items(parameters)
        return found

    return await session.in_parts("items", items, ask)


def _item(settings: OpcUaConnection, handle: int, variable: Variable, deadband: bool = True) -> Any:
    from asyncua import ua

    node = settings.nodes[handle]
    sampling = node.sampling_interval_ms
    if sampling is None:
        sampling = node.publishing_interval_ms or settings.publishing_interval_ms
    parameters = ua.MonitoringParameters(
        ClientHandle=handle,
        SamplingInterval=sampling,
        Filter=_filter(node) if deadband and node.deadband else None,
        QueueSize=node.queue_size or _queue(sampling),
        DiscardOldest=True,
    )
    value = ua.ReadValueId(variable.id, ua.AttributeIds.Value)
    return ua.MonitoredItemCreateRequest(value, ua.MonitoringMode.Reporting, parameters)


def _queue(sampling_ms: float) -> int:
    """How many values the server is to keep."""
    return min(_MOST, max(_FEWEST, math.ceil(_QUEUE_S * 1000 / (sampling_ms or _FASTEST_MS))))


def _filter(node: OpcUaNode) -> Any:
    from asyncua import ua

    kind = ua.DeadbandType.Percent if node.deadband_type == "percent" else ua.DeadbandType.Absolute
    return ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, kind, node.deadband)


def _names(settings: OpcUaConnection, handles: Sequence[int]) -> str:
    return named([settings.nodes[handle].name or settings.nodes[handle].id for handle in handles])


def named(names: Sequence[str]) -> str:
    """The first few of many names."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


async def transfer(session: OpcUaSession, subscriptions: dict[int, Subscription]) -> bool:
    """Takes the subscriptions of an earlier session over; whether all of them could be."""
    from asyncua import ua

    request = ua.TransferSubscriptionsParameters(list(subscriptions), False)
    try:
        with translated("taking subscriptions over"):
            results = await session.client.uaclient.session.transfer_subscriptions(request)
    except SourceError:
        return False
    if len(results) != len(subscriptions) or not all(result.StatusCode.is_good() for result in results):
        return False
    for subscription, result in zip(subscriptions.values(), results, strict=True):
        subscription.kept = set(result.AvailableSequenceNumbers or ())
    return True
