"""Checks of what sections say about each other: names that no document defines, names that are given twice."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .define_anomalies import CorrelationRule
from .define_maintenance import Alert
from .define_modbus import ModbusProtocol
from .define_mqtt import MqttProtocol
from .define_opcua import OpcUaProtocol
from .define_project import Project
from .expressions import compile_expression
from .finding import Path
from .plant_index import PlantIndex, Problem, candidates, names_of
from .suggestion import nearest

# What the maintenance engine tells of a component, beside its signals.
MAINTENANCE_NAMES = frozenset(
    {"rul_days", "probability", "failure_probability", "failure_mode", "confidence", "health", "health_score",
     "anomaly_score", "anomaly", "severity", "class", "state", "operating_hours", "model", "equipment"}
)  # fmt: skip


def check_references(project: Project, index: PlantIndex) -> Iterator[Problem]:
    """Names that no document defines: warnings, errors where a project is to be applied."""
    for checked in (_normalization, _rules, _models, _triggers, _what_ifs, _edge, _oee):
        yield from checked(project, index)


def check_names(project: Project) -> Iterator[Problem]:
    """Names that are given twice within a section."""
    lists: tuple[tuple[Path, Iterable[Any], str], ...] = (
        (("anomaly_detection", "rules"), project.anomaly_detection.rules, "name"),
        (("predictive_maintenance", "models"), project.predictive_maintenance.models, "name"),
        (("maintenance_actions", "triggers"), project.maintenance_actions.triggers, "name"),
        (("twin_operations", "simulation"), project.twin_operations.simulation, "name"),
        (("edge_computing", "nodes"), project.edge_computing.nodes, "id"),
        (("oee_tracking", "equipment"), project.oee_tracking.equipment, "id"),
        (("oee_tracking", "dashboards"), project.oee_tracking.dashboards, "name"),
        (("iotsense", "edge", "nodes"), project.iotsense.edge.nodes if project.iotsense.edge else (), "id"),
    )
    for path, items, field in lists:
        seen: set[str] = set()
        for number, item in enumerate(items):
            name = getattr(item, field)
            if name is not None and name in seen:
                yield Problem((*path, number, field), f"found the {field} {name!r} twice")
            seen.add(name)


def _undefined(path: Path, what: str, name: str, suggestion: str | None = None) -> Problem:
    return Problem(path, f"no document defines the {what} {name!r}", suggestion, "warning")


def _sensor(index: PlantIndex, path: Path, word: str) -> Iterator[Problem]:
    if not index.has_sensor(word):
        yield _undefined(path, "sensor", word, index.nearest_sensor.find(word))


def _equipment(index: PlantIndex, path: Path, reference: str) -> Iterator[Problem]:
    found = index.find(reference)
    if len(found) > 1:
        yield Problem(path, f"found {reference!r}, which is ambiguous: it may be {candidates(found)}")
    elif not found:
        yield _undefined(path, "equipment", reference, index.nearest_id.find(reference))


def _equipment_class(index: PlantIndex, path: Path, name: str | None) -> Iterator[Problem]:
    if name is not None and name not in index.types:
        yield _undefined(path, "type of equipment", name, nearest(name, tuple(sorted(index.types))))


def _many(
    check: Callable[[PlantIndex, Path, str], Iterator[Problem]], index: PlantIndex, path: Path, words: Iterable[str]
) -> Iterator[Problem]:
    for number, word in enumerate(words):
        yield from check(index, (*path, number), word)


def _normalization(project: Project, index: PlantIndex) -> Iterator[Problem]:
    known = set(project.normalization.groups) | _sources(project)
    for number, rule in enumerate(project.normalization.rules):
        source = rule.source
        if source in known or source in index.sensor_words or index.find(source) or _is_pattern(source):
            continue
        hint = nearest(source, tuple(sorted(known))) or index.nearest_id.find(source)
        yield _undefined(("normalization", "rules", number, "source"), "topic, device, source or group", source, hint)


def _is_pattern(text: str) -> bool:
    """A topic need not be subscribed to by its own name: a wildcard may bring it."""
    return "/" in text


def _sources(project: Project) -> set[str]:
    """Names of sources, topics, and what readings of servers and devices are called."""
    names: set[str] = {"http"}
    for protocol in project.sensor_ingestion.protocols:
        names |= {protocol.name, protocol.id or protocol.name}
        if isinstance(protocol, MqttProtocol):
            names.update(topic.pattern for topic in protocol.topics)
        elif isinstance(protocol, OpcUaProtocol):
            names.update(name for node in protocol.nodes for name in (node.id, node.name or node.id))
        elif isinstance(protocol, ModbusProtocol):
            names.update(register.name for register in protocol.registers)
    config = project.iotsense.ingestion
    names.update(topic.pattern for topic in config.mqtt.topics)
    named: tuple[Any, ...] = (*config.mqtt.brokers, *config.opcua.endpoints, *config.modbus.devices)
    names.update(connection.id for connection in named if connection.id is not None)
    given = {"mqtt": config.mqtt.brokers, "opcua": config.opcua.endpoints, "modbus": config.modbus.devices}
    return names | {name for name, found in given.items() if found}


def _rules(project: Project, index: PlantIndex) -> Iterator[Problem]:
    for number, rule in enumerate(project.anomaly_detection.rules):
        path: Path = ("anomaly_detection", "rules", number)
        if isinstance(rule, CorrelationRule):
            yield from _many(_sensor, index, (*path, "sensors"), rule.sensors)
        else:
            yield from _sensor(index, (*path, "sensor"), rule.sensor)


def _models(project: Project, index: PlantIndex) -> Iterator[Problem]:
    computed = {step.output for node in project.edge_computing.nodes for step in node.local_processing}
    for number, model in enumerate(project.predictive_maintenance.models):
        path: Path = ("predictive_maintenance", "models", number)
        yield from _equipment_class(index, (*path, "equipment_class"), model.equipment_class)
        yield from _many(_equipment, index, (*path, "equipment"), model.equipment)
        for which, feature in enumerate(model.features):
            word = feature.sensor or feature.name
            if word not in computed:
                field = "name" if feature.sensor is None else "sensor"
                yield from _sensor(index, (*path, "features", which, field), word)


def _triggers(project: Project, index: PlantIndex) -> Iterator[Problem]:
    alerts = project.iotsense.alerts
    channels = tuple(alerts.channels) if alerts else ()
    recipients = tuple(alerts.recipients) if alerts else ()
    for number, trigger in enumerate(project.maintenance_actions.triggers):
        path: Path = ("maintenance_actions", "triggers", number)
        yield from _many(_equipment, index, (*path, "equipment"), trigger.equipment)
        yield from _equipment_class(index, (*path, "equipment_class"), trigger.equipment_class)
        for name in compile_expression(trigger.condition).names():
            if name.partition(".")[0] not in MAINTENANCE_NAMES and not index.has_sensor(name):
                hint = nearest(name, tuple(sorted(MAINTENANCE_NAMES))) or index.nearest_sensor.find(name)
                yield _undefined((*path, "condition"), "value", name, hint)
        for which, action in enumerate(trigger.actions):
            if not isinstance(action, Alert):
                continue
            here: Path = (*path, "actions", which)
            for field, names, known in (
                ("channels", action.channels, channels),
                ("recipients", action.recipients, recipients),
            ):
                for place, name in enumerate(names):
                    if name not in known:
                        yield _undefined((*here, field, place), field[:-1], name, nearest(name, known))


def _what_ifs(project: Project, index: PlantIndex) -> Iterator[Problem]:
    for number, what_if in enumerate(project.twin_operations.simulation):
        path: Path = ("twin_operations", "simulation", number)
        if what_if.twin is not None:
            yield from _equipment(index, (*path, "twin"), what_if.twin)
        for which, variable in enumerate(what_if.variables):
            yield from _parameter(index, (*path, "variables", which, "parameter"), variable.parameter)
        for which, constraint in enumerate(what_if.constraints):
            for name in compile_expression(constraint).names():
                if "." in name:
                    yield from _parameter(index, (*path, "constraints", which), name)


def _parameter(index: PlantIndex, path: Path, name: str) -> Iterator[Problem]:
    """`conveyor_1.speed`: a sensor or parameter of a component."""
    owner, dot, own = name.rpartition(".")
    found = index.find(owner) if dot else []
    if not found:
        yield _undefined(path, "parameter", name, index.nearest_id.find(owner) if dot else None)
    elif not index.has_sensor(name) and not any(own in names_of(node.definition) for node in found):
        known = tuple(sorted(set().union(*(names_of(node.definition) for node in found))))
        yield _undefined(path, f"sensor or parameter of {found[0].id}", own, nearest(own, known))


def _edge(project: Project, index: PlantIndex) -> Iterator[Problem]:
    places = {node.id for node in index.nodes if node.level in ("enterprise", "site", "area", "line")}
    models = tuple(model.name for model in project.predictive_maintenance.models)
    destinations = {"cloud", "local", *(node.id for node in project.edge_computing.nodes)}
    for number, node in enumerate(project.edge_computing.nodes):
        path: Path = ("edge_computing", "nodes", number)
        if node.location is not None and node.location not in places:
            hint = nearest(node.location, tuple(sorted(places)))
            yield _undefined((*path, "location"), "site, area or line", node.location, hint)
        outputs: list[str] = []
        for which, step in enumerate(node.local_processing):
            here: Path = (*path, "local_processing", which)
            for place, word in enumerate(step.input):
                if word not in outputs and not index.has_sensor(word):
                    hint = nearest(word, tuple(outputs)) or index.nearest_sensor.find(word)
                    yield _undefined((*here, "input", place), "sensor or earlier output", word, hint)
            if step.type == "ml_inference" and step.model_file is None and step.model not in models:
                yield _undefined((*here, "model"), "model", step.model, nearest(step.model, models))
            outputs.append(step.output)
        for which, route in enumerate(node.data_routing):
            here = (*path, "data_routing", which)
            for name in compile_expression(route.condition).names():
                if name not in outputs and not index.has_sensor(name):
                    hint = nearest(name, tuple(outputs)) or index.nearest_sensor.find(name)
                    yield _undefined((*here, "condition"), "output or sensor", name, hint)
            if route.destination not in destinations:
                hint = nearest(route.destination, tuple(sorted(destinations)))
                yield _undefined((*here, "destination"), "destination", route.destination, hint)


def _oee(project: Project, index: PlantIndex) -> Iterator[Problem]:
    for number, equipment in enumerate(project.oee_tracking.equipment):
        path: Path = ("oee_tracking", "equipment", number)
        yield from _equipment(index, (*path, "id"), equipment.id)
        availability, performance, quality = equipment.availability, equipment.performance, equipment.quality
        signals: list[tuple[Path, str | None]] = [
            (("availability", "running_signal"), availability.running_signal),
            (("availability", "reason_signal"), availability.reason_signal),
            (("performance", "actual_cycle_signal"), performance.actual_cycle_signal),
            (("quality", "good_parts_signal"), quality.good_parts_signal),
            (("quality", "reject_signal"), quality.reject_signal),
        ]
        signals += [
            (("availability", "planned_downtime", which, "signal"), downtime.signal)
            for which, downtime in enumerate(availability.planned_downtime)
        ]
        for field, signal in signals:
            if signal is not None:
                yield from _sensor(index, (*path, *field), signal)
    for number, dashboard in enumerate(project.oee_tracking.dashboards):
        for which, widget in enumerate(dashboard.widgets):
            here: Path = ("oee_tracking", "dashboards", number, "widgets", which, "equipment")
            yield from _many(_equipment, index, here, widget.equipment)
