"""Limits on the shape of a question, whatever its fragments do."""

import pytest

from graphql import parse
from iotsense.graphql.shape import DEEPEST, MOST_ALIASES, misshapen


def told(question: str) -> list[str]:
    return [error.message for error in misshapen(parse(question))]


def nested(levels: int) -> str:
    return "{ " + "a { " * (levels - 1) + "a" + " }" * levels


def test_as_deep_as_allowed_and_a_level_more() -> None:
    assert told(nested(DEEPEST + 1)) == []
    assert told(nested(DEEPEST + 2)) == [f"'anonymous' exceeds maximum operation depth of {DEEPEST}"]
    assert told("query q " + nested(DEEPEST + 2))[0].startswith("'q' exceeds")
    assert told(nested(9).replace("a", "__schema", 1)) == []


def test_depth_goes_through_fragments() -> None:
    fragment = f"fragment f on Node {nested(DEEPEST)}"
    assert told(f"{{ a {{ ...f }} }} {fragment}") == []
    assert len(told(f"{{ a {{ a {{ ...f }} }} }} {fragment}")) == 1
    assert len(told(f"{{ a {{ ... on Node {{ a {{ ...f }} }} }} }} {fragment}")) == 1


def test_aliases_count_as_often_as_they_are_spread() -> None:
    aliases = " ".join(f"a{i}: b" for i in range(MOST_ALIASES // 2))
    fragment = f"fragment f on Node {{ {aliases} }}"
    assert told(f"{{ ...f x {{ ...f }} }} {fragment}") == []
    assert told(f"{{ ...f x {{ ...f }} y: z }} {fragment}") == [
        f"{MOST_ALIASES + 1} aliases found. Allowed: {MOST_ALIASES}"
    ]


@pytest.mark.parametrize("last", ["id", "...f0", "...gone"])
def test_fragments_that_double_take_no_time(last: str) -> None:
    """Two to the power of two hundred spreads."""
    doubling = " ".join(f"fragment f{i} on Node {{ ...f{i + 1} ...f{i + 1} }}" for i in range(200))
    assert told(f"{{ ...f0 }} {doubling} fragment f200 on Node {{ {last} }}") == []
    aliased = told(f"{{ ...f0 }} {doubling} fragment f200 on Node {{ a: {last if last == 'id' else 'id'} }}")
    assert aliased == [f"{2**200} aliases found. Allowed: {MOST_ALIASES}"]


def test_a_number_has_an_end() -> None:
    assert told("{ a(b: " + "9" * 400 + ") }") == []
    assert told("{ a(b: [{ c: -" + "9" * 400 + " }]) }") == ["a number has 401 digits. Allowed: 400"]
