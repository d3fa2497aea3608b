"""The examples of docs/publishing.md are what the code does."""

import json
import re
from pathlib import Path

import pytest

from iotsense.ingest.telemetry import decode_documents
from iotsense.twin.define_publishing import TOPIC_NAMES, PublishingRule
from iotsense.twin.project import load_texts

PAGE = (Path(__file__).parents[1] / "docs" / "publishing.md").read_text("utf-8")
PLANT = """
digital_twins:
  - name: production_line_1
    components: [{id: conveyor, type: conveyor, sensors: [{id: speed}]}]
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_definition_is_valid() -> None:
    (text,) = blocks("yaml")
    environment = {"MQTT_PASSWORD": "a", "WEBHOOK_SECRET": "b", "CMMS_TOKEN": "c"}
    project, findings = load_texts({"page.yaml": text, "plant.yaml": PLANT}, environment)
    assert project is not None and findings == []
    assert [endpoint.type for endpoint in project.iotsense.publishing] == ["mqtt", "kafka", "webhook"]


def test_the_documents_are_what_they_say() -> None:
    state, event = blocks("json")
    (document,) = decode_documents(state.encode())
    assert document.device_id == "line_1.conveyor"
    assert set(json.loads(event)) == {"type", "timestamp", "data"}


@pytest.mark.parametrize("name", [*PublishingRule.model_fields, *TOPIC_NAMES])
def test_everything_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE
