"""The JSON Schema says what `validate` says, and the starter project that refers to it is valid."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from iotsense.twin.document import Tree
from iotsense.twin.errors import ConflictError, InvalidValueError
from iotsense.twin.project import load_project, load_texts
from iotsense.twin.schema import json_schema
from iotsense.twin.starter import SCHEMA_FILE, STARTER, write_starter

ROOT = Path(__file__).parent.parent
SPEC = ROOT / "tests" / "spec"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    schema = json_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def plain(text: str) -> Any:
    tree = Tree(text, "f.yaml")
    assert tree.findings == []
    return tree.documents[0]


@pytest.mark.parametrize("path", sorted(SPEC.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_documents_of_the_specification_fit_the_schema(path: Path, validator: jsonschema.Draft7Validator) -> None:
    validator.validate(plain(path.read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "digital_twins:\n",
        "site: {id: a}\n",
        "site: [{id: a}, {id: b}]\n",
        "iotsense: {ingestion: {mqtt: {brokers: [{url: '${URL}', qos: '${QOS}'}], topics: ['a/#', {pattern: b}]}}}\n",
        "sensor_ingestion: {protocols: [{name: mqtt, broker: mqtt://b, version: 5, keep_alive: '${KEEP}'}]}\n",
        "edge_computing: {nodes: [{id: e, data_routing: [{condition: true, destination: cloud}]}]}\n",
        "digital_twins: [{name: l, relationships: [{from: a, to: b, type: f, transfer_time: 2m}]}]\n",
    ],
)
def test_what_validate_accepts_fits_the_schema(text: str, validator: jsonschema.Draft7Validator) -> None:
    validator.validate(plain(text))


@pytest.mark.parametrize(
    "text",
    [
        "digital_twin: []\n",
        "digital_twins: [{name: l, tpe: x}]\n",
        "digital_twins: [{type: x}]\n",
        "digital_twins: [{name: 'line 1'}]\n",
        "digital_twins: [{name: l, sensors: [{id: s, joints: 0}]}]\n",
        "digital_twins: [{name: l, sensors: [{id: s, unit: 5}]}]\n",
        "digital_twins: [{name: l, sensors: [{id: s, expected_interval: 5}]}]\n",
        "digital_twins: [{name: l, sensors: [{id: s, unit: }]}]\n",
        "anomaly_detection: {rules: [{name: r, type: spc, sensor: s}]}\n",
        "anomaly_detection: {rules: [{name: r, type: threshold, sensor: s, conditions: []}]}\n",
        "sensor_ingestion: {protocols: [{name: mqtt, broker: mqtt://b, qos: 3}]}\n",
        "sensor_ingestion: {protocols: [{name: mqtt, broker: mqtt://b, password: hush}]}\n",
        "sensor_ingestion: {protocols: [{name: mqtt, broker: b}]}\n",
    ],
)
def test_what_validate_refuses_does_not_fit_the_schema(text: str, validator: jsonschema.Draft7Validator) -> None:
    assert load_texts({"f": text}, {})[0] is None
    assert list(validator.iter_errors(plain(text)))


def test_every_field_has_a_description_for_the_editor() -> None:
    schema = json_schema()
    for name, definition in schema["$defs"].items():
        for field, each in definition.get("properties", {}).items():
            text = each.get("description") or _referred(schema, each).get("description")
            assert text, f"{name}.{field}"
    for section, each in schema["properties"].items():
        assert each.get("description") or any(_referred(schema, choice) for choice in each["anyOf"]), section


def _referred(schema: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    reference = each.get("$ref") or next((choice["$ref"] for choice in each.get("allOf", ())), None)
    found: dict[str, Any] = schema["$defs"][reference.rpartition("/")[2]] if reference else {}
    return found


def test_the_schema_is_a_new_value_each_time() -> None:
    json_schema()["properties"].clear()
    assert json_schema()["properties"]


# The starter project ------------------------------------------------------------------------------------------------


def test_the_starter_project_is_valid_even_when_warnings_count(tmp_path: Path) -> None:
    write_starter(tmp_path / "plant")
    project, findings = load_project(tmp_path / "plant", {}, strict=True)
    assert findings == []
    assert project is not None
    assert project.notices() == []
    assert len(project.digital_twins) == 1 and len(project.anomaly_detection.rules) == 1


def test_the_starter_project_refers_to_the_schema_that_lies_beside_it(
    tmp_path: Path, validator: jsonschema.Draft7Validator
) -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in write_starter(tmp_path)}
    assert set(written) == {*STARTER, SCHEMA_FILE}
    assert json.loads(written[SCHEMA_FILE]) == json_schema()
    for name in STARTER:
        assert written[name].startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")
        validator.validate(plain(written[name]))


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("mine\n")
    with pytest.raises(ConflictError, match=r"rules\.yaml"):
        write_starter(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rules.yaml"]
    with pytest.raises(InvalidValueError, match="cannot be written"):
        write_starter(tmp_path / "rules.yaml" / "below")


# Documentation ------------------------------------------------------------------------------------------------------


def test_the_reference_is_what_the_models_say() -> None:
    script = ROOT / "scripts" / "definition_reference.py"
    spec = importlib.util.spec_from_file_location("definition_reference", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "definition-reference.md").read_text(encoding="utf-8")
    assert page == module.page(), "run: python scripts/definition_reference.py > docs/definition-reference.md"


def _examples() -> list[str]:
    text = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def test_the_examples_of_the_documentation_are_one_valid_project(validator: jsonschema.Draft7Validator) -> None:
    examples = _examples()
    assert len(examples) > 5
    project, findings = load_texts({f"example {n}": text for n, text in enumerate(examples, 1)}, {"MQTT_PASSWORD": "x"})
    assert [str(finding) for finding in findings if finding.severity == "error"] == []
    assert project is not None
    for text in examples:
        validator.validate(plain(text))


def test_the_documentation_names_every_section() -> None:
    text = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")
    for section in json_schema()["properties"]:
        assert f"`{section}`" in text
