"""Opens a data directory and prints, as JSON, all readings and events that it shows and all damage that it tells of."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from iotsense.twin.errors import IoTSenseError
from iotsense.twin.twin import Twin

ALWAYS = (0, 2**62)


def look(directory: Path) -> dict[str, Any]:
    """`readings`: per signal id [time, value] pairs; `events`: by number; `told`: what is said to be wrong."""
    told: list[str] = []
    readings: dict[str, list[tuple[int, float]]] = {}
    events: dict[int, str] = {}
    try:
        with Twin.open(directory) as twin:
            told += [*twin.damage, *([twin.trouble] if twin.trouble else [])]
            for signal in twin.graph.signals():
                try:
                    found = twin.history(signal.index, *ALWAYS)
                    pairs = zip(found.time.tolist(), found.value.tolist(), strict=True)
                    readings[twin.graph.signal_id(signal)] = list(pairs)
                except IoTSenseError as error:
                    told.append(str(error))
            _events(twin, events, told)
            told += [twin.history_trouble] if twin.history_trouble else []
    except IoTSenseError as error:
        told.append(str(error))
    return {"readings": readings, "events": events, "told": told}


def _events(twin: Twin, events: dict[int, str], told: list[str]) -> None:
    after = 0
    try:
        while page := twin.events(after):
            events |= {event.seq: repr(event) for event in page}
            after = page[-1].seq
    except IoTSenseError as error:
        told.append(str(error))


if __name__ == "__main__":
    logging.disable()
    json.dump(look(Path(sys.argv[1])), sys.stdout)
