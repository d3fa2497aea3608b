"""What differs between two JSON values, path by path: `anomaly_detection.rules[temperature_spike].window`."""

from collections.abc import Callable, Iterator
from operator import methodcaller
from typing import Any, Literal, NamedTuple

Name = Callable[[dict[str, Any]], Any]


def _version(item: dict[str, Any]) -> str | None:
    """Versions of a component type stand side by side under one name."""
    return f"{item['name']} {item.get('version', 1)}" if "name" in item else None


_NAMES: tuple[Name, ...] = (*(methodcaller("get", key) for key in ("name", "id", "url", "host")), _version)
Change = Literal["added", "removed", "changed", "reordered"]


class Difference(NamedTuple):
    """One place that differs; `before` is None if it was added, `after` if it was removed."""

    path: str
    change: Change
    before: Any = None
    after: Any = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return self._asdict()


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """The differences in order of their place; numbers that are equal differ in nothing (2 and 2.0)."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_mappings(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(before, after, path)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Difference(path, "changed", before, after)


def _of_mappings(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Difference]:
    for name in [*after, *(name for name in before if name not in after)]:
        place = f"{path}.{name}" if path else name
        yield from _of_member(before, after, name, place)


def _of_member(before: dict[str, Any], after: dict[str, Any], name: str, place: str) -> Iterator[Difference]:
    if name not in before:
        yield Difference(place, "added", None, after[name])
    elif name not in after:
        yield Difference(place, "removed", before[name], None)
    else:
        yield from differences(before[name], after[name], place)


def _of_lists(before: list[Any], after: list[Any], path: str) -> Iterator[Difference]:
    name_of = next((name for name in _NAMES if _named_by(name, before) and _named_by(name, after)), None)
    if name_of is not None:
        old, new = ({name_of(item): item for item in items} for items in (before, after))
        for name in [*new, *(name for name in old if name not in new)]:
            yield from _of_member(old, new, name, f"{path}[{name}]")
        if [name for name in old if name in new] != [name for name in new if name in old]:
            yield Difference(path, "reordered", list(old), list(new))
    elif len(before) == len(after) and any(isinstance(item, (dict, list)) for item in before):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}[{index}]")
    elif before != after:
        yield Difference(path, "changed", before, after)


def _named_by(name_of: Name, items: list[Any]) -> bool:
    names = [name_of(item) for item in items if isinstance(item, dict)]
    return len(names) == len(items) == len(set(map(str, names))) and all(isinstance(name, str) for name in names)
