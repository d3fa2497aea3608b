"""Which column of a file is which signal, and how its times are to be read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from ..twin.define_types import Model, Name, Timezone, UnitText
from ..twin.errors import InvalidValueError

TIME_NAMES = ("time", "timestamp", "datetime", "date_time", "date", "ts", "zeit")


class ColumnMapping(Model):
    """Where a column's values go."""

    signal: Name
    """Id of the signal, or of a sensor that has only one."""
    unit: UnitText | None = None
    """Unit of the column; left out, the signal's."""


class FileMapping(Model):
    """How a file is read. The same fields are options of `iotsense load` and keys of a map file."""

    columns: dict[Name, Name | ColumnMapping] = Field(default_factory=dict)
    """Signal by column; left out, every column that is called like a sensor."""
    time: Name | None = None
    """The column of times; left out, the one that is called so, else the first that is no signal's."""
    format: Name | None = None
    """How times are written: iso8601, unix_s, unix_ms, unix_us, unix_ns or a strptime format; left out, recognised."""
    timezone: Timezone | None = None
    """Zone of times that name none; left out, the site's."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """What separates the cells of a CSV file; left out, recognised."""
    decimal: Annotated[str, Field(pattern=r"^[.,]$")] = "."
    """The decimal mark of a CSV file."""
    encoding: Name = "utf-8"
    """The encoding of a CSV file."""

    def column(self, name: str) -> ColumnMapping:
        """Where a column goes that `columns` names."""
        given = self.columns[name]
        return ColumnMapping(signal=given) if isinstance(given, str) else given


def file_mapping(maps: Sequence[str], options: Mapping[str, Any] | None = None) -> FileMapping:
    """From the arguments of `--map`, each COLUMN=SIGNAL or a YAML file, and further options, which win.

    Raises InvalidValueError that names the argument.
    """
    given: dict[str, Any] = {"columns": {}}
    for text in maps:
        column, equals, signal = text.rpartition("=")
        if equals and column and signal and not Path(text).is_file():
            given["columns"][column.strip()] = signal.strip()
            continue
        read = _map_file(text)
        given["columns"] |= read.pop("columns", None) or {}
        given |= read
    given |= {name: value for name, value in (options or {}).items() if value is not None}
    try:
        return FileMapping.model_validate(given)
    except ValidationError as error:
        raise InvalidValueError(_words(error)) from None


def _map_file(text: str) -> dict[str, Any]:
    try:
        read = yaml.safe_load(Path(text).read_text("utf-8"))
    except FileNotFoundError:
        raise InvalidValueError(f"{text!r} is neither COLUMN=SIGNAL nor a map file", "map") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidValueError(f"the map file {text} cannot be read: {error}", "map") from None
    if not isinstance(read, dict):
        raise InvalidValueError(f"the map file {text} holds no mapping; it begins with `columns:`", "map")
    return read


def _words(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
