"""What is published: which signals and events a rule means, at least once, in order, from where it stopped."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from iotsense.ingest.publish_message import Outgoing
from iotsense.ingest.publish_sender import RefusedMessageError
from iotsense.ingest.publisher import Publisher
from iotsense.publishing import Publishing, TwinDocuments
from iotsense.supervisor import Supervisor
from iotsense.twin.apply_definition import apply_plan
from iotsense.twin.backoff import Backoff
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.define_project import Project
from iotsense.twin.define_publishing import MqttPublishing
from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import SourceError
from iotsense.twin.plan import plan
from iotsense.twin.project import load_texts
from iotsense.twin.report import Report
from iotsense.twin.times import NS
from iotsense.twin.twin import Twin

PLANT = """
site: {id: berlin}
component_types: [{name: mover}, {name: belt, extends: mover}]
digital_twins:
  - name: line_1
    components:
      - id: conveyor
        type: belt
        sensors:
          - {id: c_speed, name: speed, unit: m/s}
          - {id: c_state, name: state, labels: [stopped, running]}
          - {id: c_lamp, name: lamp, data_type: boolean}
      - id: robot
        type: arm
        sensors: [{id: joints, joints: 2}]
  - name: line_2
    components: [{id: pump, sensors: [{id: flow}]}]
