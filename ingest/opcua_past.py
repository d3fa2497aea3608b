"""What the twin knew of a source's points when the service started."""

import math
from collections.abc import Iterator

from ..twin.define_project import Project
from ..twin.errors import IoTSenseError
from ..twin.twin import Twin
from .bad_quality import BadQuality
from .binding import Address, Binder
from .ingest_config import IngestConfig
from .lane import Lanes
from .points import Point, Points
from .targets import LabelTarget, ListTarget, NumberTarget


def known_until(twin: Twin, source: str, points: Points) -> tuple[int, int]:
    """The newest time of a value of these points, and when they were told to be unknown since [ns]; 0 for never."""
    latest = marked = 0
    for index in _signals(twin, source, points):
        reading = twin.state.read(index)
        if reading is None:
            continue
        if math.isnan(reading.value) and reading.quality == BadQuality.COMMUNICATION:
            marked = max(marked, reading.time)
        else:
            latest = max(latest, reading.time)
    return latest, marked


def _signals(twin: Twin, source: str, points: Points) -> Iterator[int]:
    """Indices of the signals that readings of these points go to."""
    lanes = Lanes(IngestConfig.of(Project.from_sections(twin.graph.definition)))
    binder, lane = Binder(twin, lanes), lanes.of(source, None)
    for point in points.points:
        try:
            target = binder.bind(lane, _address(point), 0.0)
        except IoTSenseError:
            continue
        for one in target.elements if isinstance(target, ListTarget) else [target]:
            if isinstance(one, NumberTarget):
                yield one.plain[0]
            elif isinstance(one, LabelTarget):
                yield one.index


def _address(point: Point) -> Address:
    return Address(point.device, point.address, point.unit, None, False, point.tag)
