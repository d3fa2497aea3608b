"""MQTT topic filters: which of them a topic matches, the most specific first.

MQTT 5.0 section 4.7: `+` stands for one level, `#` (last) for any number of them, none included; neither matches a
first level that begins with `$`. `$share/GROUP/FILTER` is FILTER, shared among the clients of a group.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from ..twin.errors import InvalidValueError

T = TypeVar("T")
_MAX_BYTES = 65_535
_REMEMBERED = 65_536


def check_filter(pattern: str) -> None:
    """Raises InvalidValueError if the text is no topic filter, with the reason."""
    _, levels = _split(pattern)
    if not pattern or len(pattern.encode()) > _MAX_BYTES or "\0" in pattern:
        raise InvalidValueError(f"{pattern!r} is no topic: 1 to 65535 bytes without a NUL are expected")
    for i, level in enumerate(levels):
        if "#" in level and (level != "#" or i != len(levels) - 1):
            raise InvalidValueError(f"{pattern!r} is no topic filter: '#' must be the whole last level")
        if "+" in level and level != "+":
            raise InvalidValueError(f"{pattern!r} is no topic filter: '+' must be a whole level")


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that matches `narrow` matches `wide`; filters of different share groups never do."""
    group, over = _split(wide)
    other_group, under = _split(narrow)
    if group != other_group or _hidden(over[0], under[0]):
        return False
    for i, level in enumerate(over):
        if level == "#":
            return True
        if i >= len(under) or under[i] == "#" or level not in ("+", under[i]):
            return False
    return len(over) == len(under)


def without_covered(filters: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """The (filter, QoS) that suffice: a filter that another covers is left out, and its QoS raises the other's.

    A broker may deliver a message once for each subscription that it matches (MQTT 5.0 section 3.3.4).
    """
    wanted: dict[str, int] = {}
    for pattern, qos in filters:
        wanted[pattern] = max(qos, wanted.get(pattern, 0))
    chosen: list[tuple[str, int]] = []
    for pattern in wanted:
        if not any(other != pattern and covers(other, pattern) for other in wanted):
            chosen.append((pattern, max(qos for narrow, qos in wanted.items() if covers(pattern, narrow))))
    return chosen


class _Level(Generic[T]):
    """One level of the trie; `ends` are the values of filters that end here, `rest` of those that end in `#`."""

    __slots__ = ("ends", "next", "rest")

    def __init__(self) -> None:
        self.next: dict[str, _Level[T]] = {}
        self.ends: list[T] = []
        self.rest: list[T] = []


class TopicMatcher(Generic[T]):
    """Values under topic filters. A lookup takes as many steps as the topic has levels, and is remembered."""

    def __init__(self, filters: Iterable[tuple[str, T]] = ()) -> None:
        self._root: _Level[T] = _Level()
        self._remembered: dict[str, tuple[T, ...]] = {}
        for pattern, value in filters:
            self.add(pattern, value)

    def add(self, pattern: str, value: T) -> None:
        """Adds a value; of several under the same filter the first is preferred. Raises InvalidValueError."""
        check_filter(pattern)
        self._remembered.clear()
        level = self._root
        for part in _split(pattern)[1]:
            if part == "#":
                level.rest.append(value)
                return
            level = level.next.setdefault(part, _Level())
        level.ends.append(value)

    def match(self, topic: str) -> T | None:
        """The value of the most specific filter: level by level the same text beats `+`, which beats `#`."""
        found = self.matches(topic)
        return found[0] if found else None

    def matches(self, topic: str) -> tuple[T, ...]:
        """The values of all filters that the topic matches, the most specific first."""
        found = self._remembered.get(topic)
        if found is None:
            values: list[T] = []
            _collect(self._root, topic.split("/"), 0, values)
            found = tuple(values)
            if len(self._remembered) >= _REMEMBERED:
                # Topics that carry ids or times could grow without bound.
                self._remembered.clear()
            self._remembered[topic] = found
        return found


def _collect(level: _Level[T], parts: list[str], at: int, values: list[T]) -> None:
    wildcards = at > 0 or not parts[0].startswith("$")
    if at == len(parts):
        values.extend(level.ends)
    else:
        if parts[at] in level.next:
            _collect(level.next[parts[at]], parts, at + 1, values)
        if wildcards and "+" in level.next:
            _collect(level.next["+"], parts, at + 1, values)
    if wildcards:
        values.extend(level.rest)


def _split(pattern: str) -> tuple[str | None, list[str]]:
    """The share group, if any, and the levels of the filter."""
    if pattern.startswith("$share/"):
        _, _, rest = pattern.partition("/")
        group, slash, inner = rest.partition("/")
        if not group or not slash or not inner:
            raise InvalidValueError(f"{pattern!r} is no shared subscription: $share/GROUP/FILTER is expected")
        return group, inner.split("/")
    return None, pattern.split("/")


def _hidden(wide: str, narrow: str) -> bool:
    return wide in ("+", "#") and narrow.startswith("$")