"""
EVENTS = {"publish": "events"}


class Recorder:
    """An endpoint in memory: it may be away, slow, or refuse."""

    address = "memory"
    default_topics = ("${uns}", "${uns}/_events/${kind}", "${uns}/_${kind}")

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.refuses: Callable[[Outgoing], bool] = lambda message: False
        self.gate = asyncio.Event()
        self.gate.set()
        self.dead = asyncio.Event()
        self.opened = 0

    async def open(self) -> None:
        self.opened += 1
        if self.error is not None:
            raise self.error

    async def send(self, messages: Sequence[Outgoing]) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if any(self.refuses(message) for message in messages):
            raise RefusedMessageError("it answers 422")
        self.messages += messages
        self.batches.append(len(messages))

    async def lost(self) -> None:
        await self.dead.wait()
        self.dead.clear()
        raise SourceError("the line is dead")

    async def close(self) -> None:
        pass

    def topics(self) -> list[str]:
        return [message.topic for message in self.messages]

    def values(self, topic: str) -> list[Any]:
        return [message.bare for message in self.messages if message.topic == topic]


@pytest.fixture
def twin(tmp_path: Path):
    project, findings = load_texts({"plant.yaml": PLANT})
    assert project is not None, findings
    with Twin.open(tmp_path / "data") as twin:
        apply_plan(plan(project, twin.graph), twin)
        yield twin


def endpoint(*rules: dict[str, Any]) -> MqttPublishing:
    return MqttPublishing.model_validate({"id": "e", "type": "mqtt", "url": "mqtt://h", "rules": list(rules)})


@asynccontextmanager
async def publishing(twin: Twin, recorder: Recorder, *rules: dict[str, Any]) -> AsyncIterator[Publisher]:
    publisher = Publisher(twin, endpoint(*rules), TwinDocuments(), recorder, Backoff(0.01, 0.05))
    task = asyncio.create_task(publisher.run())
    try:
        while publisher.status.state == "stopped":  # noqa: ASYNC110 - it has just been started
            await asyncio.sleep(0)
        yield publisher
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the endpoint tells nobody
            await asyncio.sleep(0.005)


_time = itertools.count(1)


async def show(twin: Twin, **values: float) -> None:
    """Readings of signals by the ids of their sensors, a second after the last ones."""
    at = next(_time) * NS
    signals = [twin.graph.find_signal(name).index for name in values]
    await twin.append(ReadingBatch.of(signals, [at] * len(signals), list(values.values())))


async def note(twin: Twin, kind: str, node: str, number: int, **more: Any) -> None:
    await twin.record_async([EventDraft(number * NS, kind, twin.graph.find(node).key, data={"n": number}, **more)])


# What rules mean


async def test_states_go_to_the_topics_of_the_unified_namespace(twin: Twin) -> None:
    recorder = Recorder()
    await show(twin, c_speed=1.5, c_state=1, c_lamp=1)
    async with publishing(twin, recorder, {}):
        await until(lambda: len(recorder.messages) == 3)
        await show(twin, c_speed=2, flow=7)
        await until(lambda: len(recorder.messages) == 5)
    assert recorder.values("berlin/line_1/conveyor/c_speed") == [1.5, 2]
    assert recorder.values("berlin/line_1/conveyor/c_state") == ["running"]
    assert recorder.values("berlin/line_1/conveyor/c_lamp") == [True]
    assert recorder.values("berlin/line_2/pump/flow") == [7]
    first = next(message for message in recorder.messages if message.key == "line_1.conveyor.c_speed")
    assert json.loads(first.encoded()) == {
        "device_id": "line_1.conveyor",
        "timestamp": first.data["timestamp"],
        "measurements": [{"name": "speed", "value": 1.5, "unit": "m/s", "quality": "good"}],
        "metadata": {"signal": "line_1.conveyor.c_speed"},
    }
    assert first.retain


@pytest.mark.parametrize(
    ("rule", "signals"),
    [
        ({"nodes": ["line_2"]}, {"flow"}),
        ({"nodes": ["conveyor", "nowhere"], "signals": ["speed"]}, {"c_speed"}),
        ({"types": ["mover"]}, {"c_speed", "c_state"}),
        ({"types": ["arm"]}, {"joints[0]"}),
        ({"signals": ["c_state", "flow"]}, {"c_state", "flow"}),
        ({"nodes": ["line_1"], "types": ["arm"], "signals": ["speed"]}, set()),
    ],
)
async def test_rules_narrow(twin: Twin, rule: dict[str, Any], signals: set[str]) -> None:
    recorder = Recorder()
    async with publishing(twin, recorder, {**rule, "topic_template": "x/${id}"}, {**EVENTS, "kinds": ["end"]}):
        await show(twin, c_speed=1, c_state=0, flow=2, **{"joints.value[0]": 3})
        await note(twin, "end", "line_1", 1)
        await until(lambda: "end.begun" in [message.type for message in recorder.messages])
        await until(lambda: len(recorder.messages) == len(signals) + 1)
    found = {message.topic.rpartition(".")[2] for message in recorder.messages if message.type == "state.changed"}
    assert {each.replace("value[0]", "joints[0]") for each in found} == signals


async def test_events_in_order_with_their_types_and_topics(twin: Twin) -> None:
    recorder = Recorder()
    await note(twin, "early", "line_1", 0)
    rules = [{**EVENTS, "nodes": ["line_1"], "kinds": ["anomaly", "failure"]}, {**EVENTS, "kinds": ["failure"]}]
    async with publishing(twin, recorder, *rules):
        await note(twin, "anomaly", "line_1.conveyor.c_speed", 1, identity="a")
        await note(twin, "anomaly", "line_1.conveyor.c_speed", 1, identity="a", until=2 * NS)
        await note(twin, "anomaly", "line_2.pump", 3)
        await asyncio.to_thread(twin.reports.report, Report("failure", "line_2.pump", 4 * NS, 5 * NS))
        await until(lambda: len(recorder.messages) == 3)
    assert [message.type for message in recorder.messages] == ["anomaly.detected", "anomaly.cleared", "failure.ended"]
    first = recorder.messages[0]
    assert first.topic == "berlin/line_1/conveyor/c_speed/_events/anomaly"
    assert (first.data["equipment_id"], first.data["n"], first.data["kind"]) == ("line_1.conveyor", 1, "anomaly")
    assert [message.data["seq"] for message in recorder.messages] == sorted(m.data["seq"] for m in recorder.messages)
    assert not first.retain


async def test_templates_and_formats(twin: Twin) -> None:
    recorder = Recorder()
    template = "plant/${site}/${area}/${line}/${component}/${signal}"
    rules = [
        {"signals": ["speed"], "topic_template": template, "format": "value", "retain": False},
        {"signals": ["speed"], "topic_template": "ce", "format": "cloudevents"},
    ]
    async with publishing(twin, recorder, *rules):
        await show(twin, c_speed=1.5)
        await until(lambda: len(recorder.messages) == 2)
    event, value = sorted(recorder.messages, key=lambda message: message.topic)  # rules do not wait for each other
    assert (value.topic, value.encoded(), value.retain) == ("plant/berlin/line_1/conveyor/speed", b"1.5", False)
    told = json.loads(event.encoded())
    assert (told["specversion"], told["type"], told["subject"]) == (
        "1.0", "iotsense.state.changed", "line_1.conveyor.c_speed",
    )  # fmt: skip
    assert told["data"]["measurements"][0]["value"] == 1.5
    assert event.media_type == "application/cloudevents+json"


# Coalescing


async def test_a_slow_endpoint_gets_the_newest_of_each_signal(twin: Twin) -> None:
    recorder = Recorder()
    async with publishing(twin, recorder, {"topic_template": "${signal}"}) as publisher:
        recorder.gate.clear()
        for value in range(100):
            await show(twin, c_speed=value, flow=-value)
        assert publisher.refresh().behind["states"] <= 2
        recorder.gate.set()
        await until(lambda: recorder.values("speed")[-1:] == [99] and recorder.values("flow")[-1:] == [-99])
        assert len(recorder.messages) < 12


async def test_a_rate_holds_back_and_the_last_value_always_comes(twin: Twin) -> None:
    recorder = Recorder()
    async with publishing(twin, recorder, {"max_rate": 5, "topic_template": "${signal}"}):
        for value in range(40):
            await show(twin, c_speed=value)
            await asyncio.sleep(0.01)
        await until(lambda: recorder.values("speed")[-1:] == [39])
        assert 2 <= len(recorder.values("speed")) <= 8


async def test_what_comes_back_from_a_broker_is_not_told_again(twin: Twin) -> None:
    recorder = Recorder()
    async with publishing(twin, recorder, {"topic_template": "${signal}"}):
        await show(twin, c_speed=1)
        await until(lambda: recorder.messages)
        reading = twin.state.read(twin.graph.find_signal("c_speed").index)
        assert reading is not None
        same = ReadingBatch.of([twin.graph.find_signal("c_speed").index], [reading.time], [1.0])
        for _ in range(5):
            await twin.append(same)
        await show(twin, c_speed=2)
        await until(lambda: len(recorder.messages) == 2)
    assert recorder.values("speed") == [1, 2]


async def test_every_reading_in_its_order(twin: Twin) -> None:
    recorder = Recorder()
    async with publishing(twin, recorder, {"every_reading": True, "topic_template": "${signal}"}):
        recorder.gate.clear()
        for value in range(300):
            await show(twin, c_speed=value)
        recorder.gate.set()
        await until(lambda: len(recorder.messages) == 300)
    assert recorder.values("speed") == list(range(300))


async def test_the_state_of_a_twin_as_a_document(twin: Twin) -> None:
    recorder = Recorder()
    await show(twin, c_speed=1, flow=5)
    async with publishing(twin, recorder, {"publish": "twin", "nodes": ["line_1"], "max_rate": 10}):
        await until(lambda: recorder.messages)
        (first,) = recorder.messages
        assert (first.type, first.topic, first.retain) == ("twin.changed", "berlin/line_1/_twin", True)
        assert first.data["twin_id"] == "line_1"
        assert first.data["components"][0]["state"] == {"speed": 1}
        for value in range(30):
            await show(twin, c_speed=value, flow=value)
            await asyncio.sleep(0.01)
        await until(lambda: recorder.messages[-1].data["components"][0]["state"]["speed"] == 29)
        assert set(recorder.topics()) == {"berlin/line_1/_twin"}
        assert 3 <= len(recorder.messages) <= 10


# Failures


async def test_an_endpoint_that_is_away_gets_everything_when_it_is_back(twin: Twin) -> None:
    recorder = Recorder()
    rules = [{"every_reading": True, "topic_template": "r/${signal}"}, {"topic_template": "s/${signal}"}, EVENTS]
    async with publishing(twin, recorder, *rules) as publisher:
        recorder.error = SourceError("nobody answers")
        for value in range(20):
            await show(twin, c_speed=value)
            await note(twin, "tick", "line_1", value)
        await until(lambda: publisher.status.state == "backoff")
        assert publisher.status.error == "nobody answers"
        assert not recorder.messages
        recorder.error = None
        await until(lambda: len(recorder.values("r/speed")) == 20 and recorder.values("s/speed")[-1:] == [19])
        ticks = [message.data["n"] for message in recorder.messages if message.type == "tick.begun"]
        assert ticks == list(range(20))
        assert len(recorder.values("s/speed")) < 20
        await until(lambda: publisher.status.state == "running")
        assert publisher.status.error is None and publisher.status.published >= 41


async def test_a_connection_that_is_lost_is_made_anew(twin: Twin) -> None:
    recorder = Recorder()
    async with publishing(twin, recorder, EVENTS) as publisher:
        await until(lambda: publisher.status.state == "running")
        recorder.dead.set()
        await until(lambda: recorder.opened == 2 and publisher.status.state == "running")
        await note(twin, "tick", "line_1", 1)
        await until(lambda: recorder.messages)


async def test_what_is_refused_is_left_out_and_told(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.ingest.publisher._REFUSED_PAUSE_S", 0.0)
    recorder = Recorder()
    recorder.refuses = lambda message: message.data.get("n") == 2
    async with publishing(twin, recorder, EVENTS) as publisher:
        recorder.gate.clear()
        for number in range(5):
            await note(twin, "tick", "line_1", number)
        recorder.gate.set()
        await until(lambda: len(recorder.messages) == 4)
        assert [message.data["n"] for message in recorder.messages] == [0, 1, 3, 4]
        assert publisher.status.refused == 1
        assert "it answers 422" in str(publisher.status.refusal)


async def test_a_slow_endpoint_delays_no_other(twin: Twin) -> None:
    slow, quick = Recorder(), Recorder()
    slow.gate.clear()
    async with publishing(twin, slow, EVENTS), publishing(twin, quick, EVENTS):
        for number in range(50):
            await note(twin, "tick", "line_1", number)
        await until(lambda: len(quick.messages) == 50)
        assert not slow.messages
        slow.gate.set()
        await until(lambda: len(slow.messages) == 50)


# Restarts


async def test_it_goes_on_where_it_stopped(twin: Twin) -> None:
    rules = [{"every_reading": True, "topic_template": "r/${signal}"}, {"topic_template": "s/${signal}"}, EVENTS]
    first = Recorder()
    await show(twin, c_speed=0)
    async with publishing(twin, first, *rules):
        await until(lambda: first.values("s/speed"))
        await until(lambda: twin.position("publish:e:events"))
        await show(twin, c_speed=1)
        await note(twin, "tick", "line_1", 1)
        await until(lambda: len(first.messages) == 4)
    await show(twin, c_speed=2)
    await show(twin, c_speed=3)
    await note(twin, "tick", "line_1", 2)
    second = Recorder()
    async with publishing(twin, second, *rules):
        await until(lambda: len(second.messages) == 4)
        await asyncio.sleep(0.1)
    assert second.values("r/speed") == [2, 3]
    assert second.values("s/speed") == [3]
    assert [message.data["n"] for message in second.messages if message.type == "tick.begun"] == [2]


async def test_other_rules_for_states_begin_with_all_that_is_known(twin: Twin) -> None:
    await show(twin, c_speed=1, flow=2)
    async with publishing(twin, first := Recorder(), {"signals": ["speed"]}) as publisher:
        await until(lambda: first.messages and not publisher._moved)
    async with publishing(twin, second := Recorder(), {"signals": ["speed", "flow"]}):
        await until(lambda: len(second.messages) == 2)


async def test_an_idle_endpoint_writes_nothing(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.ingest.publisher.SAVE_S", 0.02)
    recorder = Recorder()
    async with publishing(twin, recorder, {}, {"every_reading": True}, EVENTS) as publisher:
        await show(twin, c_speed=1)
        await until(lambda: len(recorder.messages) == 2 and not publisher._moved)
        await asyncio.sleep(0.1)
        last = twin.last_seq
        await asyncio.sleep(0.2)
        assert twin.last_seq == last


async def test_readings_that_the_journal_no_longer_has_are_told(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    async with publishing(twin, recorder, {"every_reading": True}) as publisher:
        await until(lambda: publisher.status.state == "running")
    for value in range(5):
        await show(twin, c_speed=value)
    monkeypatch.setattr(Twin, "first_seq", property(lambda twin: twin.last_seq - 1))
    async with publishing(twin, recorder, {"every_reading": True}) as publisher:
        await until(lambda: len(recorder.messages) == 2)
        (gap,) = publisher.refresh().gaps
        assert gap[1] == twin.first_seq - 1


# Definitions that change


async def test_a_change_restarts_exactly_the_endpoints_that_it_changes(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Recorder] = []

    def recorder(_: Any) -> Recorder:
        made.append(Recorder())
        return made[-1]

    monkeypatch.setattr("iotsense.ingest.publisher.sender_of", recorder)

    def project(**signals: str) -> Project:
        rules = {id: [{"signals": [name]}] for id, name in signals.items()}
        endpoints = [{"id": id, "type": "mqtt", "url": "mqtt://h", "rules": each} for id, each in rules.items()]
        return Project.model_validate({"iotsense": {"publishing": endpoints}})

    supervisor = Supervisor()
    publishing = Publishing(twin, supervisor)
    try:
        await publishing.follow(project(a="speed", b="flow"))
        await until(lambda: all(status.state == "running" for status in publishing.statuses()))
        await publishing.follow(project(a="speed", b="state"))
        await until(lambda: len(made) == 3 and made[2].opened == 1)
        assert [each.opened for each in made] == [1, 1, 1]
        assert {status.name: status.connects for status in publishing.statuses()}["a"] == 1
        await publishing.follow(project(a="speed"))
        assert [status.name for status in publishing.statuses()] == ["a"]
        await show(twin, c_speed=3)
        await until(lambda: made[0].messages)
    finally:
        await supervisor.stop()
