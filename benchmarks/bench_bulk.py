"""Bulk import of 100,000 nodes with 100,000 relationships and 90,000 signals, drawn at run time."""

import json
import random
import tempfile
from pathlib import Path

from figure import Figure, clock

from iotsense.twin.bulk_export import bulk_export
from iotsense.twin.bulk_import import bulk_import
from iotsense.twin.twin import Twin

COMPONENTS = 10_000
SENSORS = 9
ARROWS = 100_000
CONTROL = 500
LIMIT = 50_000.0


def draw(directory: Path) -> int:
    """Writes the plant as rows without numbers and in no order; how many nodes and relationships it has."""
    names = [f"line_{random.randrange(10)}.m{number}" for number in range(COMPONENTS)]
    nodes = [{"id": f"line_{number}", "level": "line"} for number in range(10)]
    nodes += [
        {"id": name, "level": "component", "parent": name.partition(".")[0], "type": "machine",
         "properties": {"maker": f"maker {random.randrange(50)}", "power_kw": round(random.uniform(1, 50), 1)}}
        for name in names
    ]  # fmt: skip
    sensors = [(name, f"{name}.s{number}") for name in names for number in range(SENSORS)]
    nodes += [{"id": id, "level": "sensor", "parent": name, "name": f"s {id[-1]}"} for name, id in sensors]
    random.shuffle(nodes)
    signals = [{"node": id, "unit": "celsius", "data_type": "number", "high": 90.0} for _, id in sensors]
    pairs = {(random.choice(names), random.choice(names)) for _ in range(ARROWS)}
    arrows = [
        {"source": a, "type": "feeds_into", "target": b, "properties": {"transfer_time": random.random()}}
        for a, b in pairs
    ]
    for name, rows in (("nodes", nodes), ("signals", signals), ("relationships", arrows)):
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return len(nodes) + len(arrows)


def checked(twin: Twin, expected: int) -> None:
    """Counted in the graph, so that nothing but what is there is measured."""
    there = len(twin.graph) + sum(1 for _ in twin.graph.relationships())
    if there != expected:
        raise SystemExit(f"{expected} nodes and relationships were imported, {there} are there")


def one_by_one(directory: Path) -> float:
    """The control: a transaction for each node, as a script over an API does it [nodes/s]."""
    rows = [json.loads(line) for line in (directory / "nodes.jsonl").open()]
    rows = [row for row in rows if row["level"] == "line"] + [row for row in rows if row["level"] == "component"]
    with Twin.open(directory / "control") as twin, clock() as used:
        for row in rows[:CONTROL]:
            parent = twin.graph.find(row["parent"]).key if "parent" in row else None
            twin.change(lambda edit, row=row, parent=parent: edit.add_node(**{**row, "parent": parent}), "control")
    return CONTROL / used.wall


def run() -> list[Figure]:
    """Rows by ids, and an export of the same taken over exactly; all durable and in the graph when the clock stops."""
    with tempfile.TemporaryDirectory(prefix="iotsense-bench-") as temporary:
        directory = Path(temporary)
        (directory / "rows").mkdir()
        expected = draw(directory / "rows")
        with Twin.open(directory / "a") as twin:
            with clock() as by_id:
                report = bulk_import(twin, [directory / "rows"])
            checked(twin, expected)
            if report.bad_rows:
                raise SystemExit(f"{report.problems[0]}")
            with clock() as out:
                bulk_export(twin, directory / "export")
        with Twin.open(directory / "b") as twin:
            with clock() as exact:
                bulk_import(twin, [directory / "export"])
            checked(twin, expected)
        control = one_by_one(directory / "rows")
    name = "a transaction for each node"
    return [
        Figure("rows by ids", expected / by_id.wall, "/s", by_id.cpu, LIMIT, control=control, control_name=name),
        Figure("an export taken over", expected / exact.wall, "/s", exact.cpu, LIMIT, note="checked and compared"),
        Figure("exported", expected / out.wall, "/s", out.cpu, LIMIT),
    ]
