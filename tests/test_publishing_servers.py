"""Published to real peers, from a service that is a process of its own: mosquitto, Kafka, a web service; and killed."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka_fixtures import Kafka, KafkaPeer
from mosquitto_fixtures import Mosquitto
from publishing_fixtures import SECRET, Subscriber, WebService
from service_fixtures import API, Process, document, process, write_plant

from iotsense.ingest.publish_kafka import KafkaSender
from iotsense.ingest.publish_message import Outgoing
from iotsense.ingest.publish_webhook import WebhookSender
from iotsense.twin.define_publishing import KafkaPublishing, WebhookPublishing
from iotsense.twin.errors import SourceError

PLANT = """
digital_twins:
  - name: line_1
    components:
      - id: conveyor
        sensors: [{id: speed, unit: m/s}, {id: count}, {id: state, labels: [stopped, running]}]
anomaly_detection:
  rules:
    - name: fast
      type: threshold
      sensor: speed
      conditions: [{metric: value, operator: ">", threshold: 5, severity: warning}]
iotsense:
  publishing:
"""


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@contextmanager
def running(directory: Path, *endpoints: dict[str, Any], **environment: str) -> Iterator[Process]:
    text = PLANT + "".join(f"    - {json.dumps(endpoint)}\n" for endpoint in endpoints)
    with process(directory / "data", "-c", str(write_plant(directory, text)), environment=environment) as service:
        assert service.url
        yield service


def show(service: Process, **values: Any) -> None:
    body = [document("conveyor", name, value) for name, value in values.items()]
    httpx.post(f"{service.url}{API}/telemetry", json=body).raise_for_status()


def note(service: Process, number: int) -> None:
    body = {"kind": "tick", "node": "conveyor", "values": {"n": number}, "capture": []}
    httpx.post(f"{service.url}{API}/events", json=body).raise_for_status()


def endpoint(service: Process, name: str) -> Any:
    found = httpx.get(f"{service.url}{API}/publishing").json()["endpoints"]
    return next(each for each in found if each["name"] == name)


def mqtt(broker: Mosquitto, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "uns", "type": "mqtt", "url": broker.url, "rules": list(rules) or [{}], **more}


def webhook(service: WebService, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    chosen = list(rules) or [{"publish": "events"}]
    return {"id": "mes", "type": "webhook", "url": service.url, "secret": "${HOOK}", "rules": chosen, **more}


# MQTT


@pytest.mark.needs("mosquitto", "mosquitto-clients")
def test_mqtt(mosquitto: Mosquitto, tmp_path: Path) -> None:
    rules = [{}, {"signals": ["count"], "topic_template": "v/${signal}", "format": "value"}, {"publish": "events"}]
    subscriber = Subscriber(mosquitto.port)
    with running(tmp_path, mqtt(mosquitto, *rules)) as service:
        show(service, speed=6, state="running")
        until(lambda: any("anomaly" in topic for topic, _, _ in subscriber.heard))
        show(service, count=7)
        until(lambda: ("v/count", "7", False) in subscriber.heard)
        topics = {topic: payload for topic, payload, _ in subscriber.heard}
        told = json.loads(topics["line_1/conveyor/state"])
        assert told["measurements"][0] | {"device": told["device_id"]} == {
            "name": "state", "value": "running", "quality": "good", "device": "line_1.conveyor",
        }  # fmt: skip
        anomaly = json.loads(topics["line_1/conveyor/_events/anomaly"])
        assert anomaly["type"] == "anomaly.detected" and anomaly["data"]["rule"] == "fast"
        late = Subscriber(mosquitto.port, topic="line_1/#")
        until(lambda: any(topic == "line_1/conveyor/speed" and kept for topic, _, kept in late.heard))
        assert not any("_events" in topic for topic, _, _ in late.heard)
        late.close()
        assert endpoint(service, "uns")["state"] == "running"
        # The broker goes; what happens meanwhile is told when it is back, perhaps before we are: our session lasts.
        lasting = ("-c", "-i", "listener")
        before = Subscriber(mosquitto.port, *lasting)
        until(lambda: before.heard)
        before.close()
        mosquitto.save()
        mosquitto.kill()
        until(lambda: endpoint(service, "uns")["state"] == "backoff")
        note(service, 1)
        health = httpx.get(f"{service.url}/health").json()
        assert any(reason.startswith("endpoint uns is in ") for reason in health["reasons"])
        subscriber.close()
        mosquitto.start()
        again = Subscriber(mosquitto.port, *lasting)
        until(lambda: any("_events/tick" in topic for topic, _, _ in again.heard))
        again.close()


@pytest.mark.needs("mosquitto", "mosquitto-clients")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"username": "plant", "password": "${WRONG}"}, "the broker refuses us: check username and password of plant"),
        ({"password": "${NOT_SET}", "username": "plant"}, "the variable NOT_SET is not set"),
        ({"url": "mqtt://127.0.0.1:9"}, "refused"),
    ],
)
def test_mqtt_says_what_is_wrong(mosquitto: Mosquitto, tmp_path: Path, given: dict[str, Any], words: str) -> None:
    mosquitto.stop()
    mosquitto.password("plant", "secret")
    mosquitto.start()
    with running(tmp_path, mqtt(mosquitto, **given), WRONG="wrong") as service:
        until(lambda: endpoint(service, "uns")["error"])
        assert words in endpoint(service, "uns")["error"]


@pytest.mark.needs("mosquitto", "mosquitto-clients")
def test_a_broker_that_does_not_let_us_write(mosquitto: Mosquitto, tmp_path: Path) -> None:
    mosquitto.stop()
    acl = mosquitto.folder / "acl"
    acl.write_text("topic read #\n")
    mosquitto.settings += f"\nacl_file {acl}\n"
    mosquitto.start()
    with running(tmp_path, mqtt(mosquitto)) as service:
        show(service, speed=1)
        # This broker resets the connection after it denied a message; whether we get to read why is a matter of luck.
        until(lambda: endpoint(service, "uns")["error"])
        assert endpoint(service, "uns")["error"] in (
            "the broker refuses what is published (Not authorized): let us write to its topics",
            "the broker ended the connection without a word; perhaps it does not let us write",
        )


# Webhooks


@pytest.fixture
def web_service() -> Iterator[WebService]:
    service = WebService()
    service.start()
    yield service
    service.kill()


@pytest.mark.needs("node")
def test_webhooks(web_service: WebService, tmp_path: Path) -> None:
    rules = [
        {"publish": "events", "kinds": ["anomaly"]},
        {"signals": ["speed", "count"], "max_rate": 20},
        {"publish": "twin"},
    ]
    given = webhook(web_service, *rules, headers={"Authorization": "Bearer ${TOKEN}"})
    with running(tmp_path, given, HOOK=SECRET, TOKEN="t0ken") as service:
        show(service, speed=6)
        until(lambda: {"anomaly.detected", "state.changed"} <= {each["type"] for each in web_service.requests()})
        show(service, speed=1)
        until(lambda: "anomaly.cleared" in [each["type"] for each in web_service.requests()])
        got = web_service.requests()
        assert all(each["signed"] and each["method"] == "POST" for each in got)
        assert {each["authorization"] for each in got} == {"Bearer t0ken"}
        assert {each["path"] for each in got} == {"/webhooks/iotsense"}
        anomaly = next(each for each in got if each["type"] == "anomaly.detected")
        # As the specification's example reads it.
        assert (anomaly["data"]["equipment_id"], anomaly["data"]["severity"]) == ("line_1.conveyor", "warning")
        state = next(each for each in got if each["type"] == "state.changed")
        assert state["data"][0]["measurements"][0]["name"] == "speed"
        until(lambda: "twin.changed" in [each["type"] for each in web_service.requests()])
        twin = next(each for each in web_service.requests() if each["type"] == "twin.changed")
        assert (twin["data"]["twin_id"], twin["data"]["components"][0]["id"]) == ("line_1", "conveyor")
        # It is told everything, though it fails and is away now and then.
        web_service.tell("answer", {"status": 500, "times": 2, "body": "out of order"})
        web_service.tell("answer", {"status": 422, "times": 3, "body": "no such equipment"})
        show(service, speed=7)
        until(lambda: endpoint(service, "mes")["refused"] == 1)
        assert "it answers 422 Unprocessable Entity: no such equipment" in endpoint(service, "mes")["refusal"]
        web_service.tell("answer", {"status": 401, "times": 1})
        show(service, speed=1)
        until(lambda: "check `headers` and `secret`" in str(endpoint(service, "mes")["error"]))
        until(lambda: endpoint(service, "mes")["state"] == "running")
        metrics = httpx.get(f"{service.url}/metrics").text
        assert 'iotsense_endpoint_refused_total{endpoint="mes"} 1' in metrics
        graphql = {"query": "{ publishing { id type state refused refusal behind { what count } } }"}
        (told,) = httpx.post(f"{service.url}/graphql", json=graphql).json()["data"]["publishing"]
        assert (told["id"], told["type"], told["refused"]) == ("mes", "webhook", 1)


@pytest.mark.needs("node")
def test_cloud_events(web_service: WebService, tmp_path: Path) -> None:
    rule = {"publish": "events", "kinds": ["tick"], "format": "cloudevents"}
    with running(tmp_path, webhook(web_service, rule), HOOK=SECRET) as service:
        note(service, 3)
        until(web_service.requests)
        (got,) = web_service.requests()
        assert got["media"] == "application/cloudevents+json" and got["signed"]
        assert (got["whole"]["specversion"], got["whole"]["type"]) == ("1.0", "iotsense.tick.begun")
        assert got["whole"]["data"]["values"] == {"n": 3}


@pytest.mark.needs("node")
def test_a_secret_that_is_not_set(web_service: WebService, tmp_path: Path) -> None:
    with running(tmp_path, webhook(web_service)) as service:
        until(lambda: endpoint(service, "mes")["state"] == "failed")
        assert endpoint(service, "mes")["error"] == "the variable HOOK is not set"


async def test_nobody_answers() -> None:
    settings = {"id": "w", "type": "webhook", "url": "http://127.0.0.1:9/x", "rules": [{}]}
    sender = WebhookSender(WebhookPublishing.model_validate(settings))
    await sender.open()
    with pytest.raises(SourceError, match=r"nobody answers there .*: is it running, and are host and port right"):
        await sender.send([Outgoing("tick.begun", "1", "k", 0, {})])
    await sender.close()


# Kafka


@pytest.mark.needs("kafka", "openssl", "node")
def test_kafka(kafka_server: Kafka, kafka_peer: KafkaPeer, tmp_path: Path) -> None:
    states, events = kafka_peer.topic(3), kafka_peer.topic()
    rules = [
        {"every_reading": True, "signals": ["count"], "topic_template": states},
        {"publish": "events", "kinds": ["anomaly"], "topic_template": events},
    ]
    given = {"id": "lake", "type": "kafka", "bootstrap_servers": [kafka_server.address], "rules": rules}
    with running(tmp_path, given) as service:
        for value in range(20):
            show(service, count=value)
        show(service, speed=9)
        read = kafka_peer.ask("read", topic=states, count=20)
        counts = [
            json.loads(each["value"])["measurements"][0]["value"] for each in read if each["key"].endswith("count")
        ]
        assert counts == list(range(20))
        assert {each["headers"]["content-type"] for each in read} == {"application/json"}
        (anomaly,) = kafka_peer.ask("read", topic=events, count=1)
        assert (anomaly["headers"]["type"], json.loads(anomaly["value"])["data"]["rule"]) == (
            "anomaly.detected",
            "fast",
        )


@pytest.mark.needs("kafka", "openssl", "node")
async def test_kafka_says_what_is_wrong(kafka_server: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.ingest.publish_kafka._TIMEOUT_MS", 500)
    for server, words in (
        ("127.0.0.1:9", "127.0.0.1:9: "),
        (kafka_server.address, "the cluster has no topic nobody.made.this, and makes none by itself: create it"),
    ):
        settings = {"id": "k", "type": "kafka", "bootstrap_servers": [server], "rules": [{}]}
        sender = KafkaSender(KafkaPublishing.model_validate(settings))
        with pytest.raises(SourceError, match=words):
            await sender.open()
            await sender.send([Outgoing("tick.begun", "1", "k", 0, {}, topic="nobody/made/this")])
        await sender.close()


# kill -9


@pytest.mark.needs("mosquitto", "mosquitto-clients", "kafka", "openssl", "node")
def test_killed_it_goes_on_where_it_stopped(
    mosquitto: Mosquitto, kafka_server: Kafka, kafka_peer: KafkaPeer, web_service: WebService, tmp_path: Path
) -> None:
    """All three at once, and one of them away: nothing is missing, and what comes again comes in order."""
    topic = kafka_peer.topic()
    events = {"publish": "events", "kinds": ["tick"]}
    every = {"every_reading": True, "signals": ["count"], "format": "value"}
    endpoints = [
        mqtt(mosquitto, {**events, "topic_template": "ticks"}, {**every, "topic_template": "counts"}),
        webhook(web_service, events),
        {"id": "lake", "type": "kafka", "bootstrap_servers": [kafka_server.address],
         "rules": [{**events, "topic_template": topic}]},
    ]  # fmt: skip
    subscriber = Subscriber(mosquitto.port, "-i", "outside", "-c")
    total = 0
    for round in range(3):
        if round == 1:
            web_service.requests()
            web_service.kill()
        with running(tmp_path, *endpoints, HOOK=SECRET) as service:
            for _ in range(25):
                note(service, total)
                show(service, count=total)
                total += 1
            service.kill()
        if round == 1:
            web_service.start()
    with running(tmp_path, *endpoints, HOOK=SECRET) as service:
        until(lambda: total - 1 in numbers(each["data"] for each in web_service.requests()))
        until(lambda: [payload for name, payload, _ in subscriber.heard if name == "counts"][-1:] == [str(total - 1)])
        until(lambda: endpoint(service, "lake")["behind"]["events"] == 0)
        kafka = [
            json.loads(each["value"])["data"] for each in kafka_peer.ask("read", topic=topic, count=9999, timeout=3000)
        ]
    ticks = [json.loads(payload)["data"] for name, payload, _ in subscriber.heard if name == "ticks"]
    counts = [int(payload) for name, payload, _ in subscriber.heard if name == "counts"]
    subscriber.close()
    for heard in (numbers(ticks), counts, numbers(kafka), numbers(each["data"] for each in web_service.requests())):
        assert list(dict.fromkeys(heard)) == list(range(total))
        assert len(heard) < 2 * total


def numbers(data: Any) -> list[int]:
    return [each["values"]["n"] for each in data]
