"""An endpoint's task: tells it what its rules mean, at least once, in order, from where it stopped.

It has one batch in its hands at a time and no queue: what waits is in the journal and in the live state. So an endpoint
that is slow or away costs nobody anything, and no other endpoint notices.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from ..twin.backoff import Backoff
from ..twin.define_publishing import Endpoint, KafkaPublishing, MqttPublishing, WebhookPublishing
from ..twin.errors import InvalidValueError, MissingExtraError, OverloadedError, SourceError, StorageError
from ..twin.store_names import PUBLISHING_PREFIX
from ..twin.times import NS, now_ns
from ..twin.twin import Twin
from .publish_feeds import EventFeed, Feed, ReadingsFeed
from .publish_message import Outgoing
from .publish_rules import Selection
from .publish_sender import PublisherStatus, RefusedMessageError, Sender
from .publish_state import StateFeed
from .publish_twins import Documents, TwinFeed

log = logging.getLogger("iotsense.publishing")

BATCH = 500
SAVE_S = 1.0
GATHER_S = 0.01
FAILED_S = 60.0
REFUSALS = 3
_FAR = 10_000
_REFUSED_PAUSE_S = 0.5


def sender_of(endpoint: Endpoint) -> Sender:
    """What sends to an endpoint; the module is loaded when its first endpoint is made."""
    if isinstance(endpoint, MqttPublishing):
        from .publish_mqtt import MqttSender

        return MqttSender(endpoint)
    if isinstance(endpoint, KafkaPublishing):
        from .publish_kafka import KafkaSender

        return KafkaSender(endpoint)
    assert isinstance(endpoint, WebhookPublishing)
    from .publish_webhook import WebhookSender

    return WebhookSender(endpoint)


class Publisher:
    """One endpoint. `status` says how it is, and `refresh` how far it is behind."""

    def __init__(
        self,
        twin: Twin,
        endpoint: Endpoint,
        documents: Documents,
        sender: Sender | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._twin = twin
        self._documents = documents
        self._sender = sender or sender_of(endpoint)
        self._backoff = backoff or Backoff(longest=60.0)
        self._rules = endpoint.rules
        self._id = endpoint.id
        self._feeds: list[Feed] = []
        self._saved: dict[str, int] = {}
        self._moved: set[str] = set()
        self._saved_at = 0.0
        protocol = getattr(endpoint, "type", "")
        self.status = PublisherStatus(endpoint.id, protocol, self._sender.address)

    def refresh(self) -> PublisherStatus:
        """The status with what waits now."""
        self.status.behind = {feed.name.split(":")[2]: feed.behind for feed in self._feeds}
        self.status.gaps = [gap for feed in self._feeds if isinstance(feed, ReadingsFeed) for gap in feed.gaps]
        return self.status

    async def run(self) -> None:
        """Publishes until cancelled."""
        self._feeds = self._made_feeds()
        self._saved = {feed.name: self._twin.position(feed.name) for feed in self._feeds}
        try:
            while True:
                self.status.connecting()
                await self._attempt()
        finally:
            self.status.stopped()

    def _made_feeds(self) -> list[Feed]:
        """One for each kind of thing that its rules mean. Other rules for states begin with all that is known."""
        topics = dict(zip(("state", "events", "twin"), self._sender.default_topics, strict=True))
        chosen: dict[str, list[Selection]] = {}
        for rule in self._rules:
            word = {"state": "readings" if rule.every_reading else "states", "twin": "twins"}.get(
                rule.publish, "events"
            )
            chosen.setdefault(word, []).append(Selection(rule, topics[rule.publish]))
        return [self._made_feed(word, selections) for word, selections in sorted(chosen.items())]

    def _made_feed(self, word: str, selections: list[Selection]) -> Feed:
        name = f"{PUBLISHING_PREFIX}{self._id}:{word}"
        if word == "events":
            return EventFeed(self._twin, name, selections)
        if word == "readings":
            return ReadingsFeed(self._twin, name, selections)
        content = msgspec.json.encode([each.rule.model_dump(mode="json") for each in selections])
        name += f":{blake2b(content, digest_size=6).hexdigest()}"
        if word == "twins":
            return TwinFeed(self._twin, name, selections, self._documents)
        return StateFeed(self._twin, name, selections)

    async def _attempt(self) -> None:
        """One connection from beginning to end, and the pause behind it."""
        try:
            await self._sender.open()
            try:
                await self._follow()
            finally:
                await self._sender.close()
        except (MissingExtraError, InvalidValueError) as error:
            self.status.failed(str(error))
            log.error("endpoint %s: %s", self._id, error)
            await asyncio.sleep(FAILED_S)
        except (SourceError, StorageError, OverloadedError, OSError) as error:
            wait = self._backoff.next()
            reason = str(error) or type(error).__name__
            self.status.backoff(reason, now_ns() + round(wait * NS))
            log.warning("endpoint %s: %s; next attempt in %.1f s", self._id, reason, wait)
            await asyncio.sleep(wait)

    async def _follow(self) -> None:
        await self._save(now=True)
        tasks = [asyncio.create_task(self._publish()), asyncio.create_task(self._sender.lost())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            with contextlib.suppress(StorageError, OverloadedError):  # then what was told last is told again
                await self._save(now=True)

    async def _publish(self) -> None:
        while True:
            seen = self._twin.last_seq
            count = 0
            for feed in self._feeds:
                messages = await feed.next(BATCH)
                if messages:
                    await self._deliver(messages)
                    feed.taken()
                    self._moved.add(feed.name)
                    count += len(messages)
            await self._save()
            if not count:
                # Whoever has nothing to do has not shown yet that the endpoint answers; connected is all it can be.
                self._is_running()
                await self._rest(seen)

    async def _deliver(self, messages: Sequence[Outgoing]) -> None:
        try:
            await self._sender.send(messages)
        except RefusedMessageError as error:
            if len(messages) > 1:
                for message in messages:
                    await self._deliver([message])
                return
            await self._insist(messages[0], error)
            return
        self.status.published += len(messages)
        self._backoff.reset()
        self._is_running()

    async def _insist(self, message: Outgoing, error: RefusedMessageError) -> None:
        """Sends it once more or twice; what is refused then is left out, or nothing behind it would ever arrive."""
        for _ in range(REFUSALS - 1):
            await asyncio.sleep(_REFUSED_PAUSE_S)
            try:
                await self._sender.send([message])
            except RefusedMessageError as again:
                error = again
            else:
                self.status.published += 1
                return
        self.status.refused += 1
        self.status.refusal = f"{message.type} {message.id}: {error}"
        log.error("endpoint %s does not take %s %s, which is left out: %s", self._id, message.type, message.id, error)

    def _is_running(self) -> None:
        if self.status.state != "running":
            self.status.running()

    # Positions

    async def _save(self, *, now: bool = False) -> None:
        """Makes durable how far it has come, once a second at most; what moved without telling anything can wait."""
        if not now and time.monotonic() - self._saved_at < SAVE_S:
            return
        for feed in self._feeds:
            told = now or feed.name in self._moved or feed.position - self._saved[feed.name] > _FAR
            if told and feed.position != self._saved[feed.name]:
                await self._twin.record_async((), None, (feed.name, feed.position))
                self._saved[feed.name] = feed.position
            self._moved.discard(feed.name)
        self._saved_at = time.monotonic()

    async def _rest(self, seen: int) -> None:
        """Until the journal has something new, a signal may be told again, or a position is to be made durable."""
        waits = [due for feed in self._feeds if (due := feed.due()) is not None]
        if self._moved:
            waits.append(max(0.0, SAVE_S - (time.monotonic() - self._saved_at)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(min(waits), 0.001) if waits else None):
                await self._twin.wait_entries(seen)
        await asyncio.sleep(GATHER_S)  # what comes one by one goes out together
