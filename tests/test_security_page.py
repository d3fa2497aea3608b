"""The page for a security review: its commands work, its tests exist, each requirement of IEC 62443-4-2 has one row."""

import ast
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from service_fixtures import process

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


def bash(script: str, directory: Path, *options: str) -> str:
    """What it says; `iotsense` is this one."""
    programs = directory / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "iotsense").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m iotsense "$@"\n')
    (programs / "iotsense").chmod(0o700)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    command = ["bash", *options, "-c", script]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=300)
    assert not options or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.needs("openssl", "curl")
def test_its_commands_lead_where_it_says(tmp_path: Path) -> None:
    first, second = (block.partition("```")[0] for block in PAGE.split("```sh\n")[1:3])
    prepared, _, served = first.replace("pip install 'iotsense[all]'\n", "").rpartition("iotsense run ")
    bash(prepared, tmp_path, "-e")
    with process(tmp_path / "iotsense-data", *shlex.split(served), "--listen", "0.0.0.0:0") as running:
        port = running.url.rpartition(":")[2]
        told = bash(second.replace("localhost:8443", f"localhost:{port}"), tmp_path)
    answers = ["\n401\n", '"id":"', "lacks the scope access:write", "revoked: gateway", "key hmi"]
    answers += ["each as it was written", "is the first that is wrong"]
    assert [each for each in answers if each not in told] == [], told
    assert {file.stat().st_mode & 0o077 for file in tmp_path.glob("*.key")} == {0}
