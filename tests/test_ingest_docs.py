"""The examples of docs/ingest.md: the YAML is valid, the document is taken."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ingest_fixtures import publish, running, value

from iotsense.ingest.message import Message
from iotsense.twin.define_project import Project

PAGE = (Path(__file__).parent.parent / "docs" / "ingest.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def test_the_page_has_examples() -> None:
    assert sorted(language for language, _ in BLOCKS) == ["json", "yaml", "yaml"]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_yaml_is_valid(text: str) -> None:
    Project.model_validate(yaml.safe_load(text))


async def test_the_document_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as pipeline:
        (text,) = blocks("json")
        receipt = await pipeline.submit(Message("http", telemetry=text.encode()))
        assert (receipt.accepted, receipt.dead_lettered) == (2, 0)


async def test_the_batch_of_a_gateway(tmp_path: Path) -> None:
    sections: dict[str, Any] = yaml.safe_load(blocks("yaml")[0])
    async with running(tmp_path, **sections) as pipeline:
        items = [{"dev": "conveyor_1", "tag": "conv1_motor_temp", "v": 50}, {"dev": "oven", "tag": "heat", "v": 180}]
        receipt = await publish(pipeline, "gateways/7/batch", {"ts": 1705314600, "items": items})
        assert receipt.accepted == 2
        assert value(pipeline, "conv1_motor_temp") == 50
        assert value(pipeline, "oven.heat") == 180
