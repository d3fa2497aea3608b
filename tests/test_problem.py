"""Every error has its problem, and a client gets the error back."""

import importlib
import pkgutil
from pathlib import Path

import msgspec
import pytest

import iotsense
from iotsense.rest import problem
from iotsense.twin.errors import (
    AmbiguousIdError,
    ConflictError,
    DefinitionError,
    InvalidValueError,
    IoTSenseError,
    NotFoundError,
    OverloadedError,
    SourceError,
    StorageFullError,
)
from iotsense.twin.finding import Finding

ROOMS = ("twin", "ingest", "analytics", "graphql", "sim", "rest")
FINDING = Finding("line.yaml", 3, 7, "error", "digital_twins[0].name", "expected a name", "line_1")


def classes() -> set[type[IoTSenseError]]:
    for room in ROOMS:
        for module in pkgutil.iter_modules([str(Path(iotsense.__file__).parent / room)]):
            importlib.import_module(f"iotsense.{room}.{module.name}")
    found, waiting = set(), [IoTSenseError]
    while waiting:
        kind = waiting.pop()
        found.add(kind)
        waiting += kind.__subclasses__()
    return {kind for kind in found if kind.__module__.split(".")[1] in ROOMS}


def test_every_error_has_a_problem_of_its_own() -> None:
    # How a protocol failed is that protocol's business; a client is told that the source cannot be used, and why.
    of_protocols = {kind for kind in classes() if issubclass(kind, SourceError) and ".ingest." in kind.__module__}
    assert sorted(kind.__name__ for kind in classes() - of_protocols - set(problem.PROBLEMS)) == []
    assert {problem.problem_of(kind("why")) for kind in of_protocols} <= {problem.PROBLEMS[SourceError]}


def test_types_are_stable_and_differ() -> None:
    names = [kind.name for kind in problem.ALL]
    assert len(names) == len(set(names))
    assert problem.PROBLEMS[StorageFullError].type == "/problems/storage-full"
    assert problem.PROBLEMS[StorageFullError].status == 507
    assert problem.PROBLEMS[OverloadedError].status == 429


@pytest.mark.parametrize(
    "error",
    [
        InvalidValueError("no number", "$[3].measurements[0].value"),
        NotFoundError("no node is called 'x'"),
        ConflictError("it has history"),
        OverloadedError("full"),
        StorageFullError("no room"),
        DefinitionError([FINDING]),
    ],
)
def test_a_client_gets_the_same_error_back(error: IoTSenseError) -> None:
    told = msgspec.json.decode(msgspec.json.encode(problem.members(error)))
    back = problem.error_of(told["status"], told)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert getattr(back, "field", None) == getattr(error, "field", None)


def test_findings_travel_whole() -> None:
    told = msgspec.json.decode(msgspec.json.encode(problem.members(DefinitionError([FINDING, "no such file"]))))
    assert told["findings"][0]["line"] == 3
    back = problem.error_of(422, told)
    assert isinstance(back, DefinitionError)
    assert back.findings == [FINDING, "no such file"]


def test_candidates_of_an_ambiguous_id_are_told() -> None:
    told = problem.members(AmbiguousIdError("motor", ["b.motor", "a.motor"]))
    assert told["candidates"] == ["a.motor", "b.motor"]
    assert isinstance(problem.error_of(404, told), NotFoundError)


def test_every_kind_survives_the_way_back() -> None:
    for kind in problem.ALL:
        assert str(problem.error_of(kind.status, problem.document(kind, "words"))) or kind.name == "definition"


def test_a_page_of_a_proxy_is_a_refusal_with_its_status() -> None:
    error = problem.error_of(502, None)
    assert isinstance(error, SourceError)
    assert "502" in str(error)


def test_retry_after_is_told_where_it_makes_sense() -> None:
    assert problem.retry_after(OverloadedError("full", 2.6)) == 3
    assert problem.retry_after(StorageFullError("no room")) == problem.RETRY_AFTER_S
    assert problem.retry_after(InvalidValueError("no")) is None
