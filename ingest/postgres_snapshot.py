"""The rows that were there before the first change, as of exactly the position at which a slot begins."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ..twin.times import now_ns
from .change import Change
from .postgres_server import quoted
from .postgres_values import of_text

if TYPE_CHECKING:
    from .postgres_server import Connection

_ROWS = 2000


async def snapshot(connection: "Connection", tables: list[str], exported: str | None) -> AsyncIterator[list[Change]]:
    """All rows of the tables in pieces, in one transaction; `exported`: the snapshot to read, None for the present."""
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        if exported is not None:
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{exported}'".encode())
        for table in tables:
            await connection.execute(f"DECLARE rows NO SCROLL CURSOR FOR SELECT * FROM {quoted(table)}".encode())
            while changes := await _fetched(connection, table):
                yield changes
            await connection.execute("CLOSE rows")
    finally:
        await connection.execute("ROLLBACK")


async def _fetched(connection: "Connection", table: str) -> list[Change]:
    cursor = await connection.execute(f"FETCH {_ROWS} FROM rows".encode())
    result = cursor.pgresult
    assert result is not None
    names = [(result.fname(i) or b"").decode() for i in range(result.nfields)]
    types = [result.ftype(i) for i in range(result.nfields)]
    time, changes = now_ns(), []
    for number in range(result.ntuples):
        # As text, just as the changes come.
        cells = [result.get_value(number, column) for column in range(len(names))]
        row = {
            name: None if cell is None else of_text(cell.decode(), oid)
            for name, oid, cell in zip(names, types, cells, strict=True)
        }
        changes.append(Change("read", table, None, row, time))
    return changes
