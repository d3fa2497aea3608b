"""What is defined and has no engine in this version yet: one line each, for the start of the service."""

from collections import Counter
from collections.abc import Iterator

from .define_project import Project

_LATER = "is defined but has no engine in this version yet"


def notices(project: Project) -> list[str]:
    """One line for each part of the project that validates and does nothing yet."""
    return [*_rules(project), *_sections(project), *_config(project)]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _rules(project: Project) -> Iterator[str]:
    of_types = [rule for type in project.component_types for rule in type.rules]
    for section, rules in (("anomaly_detection", project.anomaly_detection.rules), ("component_types", of_types)):
        idle = Counter(rule.type for rule in rules if rule.enabled and not rule.engine)
        for kind, number in idle.items():
            yield f"{section}: type {kind} ({_count(number, 'rule')}) {_LATER}"


def _sections(project: Project) -> Iterator[str]:
    operations = project.twin_operations
    simulated = sum(twin.simulation is not None for twin in project.digital_twins)
    parts: tuple[tuple[str, int, str], ...] = (
        ("predictive_maintenance", len(project.predictive_maintenance.models), "model"),
        ("maintenance_actions", len(project.maintenance_actions.triggers), "trigger"),
        ("digital_twins: simulation", simulated, "twin"),
        ("twin_operations: sync", int(operations.sync is not None), "setting"),
        ("twin_operations: simulation", len(operations.simulation), "what-if"),
        ("edge_computing", len(project.edge_computing.nodes), "node"),
        ("oee_tracking", len(project.oee_tracking.equipment), "machine"),
        ("oee_tracking: dashboards", len(project.oee_tracking.dashboards), "dashboard"),
    )
    for section, number, word in parts:
        if number:
            yield f"{section} ({_count(number, word)}) {_LATER}"


def _config(project: Project) -> Iterator[str]:
    config = project.iotsense
    for name in ("predictive_maintenance", "edge", "alerts", "oee"):
        section = getattr(config, name)
        if section is not None and getattr(section, "enabled", True):
            yield f"iotsense.{name} {_LATER}"
    for name in ("simulation_engine", "sync_interval_ms"):
        if getattr(config.digital_twins, name) is not None:
            yield f"iotsense.digital_twins.{name} {_LATER}"
