"""A history as a file: CSV for people and spreadsheets, Arrow and Parquet for data frames."""

import csv
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from ..twin.errors import MissingExtraError
from .answer import json_answer
from .endpoint import JSON
from .negotiation import preferred
from .shapes import SignalHistory

if TYPE_CHECKING:
    import pyarrow

CSV, ARROW, PARQUET = "text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
_COLUMNS = ("low", "high", "count", "first", "last", "mean_over_time", "good_percent")
_TOLD = ("signal", "unit", "from", "to", "bucket_s", "tier", "precision_s", "next")


def history_answer(request: Request, found: SignalHistory) -> Response:
    """The history in the format that the client would rather have. Raises NotAcceptableError, MissingExtraError.

    Where there is more, `Link` leads to it, whatever the format.
    """
    media = preferred(request, (JSON, *_FORMATS))
    headers = {"Vary": "Accept"}
    if found.next is not None:
        rest = dict(request.query_params) | {"from": found.next, "to": found.to}
        headers["Link"] = f'<{request.url.path}?{urlencode(rest)}>; rel="next"'
    if media == JSON:
        return json_answer(found, headers=headers)
    ending, write = _FORMATS[media]
    name = f"{found.signal}.{ending}".replace('"', "")
    headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Response(write(found), headers=headers, media_type=media)


def _columns(found: SignalHistory) -> dict[str, list[Any]]:
    more = {name: getattr(found, name) for name in _COLUMNS}
    given = {name: values for name, values in more.items() if values is not msgspec.UNSET}
    return {"time": found.time, "value": found.value, "quality": found.quality} | given


def _csv(found: SignalHistory) -> bytes:
    text = io.StringIO()
    columns = _columns(found)
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _table(found: SignalHistory) -> "pyarrow.Table":
    """Times in ns, UTC; the schema's metadata tell of signal, unit and span."""
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError("history as Arrow or Parquet", "arrow") from None
    columns = _columns(found)
    times = np.array([text.removesuffix("Z") for text in columns.pop("time")], "datetime64[ns]")
    told = {name: value for name, value in msgspec.to_builtins(found).items() if name in _TOLD and value is not None}
    arrays = {"time": pyarrow.array(times.view(np.int64), pyarrow.timestamp("ns", "UTC"))}
    arrays |= {name: pyarrow.array(values, None if values else pyarrow.float64()) for name, values in columns.items()}
    return pyarrow.table(arrays).replace_schema_metadata({name: str(value) for name, value in told.items()})


def _arrow(found: SignalHistory) -> bytes:
    table = _table(found)
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _parquet(found: SignalHistory) -> bytes:
    table = _table(found)
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    return bytes(sink.getvalue())


_FORMATS: dict[str, tuple[str, Callable[[SignalHistory], bytes]]] = {
    CSV: ("csv", _csv),
    ARROW: ("arrows", _arrow),
    PARQUET: ("parquet", _parquet),
}
