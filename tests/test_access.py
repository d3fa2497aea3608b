"""Scopes, roles, and a part of the plant that is shown as if there were nothing else."""

import itertools
from pathlib import Path

import httpx
import numpy as np
import pytest
from facade_fixtures import Context as GraphQLContext
from facade_fixtures import build
from starlette.types import Scope as AsgiScope
from test_rest import API

from iotsense.ingest.ingest_config import IngestConfig
from iotsense.ingest.pipeline import Pipeline
from iotsense.rest.app import ENDPOINTS, build_app
from iotsense.rest.context import Context
from iotsense.rest.scopes import OPEN, scope_of
from iotsense.twin.access import LOCAL, Principal, Role, Scope
from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from iotsense.twin.narrow_graph import narrow_graph
from iotsense.twin.narrow_twin import narrow_twin
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(build, "test")
        yield twin


class Word:
    """Proves who asks by one word."""

    required = True

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def authenticate(self, scope: AsgiScope) -> Principal | None:
        shown = dict(scope["headers"]).get(b"authorization")
        if shown is None:
            return None
        if shown != b"Bearer sesame":
            raise UnauthenticatedError("that is not the word")
        return self._principal


def client(twin: Twin, principal: Principal, word: str | None = "sesame") -> httpx.AsyncClient:
    app = build_app(Context(twin, Pipeline(twin, IngestConfig()), authenticators=[Word(principal)]))
    headers = {"Authorization": f"Bearer {word}"} if word else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers)


def under(twin: Twin, id: str, role: Role = Role.VIEWER) -> Principal:
    return Principal("key part", role.scopes, frozenset({twin.graph.find(id).key}))


def test_a_role_allows_what_the_one_before_it_does() -> None:
    roles = [Role.VIEWER, Role.OPERATOR, Role.ENGINEER, Role.ADMIN]
    for less, more in itertools.pairwise(roles):
        assert less.scopes < more.scopes
    assert Role.ADMIN.scopes == frozenset(Scope) == LOCAL.scopes
    with pytest.raises(ForbiddenError, match="key gauge lacks the scope commands:write; it has plant:read"):
        Principal("key gauge", Role.VIEWER.scopes).require(Scope.COMMANDS_WRITE)


def test_every_operation_needs_a_scope_but_those_that_tell_nothing() -> None:
    assert {endpoint.path for endpoint in ENDPOINTS if scope_of(endpoint) is None} == OPEN
    reading = {scope_of(e) for e in ENDPOINTS if e.method != "GET"}
    assert Scope.PLANT_READ not in reading - {scope_of(e) for e in ENDPOINTS if e.tag == "replay"}


def test_a_part_of_the_graph(twin: Twin) -> None:
    graph = twin.graph
    part = narrow_graph(graph, [graph.find("line_1").key])
    assert {node.id for node in part.nodes()} == {node.id for node in graph.nodes() if node.id.startswith("line_1")}
    assert part.find("line_1").parent is None and list(part.ancestors(part.find("line_1.robot").key)) != []
    # What was ambiguous is not: the other conveyor does not exist here.
    assert part.find("conveyor").id == "line_1.conveyor"
    assert [str(arrow.type) for arrow in part.relationships()] == [arrow.type for arrow in graph.relationships()]
    with pytest.raises(NotFoundError) as refused:
        part.find("line_2.conveyor")
    assert "line_2" not in str(refused.value).replace("'line_2.conveyor'", "")
    robot = narrow_graph(graph, [graph.find("line_1.robot").key])
    assert list(robot.relationships()) == []
    assert len(narrow_graph(graph, [10**6])) == 0


def test_a_part_of_the_plant(twin: Twin) -> None:
    for id in ("line_1.conveyor", "line_2.conveyor"):
        for number in range(5):
            twin.record([EventDraft(now_ns(), "note", twin.graph.find(id).key, {"number": number})])
    whole, part = twin.as_of(), narrow_twin(twin, frozenset({twin.graph.find("line_2").key})).as_of()
    mine = [event for event in whole.events() if event.node == twin.graph.find("line_2.conveyor").key]
    assert part.events(kind="note") == [event for event in mine if event.kind == "note"]
    assert part.events(kind="note", limit=2, newest_first=True) == part.events(kind="note")[:-3:-1]
    other = twin.graph.find_signal("line_1.conveyor.speed").index
    assert part.read(other) is None and part.labels(other) == ()
    with pytest.raises(NotFoundError):
        part.history(other, 0, now_ns())
    with pytest.raises(NotFoundError):
        part.snapshot(np.array([other], dtype=np.int32))
    assert len(part.snapshot().value) == len(list(part.graph.signals()))


