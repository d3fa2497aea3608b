"""What a project says about ingest, under the names by which its sources call themselves."""

from zoneinfo import ZoneInfo

import pytest

from iotsense.ingest.ingest_config import IngestConfig
from iotsense.ingest.mqtt_broker import mqtt_brokers
from iotsense.twin.define_project import Project

SCHEMA = {"value": "$.v"}


def broker(host: str, pattern: str, **fields: object) -> dict[str, object]:
    topics = [{"pattern": pattern, "schema": SCHEMA}]
    return {"name": "mqtt", "broker": f"mqtt://{host}:1883", "topics": topics, **fields}


def test_each_broker_has_its_own_topics_and_zone() -> None:
    protocols = [
        broker("a", "x/#"),
        broker("b", "y/#", timezone="Europe/Berlin"),
        broker("c", "z/#", id="hall", timezone="Asia/Tokyo"),
        broker("a", "w/#"),
    ]
    mqtt = {"brokers": [{"url": "mqtt://d:1883"}], "topics": ["v/#"]}
    project = Project.model_validate(
        {"sensor_ingestion": {"protocols": protocols}, "iotsense": {"ingestion": {"mqtt": mqtt}}}
    )
    config = IngestConfig.of(project)
    names = {broker.host: broker.name for broker in mqtt_brokers(project)}
    assert [(source, pattern) for source, pattern, _ in config.parsers] == [
        (names["a"], "x/#"),
        (names["b"], "y/#"),
        ("hall", "z/#"),
        (names["a"], "w/#"),
        (None, "v/#"),
    ]
    assert len({names[host] for host in "abcd"}) == 4
    assert config.zone(names["b"]) == ZoneInfo("Europe/Berlin")
    assert config.zone("hall") == ZoneInfo("Asia/Tokyo")
    assert str(config.zone(names["a"])) == "UTC"


def test_what_secrets_stand_for_is_known_to_be_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "open sesame")
    protocols = [
        broker("a", "x/#", username="u", password="${BROKER_PASSWORD}"),
        broker("b", "y/#", password="${UNSET}"),
    ]
    config = IngestConfig.of(Project.model_validate({"sensor_ingestion": {"protocols": protocols}}))
    assert config.secrets == ("open sesame",)


def test_limits() -> None:
    ingestion = {"unbound": "dead_letter", "discovery_limit": 7, "max_ahead": "5m"}
    config = IngestConfig.of(Project.model_validate({"sensor_ingestion": ingestion}))
    assert (config.unbound, config.discovery_limit, config.max_ahead) == ("dead_letter", 7, 300.0)
    assert IngestConfig.of(Project()) == IngestConfig()
    for word in ("off", "none", "unlimited"):
        project = Project.model_validate({"sensor_ingestion": {"discovery_limit": word}})
        assert IngestConfig.of(project).discovery_limit is None
