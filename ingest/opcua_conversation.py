"""What is said over one session at an OPC UA server: catching up with what was missed, then listening."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from ..twin.define_opcua import OpcUaConnection
from ..twin.errors import IoTSenseError, SourceError
from ..twin.times import NS, now_ns
from ..twin.twin import Twin
from .adapter import Deliver
from .message import Message, Order
from .opcua_alarms import Alarms
from .opcua_history import read_history
from .opcua_memory import Memory, Subscription
from .opcua_publication import Publication
from .opcua_publishing import Publishing
from .opcua_readings import OpcUaReadings, Settling
from .opcua_session import OpcUaSession
from .opcua_subscribing import named, subscribe, transfer
from .opcua_values import read_values
from .opcua_variables import Variable, configured_variables

# History is read from so long before the last value [ns]: clocks differ a little, and subscriptions wait.
_MARGIN = 2 * NS
# Lost values are fetched from history at most this often [s].
_FILL_S = 5.0
# Nodes that the server does not have, or refuses, are looked for again so often [s].
_AGAIN_S = 60.0


class Conversation:
    """Begin it, then run it; both raise SourceError. `readings` are the points as this session has them."""

    readings: OpcUaReadings

    def __init__(
        self, source: str, settings: OpcUaConnection, session: OpcUaSession, memory: Memory, deliver: Deliver
    ) -> None:
        self._source = source
        self._settings = settings
        self._memory = memory
        self._deliver = deliver
        self._order = Order()
        self._publishing: Publishing | None = None
        self._failed: dict[int, str] = {}
        self._told: list[str] = []
        self._overflowed: set[int] = set()
        self._gap_since = 0
        self._filled_at = 0.0
        self._alarms: Alarms | None = None
        self._tell: Callable[[Sequence[str]], None] = _nobody
        self.session = session
        self.variables: list[Variable] = []
        self._refusal: SourceError | None = None

    @property
    def refused(self) -> bool:
        """Whether storage refused what came, so that the server is not at fault."""
        return self._refusal is not None

    @property
    def unread(self) -> int:
        """Answers of the server that wait to be taken."""
        return self._publishing.unread if self._publishing is not None else 0

    def tell(self, told: Callable[[Sequence[str]], None]) -> None:
        """Has the remarks told, now and when they change."""
        self._tell = told
        self._tell(self.remarks())

    def remarks(self) -> list[str]:
        """What somebody should know, though the connection runs."""
        names = self._settings.nodes
        reasons: dict[str, list[str]] = {}
        for handle, reason in sorted(self._failed.items()):
            reasons.setdefault(reason, []).append(names[handle].id)
        found = [f"{reason}: {named(ids)}" for reason, ids in reasons.items()]
        unknown = {v.said_unit for v in self.variables if v.said_unit and v.unit is None}
        if unknown:
            found.append(f"units that are not known here: {named(sorted(unknown))}; give `unit` for their nodes")
        if self._overflowed:
            lost = [names[handle].id for handle in sorted(self._overflowed)]
            found.append(f"the server's queue was too short for {named(lost)}: raise `queue_size`")
        return [*found, *self._told]

    async def look_up(self) -> None:
        """Finds out what the server says of the configured nodes."""
        self.variables = await configured_variables(self.session, self._settings.nodes, self._memory.namespaces)
        self._failed = {handle: v.problem for handle, v in enumerate(self.variables) if v.problem is not None}
        self.readings = OpcUaReadings(self._source, self._settings.nodes, self.variables)

    async def begin(self, twin: Twin | None) -> None:
        """Goes on with the subscriptions of an earlier session, or makes new ones and catches up."""
        memory = self._memory
        if self._settings.alarms and twin is not None:
            self._alarms = Alarms(self._source, self._settings, twin)
        if await self._resumed():
            if self._alarms is not None:
                self._alarms.go_on(self.session)
        else:
            memory.subscriptions.clear()
            memory.acknowledgements.clear()
            await self._subscribe_anew()
        memory.keep(self.session.token, self.session.nonce, self.session.namespaces)
        await self._tell_anew()

    async def run(self) -> None:
        """Takes what is published until the connection ends."""
        self._publishing = Publishing(self.session, self._memory, self._take, self._lost)
        if self._refusal is not None:
            self._publishing.fail(self._refusal)
        again = asyncio.create_task(self._look_again())
        try:
            await self._publishing.run()
        finally:
            again.cancel()
            with suppress(asyncio.CancelledError):
                await again

    # Beginning

    def _good_handles(self) -> list[int]:
        return [handle for handle in range(len(self.variables)) if handle not in self._failed]

    async def _resumed(self) -> bool:
        known = self._memory.subscriptions
        if not known:
            return False
        if self.session.resumed or await transfer(self.session, known):
            return True
        await self.session.forget_subscriptions(list(known))
        return False

    async def _subscribe_anew(self) -> None:
        """Reads history first, as long as that takes, then subscribes, then reads what came in between."""
        memory, began = self._memory, await self.session.time()
        since = memory.owed or memory.latest
        if since:
            memory.owe(since)
        await self._fill(self._good_handles(), since)
        await self._subscribe(self._good_handles())
        await self._fill(self._good_handles(), since and max(since, began))
        memory.owed = 0

    async def _subscribe(self, handles: Sequence[int]) -> None:
        outcome = await subscribe(self.session, self._settings, self.variables, handles)
        self._memory.subscriptions |= outcome.subscriptions
        self._failed |= outcome.failed
        self._told += outcome.remarks
        if self._alarms is not None and not self._alarms.subscribed:
            try:
                created = await self._alarms.subscribe(self.session)
            except SourceError as error:
                self._told.append(str(error))  # no reason to have no values either
            else:
                self._memory.subscriptions[created.id] = created
                self._told += self._alarms.remarks

    async def _look_again(self) -> None:
        """A node that was not there may come: a program is loaded, a right is given."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            missing = sorted(self._failed)
            if not missing:
                continue
            with suppress(SourceError):
                nodes = [self._settings.nodes[handle] for handle in missing]
                found = await configured_variables(self.session, nodes, self._memory.namespaces)
                back = [handle for handle, v in zip(missing, found, strict=True) if v.problem is None]
                for handle, variable in zip(missing, found, strict=True):
                    self.variables[handle] = variable
                for handle in back:
                    del self._failed[handle]
                if back:
                    self.readings = self.readings.renewed(self.variables)
                    await self._subscribe(back)
                    self._tell(self.remarks())

    async def _tell_anew(self) -> None:
        """Values that did not change while they were told to be unknown are told again, as of now."""
        if not self._memory.marked:
            return
        changes = await read_values(self.session, {h: self.variables[h].id for h in self._good_handles()})
        changes.keep_until(self._memory.marked)
        await self._hand_over(self.readings.messages(changes, now_ns(), self._memory.marked, self._order))
        self._memory.marked = 0

    async def _fill(self, handles: Sequence[int], since: int) -> None:
        """Reads from the server's history what came after `since` [ns], 0 for nothing."""
        if not since or self._settings.backfill is None:
            return
        now = await self.session.time()
        since = max(since - _MARGIN, now - round(self._settings.backfill * NS))
        nodes = {handle: self.variables[handle].id for handle in handles if self.variables[handle].has_history}
        if not nodes:
            return
        refused: dict[int, str] = {}
        async for changes, reasons in read_history(self.session, nodes, since, now + _MARGIN):
            refused |= reasons
            await self._hand_over(self.readings.messages(changes, now_ns(), order=self._order))
        if refused:
            which = named([self._settings.nodes[handle].id for handle in sorted(refused)])
            self._told.append(f"the history of {which} cannot be read: {next(iter(refused.values()))}")

    # Listening

    async def _take(self, publication: Publication) -> None:
        memory, readings = self._memory, self.readings
        subscription = memory.subscriptions[publication.subscription]
        changes = publication.changes
        if overflows := changes.overflows():
            self._overflow([handle for handle in overflows if handle < len(self.variables)])
        if self._alarms is not None and publication.events:
            try:
                await self._alarms.take(publication.events)
            except IoTSenseError as error:
                subscription.taken.discard(publication.sequence)
                self._fail(error)
                return
        messages = readings.messages(changes, now_ns(), order=self._order)
        memory.latest = max(memory.latest, changes.newest())
        self._settle(subscription, publication.sequence, messages)
        await self._hand_over(messages)
        await self._fill_gaps()

    def _settle(self, subscription: Subscription, sequence: int, messages: Sequence[Message]) -> None:
        def done() -> None:
            self._memory.acknowledgements.append((subscription.id, sequence))

        def refused(error: IoTSenseError) -> None:
            subscription.taken.discard(sequence)
            self._fail(error)

        if messages:
            Settling(messages, done, refused)
        else:
            done()

    async def _hand_over(self, messages: Sequence[Message]) -> None:
        """Waits while nobody takes; what is refused ends the connection, for it has to come again."""
        for message in messages:
            message.refuse = message.refuse or self._fail
        if not messages:
            return
        try:
            await self._deliver(messages)
        except IoTSenseError as error:
            for message in messages:
                if message.refuse is not None:
                    message.refuse(error)
        if self._refusal is not None and self._publishing is None:
            raise self._refusal

    def _fail(self, error: IoTSenseError) -> None:
        self._refusal = self._refusal or SourceError(f"messages cannot be stored: {error}")
        if self._publishing is not None:
            self._publishing.fail(self._refusal)

    # Gaps

    def _lost(self, subscription: Subscription) -> None:
        """A notification is gone: any of the subscription's items may have lost values."""
        self._overflow(self._good_handles())

    def _overflow(self, handles: Sequence[int]) -> None:
        if not self._overflowed.issuperset(handles):
            self._overflowed.update(handles)
            self._tell(self.remarks())
        since = int(self.readings.last[np.array(handles, np.int64)].min(initial=now_ns()))
        self._gap_since = min(self._gap_since or since, since)

    async def _fill_gaps(self) -> None:
        if not self._gap_since or time.monotonic() - self._filled_at < _FILL_S:
            return
        since, self._gap_since, self._filled_at = self._gap_since, 0, time.monotonic()
        await self._fill(sorted(self._overflowed), since)


def _nobody(remarks: Sequence[str]) -> None:
    """Nobody listens yet."""