def test_what_is_not_known_to_be_narrow_is_refused(twin: Twin) -> None:
    part = narrow_twin(twin, frozenset({twin.graph.find("line_2").key}))
    for name in ("change", "apply", "dead_letters", "reports", "directory", "state"):
        with pytest.raises(ForbiddenError):
            getattr(part, name)


async def test_rest_of_a_part(twin: Twin) -> None:
    async with client(twin, under(twin, "line_2")) as http:
        nodes = (await http.get(f"{API}/nodes")).json()["nodes"]
        assert {node["id"] for node in nodes} == {"line_2", "line_2.conveyor", "line_2.conveyor.speed"}
        assert [twin["id"] for twin in (await http.get(f"{API}/twins")).json()["twins"]] == ["line_2"]
        hidden = await http.get(f"{API}/nodes/line_1.robot")
        absent = await http.get(f"{API}/nodes/line_1.robbo")
        assert hidden.status_code == absent.status_code == 404
        assert hidden.json()["detail"].replace("robot", "robbo") == absent.json()["detail"]
        for path in ("/revisions", "/sources", "/scenarios", "/bulk/exports/1"):
            assert (await http.get(API + path)).status_code == 403
        refused = await http.post(f"{API}/telemetry", json={"device_id": "x", "measurements": []})
        assert refused.status_code == 403 and refused.json()["type"] == "/problems/forbidden"
        assert (await http.get("/livez")).status_code == 200


async def test_graphql_of_a_part(twin: Twin) -> None:
    async with client(twin, under(twin, "line_2", Role.ADMIN)) as http:

        async def ask(query: str) -> dict:
            return (await http.post("/graphql", json={"query": query})).json()

        assert (await ask("{ nodes { totalCount } }"))["data"]["nodes"]["totalCount"] == 3
        assert (await ask('{ node(id: "line_2") { parent { id } } }'))["data"]["node"]["parent"] is None
        (error,) = (await ask('{ node(id: "line_1") { id } }'))["errors"]
        assert error["extensions"]["code"] == "NOT_FOUND"
        for query in ("{ sources { name } }", "{ service { version } }", 'mutation { removeScenario(id: "x") }'):
            (error,) = (await ask(query))["errors"]
            assert error["extensions"]["code"] == "FORBIDDEN", query


async def test_graphql_of_a_viewer(twin: Twin) -> None:
    async with client(twin, Principal("key viewer", Role.VIEWER.scopes)) as http:
        mutation = 'mutation { setDesired(signal: "line_1.conveyor.speed", value: 1) { command { id } } }'
        (error,) = (await http.post("/graphql", json={"query": mutation})).json()["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN" and "commands:write" in error["message"]
    async with client(twin, Principal("key blind", frozenset())) as http:
        (error,) = (await http.post("/graphql", json={"query": "{ twins { id } }"})).json()["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"


def test_the_graphql_context_is_narrowed_as_well(twin: Twin) -> None:
    assert len(GraphQLContext(twin).seen_by(under(twin, "line_2")).twin.graph) == 3


async def test_nobody_is_asked_who_it_is(twin: Twin) -> None:
    async with client(twin, LOCAL, word=None) as http:
        for path in ("/livez", "/readyz", "/openapi.json", "/problems/forbidden"):
            assert (await http.get(path)).status_code == 200
        for path in ("/health", "/metrics", f"{API}/twins", f"{API}/twins/none/state", f"{API}/sources"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated"), path
        for path in ("/telemetry", "/definitions/apply"):
            assert (await http.post(API + path, json=[])).status_code == 401
        assert (await http.post("/write?db=x", content=b"m v=1")).status_code == 401
        (error,) = (await http.post("/graphql", json={"query": "{ twins { id } }"})).json()["errors"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_wrong_proof_is_told_at_once(twin: Twin) -> None:
    async with client(twin, LOCAL, word="barley") as http:
        answer = await http.get("/livez")
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["detail"] == "that is not the word"
