"""What a look finds: paths of points, and which of them are wanted."""

from iotsense.ingest.found import Found, FoundNode, FoundPoint, Look


def test_points_are_known_by_their_path() -> None:
    motor = FoundNode("Motor", points=[FoundPoint("Speed")])
    found = Found({"name": "opcua"}, [FoundNode("Line 1", points=[FoundPoint("State")], nodes=[motor])])
    assert [path for path, _ in found.all_points()] == ["Line 1/State", "Line 1/Motor/Speed"]


def test_globs_say_what_is_wanted() -> None:
    assert Look().wants("a/b/c")
    assert Look(include=["a/*"]).wants("a/b/c")
    assert not Look(include=["b/*"]).wants("a/b/c")
    assert not Look(include=["a/*"], exclude=["*/c"]).wants("a/b/c")
    assert not Look(include=["A/*"]).wants("a/b/c")
