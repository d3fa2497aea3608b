"""Questions about the way of readings into the plant."""

import strawberry
from strawberry.scalars import JSON

from ..ingest.explain_question import LONGEST_S, WAIT_S, Question, explained
from ..ingest.explain_steps import Explanation as Found
from ..ingest.explain_steps import Step as FoundStep
from ..ingest.reporting import SignalReport
from ..twin.access import Scope
from .deadline import allow
from .field import root_field
from .moment import Ask
from .scalars import Long


@strawberry.type(description="What reporting did to a signal since the start or the last change of the definitions.")
class ReportedSignal:
    signal: str
    source: str
    policy: str = strawberry.field(description="What is stored, in words, and who says so.")
    received: Long = strawberry.field(description="Readings that came.")
    stored: Long = strawberry.field(description="Readings of them that are in history.")
    ratio: float | None = strawberry.field(description="Readings that came for each one stored.")
    worst_error: float | None = strawberry.field(description="Largest distance of what was left out from history.")
    mean_error: float | None = strawberry.field(description="Mean distance of what was left out from history.")

    @classmethod
    def of(cls, report: SignalReport) -> "ReportedSignal":
        """What GraphQL shows of it."""
        return cls(
            signal=report.signal,
            source=report.source,
            policy=report.policy,
            received=Long(report.received),
            stored=Long(report.stored),
            ratio=report.ratio,
            worst_error=report.worst_error,
            mean_error=report.mean_error,
        )


@strawberry.type(description="One step of the way of a value.")
class ExplainedStep:
    step: str = strawberry.field(
        description="source, message, parse, sample, normalize, bind, discover, convert, report, store, live or known."
    )
    said: str = strawberry.field(description="What it came to, in words.")
    values: JSON = strawberry.field(description="Its values by name.")

    @classmethod
    def all_of(cls, steps: list[FoundStep]) -> "list[ExplainedStep]":
        """What GraphQL shows of them."""
        return [cls(step=step.step, said=step.said, values=JSON(step.values)) for step in steps]


@strawberry.type(description="The steps of one measurement, from its sample to the live state.")
class ExplainedReading:
    signal: str | None = strawberry.field(description="Null if it is nobody's.")
    steps: list[ExplainedStep]


@strawberry.type(description="The way of a value, from the bytes that came to the signal.")
class Explanation:
    point: str
    signals: list[str] = strawberry.field(description="What the point means.")
    came: bool = strawberry.field(description="Whether there was a message to look at.")
    dry_run: bool = strawberry.field(description="Whether the message was given, and nothing stored.")
    steps: list[ExplainedStep] = strawberry.field(description="Those of the message: source, message, parse.")
    readings: list[ExplainedReading] = strawberry.field(description="What of the message concerns the point.")

    @classmethod
    def of(cls, found: Found) -> "Explanation":
        """What GraphQL shows of it."""
        readings = [ExplainedReading(signal=r.signal, steps=ExplainedStep.all_of(r.steps)) for r in found.readings]
        return cls(
            point=found.point,
            signals=found.signals,
            came=found.came,
            dry_run=found.dry_run,
            steps=ExplainedStep.all_of(found.steps),
            readings=readings,
        )


@strawberry.type
class IngestQuery:
    @root_field(Scope.SERVICE_READ)
    async def explain(
        self,
        info: Ask,
        point: str,
        wait_s: float = WAIT_S,
        payload: str | None = None,
        payload_base64: str | None = None,
        topic: str | None = None,
        source: str | None = None,
        content_type: str | None = None,
    ) -> Explanation:
        """How a value of a signal, sensor, component, address at the source or topic comes about, step by step.

        Waits for the next message that concerns it, or explains a payload that is given, without storing anything.
        """
        asked = Question(
            point, wait_s, payload, payload_base64=payload_base64, topic=topic, source=source, content_type=content_type
        )
        service = info.context.service
        if payload is None and payload_base64 is None:
            allow(min(max(wait_s, 0.0), LONGEST_S))
        return Explanation.of(await explained(asked, service.pipeline.explainer(), service.sources()))

    @root_field(Scope.SERVICE_READ)
    def reporting(self, info: Ask, source: str | None = None) -> list[ReportedSignal]:
        """The signals whose readings are not all stored, of one source if told."""
        reports = info.context.service.pipeline.reporter.reports()
        return [ReportedSignal.of(report) for report in reports if source in (None, report.source)]
