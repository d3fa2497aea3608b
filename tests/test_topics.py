"""Topic filters, against the examples of the MQTT 5.0 specification (section 4.7) and against a plain definition."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsense.ingest.topics import TopicMatcher, check_filter, covers, without_covered
from iotsense.twin.errors import InvalidValueError

LEVELS = st.sampled_from(["a", "b", "", "$x", "c d"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
PARTS = st.lists(st.one_of(LEVELS, st.just("+")), min_size=1, max_size=4)
FILTERS = st.tuples(PARTS, st.booleans()).map(lambda x: "/".join(x[0] + ["#"] * x[1])).filter(bool)


def plain_match(pattern: str, topic: str) -> bool:
    if topic.startswith("$") and pattern[0] in "+#":
        return False
    expression = re.escape(pattern).replace(r"\+", "[^/]*")
    expression = ".*" if pattern == "#" else re.sub(r"/\\#$", "(/.*)?", expression)
    return re.fullmatch(expression, topic) is not None


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("#", "anything/at/all", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/uptime", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/uptime", True),
        ("$share/workers/sensors/#", "sensors/x", True),
    ],
)
def test_examples(pattern: str, topic: str, expected: bool) -> None:
    assert (TopicMatcher([(pattern, 1)]).match(topic) == 1) is expected


@given(st.lists(FILTERS, max_size=8, unique=True), TOPICS)
def test_matches_what_a_plain_definition_matches(filters: list[str], topic: str) -> None:
    matcher = TopicMatcher([(pattern, pattern) for pattern in filters])
    assert sorted(matcher.matches(topic)) == sorted(p for p in filters if plain_match(p, topic))


@given(FILTERS, FILTERS, TOPICS)
def test_a_filter_covers_all_that_the_covered_one_matches(wide: str, narrow: str, topic: str) -> None:
    if covers(wide, narrow) and plain_match(narrow, topic):
        assert plain_match(wide, topic)


def test_the_most_specific_filter_wins() -> None:
    filters = ["#", "sensors/#", "sensors/+/temperature", "sensors/oven/+", "sensors/oven/temperature"]
    matcher = TopicMatcher([(pattern, pattern) for pattern in filters])
    assert matcher.match("sensors/oven/temperature") == "sensors/oven/temperature"
    assert matcher.match("sensors/oven/pressure") == "sensors/oven/+"
    assert matcher.match("sensors/press/temperature") == "sensors/+/temperature"
    assert matcher.match("sensors/press") == "sensors/#"
    assert matcher.match("machines/1") == "#"
    assert TopicMatcher([("a/b", 1)]).match("a") is None


def test_a_filter_added_later_counts_for_topics_seen_before() -> None:
    matcher = TopicMatcher([("a/#", "wide")])
    assert matcher.match("a/b") == "wide"
    matcher.add("a/b", "narrow")
    assert matcher.match("a/b") == "narrow"


@pytest.mark.parametrize("pattern", ["", "a/#/b", "a#", "a/b+", "+a", "a\0", "$share/group", "$share//x", "x" * 70_000])
def test_what_is_no_filter_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidValueError):
        check_filter(pattern)


def test_subscriptions_that_another_covers_are_left_out() -> None:
    wanted = [("sensors/#", 0), ("sensors/+/temperature", 2), ("machines/a", 1), ("machines/a", 1), ("$SYS/x", 0)]
    assert without_covered(wanted) == [("sensors/#", 2), ("machines/a", 1), ("$SYS/x", 0)]
    assert without_covered([("a/+/c", 1), ("a/b/+", 1)]) == [("a/+/c", 1), ("a/b/+", 1)]
    assert without_covered([("#", 1), ("$SYS/#", 0)]) == [("#", 1), ("$SYS/#", 0)]
