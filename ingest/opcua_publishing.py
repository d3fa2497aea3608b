"""The conversation of a session with its subscriptions: several Publish requests wait at the server, answers are taken
in order, gaps are asked for again, and what is durable is acknowledged with the next request."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable

from ..twin.errors import SourceError
from .opcua_errors import explain, translated
from .opcua_memory import Memory, Subscription
from .opcua_publication import Publication
from .opcua_session import OpcUaSession

# Requests that wait at the server beyond one for each subscription, and the most of them.
_SPARE, _MOST = 2, 20
# How long an answer may be overdue [s] before the connection is taken for dead.
_OVERDUE_S = 10.0
_LOOK_S = 5.0
_IDLE_S = 0.5
Take = Callable[[Publication], Awaitable[None]]
"""Takes over what a subscription published; waits while nobody can take it."""
Lost = Callable[[Subscription], None]
"""Is told that the server threw away what a subscription had to say."""


class SubscriptionsEndedError(SourceError):
    """The server has ended what we subscribed to, so there is nothing to go on with."""


class Publishing:
    """Runs until the connection or a subscription ends."""

    def __init__(self, session: OpcUaSession, memory: Memory, take: Take, lost: Lost) -> None:
        self._session = session
        self._memory = memory
        self._take = take
        self._lost = lost
        self._answers: deque[asyncio.Task[Publication]] = deque()
        self._answered = asyncio.Event()
        self._waiting: dict[asyncio.Task[Publication], list[tuple[int, int]]] = {}
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._heard = time.monotonic()
        self._taking = False
        self._most = _MOST

    @property
    def unread(self) -> int:
        """Answers that have come and wait to be taken."""
        return len(self._answers)

    def fail(self, error: SourceError) -> None:
        """Ends the conversation."""
        if not self._failure.done():
            self._failure.set_exception(error)

    async def run(self) -> None:
        """Raises SourceError when it ends."""
        conversing = asyncio.create_task(self._converse())
        watching = asyncio.create_task(self._watch())
        tasks = (conversing, watching, self._failure)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for task in (conversing, watching, *self._waiting):
                task.cancel()
            self._failure.cancel()
            await asyncio.gather(conversing, watching, self._failure, *self._waiting, return_exceptions=True)
            self._take_back()

    def _take_back(self) -> None:
        """Acknowledgements that may not have arrived go with the next connection."""
        for sent in self._waiting.values():
            self._memory.acknowledgements.extendleft(reversed(sent))

    async def _converse(self) -> None:
        # Without any the server has none of the nodes; they are looked for again.
        while not self._memory.subscriptions:  # noqa: ASYNC110
            await asyncio.sleep(_IDLE_S)
        for subscription in list(self._memory.subscriptions.values()):
            await self._fetch(subscription, subscription.kept - subscription.taken, range(0))
            subscription.kept.clear()
        self._ask()
        while True:
            while not self._answers:
                self._answered.clear()
                await self._answered.wait()
            answer = self._answers.popleft()
            sent = self._waiting.pop(answer)
            publication = self._result(answer, sent)
            if publication is not None:
                self._settle(sent)
                await self._receive(publication)
            self._ask()

    def _ask(self) -> None:
        """Keeps as many requests waiting at the server as are wanted."""
        queue = self._memory.acknowledgements
        while len(self._waiting) < min(len(self._memory.subscriptions) + _SPARE, self._most):
            sent = [queue.popleft() for _ in range(len(queue))]
            asking = asyncio.create_task(self._session.publish(sent))
            self._waiting[asking] = sent
            asking.add_done_callback(self._came)

    def _came(self, answer: "asyncio.Task[Publication]") -> None:
        if not answer.cancelled():
            self._heard = time.monotonic()
            self._answers.append(answer)
            self._answered.set()

    def _result(self, answer: "asyncio.Task[Publication]", sent: list[tuple[int, int]]) -> Publication | None:
        """None if the server only wants to be asked anew."""
        from asyncua.ua.uaerrors import BadNoSubscription, BadTimeout, BadTooManyPublishRequests

        with translated("reading what the server publishes"):
            try:
                return answer.result()
            except BadNoSubscription:
                raise SubscriptionsEndedError("the server has ended our subscriptions") from None
            except (BadTimeout, BadTooManyPublishRequests) as error:
                if isinstance(error, BadTooManyPublishRequests):
                    self._most = max(1, len(self._waiting))
                self._memory.acknowledgements.extendleft(reversed(sent))
                return None

    def _settle(self, sent: list[tuple[int, int]]) -> None:
        for subscription, sequence in sent:
            if subscription in self._memory.subscriptions:
                self._memory.subscriptions[subscription].taken.discard(sequence)

    async def _receive(self, publication: Publication) -> None:
        subscription = self._memory.subscriptions.get(publication.subscription)
        if subscription is None:
            return
        if publication.status is not None:
            raise SubscriptionsEndedError(f"the server has ended a subscription: {explain(publication.status)}")
        await self._fetch_missing(subscription, publication)
        if publication.empty:
            subscription.last = publication.sequence - 1
            return
        subscription.last = publication.sequence
        await self._hand_over(subscription, publication)

    async def _hand_over(self, subscription: Subscription, publication: Publication) -> None:
        subscription.taken.add(publication.sequence)
        self._taking = True
        try:
            await self._take(publication)
        finally:
            self._taking = False

    async def _fetch_missing(self, subscription: Subscription, publication: Publication) -> None:
        """What the server has sent and we have not: before this one, or left from an earlier connection."""
        skipped = range(subscription.last + 1, publication.sequence) if subscription.last else range(0)
        kept = (number for number in publication.available if number != publication.sequence)
        await self._fetch(subscription, {*skipped, *kept} - subscription.taken, skipped)

    async def _fetch(self, subscription: Subscription, numbers: set[int], needed: range) -> None:
        """Notifications once more; of those that are `needed` it is told if the server has them no more."""
        from asyncua.ua.uaerrors import UaStatusCodeError

        for number in sorted(numbers):
            with translated("asking for a notification once more"):
                try:
                    again = await self._session.republish(subscription.id, number)
                except UaStatusCodeError:
                    if number in needed:
                        self._lost(subscription)
                    continue
            await self._hand_over(subscription, again)

    async def _watch(self) -> None:
        """Keeps the session alive, and notices a server that has gone without a word."""
        while True:
            silence = max((each.silence for each in self._memory.subscriptions.values()), default=math.inf)
            await asyncio.sleep(_LOOK_S)
            await self._session.alive()
            overdue = time.monotonic() - self._heard > 2 * silence + _OVERDUE_S
            if overdue and not self._taking and not self._answers:
                raise SourceError("the server answers, but publishes no more")
