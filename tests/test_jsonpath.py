"""JSONPath: the subset as closures, everything else by the library, and that both agree."""

import sys
from typing import Any

import pytest

from iotsense.ingest.jsonpath import compile_path
from iotsense.twin.errors import InvalidValueError, MissingExtraError

DOCUMENT: dict[str, Any] = {
    "deviceId": "m1",
    "a": {"b": [{"c": 1}, {"c": 2}], "odd name": 3, "it's": 4},
    "items": [{"x": 10, "tags": [1, 2]}, {"x": 20, "tags": [3]}, {"y": 0}],
    "sensors": {"temp": {"v": 1.5}, "speed": {"v": 2.5}},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.deviceId", ["m1"]),
        ("$", [DOCUMENT]),
        ("$.a.b[0].c", [1]),
        ("$.a.b[-1]['c']", [2]),
        ('$["a"]["odd name"]', [3]),
        (r"$.a['it\'s']", [4]),
        ("$.items[*].x", [10, 20, None]),
        ("$.items[*].tags[*]", [1, 2, 3]),
        ("$.sensors.*.v", [1.5, 2.5]),
        ("$.sensors[*]['v']", [1.5, 2.5]),
        ("$.sensors.*~", ["temp", "speed"]),
        ("$.missing", [None]),
        ("$.a.b[9]", [None]),
        ("$.deviceId[0]", [None]),
        ("$.a.b.c", [None]),
        ("$..c", [1, 2]),
        ("$.items[?@.x > 15].x", [20]),
        ("$.items[0:2].x", [10, 20]),
    ],
)
def test_a_path_finds(path: str, found: list[Any]) -> None:
    assert compile_path(path).find(DOCUMENT) == found


@pytest.mark.parametrize(
    ("path", "plain"), [("$.a[*].b", True), ("$['a'].b[3]", True), ("$..a", False), ("$.a[1:2]", False)]
)
def test_the_everyday_paths_need_no_library(monkeypatch: pytest.MonkeyPatch, path: str, plain: bool) -> None:
    monkeypatch.setitem(sys.modules, "jsonpath", None)
    if plain:
        assert compile_path(path).steps is not None
    else:
        with pytest.raises(MissingExtraError, match=r"pip install 'iotsense\[jsonpath\]'"):
            compile_path(path)


@pytest.mark.parametrize("path", ["temp", "", "$.a[", "$.items[?]", "$.a~"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidValueError):
        compile_path(path)


def test_a_path_may_meet_any_document() -> None:
    for path in ("$.a.b", "$.a[0]", "$.a[*].b", "$.a.*~", "$[0]", "$[*]"):
        compiled = compile_path(path)
        for document in (None, 1, "text", True, [], {}, [[1]], {"a": None}, {"a": "text"}, {"a": [None]}):
            assert isinstance(compiled.find(document), list)
