"""A plant with a past, random moments of it, and each moment rebuilt as a plant of its own, all on real servers."""

import asyncio
import contextlib
import itertools
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from prefix import prefix_twin
from service_fixtures import PLANT

from iotsense.analytics.health import add_health_signals
from iotsense.ingest.pipeline import Pipeline
from iotsense.rest.app import build_app
from iotsense.rest.context import Context
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.command import COMMAND, Command, CommandState, command_of
from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import ConflictError, InvalidValueError
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.model import Level
from iotsense.twin.plan import plan
from iotsense.twin.project import load_texts
from iotsense.twin.report import Amendment, Asset, Report
from iotsense.twin.times import format_time, now_ns
from iotsense.twin.twin import Twin

S = 1_000_000_000


@dataclass(frozen=True)
class Moment:
    """A world time and when it was known [ns], with the plant rebuilt from the journal's prefix at `url`."""

    time: int | None
    known_at: int | None
    url: str

    @property
    def parameters(self) -> dict[str, str]:
        """As the facades take them."""
        given = {"as_of": self.time, "known_at": self.known_at}
        return {name: format_time(at) for name, at in given.items() if at is not None}


@dataclass(frozen=True)
class Walk:
    """The plant at `url`, the moments at which it is compared, and a span that holds all its readings."""

    url: str
    moments: list[Moment]
    start: str
    end: str


