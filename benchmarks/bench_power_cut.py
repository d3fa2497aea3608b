"""Power cuts at 50 recorded moments: files cut back to the last synced byte, the rest gone, zeroed or torn."""

import tempfile
from pathlib import Path

from figure import Figure, clock
from power_cut import POINTS, build, lost


def run() -> list[Figure]:
    """Acknowledged readings that are missing afterwards; the control leaves out the syncs of the write-ahead log."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as place:
        recorder = build(Path(place))
        with clock() as used:
            missing, points = lost(recorder, _made(Path(place) / "synced"))
        control, _ = lost(recorder, _made(Path(place) / "unsynced"), drop="-wal")
    if points != POINTS:
        raise SystemExit(f"{points} cuts were made instead of {POINTS}")
    return [
        Figure(
            "acknowledged readings lost",
            missing,
            "",
            used.cpu,
            at_most=0,
            control=control,
            control_name="the journal is not synced",
            note=f"{points} power cuts",
        )
    ]


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
