"""From the points of the line protocol to devices and measurements: what the tags of a series mean."""

from collections.abc import Callable, Mapping

from ..twin.define_line_protocol import LineProtocol
from ..twin.expressions import compile_template
from .address_book import AREA_KEYS, EQUIPMENT_KEYS, LINE_KEYS, SITE_KEYS
from .points import Key

PLACES = frozenset((*SITE_KEYS, *AREA_KEYS, *LINE_KEYS, *EQUIPMENT_KEYS))
"""Tags that say where a device stands."""
VALUE = "value"
"""The field of points that have but one."""


class Series:
    """A measurement with its tags: whose readings its fields are. `key` of a field is how a lane knows its address."""

    __slots__ = ("_keys", "_name", "device", "metadata", "unit")

    def __init__(
        self, device: str, unit: str | None, metadata: Mapping[str, str] | None, name: Callable[[str], str]
    ) -> None:
        self.device = device
        self.unit = unit
        self.metadata = dict(metadata) if metadata else None
        self._name = name
        self._keys: dict[str, Key] = {}

    def key(self, field: str) -> Key:
        """Device, name and unit of a field. Raises IoTSenseError if the template has nothing to fill in."""
        key = self._keys.get(field)
        if key is None:
            key = self._keys[field] = (self.device, self._name(field), self.unit)
        return key


class SeriesNaming:
    """Makes series of measurements and tags, as the configuration says."""

    def __init__(self, config: LineProtocol) -> None:
        self._device_tags = config.device_tags
        self._unit_tag = config.unit_tag
        self._describing = PLACES | {*config.metadata_tags, *config.device_tags, config.unit_tag}
        self._template = compile_template(config.name_template) if config.name_template else None

    def series(self, measurement: str, tags: Mapping[str, str]) -> Series:
        """Whose readings the fields of such points are."""
        device_tag = next((tag for tag in self._device_tags if tag in tags), None)
        device = tags[device_tag] if device_tag else measurement
        metadata = {name: text for name, text in tags.items() if name not in (device_tag, self._unit_tag)}
        return Series(device, tags.get(self._unit_tag), metadata, self._name(measurement, tags, device))

    def _name(self, measurement: str, tags: Mapping[str, str], device: str) -> Callable[[str], str]:
        template = self._template
        if template is not None:
            return lambda field: template.render({"measurement": measurement, "field": field, "tags": dict(tags)})
        # What tells two series of one device apart must tell their signals apart, or one would overwrite the other.
        telling = sorted(tags.keys() - self._describing)
        apart = "".join(f"_{tags[tag]}" for tag in telling if tags[tag] != device)

        def name(field: str) -> str:
            if device == measurement:
                return field + apart
            return (measurement if field == VALUE else f"{measurement}_{field}") + apart

        return name
