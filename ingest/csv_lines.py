"""CSV payloads: each line is an object by column names, or a list of cells."""

import csv
from collections.abc import Callable, Iterator
from typing import Any

from ..twin.define_payload_formats import CsvFormat
from ..twin.errors import InvalidValueError

Line = tuple[bytes, Any]
"""A line as it came, and what is in it."""
_DIGITS = frozenset("0123456789")


def csv_decoder(form: CsvFormat) -> Callable[[bytes], Iterator[Line]]:
    """Reads lines. The decoder raises InvalidValueError for what is no text; empty lines are none."""
    cell = _cell if form.decimal == "." else _comma_cell

    def decode(payload: bytes) -> Iterator[Line]:
        try:
            text = payload.decode("utf-8-sig").strip("\0")
        except UnicodeDecodeError:
            raise InvalidValueError("the payload is no text in UTF-8") from None
        columns = form.columns
        is_header = form.header
        for line in text.splitlines():
            if not line.strip():
                continue
            cells = next(csv.reader([line], delimiter=form.delimiter, quotechar=form.quote, skipinitialspace=True))
            if is_header:
                is_header, columns = False, columns or [each.strip() for each in cells]
                continue
            values = [cell(each) for each in cells]
            yield line.encode(), dict(zip(columns, values, strict=False)) if columns else values

    return decode


def _cell(text: str) -> int | float | str | None:
    text = text.strip()
    # What begins like a number is tried: `12 m` and `12:30` stay texts, and so do `nan` and `infinity`.
    if not text or text.lstrip("+-.")[:1] not in _DIGITS:
        return text or None
    try:
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError:
        return text


def _comma_cell(text: str) -> int | float | str | None:
    found = _cell(text.replace(".", "").replace(",", ".") if text.count(",") == 1 else text)
    return found if not isinstance(found, str) else text.strip()
