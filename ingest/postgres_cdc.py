"""PostgreSQL by logical replication: rows become readings and nodes, from exactly where the journal ends.

Needs the extra `postgresql`, which is loaded when a connection is made.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ..twin.backoff import Backoff
from ..twin.define_cdc import PostgresProtocol
from ..twin.errors import IoTSenseError, MissingExtraError, SourceError, StorageError
from ..twin.store_names import SOURCE_PREFIX
from .adapter import Deliver
from .change import Change
from .change_mapping import ChangeMapping, Taken
from .configured import Configured
from .message import Message, Order
from .pgoutput import Begin, Commit, Decoder
from .postgres_server import (
    check_server,
    check_tables,
    command,
    connect,
    in_words,
    lsn_of,
    lsn_text,
    publish,
    replication,
    slot_state,
)
from .postgres_snapshot import snapshot
from .postgres_stream import PostgresStream
from .reconnecting import ReconnectingAdapter, Surroundings

if TYPE_CHECKING:
    from .postgres_server import Connection

# Rows of one transaction that are handed over before it ends: it may be larger than memory.
_MOST_ROWS = 10_000
# A position that says: the slot was made, and the rows that were there are being read.
_BEGUN = 1
# How often the position is moved on though none of our tables changes [s], or the server could not clear its log.
_IDLE_S = 10.0


class PostgresAdapter(ReconnectingAdapter):
    """One replication slot.

    The journal's position is the end of the last transaction that is durable; the server is told the same, later.
    Whatever it sends again is below, and is not even asked for.
    """

    protocol = "postgresql"

    def __init__(self, source: Configured, surroundings: Surroundings, backoff: Backoff | None = None) -> None:
        self._source = source
        self._settings: PostgresProtocol = source.settings
        super().__init__(source, surroundings, self._settings.url, backoff)
        self._tables = {table.full_name: table for table in self._settings.tables}
        self._mapping = ChangeMapping(self.name, self._tables, self._settings.timezone)
        self._trouble: IoTSenseError | None = None
        self._order = Order()
        self._waiting = 0
        self._known: dict[str, int] = {}
        self._publications: list[str] = []
        # The transaction that is being received, and those before it that were not handed over yet.
        self._inside = False
        self._open: list[Change] = []
        self._begin = 0
        self._piece = 0
        self._ready: list[Change] = []
        self._ready_end = 0
        self._place = ""
        self._moved_on = 0.0

    async def attempt(self, deliver: Deliver) -> None:
        """One replication connection."""
        try:
            import psycopg  # noqa: F401 - whether it is there
        except ImportError:
            raise MissingExtraError("PostgreSQL", "postgresql") from None
        self._trouble, self._order = None, Order()
        # What an earlier connection had not handed over comes again, and must not be taken for handed over.
        self._inside, self._open, self._piece = False, [], 0
        self._ready, self._ready_end = [], 0
        while self._waiting:  # what an earlier connection brought is durable or refused first  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        made = await replication(self._settings)
        try:
            start = await self._prepare(made, deliver)
            await command(made, self._start(start))
        except BaseException:
            await made.close()
            raise
        await self._follow(PostgresStream(made, start), deliver)

    def _start(self, start: int) -> str:
        options = f"proto_version '1', publication_names '{','.join(self._publications)}'"
        return f"START_REPLICATION SLOT {self._settings.slot} LOGICAL {lsn_text(start)} ({options})"

    # Before the first change

    async def _prepare(self, made: "Connection", deliver: Deliver) -> int:
        """Publication, slot and first rows; from where to go on."""
        settings = self._settings
        system = await command(made, "IDENTIFY_SYSTEM")
        self._place = f"{SOURCE_PREFIX}postgresql:{(system.get_value(0, 0) or b'').decode()}:{settings.slot}"
        ordinary = await connect(settings)
        async with ordinary:
            with in_words():
                await check_server(ordinary)
                await check_tables(ordinary, list(self._tables))
                self._publications = await publish(ordinary, settings)
                state = await slot_state(ordinary, settings.slot)
                read = self._read()
                if state is not None and read > _BEGUN:
                    return self._resumed(state, read)
                if state is None and read > _BEGUN:
                    raise SourceError(
                        f"the slot {settings.slot} is gone at the server, and with it the changes since "
                        f"{lsn_text(read)}: to begin anew, with the rows that are there, choose another `slot`"
                    )
                return await self._begin_slot(made, ordinary, deliver, state)

    def _read(self) -> int:
        twin = self._surroundings.twin
        return max(twin.position(self._place) if twin is not None else 0, self._known.get(self._place, 0))

    def _resumed(self, state: tuple[str, int], read: int) -> int:
        status, confirmed = state
        if status == "lost":
            raise SourceError(
                f"the slot {self._settings.slot} is lost: the server dropped changes that we had not read "
                f"(max_slot_wal_keep_size): drop it, and choose another `slot` to begin anew"
            )
        if confirmed > read:
            self.log.warning(
                "source %s: the slot is at %s and our journal at %s, as if it were an old copy; "
                "changes in between are lost",
                self.name,
                lsn_text(confirmed),
                lsn_text(read),
            )
        return max(read, confirmed)

    async def _begin_slot(
        self, made: "Connection", ordinary: "Connection", deliver: Deliver, state: tuple[str, int] | None
    ) -> int:
        """Makes the slot unless somebody else has, and reads what is there."""
        settings, exported = self._settings, None
        if state is not None and self._read() == _BEGUN:
            await command(made, f"DROP_REPLICATION_SLOT {settings.slot}")  # ours, and its rows were never read whole
            state = None
        if state is not None:
            start = state[1]
        else:
            if not settings.create:
                raise SourceError(
                    f"there is no slot {settings.slot}: say `create: true`, or at the server "
                    f"SELECT pg_create_logical_replication_slot('{settings.slot}', 'pgoutput')"
                )
            await self._journal_position(deliver, _BEGUN)
            result = await command(made, f"CREATE_REPLICATION_SLOT {settings.slot} LOGICAL pgoutput EXPORT_SNAPSHOT")
            start = lsn_of((result.get_value(0, 1) or b"0/0").decode())
            exported = (result.get_value(0, 2) or b"").decode()
        if settings.snapshot == "initial":
            async for changes in snapshot(ordinary, list(self._tables), exported):
                await self._hand_over(deliver, changes, None)
        await self._journal_position(deliver, start)
        return start

    async def _journal_position(self, deliver: Deliver, number: int) -> None:
        """Returns when it is durable."""
        await self._hand_over(deliver, [], number)
        while self._waiting:
            if self._trouble is not None:
                raise self._trouble
            await asyncio.sleep(0.005)
        if self._trouble is not None:
            raise self._trouble

    # Changes

    async def _follow(self, stream: PostgresStream, deliver: Deliver) -> None:
        self.connected()
        telling = asyncio.create_task(self._tell(stream))
        decoder = Decoder()
        try:
            while True:
                for message in await stream.receive():
                    await self._take(decoder.decode(message), stream, deliver)
                await self._pass_on(stream, deliver)
                if self._trouble is not None:
                    raise self._trouble
        finally:
            telling.cancel()
            with contextlib.suppress(SourceError):
                async with asyncio.timeout(0.4 if self._trouble is None else 0.0):
                    while self._waiting:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            await self._part(stream)

    async def _part(self, stream: PostgresStream) -> None:
        self._order.refused = self._waiting > 0
        with contextlib.suppress(SourceError):
            stream.tell()
        await stream.close()

    async def _tell(self, stream: PostgresStream) -> None:
        """Tells the server how far we are, even while we wait for the pipeline; reading notices a broken connection."""
        with contextlib.suppress(SourceError):
            while True:
                await asyncio.sleep(self._settings.status_interval)
                stream.tell()

    async def _take(
        self, decoded: Begin | Commit | list[Change] | None, stream: PostgresStream, deliver: Deliver
    ) -> None:
        if isinstance(decoded, Begin):
            self._inside, self._open, self._begin, self._piece = True, [], decoded.lsn, 0
        elif isinstance(decoded, Commit):
            self._ready += self._open
            self._inside, self._open, self._ready_end = False, [], decoded.end
            if self._piece or len(self._ready) >= _MOST_ROWS:
                self._piece = 0
                await self._pass_on(stream, deliver)
        elif decoded:
            self._open += decoded
            if len(self._open) >= _MOST_ROWS:
                await self._pass_on(stream, deliver)
                await self._hand_over_piece(deliver)

    async def _pass_on(self, stream: PostgresStream, deliver: Deliver) -> None:
        """Hands over the transactions that have ended."""
        if self._ready_end:
            changes, end = self._ready, self._ready_end
            self._ready, self._ready_end = [], 0
            await self._hand_over(deliver, changes, end, stream)
        elif stream.heard > stream.durable and not self._inside and not self._waiting:
            await self._move_on(stream, deliver)

    async def _move_on(self, stream: PostgresStream, deliver: Deliver) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._moved_on >= _IDLE_S:
            self._moved_on = now
            await self._hand_over(deliver, [], stream.heard, stream)

    async def _hand_over_piece(self, deliver: Deliver) -> None:
        """A part of a transaction that has not ended: if it comes again, then in the same parts."""
        changes, self._open = self._open, []
        self._piece += 1
        await self._hand_over(deliver, changes, None, identity=f"{self._place}:{self._begin}:{self._piece}")

    async def _hand_over(
        self,
        deliver: Deliver,
        changes: list[Change],
        end: int | None,
        stream: PostgresStream | None = None,
        identity: str | None = None,
    ) -> None:
        """end: the position that is reached when the last message is durable, None for none."""
        taken = Taken()
        for change in changes:
            self._mapping.take(change.table, change, taken)
        try:
            await self._mapping.change_nodes(self._surroundings.twin, taken)
        except StorageError as error:
            raise SourceError(f"changes cannot be stored: {error}") from None
        messages = self._mapping.messages(taken)
        for number, message in enumerate(messages):
            self._follow_up(message, None, stream)
            if identity is not None or end is not None:
                message.identity = f"{identity or f'{self._place}:{end}'}:{number}"
        if end is not None:
            messages[-1].position, messages[-1].identity = (self._place, end), None
            self._follow_up(messages[-1], end, stream)
        try:
            await deliver(messages)
        except BaseException as error:
            self._waiting -= len(messages)
            if isinstance(error, IoTSenseError):
                raise SourceError(f"changes cannot be stored: {error}") from None
            raise

    def _follow_up(self, message: Message, end: int | None, stream: PostgresStream | None) -> None:
        def ack() -> None:
            self._waiting -= 1
            if end is not None:
                self._known[self._place] = end
                if stream is not None:
                    stream.durable = end

        def refuse(error: IoTSenseError) -> None:
            self._waiting -= 1
            if self._trouble is None:
                self._trouble = SourceError(f"messages cannot be stored: {error}")

        if message.ack is None:
            self._waiting += 1
        message.order, message.ack, message.refuse = self._order, ack, refuse
