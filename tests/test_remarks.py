"""What people say about anomalies: durable, once by key, at any instant, over REST, GraphQL and the SDK, by part."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from facade_fixtures import breach, plant
from service_fixtures import API, PLANT, client, service, write_plant

from iotsense.client import AsyncIoTSense
from iotsense.service import Service
from iotsense.twin.access import Scope
from iotsense.twin.batch import ReadingBatch
from iotsense.twin.entry import EventDraft
from iotsense.twin.errors import ConflictError, InvalidValueError, NotFoundError, ReusedKeyError
from iotsense.twin.narrow_twin import narrow_twin
from iotsense.twin.past import Past
from iotsense.twin.remarks import REMARKS, Remarks, remarks_of
from iotsense.twin.times import now_ns
from iotsense.twin.twin import Twin

TEMP = "line_1.conveyor.motor_temp"


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    with plant(tmp_path / "data") as twin:
        yield twin


def said(twin: Twin, identity: str, **instant: Any) -> Remarks:
    return remarks_of(twin.as_of(**instant), [identity]).get(identity, Remarks())


def test_the_first_who_acknowledges_counts(twin: Twin) -> None:
    identity = breach(twin, TEMP)
    about, remarks = twin.remarks.acknowledge(identity, "anna", "bearing ordered")
    assert (about.identity, remarks.acknowledged_by, remarks.comments[0].text) == (identity, "anna", "bearing ordered")
    before = twin.last_event_seq
    assert twin.remarks.acknowledge(str(about.seq), "ben").remarks == remarks
    assert twin.last_event_seq == before
    again = twin.remarks.acknowledge(identity, "ben", "I see it too").remarks
    assert (again.acknowledged_by, again.acknowledged_at) == ("anna", remarks.acknowledged_at)
    assert [(each.by, each.text) for each in again.comments] == [("anna", "bearing ordered"), ("ben", "I see it too")]
    event = twin.events(kind=REMARKS)[-1]
    assert (event.node, event.until, event.data["anomaly"]) == (about.node, event.time, identity)
    assert twin.open_events(REMARKS) == [] and len(twin.open_events("anomaly")) == 1


def test_the_same_key_is_the_same_remark(twin: Twin) -> None:
    identity = breach(twin, TEMP)
    first = twin.remarks.comment(identity, "anna", "loud", "k1")
    twin.remarks.comment(identity, "ben", "louder", "k2")
    assert twin.remarks.comment(identity, "anna", "loud", "k1") == first
    assert len(said(twin, identity).comments) == 2
    with pytest.raises(ReusedKeyError):
        twin.remarks.comment(identity, "anna", "quiet", "k1")
    with pytest.raises(ReusedKeyError):
        twin.remarks.acknowledge(identity, "anna", "loud", "k1")
    assert len(twin.remarks.comment(identity, "ben", "quiet", "k1").remarks.comments) == 3  # his key is not hers
    with pytest.raises(InvalidValueError):
        twin.remarks.comment(identity, "anna", "loud", "k" * 256)


def test_it_is_there_after_a_restart_and_was_not_there_before(tmp_path: Path) -> None:
    with plant(tmp_path / "data") as twin:
        identity = breach(twin, TEMP)
        before = now_ns()
        twin.remarks.acknowledge(identity, "anna", key="k")
        between = now_ns()
        twin.remarks.comment(identity, "ben", "still loud")
    with Twin.open(tmp_path / "data") as twin:
        assert said(twin, identity).acknowledged_by == "anna"
        assert twin.remarks.acknowledge(identity, "anna", key="k").remarks.comments == ()  # as it was answered then
        assert [len(said(twin, identity, time=at).comments) for at in (between, None)] == [0, 1]
        for instant in ({"time": before}, {"known_at": before}):
            assert said(twin, identity, **instant) == Remarks()
        for instant in ({"time": between}, {"known_at": between}):
            assert said(twin, identity, **instant).acknowledged_by == "anna"


def test_what_cannot_be_said(twin: Twin) -> None:
    identity = breach(twin, TEMP)
    for text in ("", "  ", "x" * 2001):
        with pytest.raises(InvalidValueError) as wrong:
            twin.remarks.comment(identity, "anna", text)
        assert wrong.value.field == "comment"
    twin.record([EventDraft(now_ns(), "failure", twin.graph.find("line_1").key, identity="F-1")])
    for id in ("nothing", "F-1", str(twin.last_event_seq), "99999", "remarks:" + identity):
        with pytest.raises(NotFoundError, match="no anomaly"):
            twin.remarks.acknowledge(id, "anna")
    for number in range(40):
        try:
            twin.remarks.comment(identity, "anna", f"{number}" + "x" * 1900)
        except ConflictError as error:
            assert "no more room" in str(error)
            break
    else:
        pytest.fail("there is room without end")
    assert len(said(twin, identity).comments) > 25
    opened = twin.open_events("anomaly")[0]
    twin.record([EventDraft(opened.time, "anomaly", opened.node, None, opened.data, identity, opened.seq)])
    with pytest.raises(ConflictError, match="taken back"):
        twin.remarks.acknowledge(identity, "anna")


def test_a_clock_that_was_set_back(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = breach(twin, TEMP)
    first = twin.remarks.comment(identity, "anna", "one").remarks.comments[0]
    monkeypatch.setattr("iotsense.twin.remarks.now_ns", lambda: first.time - 10**9)
    second = twin.remarks.comment(identity, "anna", "two").remarks.comments[1]
    assert second.time == first.time
    assert len(said(twin, identity, time=first.time).comments) == 2


def test_remarks_about_what_is_open_outlast_retention(twin: Twin) -> None:
    open_one, ended = breach(twin, TEMP), breach(twin, "line_2.conveyor.speed")
    for identity in (open_one, ended):
        twin.remarks.comment(identity, "anna", "first")
        twin.remarks.acknowledge(identity, "anna")
    event = twin.open_event(ended)
    assert event is not None
    twin.record([EventDraft(event.time, "anomaly", event.node, now_ns(), event.data, ended)])
    twin.catch_up()
    twin._catalog.expire(now_ns())
    twin._live.recent_events.clear()
    assert said(twin, open_one).acknowledged_by == "anna" and len(said(twin, open_one).comments) == 1
    assert said(twin, ended) == Remarks()
    twin.remarks.comment(open_one, "ben", "second")
    assert len(said(twin, open_one).comments) == 2


def test_who_is_tied_to_a_part_speaks_about_its_anomalies_only(twin: Twin) -> None:
    mine, other = breach(twin, "line_2.conveyor.speed"), breach(twin, TEMP)
    twin.remarks.comment(other, "anna", "elsewhere")
    part = narrow_twin(twin, frozenset({twin.graph.find("line_2").key}))
    assert part.remarks.acknowledge(mine, "ben").remarks.acknowledged_by == "ben"
    before = twin.last_event_seq
    foreign = [event.seq for event in twin.events() if event.data.get("anomaly") == other or event.identity == other]
    for id in (other, *map(str, foreign)):
        with pytest.raises(NotFoundError, match="no anomaly"):
            part.remarks.comment(id, "ben", "hm")
    assert twin.last_event_seq == before
    assert set(remarks_of(part.as_of(), [mine, other])) == {mine}


def test_many_at_once_lose_nothing(twin: Twin) -> None:
    identity = breach(twin, TEMP)

    async def all_of_them() -> None:
        await asyncio.gather(*(asyncio.to_thread(twin.remarks.comment, identity, "anna", str(i)) for i in range(20)))

    asyncio.run(all_of_them())
    assert sorted(int(each.text) for each in said(twin, identity).comments) == list(range(20))


# The doors

HOT = "line_1.conveyor.c_temp"


async def hot(running: Service) -> dict[str, Any]:
    """A running service with one open anomaly, as REST shows it."""
    index = running.twin.graph.find_signal(HOT).index
    running.twin.apply(ReadingBatch.of([index], [now_ns()], [90.0], 192))
    async with client(running) as http:
        for _ in range(200):
            if found := (await http.get(f"{API}/anomalies")).json()["anomalies"]:
                return dict(found[0])
            await asyncio.sleep(0.05)
    raise AssertionError("nothing was noticed")


async def test_over_rest(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path, PLANT)) as running, client(running) as http:
        found = await hot(running)
        assert (found["node"], found["signal"], found["open"]) == ("line_1.conveyor", HOT, True)
        assert (found["acknowledged_by"], found["comments"]) == (None, [])
        one = f"{API}/anomalies/{found['id']}"
        key = {"Idempotency-Key": "k"}
        seen = (await http.post(f"{one}/acknowledge", json={"comment": "bearing"}, headers=key)).json()
        assert seen["acknowledged_by"] == "this machine" and seen["acknowledged_at"] > found["since"]
        assert (await http.post(f"{one}/acknowledge", json={"comment": "bearing"}, headers=key)).json() == seen
        other = await http.post(f"{one}/acknowledge", json={}, headers=key)
        assert (other.status_code, other.json()["type"]) == (422, "/problems/reused-key")
        more = (await http.post(f"{API}/anomalies/{found['seq']}/comments", json={"text": "ordered"})).json()
        assert [each["text"] for each in more["comments"]] == ["bearing", "ordered"]
        assert (await http.get(one)).json() == more == (await http.get(f"{API}/anomalies")).json()["anomalies"][0]
        for given, count in ({"acknowledged": "true"}, 1), ({"acknowledged": "false"}, 0), ({"node": "line_1"}, 1):
            assert len((await http.get(f"{API}/anomalies", params=given)).json()["anomalies"]) == count
        assert (await http.post(f"{API}/anomalies/none/acknowledge", json={})).status_code == 404
        assert (await http.post(f"{one}/comments", json={"text": ""})).status_code == 400
        told = (await http.get(f"{API}/audit")).json()["records"]
        ours = [each for each in told if "/anomalies/" in each["what"]]
        assert {each["target"] for each in ours} >= {found["id"]}
        assert Counter(each["outcome"] for each in ours) == {
            "ok": 3,
            "reused-key": 1,
            "not-found": 1,
            "invalid-value": 1,
        }


ACKNOWLEDGE = """mutation($id: ID!, $comment: String, $key: ID) {
  acknowledgeAnomaly(id: $id, comment: $comment, key: $key) {
    anomaly { id acknowledgedBy acknowledgedAt comments { by text } } errors { code field message }
  }
}"""
COMMENT = """mutation($id: ID!, $text: String!) {
  commentAnomaly(id: $id, text: $text) { anomaly { comments { text } } errors { code field } }
}"""


async def test_over_graphql_and_the_sdk_by_whoever_is_proven(tmp_path: Path) -> None:
    async with service(tmp_path / "data", write_plant(tmp_path, PLANT)) as running:
        found = await hot(running)
        assert running.context.keys is not None
        under = [running.twin.graph.find("line_1").key]
        _, operator = running.context.keys.create("anna", [Scope.PLANT_READ, Scope.EVENTS_WRITE], under=under)
        _, viewer = running.context.keys.create("ben", [Scope.PLANT_READ])

        async def ask(token: str, question: str, **variables: Any) -> Any:
            async with client(running) as http:
                body = {"query": question, "variables": variables}
                answer = await http.post("/graphql", json=body, headers={"Authorization": f"Bearer {token}"})
                return answer.json()

        given = {"id": found["id"], "comment": "bearing", "key": "k"}
        made = (await ask(operator, ACKNOWLEDGE, **given))["data"]["acknowledgeAnomaly"]
        assert made["errors"] == [] and made["anomaly"]["acknowledgedBy"] == "key anna"
        assert made["anomaly"]["comments"] == [{"by": "key anna", "text": "bearing"}]
        assert (await ask(operator, ACKNOWLEDGE, **given))["data"]["acknowledgeAnomaly"] == made
        reused = (await ask(operator, ACKNOWLEDGE, **given | {"comment": "x"}))["data"]["acknowledgeAnomaly"]
        assert (reused["anomaly"], reused["errors"][0]["code"]) == (None, "REUSED_KEY")
        wrong = (await ask(operator, COMMENT, id=found["id"], text=" "))["data"]["commentAnomaly"]["errors"]
        assert wrong == [{"code": "INVALID_VALUE", "field": "comment"}]
        assert (await ask(viewer, ACKNOWLEDGE, **given))["errors"][0]["extensions"]["code"] == "FORBIDDEN"

        async with AsyncIoTSense(api_key=operator, url=running.url) as iot:
            assert (await iot.anomalies.comment(found["id"], "ordered"))["comments"][1]["by"] == "key anna"
            assert (await iot.anomalies.acknowledge(found["seq"]))["acknowledged_by"] == "key anna"
            assert len(await iot.anomalies.all(acknowledged=True)) == 1
            assert len((await iot.anomalies.get(found["id"]))["comments"]) == 2


async def test_remarks_of_a_list_are_read_at_once(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_graphql_reads import ask

    for number in range(30):
        identity = breach(twin, TEMP, time=now_ns() + number)
        twin.remarks.acknowledge(identity, "anna", "seen")
    reads: list[int] = []
    told_of = Past.told_of

    def counted(self: Past, identities: Any) -> Any:
        reads.append(len(identities))
        return told_of(self, identities)

    monkeypatch.setattr(Past, "told_of", counted)
    answer = await ask(twin, "{ anomalies { acknowledgedBy acknowledgedAt comments { text } } }")
    assert len(answer["anomalies"]) == 30 and all(each["acknowledgedBy"] == "anna" for each in answer["anomalies"])
    assert reads == [30]
