"""docs/schema.graphql is what the code says, and breaks nobody whom the changelog does not warn."""

import re
from pathlib import Path

import contract
import pytest
from click.testing import CliRunner

from graphql import build_schema, find_breaking_changes
from iotsense.cli import cli
from iotsense.graphql.schema import schema

ROOT = Path(__file__).parents[1]
RELEASED = contract.GRAPHQL.read_text("utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")


def announced(changelog: str) -> set[str]:
    """What the newest section names in backquotes under "Breaking"."""
    newest = changelog.split("\n## ")[1]
    _, _, breaking = newest.partition("\n### Breaking\n")
    return set(re.findall(r"`([^`]+)`", breaking.partition("\n### ")[0]))


def unannounced(old: str, new: str, changelog: str) -> list[str]:
    """The breaking changes whose element the changelog does not name."""
    before, after = build_schema(old), build_schema(new)
    known = before.type_map.keys() | after.type_map.keys()
    told = announced(changelog)
    found = []
    for change in find_breaking_changes(before, after):
        elements = re.findall(r"@?\w+(?:\.\w+)?(?:\(\w+:\))?", change.description)
        element = next(each for each in elements if each[0] == "@" or re.split(r"[.(]", each)[0] in known)
        if element not in told:
            found.append(f"{element}: {change.description}")
    return found


def test_the_schema_in_the_docs_is_that_of_the_code() -> None:
    written = (ROOT / "docs" / "schema.graphql").read_text("utf-8")
    assert written == schema.as_str() + "\n", "make it with `python -m iotsense schema --graphql > docs/schema.graphql`"


def test_the_verb_prints_it() -> None:
    assert CliRunner().invoke(cli, ["schema", "--graphql"]).output == schema.as_str() + "\n"


def test_what_breaks_is_announced() -> None:
    assert unannounced(RELEASED, schema.as_str(), CHANGELOG) == []


OLD = "type Query { a(x: Int): Thing b: Int! c: Kind } type Thing { id: ID! name: String } enum Kind { ONE TWO }"


@pytest.mark.parametrize(
    ("new", "element"),
    [
        (
            "type Query { a(x: Int): Thing c: Kind } type Thing { id: ID! name: String } enum Kind { ONE TWO }",
            "Query.b",
        ),
        (OLD.replace(" name: String", ""), "Thing.name"),
        (OLD.replace("b: Int!", "b: Int"), "Query.b"),
        (OLD.replace("(x: Int)", ""), "Query.a(x:)"),
        (OLD.replace("x: Int", "x: Int, y: Int!"), "Query.a(y:)"),
        (OLD.replace("c: Kind", "").replace("enum Kind { ONE TWO }", ""), "Kind"),
        (OLD.replace(" TWO", ""), "Kind.TWO"),
    ],
)
def test_a_change_that_breaks_somebody_is_seen_until_it_is_announced(new: str, element: str) -> None:
    quiet = f"# Changelog\n\n## 2 (unreleased)\n\n- `{element}`\n\n## 1\n\n### Breaking\n\n- `{element}`\n"
    (found, *_) = [each for each in unannounced(OLD, new, quiet) if each.startswith(element + ":")]
    assert element in found
    loud = quiet.replace("\n\n## 1\n", f"\n\n### Breaking\n\n- `{element}` is gone\n\n## 1\n")
    assert not any(each.startswith(element + ":") for each in unannounced(OLD, new, loud))


def test_what_is_new_breaks_nobody() -> None:
    new = OLD.replace("x: Int", "x: Int, y: Int").replace("id: ID!", "id: ID! more: [Int]")
    assert unannounced(OLD, new, CHANGELOG) == []
