"""YAML 1.2 with the place of every key and value; mistakes of syntax are findings."""

import math
from typing import Any

import pytest

from iotsense.twin.document import Mapping, Tree, path_of, place_of, scalar, trail


def read(text: str | bytes) -> Any:
    tree = Tree(text, "f.yaml")
    assert [str(finding) for finding in tree.findings] == []
    return tree.documents[0]


def mistakes(text: str | bytes) -> list[str]:
    return [str(finding) for finding in Tree(text, "f.yaml").findings]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:00", "22:00"),
        ("on", "on"),
        ("yes", "yes"),
        ("n", "n"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("014", 14),
        ("0o14", 12),
        ("0x1F", 31),
        ("-7", -7),
        ("1_000", "1_000"),
        ("2.5", 2.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("2024-01-15", "2024-01-15"),
        ("190:20:30", "190:20:30"),
        ("0b11", "0b11"),
        ("=", "="),
        ("1e", "1e"),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: Any) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)
    assert read(f"a: {text}\n")["a"] == value


def test_nan_is_a_number() -> None:
    assert math.isnan(scalar(".nan"))


def test_quoted_scalars_are_texts() -> None:
    assert read("a: \"5\"\nb: 'on'\nc: |\n  12\nd: !!str 5\ne: !!int '5'\n") == {
        "a": "5", "b": "on", "c": "12\n", "d": "5", "e": 5,
    }  # fmt: skip


def test_keys_are_texts() -> None:
    assert read("1m_aggregates: 1\n5: 2\non: 3\nnull: 4\n") == {"1m_aggregates": 1, "5": 2, "on": 3, "null": 4}


def test_each_key_and_value_has_its_place() -> None:
    root = read("a: 1\nb:\n  - x: ü\n    yy:   long\n  - 3\n")
    assert isinstance(root, Mapping)
    steps = trail(root, ("b", 0, "yy"))
    assert place_of(steps[-1], key=True) == ("f.yaml", 4, 5)
    assert place_of(steps[-1]) == ("f.yaml", 4, 11)
    assert place_of(trail(root, ("b", 1))[-1]) == ("f.yaml", 5, 5)
    assert path_of(steps) == ("b", 0, "yy")


def test_a_trail_passes_over_what_leads_nowhere() -> None:
    root = read("a: [{b: 1}]\n")
    assert path_of(trail(root, ("a", 0, "tag-of-a-union", "b", "deeper"))) == ("a", 0, "b")


def test_lists_that_are_joined_keep_the_numbers_of_their_files() -> None:
    root = read("a: [x, y, z]\n")
    root["a"].take_out(0)
    assert path_of(trail(root, ("a", 1))) == ("a", 2)
    assert place_of(trail(root, ("a", 1))[-1]).column == 11


def test_merge_keys_merge_and_do_not_override() -> None:
    root = read("base: &base {unit: bar, low: 0}\na: {<<: *base, low: 5}\nb: {<<: [*base, {high: 1}]}\n")
    assert root["a"] == {"low": 5, "unit": "bar"}
    assert root["b"] == {"unit": "bar", "low": 0, "high": 1}


def test_a_file_may_hold_several_documents_or_none() -> None:
    assert Tree("a: 1\n---\nb: 2\n", "f").documents == [{"a": 1}, {"b": 2}]
    assert Tree("# nothing\n", "f").documents == []


def test_bytes_with_a_byte_order_mark_are_read() -> None:
    assert read(b"\xef\xbb\xbfa: 1\n") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "start", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: error", "the key 'a' twice; the first is in line 1"),
        ("a:\n\tb: 1\n", "f.yaml:2:1: error", "a tab or another character"),
        ("a: b: c\n", "f.yaml:1:5: error", "look at the indentation, or quote the text"),
        ("a: [1, 2\nb: 3\n", "f.yaml:", "no YAML"),
        ("a: *nope\n", "f.yaml:1:4: error", "undefined alias"),
        ("a: &x [1, *x]\n", "f.yaml:1:", "an alias of what it is in"),
        ("? {a: 1}\n: b\n", "f.yaml:1:3: error", "as a key, expected a text"),
        ("a: !!python/object:os.system x\n", "f.yaml:1:4: error", "found the tag"),
        ("a: !secret x\n", "f.yaml:1:4: error", "found the tag !secret"),
        ("a: 1\nb: \x07\n", "f.yaml:2:4: error", "U+0007"),
        (b"a: 1\nb: \xff\n", "f.yaml:2:4: error", "no UTF-8"),
        ("a: {<<: 5}\n", "f.yaml:1:5: error", "without a mapping to merge"),
    ],
)
def test_what_is_no_yaml_is_a_finding_with_its_place(text: str | bytes, start: str, words: str) -> None:
    first = mistakes(text)[0]
    assert first.startswith(start)
    assert words in first


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 5_000, "- " * 100_000, "? - " * 50_000, "- " * 150 + "a"])
def test_deep_nesting_is_refused_instead_of_overflowing_the_stack(text: str) -> None:
    assert len(mistakes(text)) == 1
    assert "deeper than 100 levels" in mistakes(text)[0]


def test_brackets_in_texts_do_no_harm() -> None:
    assert read("a:\n" + "".join(f"  k{n}: '[{{'\n" for n in range(500)))["a"]["k499"] == "[{"


def test_aliases_cannot_multiply_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.twin.document.MAX_VALUES", 1000)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 9)]
    assert any("more than 1000 values" in each for each in mistakes("\n".join(lines)))
    monkeypatch.setattr("iotsense.twin.document.MAX_VALUES", 1_000_000)
    monkeypatch.setattr("iotsense.twin.document.MAX_REPEATED", 500)
    assert sum("more than 500 values that aliases repeat" in each for each in mistakes("\n".join(lines))) == 1
    plain = "a:\n" + "".join(f"  k{n}: [1, 2]\n" for n in range(1000))
    assert mistakes(plain) == mistakes("---\n".join([plain] * 3)) == []
