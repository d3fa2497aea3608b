"""The OpenAPI document is valid, complete, and tells the truth about the answers."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from service_fixtures import API, client, document, service, write_plant

from iotsense.rest.app import ENDPOINTS
from iotsense.rest.openapi import openapi

DOCUMENT = json.loads(json.dumps(openapi(ENDPOINTS, "0.1.0")))


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_endpoint_is_in_it_with_a_name_of_its_own() -> None:
    operations = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
    assert len(operations) == len(ENDPOINTS)
    ids = [DOCUMENT["paths"][path][method]["operationId"] for path, method in operations]
    assert len(ids) == len(set(ids))
    assert f"{API}/twins/{{id}}/state" in DOCUMENT["paths"]


def test_telemetry_is_told_with_its_receipt_and_its_problems() -> None:
    post = DOCUMENT["paths"][f"{API}/telemetry"]["post"]
    assert {"202", "400", "413", "415", "429", "503", "507"} <= set(post["responses"])
    assert [parameter["name"] for parameter in post["parameters"]] == ["Idempotency-Key"]
    assert "application/problem+json" in post["responses"]["507"]["content"]
    receipt = DOCUMENT["components"]["schemas"]["TelemetryReceipt"]["properties"]
    assert {"accepted", "dead_lettered", "duplicate"} <= set(receipt)


def schema_of(path: str, status: str, media: str = "application/json") -> dict[str, Any]:
    content = DOCUMENT["paths"][path]["get"]["responses"][status]["content"][media]
    return {**content["schema"], "components": DOCUMENT["components"]}


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/twins", "/twins"),
        ("/twins/line_1", "/twins/{id}"),
        ("/twins/line_1/state", "/twins/{id}/state"),
        ("/nodes", "/nodes"),
        ("/nodes/conveyor", "/nodes/{id}"),
        ("/signals/conveyor.speed/history", "/signals/{id}/history"),
        ("/signals/conveyor.speed/history?points=2&from=2020-01-01", "/signals/{id}/history"),
        ("/events", "/events"),
        ("/definitions", "/definitions"),
        ("/dead-letters", "/dead-letters"),
        ("/sources", "/sources"),
    ],
)
async def test_answers_are_as_it_says(tmp_path: Path, path: str, template: str) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path)) as running, client(running) as http:
        readings = [document("conveyor", "speed", i) for i in range(5)]
        wrong = document("conveyor", "motor_temperature", "warm")
        assert (await http.post(f"{API}/telemetry", json=[*readings, wrong])).json()["dead_lettered"] == 1
        answer = (await http.get(API + path)).json()
        jsonschema.validate(answer, schema_of(API + template, "200"))
        health = (await http.get("/health")).json()
        jsonschema.validate(health, schema_of("/health", "200"))


async def test_problems_are_as_it_says(tmp_path: Path) -> None:
    async with service(tmp_path / "data") as running, client(running) as http:
        problem = (await http.get(f"{API}/nodes/nobody")).json()
        jsonschema.validate(problem, schema_of(f"{API}/nodes/{{id}}", "404", "application/problem+json"))
        served = (await http.get("/openapi.json")).json()
        assert served["paths"] == DOCUMENT["paths"]
