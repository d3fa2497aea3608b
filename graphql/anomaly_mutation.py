"""What people say about anomalies."""

import asyncio
from collections.abc import Callable

import strawberry

from ..twin.access import Scope
from ..twin.errors import IoTSenseError
from ..twin.remarks import Remarked
from .context import Request
from .event_type import Anomaly
from .field import mutation
from .moment import Ask
from .payload import Problem
from .report_mutation import Key
from .scalars import Long
from .view import View


@strawberry.type(description="An anomaly with what was said about it, durably, or the errors why nothing was.")
class AnomalyPayload:
    anomaly: Anomaly | None
    revision: Long = strawberry.field(description="The structure's revision; give it as `minRevision` elsewhere.")
    errors: list[Problem]


@strawberry.type
class AnomalyMutation:
    @mutation(Scope.EVENTS_WRITE, narrows=True)
    async def acknowledge_anomaly(
        self, info: Ask, id: strawberry.ID, comment: str | None = None, key: Key = None
    ) -> AnomalyPayload:
        """Says that somebody has seen an anomaly, and what they say about it; the first who does counts."""
        request = info.context
        remarks, by = request.service.twin.remarks, request.principal.name
        return await _said(request, lambda: remarks.acknowledge(id, by, comment, key))

    @mutation(Scope.EVENTS_WRITE, narrows=True)
    async def comment_anomaly(self, info: Ask, id: strawberry.ID, text: str, key: Key = None) -> AnomalyPayload:
        """Says something about an anomaly."""
        request = info.context
        remarks, by = request.service.twin.remarks, request.principal.name
        return await _said(request, lambda: remarks.comment(id, by, text, key))


async def _said(request: Request, say: Callable[[], Remarked]) -> AnomalyPayload:
    anomaly, errors = None, []
    try:
        about, _ = await asyncio.to_thread(say)
        anomaly = Anomaly.of(View(request), about)
    except IoTSenseError as error:
        errors = [Problem.of(error)]
    return AnomalyPayload(anomaly=anomaly, revision=Long(request.service.twin.graph.revision), errors=errors)
