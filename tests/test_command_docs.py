"""The examples of docs/commands.md are valid."""

import re
from pathlib import Path

import pytest

from graphql import parse, validate
from iotsense.graphql.schema import schema
from iotsense.twin.command import CommandState
from iotsense.twin.define_writing import Writing
from iotsense.twin.project import load_texts

PAGE = (Path(__file__).parents[1] / "docs" / "commands.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_definition_is_valid() -> None:
    (text,) = blocks("yaml")
    project, findings = load_texts({"page.yaml": text}, {})
    assert project is not None and findings == []
    assert project.sensor_ingestion.protocols[0].writable


@pytest.mark.parametrize("name", [*Writing.model_fields, *(str(s) for s in CommandState)])
def test_everything_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_mutation_fits_the_schema() -> None:
    (text,) = blocks("graphql")
    assert validate(schema._schema, parse(text)) == []


def test_the_python_compiles() -> None:
    for text in blocks("python"):
        compile(text, "commands.md", "exec")
