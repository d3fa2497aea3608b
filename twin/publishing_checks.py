"""Checks of publishing: ids that are given twice, nodes and types that no document defines."""

from collections.abc import Iterator

from .define_project import Project
from .define_publishing import PublishingRule
from .finding import Path
from .plant_index import PlantIndex, Problem, candidates
from .suggestion import nearest


def check_publishing(project: Project, index: PlantIndex) -> Iterator[Problem]:
    """All that is wrong with `iotsense.publishing`."""
    seen: set[str] = set()
    for number, endpoint in enumerate(project.iotsense.publishing):
        path: Path = ("iotsense", "publishing", number)
        if endpoint.id in seen:
            yield Problem((*path, "id"), f"found the id {endpoint.id!r} twice")
        seen.add(endpoint.id)
        for which, rule in enumerate(endpoint.rules):
            yield from _rule(rule, index, (*path, "rules", which))


def _rule(rule: PublishingRule, index: PlantIndex, path: Path) -> Iterator[Problem]:
    for place, reference in enumerate(rule.nodes):
        found = index.find(reference)
        if len(found) > 1:
            yield Problem((*path, "nodes", place), f"found {reference!r}, which may be {candidates(found)}")
        elif not found:
            hint = index.nearest_id.find(reference)
            message = f"no document defines the node {reference!r}"
            yield Problem((*path, "nodes", place), message, hint, "warning")
    for place, type in enumerate(rule.types):
        if type not in index.types and type not in index.sensor_words:
            hint = nearest(type, tuple(sorted(index.types)))
            yield Problem((*path, "types", place), f"nothing is of the type {type!r}", hint, "warning")
