"""A project file for a service under test: machines with sensors, drawn at run time."""

import random
from pathlib import Path


def write_project(path: Path, machines: int, extra: str = "") -> list[str]:
    """Writes a line of machines with the specification's two measurements each; the ids of the machines."""
    ids = [f"m{random.SystemRandom().randrange(10**6):06d}_{i}" for i in range(machines)]
    components = "\n".join(
        f"      - id: {id}\n        type: motor\n        sensors:\n"
        f"          - {{id: {id}_t, name: temperature, type: temperature, unit: celsius}}\n"
        f"          - {{id: {id}_v, name: vibration_rms, type: vibration, unit: mm/s}}"
        for id in ids
    )
    path.write_text(f"digital_twins:\n  - name: line\n    type: assembly_line\n    components:\n{components}\n{extra}")
    return ids
