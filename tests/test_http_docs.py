"""The examples of docs/protocols/http.md and coap.md are valid and mean what the pages say."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from iotsense.ingest.coap import coap_adapter
from iotsense.ingest.configured import configured_sources
from iotsense.ingest.line_protocol import Line, parse_lines
from iotsense.ingest.line_series import SeriesNaming
from iotsense.ingest.reconnecting import Surroundings
from iotsense.twin.define_coap import CoapProtocol, CoapResource
from iotsense.twin.define_line_protocol import LineProtocol
from iotsense.twin.define_project import Project
from iotsense.twin.define_protocols import HttpEndpoint

PAGES = Path(__file__).parents[1] / "docs" / "protocols"


def page(name: str) -> str:
    return (PAGES / name).read_text("utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page(name), re.DOTALL)


def projects(name: str) -> list[Project]:
    return [Project.model_validate(yaml.safe_load(text)) for text in blocks(name, "yaml")]


def named(naming: SeriesNaming, text: str) -> tuple[str | None, str | None]:
    (line,) = parse_lines(text.encode())
    assert isinstance(line, Line)
    return naming.series(line.measurement, line.tags).key(next(iter(line.fields)))[:2]


def test_lines_become_what_the_page_says() -> None:
    lines = projects("http.md")[0].iotsense.ingestion.line_protocol
    text = "modbus,device=press_1,name=press_1,slave_id=1,type=holding_register temperature=62.4"
    assert text in page("http.md").replace("\n", " ")
    assert named(SeriesNaming(lines), text) == ("press_1", "temperature")
    assert named(SeriesNaming(LineProtocol()), "cpu,host=gw,cpu=cpu0 usage=3") == ("gw", "cpu_usage_cpu0")


def test_telegrafs_configuration_can_be_read() -> None:
    (text,) = blocks("http.md", "toml")
    assert tomllib.loads(text)["outputs"]["influxdb_v2"][0]["urls"] == ["http://127.0.0.1:8080"]


def test_the_sources_of_the_pages() -> None:
    (weather,) = configured_sources(projects("http.md")[1])
    assert (weather.name, weather.settings.endpoints[0].interval) == ("weather", 60.0)
    sources = [source for project in projects("coap.md") for source in configured_sources(project)]
    adapters = [coap_adapter(source, Surroundings(Path("unused"))) for source in sources]
    assert [(a.name, a.status.address) for a in adapters] == [
        ("boiler", "coap://10.0.0.31"),
        ("field", "coap://127.0.0.1:5683"),
    ]


@pytest.mark.parametrize(
    ("name", "model"),
    [("http.md", HttpEndpoint), ("http.md", LineProtocol), ("coap.md", CoapProtocol), ("coap.md", CoapResource)],
)
def test_every_setting_is_on_the_page(name: str, model: Any) -> None:
    inherited = {field for base in model.__mro__[1:] for field in getattr(base, "model_fields", {})} - {"interval"}
    assert [field for field in set(model.model_fields) - inherited - {"name"} if f"`{field}`" not in page(name)] == []
