"""What docs/versions.md promises: nothing of v1 goes or changes under its clients, and what will go says so."""

import copy
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import contract
import httpx
import pytest
from graphql.utilities import find_breaking_changes
from openapi_spec_validator import OpenAPIV31SpecValidator
from service_fixtures import API, service, write_plant

from graphql import build_schema
from iotsense.rest import app, once
from iotsense.rest.endpoint import Retirement
from iotsense.rest.openapi import openapi

PROMISED = json.loads(contract.REST.read_text())
RETIREMENT = Retirement(date(2027, 1, 1), date(2028, 1, 1), "ask for the state instead")


def test_nothing_that_v1_promised_over_rest_is_gone_or_different() -> None:
    assert contract.breaks(PROMISED, contract.rest_now()) == []


def test_nothing_that_was_promised_over_graphql_is_gone_or_different() -> None:
    former, now = build_schema(contract.GRAPHQL.read_text()), build_schema(contract.graphql_now())
    assert [change.description for change in find_breaking_changes(former, now)] == []


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (("operations", f"GET {API}/twins"), None, f"GET {API}/twins is gone"),
        (("operations", f"GET {API}/twins", "parameters"), [], "lost the parameter as_of"),
        (("operations", f"GET {API}/twins", "required"), ["as_of"], "asks for as_of now"),
        (("operations", f"GET {API}/twins", "answers"), {}, "answers 200 otherwise"),
        (("operations", f"GET {API}/twins", "body"), {"application/json": "State"}, "asks for a body now"),
        (("operations", f"POST {API}/events", "body"), {"application/json": "State"}, "takes another body"),
        (("schemas", "TwinList"), None, "the schema TwinList is gone"),
        (("schemas", "State", "properties", "twin_id"), None, "State.twin_id was string and is gone"),
        (("schemas", "State", "properties", "twin_id"), "integer", "State.twin_id was string and is integer"),
        (("schemas", "State", "required"), [], "State.twin_id may be absent now"),
        (("schemas", "ReportBody", "required"), ["kind", "node", "reason"], "ReportBody.reason is asked for now"),
    ],
)
def test_what_would_break_clients_is_found(path: tuple[str, ...], value: object, found: str) -> None:
    now = copy.deepcopy(PROMISED)
    place = now
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert any(found in each for each in contract.breaks(PROMISED, now))


def test_what_is_added_breaks_nobody() -> None:
    now = copy.deepcopy(PROMISED)
    now["operations"]["GET /new"] = now["operations"][f"GET {API}/twins"]
    now["operations"][f"GET {API}/twins"]["parameters"].append("new")
    now["operations"][f"GET {API}/twins"]["answers"]["206"] = {}
    now["schemas"]["State"]["properties"]["new"] = "string"
    now["schemas"]["ReportBody"]["properties"]["new"] = "string"
    assert contract.breaks(PROMISED, now) == []


async def test_what_will_go_says_so(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running:
        endpoints = [
            replace(each, retirement=RETIREMENT) if each.path == f"{API}/twins" else each for each in app.ENDPOINTS
        ]
        document = json.loads(json.dumps(openapi(endpoints, "")))
        OpenAPIV31SpecValidator(document).validate()
        told = document["paths"][f"{API}/twins"]["get"]
        assert told["deprecated"] is True
        assert told["description"].endswith("gone from 2028-01-01 on: ask for the state instead")
        assert "deprecated" not in document["paths"][f"{API}/nodes"]["get"]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(app, "ENDPOINTS", endpoints)
            asgi = httpx.ASGITransport(app.build_app(running.context))
        async with httpx.AsyncClient(transport=asgi, base_url="http://localhost") as http:
            headers = (await http.get(f"{API}/twins")).headers
            assert headers["deprecation"] == "@1798761600"
            assert headers["sunset"] == "Sat, 01 Jan 2028 00:00:00 GMT"
            assert "deprecation" not in (await http.get(f"{API}/nodes")).headers


def test_the_page_says_what_is_so() -> None:
    text = (Path(__file__).parents[1] / "docs" / "versions.md").read_text()
    for word in ("`Deprecation: @", "`Sunset: ", "`@deprecated(", "tests/contract.py", once.NAME):
        assert word in text
    retired = [each.operation for each in app.ENDPOINTS if each.retirement is not None]
    assert all(f"`{name}`" in text for name in retired)
