"""The counters of everything that readings come from: sources, files, analytics, programs, sources of old."""

from collections.abc import Mapping

from ..twin.twin import Twin
from .source_state import SourceCounters, SourceStatus

FILES = "files"
"""The source of what is loaded from files."""


def other_counters(twin: Twin, statuses: Mapping[str, SourceStatus]) -> dict[str, SourceCounters]:
    """The counters of what is no source with a status: `derived`, `direct`, `files`, and sources that are gone."""
    counts = twin.source_counts()
    return {name: SourceCounters.since(counts[name]) for name in sorted(counts) if name not in statuses}


def all_counters(twin: Twin, statuses: Mapping[str, SourceStatus]) -> dict[str, SourceCounters]:
    """The counters of everything, those with a status first."""
    return {name: status.counters for name, status in statuses.items()} | other_counters(twin, statuses)


def unbalanced(counters: Mapping[str, SourceCounters]) -> list[str]:
    """The sources whose accounts do not add up, which would be a mistake of ours; none, therefore."""
    return [name for name, each in counters.items() if not each.adds_up]