@contextlib.contextmanager
def served(twin: Twin) -> Iterator[str]:
    """The application over a twin, on a real port."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = build_app(Context(twin=twin, pipeline=Pipeline(twin), version="0.test"))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextlib.contextmanager
def walk(directory: Path, moments: int) -> Iterator[Walk]:
    """Makes the plant and as many random moments of it; the seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        twin = stack.enter_context(Twin.open(directory / "plant"))
        base, stamps = make_past(twin, chance)
        found = []
        for number in range(moments):
            time = chance.choice([None, chance.choice(stamps), base + chance.randrange(40) * S // 10])
            known_at = chance.choice([None, chance.choice(stamps)])
            if time is known_at is None:
                known_at = chance.choice(stamps)
            rebuilt = stack.enter_context(prefix_twin(twin, directory / str(number), time, known_at))
            found.append(Moment(time, known_at, stack.enter_context(served(rebuilt))))
        yield Walk(stack.enter_context(served(twin)), found, format_time(base - S), format_time(base + 60 * S))


def make_past(twin: Twin, chance: random.Random) -> tuple[int, list[int]]:
    """Structure, readings in any order, corrections, anomalies that begin, end and are taken back, silence."""
    project, findings = load_texts({"plant.yaml": PLANT.replace("unit: m/s}", "unit: m/s, writable: true}")})
    assert project is not None, findings
    apply_plan(plan(project, twin.graph), twin)
    twin.change(add_health_signals, "test")
    base = now_ns()
    stamps = [_stamp(twin)]
    for _ in range(40):
        for what in chance.choices(HAPPENINGS, k=2):
            what(twin, chance, base)
        stamps.append(_stamp(twin))
    return base, stamps


def _stamp(twin: Twin) -> int:
    return list(twin.journal_entries(twin.last_seq - 1))[-1].recorded


def _read(twin: Twin, chance: random.Random, base: int) -> None:
    rows = chance.randrange(1, 6)
    signals = chance.choices(sorted(twin.graph.signal_map), k=rows)
    times = [base + chance.randrange(40) * S // 10 for _ in signals]
    values = [float(chance.randrange(2 if twin.labels(signal) else 100)) for signal in signals]
    twin.apply(ReadingBatch.of(signals, times, values, chance.choices((0, 64, 192, 192), k=rows)))


def _breach(twin: Twin, chance: random.Random, base: int) -> None:
    conveyor = twin.graph.find("line_1.conveyor")
    signal = twin.graph.find_signal("line_1.conveyor.c_temp")
    known = chance.choice([None, *twin.open_events("anomaly")])
    data: dict[str, Any] = {
        "rule": "hot_motor", "version": "1", "condition": 0, "signal": signal.index, "severity": "warning",
        "signal_id": "line_1.conveyor.c_temp", "metric": "value", "operator": ">", "threshold": 80.0, "value": 91.5,
    }  # fmt: skip
    at = base + chance.randrange(40) * S // 10
    if known is None:
        draft = EventDraft(at, "anomaly", conveyor.key, data=data, identity=f"hot:{twin.last_seq}")
    elif chance.random() < 0.3:
        draft = EventDraft(known.time, "anomaly", known.node, None, known.data, known.identity, known.seq)
    else:
        draft = EventDraft(known.time, "anomaly", known.node, max(at, known.time), known.data, known.identity)
    twin.record([draft])


def _restructure(twin: Twin, chance: random.Random, base: int) -> None:
    def build(edit: GraphEdit) -> None:
        line, number = edit.graph.find("line_1"), edit.graph.next_key
        robot = edit.graph.find("line_1.robot")
        match chance.randrange(4):
            case 0:
                added = edit.add_node(id=f"line_1.extra_{number}", level=Level.COMPONENT, parent=line.key, type="extra")
                edit.add_signal(added.key, "power", unit="kilowatt")
                edit.relate(robot.key, "feeds_into", added.key, transfer_time=number)
            case 1:
                edit.update_node(line.key, name=f"Line {number}", properties={"parameters": {"number": number}})
            case 2:
                edit.update_node(robot.key, properties={"model": f"m{number}"})
            case _:
                extra = [node for node in edit.graph.children(line.key) if node.type == "extra"]
                if extra:
                    edit.remove_node(chance.choice(extra).key)

    twin.change(build, "test")


def _fall_silent(twin: Twin, chance: random.Random, base: int) -> None:
    signal = chance.choice(sorted(twin.graph.signal_map))
    reading = twin.state.read(signal)
    if reading is not None and not twin.is_stale(signal):
        twin.mark_stale([(signal, reading.time)])


def _install(twin: Twin, chance: random.Random, base: int) -> None:
    at = base + chance.randrange(40) * S // 10
    place, serial = chance.choice(("line_1.conveyor", "line_1.robot")), chance.choice(("A1", "B2"))
    with contextlib.suppress(ConflictError):  # two at one moment
        twin.reports.report(Report("installation", place, at, asset=Asset(serial, "M")))


def _report(twin: Twin, chance: random.Random, base: int) -> None:
    """A report that is new, or is ended, moved or taken back."""
    at = base + chance.randrange(40) * S // 10
    id = f"R-{chance.randrange(3)}"
    with contextlib.suppress(ConflictError, InvalidValueError):  # it was taken back, it would end before its begin
        if not twin.reports.known(id):
            twin.reports.report(Report("failure", "line_1.conveyor", at, id=id, capture=()))
        elif chance.random() < 0.2:
            twin.reports.retract(id)
        else:
            twin.reports.amend(id, chance.choice((Amendment(until=at), Amendment(time=at), Amendment(until=None))))


def _command(twin: Twin, chance: random.Random, base: int) -> None:
    """A command that is new, or is sent, or ends."""
    signal = twin.graph.find_signal("line_1.conveyor.c_speed")
    open_now = twin.open_events(COMMAND)
    if not open_now:
        at = base + chance.randrange(40) * S // 10
        number = next(n for n in itertools.count() if not twin.as_of().told(f"command:c{n}"))
        made = Command(f"c{number}", signal.index, signal.node, "line_1.conveyor.c_speed", 1.5, at, at + S)
        twin.record([made.draft()])
        return
    known, at = command_of(open_now[0]), base + chance.randrange(40) * S // 10
    if known.sent is None:
        twin.record([known.became(CommandState.SENT, at, sent=max(at, known.requested)).draft()])
    else:
        twin.record([known.became(CommandState.CONFIRMED, max(at, known.sent)).draft()])


def _remark(twin: Twin, chance: random.Random, base: int) -> None:
    """Somebody has seen an anomaly that is open, or says something about it."""
    for event in twin.open_events("anomaly")[:1]:
        if chance.random() < 0.5:
            twin.remarks.acknowledge(str(event.seq), "key anna")
        else:
            twin.remarks.comment(str(event.identity), "key ben", "listen to that")


HAPPENINGS = (_read, _read, _read, _breach, _restructure, _fall_silent, _install, _report, _command, _remark)
