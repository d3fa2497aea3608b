"""A PostgreSQL server as a source of changes: connections, publication, slot, and why they cannot be had, in words."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..twin.define_cdc import PostgresProtocol
from ..twin.errors import SourceError
from ..twin.substitution import reveal

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGconn, PGresult

    Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_CONNECT_S = 10


def conninfo(settings: PostgresProtocol, **more: str) -> str:
    """How libpq is told where and as whom to connect."""
    from psycopg.conninfo import make_conninfo

    parts = urlsplit(settings.url)
    given: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port or 5432,
        "dbname": unquote(parts.path.lstrip("/")) or "postgres",
        "connect_timeout": _CONNECT_S,
        "application_name": "iotsense",
    }
    if settings.username is not None:
        given["user"] = settings.username
    if settings.password is not None:
        given["password"] = reveal(settings.password)
    tls = settings.tls
    if tls is not None and tls.enabled:
        given |= {"sslmode": "require" if tls.insecure else "verify-full", "sslrootcert": tls.ca or "system"}
        if tls.certificate is not None:
            given |= {"sslcert": tls.certificate, "sslkey": tls.key}
    return make_conninfo(**given | more)


@contextmanager
def in_words() -> Iterator[None]:
    """psycopg's errors as SourceError."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise SourceError(_words(error)) from None


def _words(error: Any) -> str:
    text = (error.diag.message_primary or str(error)).strip().splitlines()[0]
    state = error.sqlstate or ""
    if state.startswith("28") or "password authentication failed" in str(error):
        return f"the server does not let us in: check username and password, and pg_hba.conf ({text})"
    if "certificate verify failed" in str(error):
        return f"the server's certificate is not trusted: check `tls.ca` and the host's name ({text})"
    if state == "42501":
        return (
            f"{text}: grant REPLICATION to our user, and SELECT on the tables; CREATE on the database for publications"
        )
    return text


async def connect(settings: PostgresProtocol) -> "Connection":
    """An ordinary connection."""
    import psycopg

    with in_words():
        return await psycopg.AsyncConnection.connect(conninfo(settings), autocommit=True)


async def replication(settings: PostgresProtocol) -> "Connection":
    """A connection that speaks the replication protocol, which has simple queries only: use `command`."""
    import psycopg

    with in_words():
        return await psycopg.AsyncConnection.connect(conninfo(settings, replication="database"), autocommit=True)


async def command(connection: "Connection", text: str) -> "PGresult":
    """One command of the replication protocol; raises SourceError."""
    from psycopg import pq

    wire = connection.pgconn
    with in_words():
        wire.send_query(text.encode())
        result = await _result(wire)
        if result is None:
            raise SourceError("the server ended the connection")
        while result.status != pq.ExecStatus.COPY_BOTH and await _result(wire) is not None:
            pass
    if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.COPY_BOTH):
        raise SourceError(_slot_words(result.get_error_message().strip()))
    return result


async def _result(wire: "PGconn") -> "PGresult | None":
    while wire.is_busy():
        await readable(wire)
        wire.consume_input()
    return wire.get_result()


async def readable(wire: "PGconn") -> None:
    """Returns when the server has sent something."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    descriptor = wire.socket
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


def _slot_words(text: str) -> str:
    line = text.splitlines()[0].removeprefix("ERROR:").strip()
    if "is active for PID" in text:
        return f"{line}: another service reads this slot; give each its own `slot`"
    if "can no longer get changes" in text or "has been invalidated" in text:
        return f"{line}: the server has dropped changes that we had not read (max_slot_wal_keep_size); drop the slot"
    if "all replication slots are in use" in text:
        return f"{line}: raise max_replication_slots at the server"
    return line


async def check_server(connection: "Connection") -> None:
    """Raises SourceError if the server does no logical replication."""
    row = await (await connection.execute("SHOW wal_level")).fetchone()
    level = row[0] if row else "?"
    if level != "logical":
        raise SourceError(f"wal_level of the server is {level}: set `wal_level = logical` and restart it")


async def check_tables(connection: "Connection", tables: Sequence[str]) -> None:
    """Raises SourceError if one is missing."""
    for table in tables:
        row = await (await connection.execute("SELECT to_regclass(%s)", (_quoted(table),))).fetchone()
        if row is None or row[0] is None:
            raise SourceError(f"the database has no table {table}: make it, or correct `tables`")


async def publish(connection: "Connection", settings: PostgresProtocol) -> list[str]:
    """The publications that have the tables; raises SourceError if they have not and must not be changed.

    A table without a replica identity could not be updated any more if its updates were published: it stands in a
    publication of its own, for insertions only.
    """
    tables = [table.full_name for table in settings.tables]
    plain = [table for table in tables if not await _has_identity(connection, table)]
    name, inserts = settings.publication, f"{settings.publication}_inserts"
    wanted = {name: [table for table in tables if table not in plain], inserts: plain}
    there = {each: await _published(connection, each) for each in wanted}
    for table in plain:
        if table in (there[name] or ()):
            wanted[inserts].remove(table)  # somebody has published it as it is
    for each, listed in wanted.items():
        if listed:
            with_options = " WITH (publish = 'insert')" if each == inserts else ""
            await _publish(connection, each, listed, there[each], with_options, settings.create)
    return [each for each in wanted if wanted[each] or there[each]]


async def _has_identity(connection: "Connection", table: str) -> bool:
    rows = await connection.execute(
        "SELECT relreplident IN ('f', 'i') OR relreplident = 'd'"
        " AND EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary)"
        " FROM pg_class WHERE oid = to_regclass(%s)",
        (_quoted(table),),
    )
    row = await rows.fetchone()
    return row is not None and bool(row[0])


async def _published(connection: "Connection", name: str) -> set[str] | None:
    """The tables of a publication; None if there is no such publication."""
    found = await (await connection.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", (name,))).fetchone()
    if found is None:
        return None
    rows = await connection.execute(
        "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = %s", (name,)
    )
    return {row[0] for row in await rows.fetchall()}


async def _publish(
    connection: "Connection", name: str, tables: list[str], there: set[str] | None, options: str, create: bool
) -> None:
    missing = [table for table in tables if table not in (there or ())]
    if not missing:
        return
    listed = ", ".join(map(_quoted, missing))
    if there is None:
        change, lack = f"CREATE PUBLICATION {name} FOR TABLE {listed}{options}", f"there is no publication {name}"
    else:
        change, lack = (
            f"ALTER PUBLICATION {name} ADD TABLE {listed}",
            f"the publication {name} lacks {', '.join(missing)}",
        )
    if not create:
        raise SourceError(f"{lack}: {change}")
    await connection.execute(change.encode())


async def slot_state(connection: "Connection", slot: str) -> tuple[str, int] | None:
    """wal_status and the confirmed position of a slot; None if there is none. Raises SourceError for a foreign one."""
    rows = await connection.execute(
        "SELECT plugin, database = current_database(), wal_status, confirmed_flush_lsn::text"
        " FROM pg_replication_slots WHERE slot_name = %s",
        (slot,),
    )
    row = await rows.fetchone()
    if row is None:
        return None
    plugin, ours, status, confirmed = row
    if plugin != "pgoutput" or not ours:
        raise SourceError(f"the slot {slot} is of another plug-in or database ({plugin}): give us another `slot`")
    return str(status), lsn_of(confirmed or "0/0")


def lsn_of(text: str) -> int:
    """`16/B374D848` as a number."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_text(lsn: int) -> str:
    """The inverse."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def _quoted(table: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))


quoted = _quoted
