"""Applying definitions, or seeing what that would change."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import strawberry
from strawberry.scalars import JSON

from ..twin import finding
from ..twin.access import Scope
from ..twin.definition_tag import definition_tag
from ..twin.errors import DefinitionError, InvalidValueError
from ..twin.plan_changes import Changes
from ..twin.plan_text import changes_text
from ..twin.submitted import Expected, Submission, applied, planned
from .context import Context
from .field import mutation
from .moment import Ask
from .once import OnceKey, outcome
from .payload import Problem
from .scalars import Long

ExpectedTag = Annotated[
    str | None, strawberry.argument(description="Only if the definitions have this `tag` still; best for editors.")
]
ExpectedRevision = Annotated[
    Long | None, strawberry.argument(description="Only if the structure is at this revision; discovery moves it, too.")
]


@strawberry.input(description="A document of a project.")
class DefinitionDocument:
    text: str = strawberry.field(description="In YAML.")
    name: str = strawberry.field(default="plant.yaml", description="Its file name, which findings tell.")


@strawberry.type(description="What is wrong, or doubtful, in a document. Lines and columns count from 1.")
class Finding:
    file: str
    line: int
    column: int
    severity: str = strawberry.field(description="error, or warning.")
    path: str = strawberry.field(description="Where it is: digital_twins[0].name.")
    message: str
    suggestion: str | None
    instance: str | None = strawberry.field(description="The entry that a `for_each` made there.")

    @classmethod
    def of(cls, found: finding.Finding) -> "Finding":
        """What GraphQL shows of a finding."""
        return cls(
            file=found.file,
            line=found.line,
            column=found.column,
            severity=found.severity,
            path=found.path,
            message=found.message,
            suggestion=found.suggestion,
            instance=found.instance,
        )


@strawberry.type(description="What definitions change in the plant.")
class DefinitionChanges:
    empty: bool
    text: str = strawberry.field(description="As a diff to read.")
    changes: JSON

    @classmethod
    def of(cls, changes: Changes) -> "DefinitionChanges":
        """What GraphQL shows of them."""
        return cls(empty=changes.empty, text=changes_text(changes, False), changes=JSON(changes.to_dict()))


@strawberry.type(description="What was changed, or would be; or the errors because of which nothing was.")
class DefinitionPayload:
    changes: DefinitionChanges | None
    applied: bool = strawberry.field(description="Whether it was done: false of a dry run, and with errors.")
    findings: list[Finding] = strawberry.field(description="Mistakes; of a dry run warnings, too.")
    revision: Long = strawberry.field(description="The structure's revision; give it as `minRevision` elsewhere.")
    tag: str | None = strawberry.field(description="That of what is defined now; null with errors.")
    repeated: bool = strawberry.field(description="Whether this was done before, under the same key.")
    errors: list[Problem]


@dataclass(frozen=True, slots=True)
class _Made:
    """What a request brought about, to be told again under its key."""

    changes: DefinitionChanges
    revision: int
    tag: str
    findings: Sequence[finding.Finding] = ()


@strawberry.type
class DefinitionMutation:
    @mutation(Scope.DEFINITIONS_WRITE)
    async def apply_definition(
        self,
        info: Ask,
        documents: list[DefinitionDocument],
        dry_run: bool = False,
        allow_remove: bool = False,
        expected_tag: ExpectedTag = None,
        expected_revision: ExpectedRevision = None,
        base: str | None = None,
        key: OnceKey = None,
    ) -> DefinitionPayload:
        """Makes the plant what a whole project says, all or nothing; what it does not name is removed.

        `dryRun` only tells what would change. Nodes that have history go only with `allowRemove`. `base` is the folder
        on the service's machine in which relative file names are looked up.
        """
        service, mistakes = info.context.service, list[finding.Finding]()
        expected = Expected(None if expected_tag is None else (expected_tag,), expected_revision)

        async def made() -> _Made:
            given = Submission(_texts(documents), base, allow_remove)
            try:
                return await (_planned(service, given) if dry_run else _applied(service, given, expected))
            except DefinitionError as error:
                mistakes.extend(each for each in error.findings if isinstance(each, finding.Finding))
                raise

        asked = ([(each.name, each.text) for each in documents], dry_run, allow_remove, expected, base)
        came = await outcome(info, key, asked, made)
        done, findings = came.made, came.made.findings if came.made else mistakes
        return DefinitionPayload(
            changes=None if done is None else done.changes,
            applied=done is not None and not dry_run,
            findings=[Finding.of(each) for each in findings],
            revision=Long(service.twin.graph.revision if done is None else done.revision),
            tag=None if done is None else done.tag,
            repeated=came.again,
            errors=came.errors,
        )


async def _planned(service: Context, given: Submission) -> _Made:
    made, findings = await asyncio.to_thread(planned, service.twin, given)
    tag = await asyncio.to_thread(definition_tag, service.twin.graph)
    return _Made(DefinitionChanges.of(made.changes), made.revision, tag, findings)


async def _applied(service: Context, given: Submission, expected: Expected) -> _Made:
    done = await asyncio.to_thread(applied, service.twin, given, expected)
    await service.applied()
    tag = await asyncio.to_thread(definition_tag, service.twin.graph)
    return _Made(DefinitionChanges.of(done.changes), done.revision, tag)


def _texts(documents: list[DefinitionDocument]) -> dict[str, str]:
    texts = {each.name: each.text for each in documents}
    if len(texts) < len(documents):
        raise InvalidValueError("each document has a name of its own", "documents")
    return texts
