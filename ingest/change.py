"""A row of a database that changed, whichever way we were told."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

UNCHANGED: Any = msgspec.UNSET
"""Stands in a row for a large value that is as it was, and that the source did not tell again."""

Row = Mapping[str, Any]
Operation = Literal["insert", "update", "delete", "read", "truncate"]


class Change(msgspec.Struct):
    """What became of one row of `table`.

    before: the row as it was, all of it, its key or nothing, as far as the source tells. after: as it is now. time: of
    the commit [ns since the epoch]. `read` is a row that was there when following began; `truncate` empties the table.
    """

    operation: Operation
    table: str
    before: Row | None = None
    after: Row | None = None
    time: int | None = None

    def payload(self) -> bytes:
        """As JSON, for a dead letter."""
        return msgspec.json.encode(self, enc_hook=str)
