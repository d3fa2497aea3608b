"""What the changes of a source become: samples and nodes, and dead letters where they cannot."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec

from ..twin.define_cdc import Rows
from ..twin.errors import IoTSenseError
from ..twin.times import now_ns
from ..twin.twin import Twin
from .change import Change
from .change_nodes import ChangeNodes, apply_all
from .change_samples import ChangeSamples
from .message import Message
from .sample import Sample
from .stamps import clock

# What a sample takes of the pipeline's buffer [bytes].
_SAMPLE_BYTES = 96


class Taken(msgspec.Struct):
    """What some changes come to. unreadable: (table, payload, why not)."""

    samples: list[Sample] = []
    nodes: list[tuple[ChangeNodes, Change]] = []
    unreadable: list[tuple[str, bytes, str]] = []


class ChangeMapping:
    """The tables of one source, by name (Debezium: by topic). timezone: of time stamps that name none."""

    def __init__(self, source: str, tables: Mapping[str, Rows], timezone: str | None) -> None:
        self._source = source
        read = clock(ZoneInfo(timezone)) if timezone else clock()
        self._samples = {name: ChangeSamples(rows.signals, read) for name, rows in tables.items() if rows.signals}
        self._nodes = {name: ChangeNodes(source, rows.nodes) for name, rows in tables.items() if rows.nodes}

    def take(self, table: str, change: Change, taken: Taken) -> None:
        """Adds what one change comes to; tables that are not configured come to nothing."""
        if (samples := self._samples.get(table)) is not None:
            try:
                taken.samples += samples.of(change)
            except IoTSenseError as error:
                taken.unreadable.append((table, change.payload(), str(error)))
        if (nodes := self._nodes.get(table)) is not None:
            taken.nodes.append((nodes, change))

    async def change_nodes(self, twin: Twin | None, taken: Taken) -> None:
        """Brings the plant's structure up to date, as one revision; raises StorageError if it cannot be written.

        What was there before stays as it is, so that a change that comes again changes nothing.
        """
        if not taken.nodes or twin is None:
            return
        failed = await twin.change_async(lambda edit: apply_all(edit, self._source, taken.nodes), self._source)
        taken.unreadable += [(change.table, change.payload(), reason) for change, reason in failed]

    def messages(self, taken: Taken) -> list[Message]:
        """One for each dead letter, and at last one with all samples, be it none."""
        received = now_ns()
        found = [
            Message(self._source, payload, table, received=received, unreadable=reason)
            for table, payload, reason in taken.unreadable
        ]
        size = len(taken.samples) * _SAMPLE_BYTES
        return [*found, Message(self._source, samples=taken.samples, received=received, size=size)]
