"""The page about ports says what the code does, and the bill of materials what is installed."""

import importlib.util
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from iotsense.config import DEFAULT_LISTEN, SOCKET_NAME, Settings, parse_listen
from iotsense.ingest import coap, opcua_security
from iotsense.ingest.registry import ADAPTERS
from iotsense.twin import store_neo4j
from iotsense.twin.define_bacnet import BacnetProtocol
from iotsense.twin.define_modbus import SECURE_PORT, ModbusDevice
from iotsense.twin.define_mqtt import MQTT_PORTS
from iotsense.twin.define_opcua_server import OpcUaServerConfig
from iotsense.twin.store_postgres import PostgresAddress

ROOT = Path(__file__).parents[1]


def rows() -> dict[str, str]:
    """The tables' rows by their first cell."""
    lines = (ROOT / "docs" / "network.md").read_text("utf-8").splitlines()
    return {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}


def ports(row: str) -> set[int]:
    return {int(number) for number in re.findall(r"\b\d{2,5}\b", row)}


def test_the_ports_are_those_of_the_code() -> None:
    found = rows()
    listened = parse_listen(DEFAULT_LISTEN)
    assert Settings().listen == listened and listened.host in found["REST, GraphQL, streams, the page"]
    for first, expected in {
        "REST, GraphQL, streams, the page": {listened.port},
        "[OPC UA server](opcua-server.md)": {parse_listen(OpcUaServerConfig().listen).port},
        "[CoAP](protocols/coap.md) as a server": set(coap._PORTS.values()),
        "[BACnet/IP](protocols/bacnet.md)": {BacnetProtocol.model_fields["port"].default},
        "MQTT brokers, Sparkplug": set(MQTT_PORTS.values()),
        "OPC UA servers": {opcua_security._DEFAULT_PORT},
        "Modbus devices": {ModbusDevice.model_fields["port"].default, SECURE_PORT},
        "CoAP servers": set(coap._PORTS.values()),
        "PostgreSQL": {PostgresAddress("localhost").port},
        "Neo4j": {int(store_neo4j.DEFAULT_URL.rpartition(":")[2])},
        "another IoTSense": {listened.port},
    }.items():
        assert expected <= ports(found[first]), first
    assert SOCKET_NAME in found["the verbs"]


def test_every_protocol_with_an_engine_is_on_the_page() -> None:
    page = (ROOT / "docs" / "network.md").read_text("utf-8").lower().replace(" ", "")
    assert [name for name in ADAPTERS if name not in page] == []


def sbom() -> Any:
    """The script that writes the bill of materials."""
    path = ROOT / "scripts" / "sbom.py"
    spec = importlib.util.spec_from_file_location("sbom", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bill_of_materials_holds_what_is_installed() -> None:
    bill = sbom().bill()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    parts = {part["name"].lower(): part for part in bill["components"]}
    assert bill["metadata"]["component"]["name"] == "iotsense"
    for name in ("uvicorn", "httptools", "asyncua", "cryptography", "numpy"):
        assert parts[name]["purl"] == f"pkg:pypi/{name}@{version(name)}" and parts[name]["licenses"], name
    assert parts["cytoscape"]["version"] == "3.34.4" and parts["graphiql"]["purl"].startswith("pkg:npm/graphiql@")
    assert not {"pytest", "mypy", "ruff", "hypothesis"} & set(parts), "what only tests need is not shipped"
    references = {part["bom-ref"] for part in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert len(references) == len(bill["components"]) + 1
    assert {link["ref"] for link in bill["dependencies"]} == references
    assert all(set(link.get("dependsOn", ())) <= references for link in bill["dependencies"])
    assert len(sbom().bill("mqtt")["components"]) < len(bill["components"])
