"""The log of events: no gaps in its numbers, durable before it is shown, resumable, and honest about what is gone."""

import asyncio
import json
import shutil
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from service_fixtures import API, client, run_cli, service, write_plant

from iotsense import IoTSense
from iotsense.service import Service
from iotsense.twin.entry import EntryKind, EventDraft
from iotsense.twin.errors import StorageFullError
from iotsense.twin.event_gap import GONE, EventGap, told
from iotsense.twin.event_retention import kept
from iotsense.twin.graph_edit import GraphEdit
from iotsense.twin.history_policy import policy_of
from iotsense.twin.model import Event
from iotsense.twin.segment import Segment
from iotsense.twin.twin import StoreOptions, Twin

OPTIONS = StoreOptions(projection_interval=0.02)


def record(twin: Twin, count: int, kind: str = "note", **fields: Any) -> None:
    for number in range(count):
        twin.record([EventDraft(number, kind, data={"number": number}, **fields)])


def retain(text: str | None) -> Any:
    def build(edit: GraphEdit) -> None:
        edit.set_definition({"iotsense": {"storage": {"retention": {"events": text}}}} if text else {})

    return build


def numbers(events: Sequence[Event]) -> list[int]:
    return [event.seq for event in events]


def forget(twin: Twin, until: int) -> None:
    """As if the events up to a number had been kept long enough."""
    twin.catch_up()
    (event,) = twin.events(until - 1, 1)
    twin._catalog.expire(event.recorded + 1)


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(st.sampled_from(["events", "refused", "crash", "checkpoint"]), max_size=12), st.integers(1, 4))
def test_numbers_have_no_gaps_whatever_happens(tmp_path_factory: Any, steps: list[str], writers: int) -> None:
    place = tmp_path_factory.mktemp("log")
    twin, written, folder = Twin.open(place / "0", OPTIONS), 0, 0
    for step in steps:
        if step == "refused":
            with pytest.MonkeyPatch.context() as patch, pytest.raises(StorageFullError):
                patch.setattr(Segment, "append", _full)
                twin.record([EventDraft(0, "note")])
        elif step == "crash":
            shutil.copytree(place / str(folder), place / str(folder + 1))
            twin.close()
            folder += 1
            twin = Twin.open(place / str(folder), OPTIONS)
        elif step == "checkpoint":
            twin._upkeep.save_checkpoint()
        else:
            threads = [threading.Thread(target=record, args=(twin, 3)) for _ in range(writers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            written += 3 * writers
        assert numbers(twin.events()) == list(range(1, written + 1))
    with twin:
        for after in range(written + 1):
            assert numbers(twin.as_of().event_log(after)) == list(range(after + 1, written + 1))


def _full(segment: Segment, *_: Any) -> None:
    raise StorageFullError(f"no room left to write {segment.path}")


def test_an_event_is_durable_before_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Twin.open(tmp_path / "data", OPTIONS) as twin:
        append, seen = Segment.append, []

        def watched(segment: Segment, rows: Any, identities: Any) -> None:
            append(segment, rows, identities)
            with sqlite3.connect(segment.path) as reader:  # another connection sees only what is committed
                found = reader.execute("SELECT count(*) FROM entry WHERE kind = ?", (EntryKind.EVENTS,)).fetchone()
            reader.close()
            seen.append((found[0], twin.last_event_seq, len(twin.events())))

        monkeypatch.setattr(Segment, "append", watched)
        record(twin, 3)
        assert seen == [(1, 0, 0), (2, 1, 1), (3, 2, 2)]


@given(st.integers(0, 30), st.integers(1, 10), st.lists(st.integers(0, 3), max_size=8))
def test_what_is_gone_and_what_is_there_make_up_the_log(after: int, limit: int, lengths: list[int]) -> None:
    """Pages that are read one behind another tell of every number exactly once."""
    gaps, events, number = [], [], 0
    for turn, length in enumerate(lengths):
        if length and turn % 2:
            gaps.append(EventGap(number + 1, number + length, 5))
        else:
            events += [Event(number + i, 0, 0, "note") for i in range(1, length + 1)]
        number += length
    covered: list[int] = []
    at = after
    while page := told([event for event in events if event.seq > at][:limit], gaps, at, limit):
        assert len(page) <= limit
        for event in page:
            covered += range(event.data["from"], event.data["to"] + 1) if event.kind == GONE else [event.seq]
        at = page[-1].seq
    assert covered == list(range(after + 1, number + 1))


def test_expired_events_are_told_of_as_a_range(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data", OPTIONS) as twin:
        record(twin, 10)
        forget(twin, 6)
        assert numbers(twin.events()) == [7, 8, 9, 10]
        assert numbers(twin.events(newest_first=True, limit=9)) == [10, 9, 8, 7]
        for after, first in ((0, 1), (3, 4), (5, 6)):
            gone, *rest = twin.as_of().event_log(after)
            assert (gone.kind, gone.seq, gone.data) == (GONE, 6, {"from": first, "to": 6})
            assert numbers(rest) == [7, 8, 9, 10]
        assert numbers(twin.as_of().event_log(6)) == [7, 8, 9, 10]
        assert [event.kind for event in twin.as_of().event_log(0, 2, kind="note")] == [GONE, "note"]
        forget(twin, 10)
        (gone,) = twin.as_of().event_log(2)
        assert gone.data == {"from": 3, "to": 10}
        assert twin.as_of().event_log(10) == []
    with Twin.open(tmp_path / "data", OPTIONS) as twin:  # the same after a restart, and the numbers go on
        assert twin.as_of().event_log(0)[0].data == {"from": 1, "to": 10}
        record(twin, 1)
        assert numbers(twin.as_of().event_log(0)) == [10, 11]


def test_what_has_not_ended_stays_known_as_open(tmp_path: Path) -> None:
    with Twin.open(tmp_path / "data", OPTIONS) as twin:
        record(twin, 1, "anomaly", identity="a")
        record(twin, 3)
        now = twin.events()[-1].recorded
        forget(twin, 4)
        assert [event.seq for event in twin.open_events("anomaly")] == [1]
        assert [event.seq for event in twin.as_of(known_at=now + 10**9).open_events("anomaly")] == [1]
        assert numbers(twin.as_of().event_log(0)) == [4]


def test_a_catalog_that_is_made_anew_tells_what_the_journal_no_longer_had(tmp_path: Path) -> None:
    options = StoreOptions(projection_interval=0.02, segment_bytes=20_000, journal_retention=0)
    with Twin.open(tmp_path / "data", options) as twin:
        record(twin, 300)
        twin.catch_up()
        twin._upkeep.drop_old(twin.last_seq)
        entries = twin.journal_entries(twin._journal.first_seq - 1)
        kept_from = next(entry.value[0].seq for entry in entries if entry.kind is EntryKind.EVENTS)
        assert kept_from > 1
    for file in (tmp_path / "data").glob("plant.sqlite*"):
        file.unlink()
    with Twin.open(tmp_path / "data", options) as twin:
        twin.catch_up()
        assert any("can no longer be projected" in text for text in twin.damage)
        gone, *rest = twin.as_of().event_log(0)
        assert (gone.kind, gone.data) == (GONE, {"from": 1, "to": kept_from - 1})
        assert numbers(rest) == list(range(kept_from, 301))


def test_retention_is_read_from_the_definition(tmp_path: Path) -> None:
    assert kept({}) is None
    assert kept({"iotsense": {"storage": {"retention": {"events": "90d"}}}}) == 90 * 86_400
    with Twin.open(tmp_path / "data", OPTIONS) as twin:
        record(twin, 5)
        twin.catch_up()
        last = twin.last_event_seq
        twin.change(retain("1ms"), "test")
        while not twin._catalog.expired >= last:
            twin.catch_up()
        assert twin.as_of().event_log(0)[0].data["from"] == 1
        assert (policy_of(twin.graph).raw, policy_of(twin.graph).tiers) == (None, ())  # no readings go with them
        gone = twin._catalog.expired
        twin.change(retain(None), "test")
        record(twin, 2)
        assert twin._catalog.expired <= gone + 2


async def test_every_facade_tells_what_is_gone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with service(data, write_plant(tmp_path)) as running, client(running) as http:
        twin = running.twin
        await asyncio.to_thread(record, twin, 6)
        last = twin.last_event_seq
        await asyncio.to_thread(forget, twin, last - 2)
        expected = {"from": 3, "to": last - 2}
        page = (await http.get(f"{API}/events", params={"after": 2})).json()["events"]
        assert (page[0]["kind"], page[0]["seq"], page[0]["data"]) == (GONE, last - 2, expected)
        assert [event["seq"] for event in page[1:]] == [last - 1, last]
        assert await _stream(http) == [("gone", expected), ("note", {"number": 4}), ("note", {"number": 5})]
        query = {"query": '{ events(after: 2, kind: "note") { seq kind data } }'}
        found = (await http.post("/graphql", json=query)).json()["data"]["events"]
        assert (found[0]["kind"], found[0]["data"], len(found)) == (GONE, expected, 3)
        sdk = await asyncio.to_thread(_by_sdk, running)
        assert (sdk[0]["kind"], sdk[0]["data"], len(sdk)) == (GONE, expected, 3)
        shown = await asyncio.to_thread(
            run_cli, "events", "--after", "2", "--kind", "note", "--data", str(data), cwd=tmp_path
        )
        assert f"from=3 to={last - 2}" in shown.stdout.splitlines()[0]


async def _stream(http: httpx.AsyncClient) -> list[tuple[str, Any]]:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "2"}
    found: list[tuple[str, Any]] = []
    async with http.stream("GET", f"{API}/events", headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                found.append((event["kind"], event["data"]))
                if len(found) == 3:
                    return found
    return found


def _by_sdk(running: Service) -> list[dict[str, Any]]:
    with IoTSense(url=running.url) as iot:
        return list(iot.events(after=2, kind="note"))
