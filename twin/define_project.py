"""A project: all sections of all documents together."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ValidationError

from .component_types import SECTION, TypeLibrary
from .define_anomalies import AnomalyDetection
from .define_component_types import ComponentType, RelationshipType
from .define_config import IotsenseConfig
from .define_edge import EdgeComputing
from .define_ingestion import SensorIngestion
from .define_maintenance import MaintenanceActions, PredictiveMaintenance
from .define_normalization import Normalization
from .define_oee import OeeTracking
from .define_operations import TwinOperations
from .define_twins import Area, DigitalTwin, Enterprise, Site
from .define_types import Model
from .errors import InvalidValueError


class Project(Model):
    """A plant and its service, as defined. Sections that no document has are empty."""

    enterprise: list[Enterprise] = []
    """The enterprise, or several."""
    site: list[Site] = []
    """The site, or several."""
    area: list[Area] = []
    """The areas."""
    component_types: list[ComponentType] = []
    """Kinds of equipment: what each component of that `type` has."""
    relationship_types: list[RelationshipType] = []
    """Kinds of relationships: what may connect to what."""
    digital_twins: list[DigitalTwin] = []
    """Digital twins: lines with components, sensors and relationships."""
    sensor_ingestion: SensorIngestion = SensorIngestion()
    """Where readings come from."""
    normalization: Normalization = Normalization()
    """How readings are brought to common units, times and metadata."""
    anomaly_detection: AnomalyDetection = AnomalyDetection()
    """What is watched, and when it is an anomaly."""
    predictive_maintenance: PredictiveMaintenance = PredictiveMaintenance()
    """Models that foresee failures."""
    maintenance_actions: MaintenanceActions = MaintenanceActions()
    """What is done when something is foreseen."""
    twin_operations: TwinOperations = TwinOperations()
    """Synchronisation, what-if simulation, replay."""
    edge_computing: EdgeComputing = EdgeComputing()
    """What is computed near the machines."""
    oee_tracking: OeeTracking = OeeTracking()
    """Overall equipment effectiveness."""
    iotsense: IotsenseConfig = IotsenseConfig()
    """The configuration of the service."""

    def sections(self) -> dict[str, Any]:
        """Canonical JSON by section: without what is at its default; `from_sections` reads it back equal."""
        sections = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if self.component_types:
            sections[SECTION] = [_canonical(each) for each in self.component_types]
        return sections

    def type_library(self) -> TypeLibrary:
        """The component types with what they inherit."""
        return TypeLibrary(_canonical(each) for each in self.component_types)

    def notices(self) -> list[str]:
        """One line for each part that is defined and has no engine in this version yet."""
        from .notices import notices

        return notices(self)

    @classmethod
    def from_sections(cls, sections: Mapping[str, Any]) -> Self:
        """The project that `sections` wrote. Raises InvalidValueError if it did not."""
        try:
            return cls.model_validate(dict(sections))
        except ValidationError as error:
            raise InvalidValueError(f"these sections are no project: {error}") from None


def _canonical(type: ComponentType) -> dict[str, Any]:
    """What extends another type may say a default, such as `stepped: false`, to change what the other says."""
    as_given = type.extends is not None
    fields = type.model_dump(mode="json", by_alias=True, exclude_defaults=not as_given, exclude_unset=as_given)
    return {"name": type.name, "version": type.version} | fields
