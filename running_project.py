"""What a service makes of its definitions: the project that its settings name, and the sources in it that run."""

import logging
from dataclasses import replace

from .config import Settings
from .ingest.configured import Configured, configured_sources
from .ingest.mqtt_broker import MqttBroker, mqtt_brokers
from .ingest.registry import ADAPTERS
from .twin.errors import DefinitionError
from .twin.finding import Finding, has_errors
from .twin.project import Project, load_project

log = logging.getLogger("iotsense.service")

ENABLED = (
    "enterprise",
    "site",
    "area",
    "component_types",
    "relationship_types",
    "digital_twins",
    "sensor_ingestion",
    "normalization",
    "anomaly_detection",
    "iotsense.ingestion",
)
"""Sections with an engine: what they refer to must be there at the start."""


def named_project(settings: Settings) -> Project | None:
    """The project that the settings name; None if they name none. Raises DefinitionError.

    Warnings about what is going to run are errors here; those about sections without an engine are told.
    """
    if not settings.definitions:
        return None
    project, findings = load_project(settings.definitions)
    findings = [_severe(finding) for finding in findings]
    if project is None or has_errors(findings):
        raise DefinitionError([finding for finding in findings if finding.severity == "error"])
    for finding in findings:
        log.warning("%s", finding)
    return project


def _severe(finding: Finding) -> Finding:
    return replace(finding, severity="error") if finding.path.startswith(ENABLED) else finding


def sources_of(project: Project) -> dict[str, MqttBroker | Configured]:
    """The sources that have an engine, by name."""
    found: dict[str, MqttBroker | Configured] = {broker.name: broker for broker in mqtt_brokers(project)}
    return found | {source.name: source for source in configured_sources(project) if source.protocol in ADAPTERS}
