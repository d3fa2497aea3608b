"""Applying a plan: one revision, all of it or nothing."""

from collections.abc import Collection

from .definition_tag import definition_tag
from .errors import ConflictError, OutdatedError
from .graph_edit import GraphEdit
from .plan import Plan, readings_of
from .plan_changes import Changes
from .revision import revise
from .twin import Twin


def apply_plan(
    plan: Plan,
    twin: Twin,
    *,
    allow_remove: bool = False,
    author: str = "definition",
    expected: Collection[str] | None = None,
    revision: int | None = None,
) -> Changes:
    """Makes the running graph what the plan desires; durable when it returns. What it changed.

    Nodes that were discovered since the plan was made do no harm: the changes are worked out anew on the graph as it
    is, in the same revision. Raises ConflictError, and changes nothing, if a node or signal with history would be
    removed and `allow_remove` is not given, or if one would be removed that the plan did not tell; OutdatedError, if
    what is defined has none of the `definition_tag`s `expected`, or the graph is at another revision than `revision`.
    """
    has_readings = readings_of(twin.state)
    told = set(plan.changes.removed())

    def build(edit: GraphEdit) -> Changes:
        if expected is not None and definition_tag(edit.graph) not in expected:
            raise OutdatedError("other definitions were applied meanwhile; look at them, and plan again")
        if revision is not None and edit.graph.revision != revision:
            raise OutdatedError(f"the structure is at revision {edit.graph.revision}; look at it, and plan again")
        done = revise(edit, plan.desired, has_readings)
        if untold := [id for id in done.removed() if id not in told]:
            raise ConflictError(
                f"the graph has changed since the plan was made: {_some(untold)} would be removed now; plan again"
            )
        if (lost := done.lost()) and not allow_remove:
            raise ConflictError(f"{_some(lost)} would be removed and has history; allow it with --allow-remove")
        return done

    return twin.change(build, author)


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
