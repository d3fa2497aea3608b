"""The examples of docs/parsers.md: the YAML is valid, and the lists of parsers and settings are complete."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from iotsense.twin.define_payload import Parser
from iotsense.twin.define_payload_formats import CsvFormat, RawFormat, Waveform
from iotsense.twin.define_project import Project

PAGE = (Path(__file__).parents[1] / "docs" / "parsers.md").read_text("utf-8")


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_the_yaml_is_valid(text: str) -> None:
    assert Project.model_validate(yaml.safe_load(text)).sensor_ingestion.protocols


def test_every_parser_and_setting_is_on_the_page() -> None:
    assert [parser for parser in get_args(Parser) if f"| `{parser}` |" not in PAGE] == []
    settings = [name for model in (CsvFormat, RawFormat, Waveform) for name in model.model_fields]
    assert [name for name in settings if not re.search(rf"\b{name}\b", PAGE)] == []
