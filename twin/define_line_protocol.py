"""Definition of what the points of the InfluxDB line protocol become."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from .define_types import Model, Name, check, refuse
from .expressions import compile_template

NAMES = ("measurement", "field", "tags")


def _naming(text: str) -> None:
    compile_template(text)


class LineProtocol(Model):
    """Whose reading a field of a point is. What is left out is the default, which suits Telegraf."""

    enabled: bool = True
    """Whether `/write` and `/api/v2/write` take points."""
    device_tags: list[Name] = ["device_id", "device", "host"]
    """Tags that name the device; the first that a point has. With none of them the measurement is the device."""
    metadata_tags: list[Name] = []
    """Tags that only describe: they do not tell one signal from another. Plant, line, area and the like always do."""
    unit_tag: Name = "unit"
    """Tag that holds the unit of the values."""
    name_template: Annotated[str, AfterValidator(check(_naming)), Field(min_length=1)] | None = None
    """What a reading is called, with `${measurement}`, `${field}` and `${tags.NAME}` in it; left out, see the docs."""

    @model_validator(mode="after")
    def _has_device(self) -> "LineProtocol":
        if not self.device_tags:
            raise refuse("expected at least one tag", field="device_tags")
        if self.name_template is not None:
            names = compile_template(self.name_template).names()
            unknown = [name for name in names if name.partition(".")[0] not in NAMES]
            if unknown:
                raise refuse(
                    f"found ${{{unknown[0]}}}, expected measurement, field or tags.NAME", field="name_template"
                )
        return self
