"""The endpoints that are published to: how they are, how far they are behind, and their numbers."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ..ingest.publish_sender import PublisherStatus
from ..twin.times import format_time
from . import query
from .answer import json_answer
from .context import Context
from .endpoint import PREFIX, Answer, Endpoint
from .metrics import Metric, Sample


class EndpointList(msgspec.Struct):
    """The endpoints with the state of their connections, what they were told, and what waits for them."""

    endpoints: list[dict[str, Any]]


async def publishing(context: Context, request: Request) -> Response:
    """The endpoints that are published to."""
    query.only(request)
    return json_answer(EndpointList([status.as_dict() for status in context.publishing()]))


def publishing_reasons(statuses: Sequence[PublisherStatus]) -> list[str]:
    """Why the service is degraded, as far as endpoints are the cause."""
    reasons = []
    for status in statuses:
        if status.error:
            since = format_time(status.since)
            reasons.append(f"endpoint {status.name} is in {status.state} since {since}: {status.error}")
        if status.refused:
            reasons.append(f"endpoint {status.name} refused {status.refused} messages; the last: {status.refusal}")
        name, gaps = status.name, status.gaps
        reasons += [
            f"endpoint {name} will never have the readings of entries {first} to {last}" for first, last in gaps
        ]
    return reasons


def publishing_metrics(statuses: Sequence[PublisherStatus]) -> Iterator[Metric]:
    """Of each endpoint: whether it is connected, what it was told, what it refused, what waits."""
    up = [Sample(status.healthy, {"endpoint": status.name, "state": str(status.state)}) for status in statuses]
    yield Metric("iotsense_endpoint_up", "1 if the endpoint that is published to is connected", up)
    published = [Sample(status.published, {"endpoint": status.name}) for status in statuses]
    yield Metric("iotsense_endpoint_published_total", "Messages that the endpoint has acknowledged", published)
    refused = [Sample(status.refused, {"endpoint": status.name}) for status in statuses]
    yield Metric("iotsense_endpoint_refused_total", "Messages that the endpoint will not have", refused)
    behind = [
        Sample(number, {"endpoint": status.name, "what": what})
        for status in statuses
        for what, number in status.behind.items()
    ]
    yield Metric("iotsense_endpoint_behind", "Events, entries of the journal, or signals that wait", behind)


ENDPOINTS = [
    Endpoint(
        "GET", f"{PREFIX}/publishing", publishing, "The endpoints that are published to",
        (Answer("How they are", EndpointList),), "service",
    ),
]  # fmt: skip
