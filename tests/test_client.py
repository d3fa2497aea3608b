"""The SDK against servers that fail in every way a server can fail, on real sockets."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from http_fixtures import Answer, Sent, scripted
from service_fixtures import document as reading
from service_fixtures import service, write_plant

from iotsense import AsyncIoTSense, IoTSense
from iotsense.rest import problem
from iotsense.twin.errors import (
    InvalidValueError,
    IoTSenseError,
    NotFoundError,
    OverloadedError,
    SourceError,
    StorageFullError,
)

RECEIPT = {"accepted": 1, "dead_lettered": 0, "duplicate": False}


def document(value: float) -> dict[str, Any]:
    return {"device_id": "pump", "measurements": [{"name": "flow", "value": value}]}


def values(documents: list[Any]) -> list[float]:
    return [each["measurements"][0]["value"] for each in documents]


def ok(_: Sent) -> Answer:
    return 202, RECEIPT, {}


def refusal(error: IoTSenseError) -> Answer:
    members = problem.members(error)
    return members["status"], members, {"Retry-After": "0"}


def test_documents_arrive_in_order_and_in_batches() -> None:
    with scripted(ok) as server, IoTSense(url=server.url) as iot:
        for i in range(2000):
            iot.telemetry.send(document(i))
        iot.flush()
        assert values(server.stored()) == list(range(2000))
        assert len(server.requests) < 1000


def test_a_document_without_a_timestamp_gets_the_present() -> None:
    before = datetime.now(UTC)
    with scripted(ok) as server, IoTSense(url=server.url) as iot:
        iot.telemetry.send(document(1))
        iot.telemetry.send({**document(2), "timestamp": "2024-01-15T10:30:00.123Z"})
        iot.flush()
        first, second = server.stored()
    assert before <= datetime.fromisoformat(first["timestamp"]) <= datetime.now(UTC)
    assert second["timestamp"] == "2024-01-15T10:30:00.123Z"


def test_numpy_and_datetime_values_become_json() -> None:
    with scripted(ok) as server, IoTSense(url=server.url) as iot:
        moment = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
        iot.telemetry.send(
            {"device_id": "a", "timestamp": moment, "measurements": [{"name": "v", "value": np.float32(2)}]}
        )
        iot.telemetry.send(
            {"device_id": "b", "timestamp": moment, "measurements": [{"name": "v", "value": np.arange(3)}]}
        )
        iot.flush()
        assert values(server.stored()) == [2, [0, 1, 2]]
        assert server.stored()[0]["timestamp"] == "2024-01-15T10:30:00Z"


def test_what_is_no_document_is_refused_at_once() -> None:
    with scripted(ok) as server, IoTSense(url=server.url) as iot:
        with pytest.raises(InvalidValueError, match="mapping"):
            iot.telemetry.send([["no", "document"]])  # type: ignore[list-item]
        with pytest.raises(InvalidValueError, match="JSON"):
            iot.telemetry.send({"device_id": object()})


@pytest.mark.parametrize("failure", ["broken", "503", "507", "500", "429"])
def test_a_failed_request_goes_again_with_the_same_key_and_bytes(failure: str) -> None:
    left = [2]

    def answer(_: Sent) -> Answer | None:
        left[0] -= 1
        if left[0] < 0:
            return ok(_)
        return None if failure == "broken" else (int(failure), {}, {"Retry-After": "0"})

    with scripted(answer) as server, IoTSense(url=server.url) as iot:
        iot.telemetry.send([document(i) for i in range(10)])
        iot.flush(30)
        assert len(server.requests) == 3
        assert len({sent.headers["idempotency-key"] for sent in server.requests}) == 1
        assert len({sent.body for sent in server.requests}) == 1
        assert values(server.stored()) == list(range(10))


def test_a_lost_answer_stores_nothing_twice() -> None:
    """The server takes it in and the connection breaks: what it stored under a key it knows again."""
    known: dict[str, list[Any]] = {}

    def answer(sent: Sent) -> Answer | None:
        new = sent.headers["idempotency-key"] not in known
        known.setdefault(sent.headers["idempotency-key"], sent.documents)
        return None if new else (202, RECEIPT | {"duplicate": True}, {})

    with scripted(answer) as server, IoTSense(url=server.url) as iot:
        iot.telemetry.send([document(i) for i in range(700)])
        iot.flush(30)
        assert values([each for documents in known.values() for each in documents]) == list(range(700))


def test_one_bad_document_does_not_cost_the_others_their_place() -> None:
    def answer(sent: Sent) -> Answer:
        for i, value in enumerate(values(sent.documents)):
            if value == 13:
                place = f"$[{i}].measurements[0].value" if sent.body.startswith(b"[") else "$.measurements[0].value"
                return refusal(InvalidValueError("an unlucky number", place))
        return ok(sent)

    with scripted(answer) as server:
        iot = IoTSense(url=server.url)
        iot.telemetry.send([document(i) for i in range(20)])
        with pytest.raises(InvalidValueError, match="unlucky") as caught:
            iot.flush()
        assert caught.value.field == "$.measurements[0].value"
        assert values(server.stored()) == [i for i in range(20) if i != 13]
        iot.flush()
        iot.close()


def test_of_a_batch_those_that_were_refused_are_told_and_the_others_are_done() -> None:
    def answer(sent: Sent) -> Answer:
        wrong = [i for i, value in enumerate(values(sent.documents)) if value in (3, 4)]
        if len(sent.documents) == len(wrong):
            return refusal(InvalidValueError("unlucky", "$.measurements[0].value"))
        refused = [{"index": i, "field": f"$[{i}].measurements[0].value", "detail": "unlucky"} for i in wrong]
        return 202, RECEIPT | {"refused": refused}, {}

    with scripted(answer) as server:
        iot = IoTSense(url=server.url)
        iot.telemetry.send([document(i) for i in range(20)])
        with pytest.raises(InvalidValueError, match="unlucky"):
            iot.flush()
        assert sum(3 in values(sent.documents) for sent in server.requests) == 1
        with pytest.raises(InvalidValueError, match="unlucky"):
            iot.telemetry.send([document(i) for i in range(2, 5)], wait=True)
        iot.flush()
        iot.close()


def test_a_refusal_that_names_no_document_is_searched_for() -> None:
    def answer(sent: Sent) -> Answer:
        return refusal(InvalidValueError("no")) if 5 in values(sent.documents) else ok(sent)

    with scripted(answer) as server:
        iot = IoTSense(url=server.url)
        iot.telemetry.send([document(i) for i in range(9)])
        with pytest.raises(InvalidValueError):
            iot.close()
        assert values(server.stored()) == [0, 1, 2, 3, 4, 6, 7, 8]


def test_a_refusal_is_raised_by_the_next_send_which_takes_nothing() -> None:
    def answer(sent: Sent) -> Answer:
        return refusal(InvalidValueError("no")) if values(sent.documents) == [1] else ok(sent)

    with scripted(answer) as server, IoTSense(url=server.url) as iot:
        iot.telemetry.send(document(1))
        with pytest.raises(InvalidValueError):
            iot.flush()
        iot.telemetry.send(document(2))
        iot.flush()
        assert values(server.stored()) == [2]


def test_who_waits_gets_the_refusal_and_nobody_else() -> None:
    def answer(sent: Sent) -> Answer:
        return refusal(InvalidValueError("no", "$.device_id")) if values(sent.documents) == [1] else ok(sent)

    with scripted(answer) as server, IoTSense(url=server.url) as iot:
        with pytest.raises(InvalidValueError, match="no"):
            iot.telemetry.send(document(1), wait=True)
        iot.telemetry.send(document(2), wait=True)
        assert values(server.stored()) == [2]


def test_a_full_buffer_takes_nothing_and_says_why() -> None:
    held = threading.Event()

    def answer(sent: Sent) -> Answer:
        return ok(sent) if held.is_set() else refusal(StorageFullError("no room left in /data"))

    with scripted(answer) as server, IoTSense(url=server.url, buffer=5) as iot:
        iot.telemetry.send([document(i) for i in range(5)])
        with pytest.raises(OverloadedError, match="5 documents wait"):
            iot.telemetry.send([document(5), document(6)])
        held.set()
        iot.flush(30)
        iot.telemetry.send(document(7), wait=True)
        assert values(server.stored()) == [0, 1, 2, 3, 4, 7]


def test_a_refused_key_keeps_documents_and_tells_who_waits() -> None:
    valid = threading.Event()

    def answer(sent: Sent) -> Answer:
        return ok(sent) if valid.is_set() else (401, {"type": "/problems/unauthorized", "detail": "no such key"}, {})

    with scripted(answer) as server, IoTSense("secret", url=server.url) as iot:
        iot.telemetry.send(document(1))
        with pytest.raises(SourceError, match="no such key"):
            iot.telemetry.send(document(2), wait=True)
        valid.set()
        iot.flush(30)
        assert values(server.stored()) == [1]
        assert server.requests[0].headers["authorization"] == "Bearer secret"


def test_documents_wait_for_a_service_that_is_not_there_yet() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    iot = IoTSense(url=url)
    iot.telemetry.send(document(1))
    with pytest.raises(SourceError, match="1 telemetry documents are not delivered"):
        iot.flush(0.3)
    with pytest.raises(SourceError, match="not delivered"):
        iot.close(0.1)
    with pytest.raises(SourceError, match="closed"):
        iot.telemetry.send(document(2))


def test_a_service_that_is_away_is_named() -> None:
    with IoTSense(url="http://127.0.0.1:9") as iot, pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9"):
        iot.twins()


def test_problems_of_reads_are_raised_as_their_own_errors() -> None:
    def answer(_: Sent) -> Answer:
        return refusal(NotFoundError("no twin is called 'x'; did you mean y?"))

    with (
        scripted(answer) as server,
        IoTSense(url=server.url) as iot,
        pytest.raises(NotFoundError, match="did you mean"),
    ):
        iot.state("x")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(ok) as server:
        monkeypatch.setenv("IOTSENSE_URL", server.url)
        monkeypatch.setenv("IOTSENSE_API_KEY", "from-environment")
        with IoTSense() as iot:
            iot.telemetry.send(document(1), wait=True)
        assert server.requests[0].headers["authorization"] == "Bearer from-environment"


async def test_the_async_client_does_the_same() -> None:
    left = [1]

    def answer(sent: Sent) -> Answer | None:
        if 13 in values(sent.documents):
            return refusal(InvalidValueError("no")) if len(sent.documents) == 1 else (400, {}, {})
        left[0] -= 1
        return None if left[0] >= 0 else ok(sent)

    with scripted(answer) as server:
        async with AsyncIoTSense(url=server.url) as iot:
            for i in range(50):
                await iot.telemetry.send(document(i))
            with pytest.raises(InvalidValueError):
                await iot.flush()
            await iot.telemetry.send([document(50), document(51)], wait=True)
            async with asyncio.TaskGroup() as group:
                group.create_task(iot.telemetry.send(document(52), wait=True))
                group.create_task(iot.telemetry.send(document(53), wait=True))
            assert sorted(values(server.stored())) == [i for i in range(54) if i != 13]


async def test_the_async_client_refuses_at_once_what_is_no_document() -> None:
    async with AsyncIoTSense(url="http://127.0.0.1:9") as iot:
        with pytest.raises(InvalidValueError):
            await iot.telemetry.send({"device_id": {1, 2}.__iter__()})
        with pytest.raises(SourceError):
            await iot.twins()


# Against the real service


async def test_telemetry_state_history_and_events(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running:
        await asyncio.to_thread(use, running.url)
        async with AsyncIoTSense(url=running.url) as iot:
            assert [twin["id"] for twin in await iot.twins()] == ["line_1"]
            assert (await iot.twin("line_1"))["level"] == "line"
            assert (await iot.state("line_1"))["components"][0]["state"]["speed"] == 2.5
            assert (await iot.node("robot"))["id"] == "line_1.robot"
            assert len([node async for node in iot.nodes(level="sensor")]) == 4
            history = await iot.history("conveyor.speed", "2024-01-15", "2024-01-16")
            assert history["conveyor.speed"].value.tolist() == [0.5, 1.5, 2.5]
            assert {event["kind"] async for event in iot.events(kind="structure")} == {"structure"}
            async for event in iot.events(kind="anomaly", follow=True):
                assert event["data"]["rule"] == "hot_motor"
                break
            assert (await iot.health())["status"] == "ok"


def use(url: str) -> None:
    with IoTSense(url=url) as iot:
        for i in range(3):
            time = f"2024-01-15T10:30:0{i}.5Z"
            iot.telemetry.send(reading("conveyor", "speed", i + 0.5, time))
            iot.telemetry.send(reading("conveyor", "status", ["stopped", "running"][i % 2], time))
        iot.telemetry.send(reading("conveyor", "motor_temperature", 90), wait=True)
        iot.flush()
        assert [twin["id"] for twin in iot.twins()] == ["line_1"]
        assert iot.twin("line_1")["level"] == "line"
        assert iot.state("line_1")["components"][0]["state"]["speed"] == 2.5
        assert iot.node("robot")["id"] == "line_1.robot"
        assert len(list(iot.nodes(level="sensor"))) == 4
        assert iot.health()["version"]
        look_back(iot)
        for event in iot.events(kind="anomaly", follow=True):
            assert event["data"]["rule"] == "hot_motor"
            break
        with pytest.raises(InvalidValueError, match="expected") as refused:
            iot.telemetry.send({"device_id": "conveyor", "measurements": [{"name": "speed", "value": {}}]}, wait=True)
        assert refused.value.field == "$.measurements[0].value"


def look_back(iot: IoTSense) -> None:
    start, end = datetime(2024, 1, 15, tzinfo=UTC), datetime(2024, 1, 16)
    both = iot.history(["conveyor.speed", "conveyor.status"], start, end)
    speed = both["conveyor.speed"]
    assert speed.time[0] == np.datetime64("2024-01-15T10:30:00.5", "ns")
    assert speed.value.tolist() == [0.5, 1.5, 2.5]
    assert speed.quality == ["good"] * 3
    assert both["conveyor.status"].value.tolist() == ["stopped", "running", "stopped"]
    table = both.to_arrow()
    assert table.column("signal").to_pylist() == ["line_1.conveyor.c_speed"] * 3 + ["line_1.conveyor.c_status"] * 3
    assert table.column("value").to_pylist()[:4] == ["0.5", "1.5", "2.5", "stopped"]
    frame = both.to_pandas()
    assert list(frame.columns) == ["conveyor.speed", "conveyor.status"]
    assert frame["conveyor.speed"].tolist() == [0.5, 1.5, 2.5]
    assert str(frame.index.tz) == "UTC"
    numbers = iot.history("conveyor.speed", "2024-01-15", "2024-01-16").to_arrow()
    assert numbers.column("value").to_pylist() == [0.5, 1.5, 2.5]
    assert numbers.column("time").to_pylist()[0].isoformat() == "2024-01-15T10:30:00.500000+00:00"
    [bucket] = iot.history("conveyor.speed", "2024-01-15", "2024-01-16", points=1).values()
    assert (bucket.value.tolist(), bucket.count is not None and bucket.count.tolist()) == ([1.5], [3])
    with pytest.raises(NotFoundError):
        iot.history("conveyor.sped")


def test_a_program_that_ends_delivers_what_it_sent(tmp_path: Path) -> None:
    program = """
from iotsense import IoTSense
iot = IoTSense()
for i in range(500):
    iot.telemetry.send({"device_id": "pump", "measurements": [{"name": "flow", "value": i}]})
"""
    with scripted(ok) as server:
        environment = os.environ | {"IOTSENSE_URL": server.url}
        subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=tmp_path)
        assert values(server.stored()) == list(range(500))


def test_the_package_is_quick_to_import() -> None:
    program = "import sys, iotsense; print(*sorted({'httpx', 'numpy', 'duckdb', 'pydantic'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == ""


async def test_the_page_about_the_sdk_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "sdk.md").read_text()
    program = "".join(block.partition("```")[0] for block in page.split("```python\n")[1:])
    async with service(tmp_path / "data", write_plant(tmp_path)) as running:
        environment = os.environ | {"IOTSENSE_URL": running.url}
        shown = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=environment, stdout=-1)
        out, _ = await shown.communicate()
        assert shown.returncode == 0
        assert b"line_1" in out
        assert running.twin.state.read(running.twin.graph.find_signal("pump_1.flow").index) is not None
