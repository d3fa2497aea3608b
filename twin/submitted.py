"""Definitions as somebody submits them: read and checked, what they would change, and applying them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from .apply_definition import apply_plan
from .define_project import Project
from .errors import DefinitionError, InvalidValueError
from .finding import Finding, has_errors, strict
from .plan import Plan, plan
from .plan_changes import Changes
from .plan_text import changes_text
from .project import load_texts
from .twin import Twin


class Submission(msgspec.Struct, frozen=True):
    """Texts in YAML by file name. `base` is the folder, on this machine, in which relative file names are looked up.

    `allow_remove` lets nodes go that have history.
    """

    documents: Mapping[str, str]
    base: str | None = None
    allow_remove: bool = False


class Expected(NamedTuple):
    """What must still be so: one of these `definition_tag`s, this revision. None: whatever it is."""

    tags: Collection[str] | None = None
    revision: int | None = None


class Planned(NamedTuple):
    """What would change, and warnings."""

    plan: Plan
    findings: list[Finding]


class Applied(NamedTuple):
    """What was changed, and the revision of the graph since."""

    revision: int
    changes: Changes

    @property
    def text(self) -> str:
        """As a diff to read."""
        return changes_text(self.changes, False)


def planned(twin: Twin, given: Submission) -> Planned:
    """What applying would change; blocks. Raises DefinitionError, ConflictError."""
    project, findings = _checked(given, as_errors=False)
    return Planned(plan(project, twin.graph, twin.state), findings)


def applied(twin: Twin, given: Submission, expected: Expected = Expected()) -> Applied:  # noqa: B008
    """Applies all or nothing; blocks. Warnings are errors. Raises DefinitionError, ConflictError, OutdatedError."""
    project, _ = _checked(given, as_errors=True)
    made = plan(project, twin.graph, twin.state)
    changes = apply_plan(
        made, twin, allow_remove=given.allow_remove, expected=expected.tags, revision=expected.revision
    )
    return Applied(twin.graph.revision, changes)


def _checked(given: Submission, *, as_errors: bool) -> tuple[Project, list[Finding]]:
    if not given.documents:
        raise InvalidValueError("there are no documents", "documents")
    project, findings = load_texts(given.documents, base=Path(given.base) if given.base else None)
    findings = strict(findings) if as_errors else findings
    if project is None or has_errors(findings):
        raise DefinitionError(findings)
    return project, findings
