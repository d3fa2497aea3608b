"""The stream of a replication slot: what the server sends (COPY BOTH), and what it is told of our progress."""

import struct
import time
from typing import TYPE_CHECKING

from ..twin.errors import SourceError
from .postgres_server import readable

if TYPE_CHECKING:
    from .postgres_server import Connection

# Messages that are taken at once.
_MOST = 2000
_EPOCH_S = 946_684_800
_STATUS = struct.Struct(">cqqqqb")
_KEEPALIVE = struct.Struct(">qqb")
# In front of a message of XLogData: its kind, where it begins, where the server is, when it was sent.
_HEAD = 25


class PostgresStream:
    """Owns the connection, on which START_REPLICATION was said. durable: the position below which we have all."""

    def __init__(self, connection: "Connection", durable: int) -> None:
        self.durable = durable
        self.heard = durable
        self._connection = connection
        self._wire = connection.pgconn
        self._wire.nonblocking = 1

    async def receive(self) -> list[bytes]:
        """Messages of the plug-in, in their order, none if the server only told that it lives."""
        data: list[bytes] = []
        while not data:
            data = self._buffered()
            if not data:
                await self._readable()
        messages = []
        for each in data:
            if each[:1] == b"w":
                messages.append(each[_HEAD:])
            elif each[:1] == b"k":
                self.heard, _, wanted = _KEEPALIVE.unpack_from(each, 1)
                if wanted:
                    self.tell()
        return messages

    def tell(self) -> None:
        """Confirms what is durable: the server may forget what is below."""
        now = round((time.time() - _EPOCH_S) * 1e6)
        status = _STATUS.pack(b"r", self.durable, self.durable, self.durable, now, 0)
        try:
            self._wire.put_copy_data(status)
            self._wire.flush()
        except Exception as error:
            raise SourceError(f"the connection broke: {_line(error)}") from None

    async def close(self) -> None:
        """Ends it; the slot stays."""
        await self._connection.close()

    def _buffered(self) -> list[bytes]:
        found: list[bytes] = []
        try:
            while len(found) < _MOST:
                size, data = self._wire.get_copy_data(1)
                if size == -1:
                    raise SourceError(self._why_ended())
                if size == 0:
                    break
                found.append(bytes(data))
        except SourceError:
            raise
        except Exception as error:
            raise SourceError(f"the connection broke: {_line(error)}") from None
        return found

    def _why_ended(self) -> str:
        result = self._wire.get_result()
        words = result.get_error_message().strip() if result is not None else ""
        return f"the server ended the replication: {words.splitlines()[0] if words else 'it is shutting down'}"

    async def _readable(self) -> None:
        await readable(self._wire)
        try:
            self._wire.consume_input()
        except Exception as error:
            raise SourceError(f"the connection broke: {_line(error)}") from None


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
