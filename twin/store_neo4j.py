"""A Neo4j server over Bolt: statements in transactions, and pages of what it shows. Needs the extra `neo4j`."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from . import store_cypher as cypher
from .errors import MissingExtraError, StoreError
from .store_cypher import Statement
from .store_rows import RelationshipKey
from .store_words import LEVEL_LABELS
from .substitution import reveal

if TYPE_CHECKING:
    from neo4j import AsyncDriver

CONNECT_S = 5.0
ANSWER_S = 30.0
BOOKMARK_S = 90.0
TRANSACTION_ROWS = 10_000
PAGE = 500
DEFAULT_URL = "bolt://localhost:7687"
_OLDER = "Neo.TransientError.Transaction.BookmarkTimeout"
_READ_ONLY = (
    "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase",
    "Neo.ClientError.General.WriteOnReadOnlyAccessDatabase",
)


@dataclass(frozen=True, slots=True)
class Neo4jAddress:
    """Where a database is, and as whom we come; `password` is a reference such as ${NEO4J_PASSWORD}."""

    url: str = DEFAULT_URL
    username: str | None = None
    password: str | None = None
    database: str = "neo4j"


class ShownNode(NamedTuple):
    """A node as the database shows it."""

    key: int
    labels: frozenset[str]
    properties: dict[str, Any]


class Stranger(NamedTuple):
    """A node with the label of a level that bears no key of ours; `parent` is the key of what contains it."""

    element_id: str
    labels: frozenset[str]
    properties: dict[str, Any]
    parent: int | None


class Neo4jGraph:
    """One database. All methods raise StoreError where the server cannot be reached, refuses, or does not answer."""

    def __init__(self, address: Neo4jAddress) -> None:
        self.address = address
        self.bookmarks: list[str] = []
        self._driver: AsyncDriver | None = None

    # Coming and going

    async def open(self) -> str:
        """Connects, and makes the constraints; the identity of the database."""
        await self.close()
        await asyncio.to_thread(_load)  # half a second in which nothing else would be done
        self._driver = self._connect()
        with _told(f"{self.address.url} cannot be reached"):
            async with asyncio.timeout(ANSWER_S):
                await self._driver.verify_connectivity()
        identity = await self.ask("CALL db.info() YIELD id RETURN id")
        for text in cypher.constraints():
            await self.ask(text)
        return str(identity)

    async def make_indexes(self) -> None:
        """Makes the indexes that people's questions use."""
        for text in cypher.indexes():
            await self.ask(text)

    def _connect(self) -> "AsyncDriver":
        from neo4j import AsyncGraphDatabase

        logging.getLogger("neo4j").setLevel(logging.CRITICAL)  # what goes wrong is raised, and told by us
        address = self.address
        password = "" if address.password is None else reveal(address.password)
        with _told(f"{address.url} is no address of a Neo4j server"):
            return AsyncGraphDatabase.driver(
                address.url,
                auth=(address.username, password) if address.username else None,
                connection_timeout=CONNECT_S,
                connection_acquisition_timeout=ANSWER_S,
                max_connection_pool_size=4,
                notifications_min_severity="OFF",
                user_agent="iotsense",
            )

    async def close(self) -> None:
        """Hangs up."""
        driver, self._driver = self._driver, None
        if driver is not None:
            with contextlib.suppress(Exception):  # whatever is wrong with a connection that is not needed any more
                async with asyncio.timeout(CONNECT_S):
                    await driver.close()

    async def holds(self, bookmarks: Sequence[str]) -> bool:
        """Whether it has all that was written up to these bookmarks: False for one restored from an older backup."""
        from neo4j import Bookmarks
        from neo4j.exceptions import Neo4jError

        async with self._driver_now().session(
            database=self.address.database, bookmarks=Bookmarks.from_raw_values(bookmarks)
        ) as session:
            try:
                with _told("it does not answer"):
                    async with asyncio.timeout(BOOKMARK_S):
                        await (await session.run("RETURN 1")).consume()
            except StoreError as error:
                if isinstance(error.__cause__, Neo4jError) and error.__cause__.code == _OLDER:
                    return False
                raise
        return True

    # Writing

    async def write(self, statements: Iterable[Statement]) -> int:
        """Carries statements out: in one transaction, or several if they are more than 10,000 rows; how many rows."""
        rows = 0
        for part in _transactions(statements):
            await self._transaction(part)
            rows += sum(statement.rows for statement in part)
        return rows

    async def _transaction(self, statements: list[Statement]) -> None:
        async with self._driver_now().session(database=self.address.database) as session:
            with _told("it refused a transaction"):
                async with asyncio.timeout(ANSWER_S):
                    if len(statements) == 1:
                        await (await session.run(statements[0].text, statements[0].parameters)).consume()
                    else:
                        async with await session.begin_transaction() as transaction:
                            for statement in statements:
                                await (await transaction.run(statement.text, statement.parameters)).consume()
                            await transaction.commit()
                self.bookmarks = sorted((await session.last_bookmarks()).raw_values)

    async def remove(self, strangers: Sequence[Stranger]) -> None:
        """Removes nodes that were made by hand."""
        ids = [stranger.element_id for stranger in strangers]
        text = "UNWIND $rows AS id MATCH (n) WHERE elementId(n) = id DETACH DELETE n"
        await self.write([Statement(text, {"rows": ids}, len(ids))])

    # Reading

    async def ask(self, text: str, **parameters: Any) -> Any:
        """The single value of the answer; None if there is none."""
        async with self._driver_now().session(database=self.address.database) as session:
            with _told("it does not answer"):
                async with asyncio.timeout(ANSWER_S):
                    record = await (await session.run(text, parameters)).single()
        return None if record is None else record[0]

    async def nodes(self, skip: Sequence[str] = ()) -> AsyncIterator[tuple[str, int, list[ShownNode]]]:
        """(label of the level, lowest key not asked for yet, a page of nodes); the last page of a level is empty.

        `skip` names properties that are left out.
        """
        for label in LEVEL_LABELS.values():
            lowest, rows = 0, [None]
            while rows:
                rows = await self.ask(
                    cypher.page_of_nodes(label), **{"from": lowest, "limit": PAGE, "skip": list(skip)}
                )
                shown = [ShownNode(row[0], frozenset(row[1]), dict(zip(row[2], row[3], strict=True))) for row in rows]
                yield label, lowest, shown
                lowest = rows[-1][0] + 1 if rows else lowest

    async def relationships(self, label: str, start: int, end: int) -> dict[RelationshipKey, dict[str, Any]]:
        """What starts at nodes of a level with keys in [start, end)."""
        rows = await self.ask(cypher.page_of_relationships(label), **{"from": start, "to": end})
        return {RelationshipKey(*row[:3]): row[3] for row in rows}

    async def is_empty(self) -> bool:
        """Whether it has no node of any level."""
        counts = [await self.ask(f"MATCH (n:{label}) RETURN count(n)") for label in LEVEL_LABELS.values()]
        return not any(counts)

    async def open_anomalies(self) -> dict[int, int]:
        """The counts of open anomalies that it shows, by key, but for those that are none."""
        counts: dict[int, int] = {}
        for label in LEVEL_LABELS.values():
            counts |= dict(await self.ask(cypher.counts_of_anomalies(label)))
        return counts

    async def strangers(self) -> list[Stranger]:
        """Nodes that somebody made by hand."""
        found = []
        for label in LEVEL_LABELS.values():
            rows = await self.ask(cypher.strangers(label))
            found += [Stranger(row[0], frozenset(row[1]), row[2], row[3]) for row in rows]
        return found

    def _driver_now(self) -> "AsyncDriver":
        if self._driver is None:
            raise StoreError(f"{self.address.url} is not connected")
        return self._driver


def _load() -> None:
    try:
        import neo4j  # noqa: F401
    except ImportError:
        raise MissingExtraError("the graph store neo4j", "neo4j") from None


def _transactions(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    part: list[Statement] = []
    for statement in statements:
        if sum(one.rows for one in part) + statement.rows > TRANSACTION_ROWS:
            yield part
            part = []
        part.append(statement)
    if part:
        yield part


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """The driver's errors in words of ours."""
    from neo4j.exceptions import ConfigurationError, DriverError, Neo4jError

    try:
        yield
    except TimeoutError as error:
        raise StoreError(f"{what}: no answer within {ANSWER_S:.0f} s") from error
    except Neo4jError as error:
        reason = "it is read-only" if error.code in _READ_ONLY else error.message or str(error)
        raise StoreError(f"{what}: {reason}") from error
    except (DriverError, ConfigurationError, OSError, ValueError) as error:
        raise StoreError(f"{what}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
