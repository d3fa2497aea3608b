"""The page for a security review: its tests exist, and each requirement of IEC 62443-4-2 has one row and a judgement."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
# How many component requirements each foundational requirement has (IEC 62443-4-2:2019, clauses 5 to 11).
REQUIREMENTS = {1: 14, 2: 13, 3: 14, 4: 3, 5: 4, 6: 2, 7: 8}
JUDGEMENTS = {"met", "partly", "not", "not applicable"}


def rows() -> list[list[str]]:
    """Requirement, judgement, by what, tests."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| CR ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def defined(file: str) -> set[str]:
    """The functions of a file of tests."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


def named(text: str) -> list[tuple[str, str]]:
    """Files and tests."""
    return re.findall(r"`(tests/\w+\.py)::(\w+)`", text)


def test_each_test_that_it_names_is_there() -> None:
    found = named(PAGE)
    assert len(found) == PAGE.count("::") > 80
    assert [each for each in found if each[1] not in defined(each[0])] == []


def test_each_requirement_has_one_row() -> None:
    numbers = [re.match(r"CR (\d+\.\d+) ", row[0]) for row in rows()]
    listed = [match[1] for match in numbers if match]
    assert listed == [f"{part}.{number}" for part, last in REQUIREMENTS.items() for number in range(1, last + 1)]


def test_each_row_is_judged_and_what_is_met_is_tested() -> None:
    for requirement, judgement, how, tests in rows():
        assert judgement in JUDGEMENTS and how, requirement
        assert named(tests) if judgement == "met" else True, requirement
        assert not named(tests) if judgement == "not" else True, requirement


def test_it_says_that_nothing_is_certified() -> None:
    assert "**Nothing here is certified.**" in PAGE
