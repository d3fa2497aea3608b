"""Definitions of payloads that do not describe themselves: CSV lines, raw numbers, waveforms."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from .define_types import Count, Model, Name, Positive, Seconds, refuse

NUMBER_BYTES = {
    "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
    "float16": 2, "float32": 4, "float64": 8,
}  # fmt: skip
NumberType = Literal[
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"
]
ByteOrder = Literal["big", "little"]


def _path(text: str) -> str:
    if not text.startswith("$") or text.startswith("${"):
        raise refuse(f"found {text!r}, expected a path into the payload such as $.samples")
    return text


PathText = Annotated[str, AfterValidator(_path), WithJsonSchema({"type": "string", "pattern": r"^\$"})]
"""A JSONPath."""


class CsvFormat(Model):
    """Lines of cells. With `columns` or a `header` cells are `$.NAME`, else `$[0]`, `$[1]` and so on."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """What separates the cells; `"\\t"` is a tab."""
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    """What encloses a cell that holds the delimiter."""
    decimal: Literal[".", ","] = "."
    """The decimal mark of numbers."""
    header: bool = False
    """Whether each message begins with a line that names the columns."""
    columns: list[Name] = []
    """Names of the columns, from the first."""

    @model_validator(mode="after")
    def _marks_differ(self) -> "CsvFormat":
        if self.delimiter in (self.decimal, self.quote) or self.delimiter in "\r\n":
            raise refuse(f"found {self.delimiter!r} as delimiter, which means something else", field="delimiter")
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise refuse(f"found the column {twice[0]!r} twice", field="columns")
        return self


class RawFormat(Model):
    """A payload that is nothing but numbers."""

    type: NumberType | Literal["number", "text", "bytes"] = "number"
    """`number`: one written as text; `text`: any text; `bytes`: a waveform; else what the bytes are."""
    byte_order: ByteOrder = "big"
    """Order of the bytes of a number."""
    offset: Annotated[int, Field(ge=0)] = 0
    """Bytes before the first number."""
    count: Count | None = None
    """How many numbers: a list, even of one. Left out, the one at `offset`."""
    stride: Count | None = None
    """Bytes from the beginning of a number to that of the next; left out, one follows the other."""

    @model_validator(mode="after")
    def _fits(self) -> "RawFormat":
        size = NUMBER_BYTES.get(self.type)
        if size is None:
            if given := self.model_fields_set & {"byte_order", "offset", "count", "stride"}:
                raise refuse(f"found {sorted(given)[0]}, which a {self.type} has not", field=sorted(given)[0])
        elif self.stride is not None and self.stride < size:
            raise refuse(f"found stride {self.stride}, but a {self.type} takes {size} bytes", field="stride")
        return self


class Waveform(Model):
    """A burst of samples in one message: each becomes a reading of its own."""

    samples: PathText = "$"
    """Where the samples are: a list, or packed numbers (bytes; in JSON base64). `$` is the whole payload."""
    type: NumberType | None = None
    """What packed numbers are."""
    byte_order: ByteOrder = "little"
    """Order of the bytes of a packed number."""
    sample_rate: Annotated[Positive | PathText, Field(union_mode="left_to_right")] | None = None
    """Samples a second [Hz]: a number, or where it is."""
    sample_interval: Annotated[Seconds | PathText, Field(union_mode="left_to_right")] | None = None
    """Time from one sample to the next [s], or where it is."""
    start: PathText | None = None
    """Where the time of the first sample is; left out, the schema's `timestamp`, else the last came on arrival."""
    scale: float = 1.0
    """What each sample is multiplied by."""
    offset: float = 0.0
    """What is added then."""

    @model_validator(mode="after")
    def _fits(self) -> "Waveform":
        if (self.sample_rate is None) == (self.sample_interval is None):
            raise refuse("a waveform needs either a `sample_rate` or a `sample_interval`", field="sample_rate")
        if self.scale == 0:
            raise refuse("found scale 0, which makes every sample the same", field="scale")
        if self.sample_interval == 0:
            raise refuse("found sample_interval 0, expected the time between two samples", field="sample_interval")
        return self
