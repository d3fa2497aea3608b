"""The BACnet adapter against @bacnet-js/client: told of changes and asked, and all that goes wrong."""

from pathlib import Path

import pytest
import servers
from adapter_contract import running, until
from bacnet_fixtures import ENUM, TEXT, UNSIGNED, BacnetServer, adapter_for, device, item, objects
from value_adapter_contract import ValueAdapterContract, ValueStore

from iotsense.ingest.adapter import WritingAdapter
from iotsense.ingest.bacnet import BacnetAdapter
from iotsense.ingest.bacnet_stack import canonical
from iotsense.ingest.bad_quality import BadQuality
from iotsense.ingest.points import Point
from iotsense.ingest.source_state import SourceState
from iotsense.twin.errors import InvalidValueError, SourceError
from iotsense.twin.model import DataType

pytestmark = [pytest.mark.needs("node")]


@pytest.fixture(scope="module")
def started():
    server = BacnetServer()
    yield server
    server.kill()


@pytest.fixture
def server(started: BacnetServer) -> BacnetServer:
    started.fresh()
    return started


class TestContract(ValueAdapterContract):
    """Every adapter's promises, told of changes and asked."""

    @pytest.fixture
    def peer(self, server: BacnetServer) -> BacnetServer:
        return server

    @pytest.fixture(params=["told", "asked"])
    def adapter(self, peer: BacnetServer, tmp_path: Path, request: pytest.FixtureRequest) -> BacnetAdapter:
        return adapter_for(tmp_path, device(peer, *objects(change_of_value=request.param == "told")))

    most_buffered = 1000

    def buffered(self, adapter: BacnetAdapter) -> int:
        return sum(len(following._inbox) for following in adapter._followings if following)


async def test_what_the_device_says_of_its_objects_is_taken_over(server: BacnetServer, tmp_path: Path) -> None:
    server.add(
        {
            "0,5": {"name": "t", "value": 21.5, "units": 62},
            "3,1": {"name": "door", "value": 1, "tag": ENUM},
            "13,1": {"name": "mode", "value": 2, "tag": UNSIGNED, "states": ["off", "auto"]},
            "14,1": {"name": "step", "value": 3, "tag": UNSIGNED, "states": ["a", "b", "c"]},
            "40,1": {"name": "recipe", "value": "Lager", "tag": TEXT},
        }
    )
    found = device(
        server,
        item("0,5", "temperature"),
        item("0,1", "load", unit="kW", device="pump_2"),
        item("3,1", "door"),
        item("13,1", "mode"),
        item("14,1", "step", state_texts=False),
        item("40,1", "recipe"),
        item("0,5", "title", property="object-name"),
        device="ahu_1",
    )
    adapter = adapter_for(tmp_path, found)
    async with running(adapter, store := ValueStore()):
        await until(lambda: len({reading.address for reading in store.readings()}) == 7)
        (known,) = adapter._devices
        points = {
            point.address: (point.device, point.unit, point.tag, point.data_type) for point in known.points.points
        }
    assert points["temperature"] == ("ahu_1", "celsius", "bacnet/1234/analog-input,5", DataType.NUMBER)
    assert points["load"] == ("pump_2", "kW", "bacnet/1234/analog-input,1", DataType.NUMBER)
    assert points["door"][3] is DataType.BOOLEAN and points["mode"][3] is DataType.TEXT
    assert points["title"][2] == "bacnet/1234/analog-input,5/object-name"
    latest = {name: store.latest(name).value for name in points}
    assert latest == {
        "temperature": 21.5, "load": 0, "door": 1, "mode": "auto", "step": 3, "recipe": "Lager", "title": "t",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "reliability", "quality"),
    [
        ([0, 0, 0, 0], 0, 192),
        ([1, 0, 0, 0], 0, 192),
        ([0, 1, 0, 0], 4, BadQuality.SENSOR),  # open loop
        ([0, 1, 0, 0], 12, BadQuality.COMMUNICATION),
        ([0, 1, 0, 0], None, BadQuality.DEVICE),  # it has no reliability
        ([0, 0, 1, 0], 0, 216),
        ([0, 0, 0, 1], 0, BadQuality.OUT_OF_SERVICE),
    ],
)
async def test_flags_and_reliability_become_qualities(
    server: BacnetServer, tmp_path: Path, flags: list[int], reliability: int | None, quality: int
) -> None:
    server.tell("flags", {"0,1": flags})
    server.tell("reliability", {"0,1": reliability})
    found = device(server, item("0,1", "a", change_of_value=False))
    async with running(adapter_for(tmp_path, found), store := ValueStore()):
        await until(lambda: store.readings("a"))
    assert store.latest("a")[1:3] == (0.0, quality)


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_change_is_told_at_once_and_a_subscription_renewed(
    server: BacnetServer, tmp_path: Path, confirmed: bool
) -> None:
    found = device(server, item("0,1", "a"), item("0,2", "b"))
    slow = {"interval": "1h", "heartbeat": "1h", "cov_lifetime": "2s", "cov_confirmed": confirmed}
    async with running(adapter_for(tmp_path, found, **slow), store := ValueStore()):
        await until(lambda: len(store.readings("a")) >= 2)  # read, and told on subscribing
        server.tell("counts")
        for number in range(1, 21):
            await server.set({"a": number})
        await until(lambda: store.values("a")[-1:] == [20])
        assert store.values("a") == [float(number) for number in range(21)]
        await until(lambda: server.tell("counts").get("subscribeCov"))
        server.tell("counts")
        server.tell("forget")  # as after a restart of the device
        await until(lambda: server.tell("counts").get("subscribeCov"))
        await server.set({"a": 99})
        await until(lambda: store.values("a")[-1:] == [99])


async def test_what_is_told_is_confirmed_when_it_is_durable(server: BacnetServer, tmp_path: Path) -> None:
    store = ValueStore()
    found = device(server, item("0,1", "a"))
    async with running(adapter_for(tmp_path, found, interval="1h", heartbeat="1h"), store):
        await until(lambda: len(store.readings("a")) >= 2)
        store.acking = False
        await server.set({"a": 5})
        await until(lambda: store.values("a")[-1:] == [5])
        assert server.tell("pending") == 1
        store.ack_all()
        await until(lambda: server.tell("pending") == 0)


async def test_a_device_that_tells_nothing_is_asked(server: BacnetServer, tmp_path: Path) -> None:
    server.tell("cov", False)
    async with running(adapter_for(tmp_path, device(server)), store := ValueStore()):
        for number in (1.0, 2.0):
            await server.set({"c": number})
            await until(lambda number=number: store.values("c")[-1:] == [number])
    assert "notification" not in server.tell("counts")


@pytest.mark.parametrize("way", ["most", "multiple"])
async def test_a_device_that_gives_little_at_once_is_asked_for_less(
    server: BacnetServer, tmp_path: Path, way: str
) -> None:
    server.add({f"0,{number}": {"name": f"o{number}", "value": number} for number in range(10, 30)})
    server.tell(way, 3 if way == "most" else False)
    found = device(server, *(item(f"0,{n}", f"o{n}", change_of_value=False) for n in [*range(10, 30), 98]))
    async with running(adapter_for(tmp_path, found, interval="20ms"), store := ValueStore()):
        await until(lambda: all(len(store.readings(f"o{number}")) > 2 for number in range(10, 30)))
        assert store.values("o17") == [17] and [r.quality for r in store.readings("o98")] == [BadQuality.CONFIGURATION]
        server.tell("counts")
        before = len(store.readings("o10"))
        await until(lambda: len(store.readings("o10")) > before + 3)
        counts = server.tell("counts")
    asked = counts.get("readPropertyMultiple", 0), counts.get("readProperty", 0)
    assert (asked[1] == 0 and asked[0] > 0) if way == "most" else (asked[0] == 0 and asked[1] > 0)


async def test_a_silent_device_does_not_keep_the_others_from_being_read(server: BacnetServer, tmp_path: Path) -> None:
    other = BacnetServer(77)
    other.start()
    adapter = adapter_for(tmp_path, device(server, item("0,1", "a")), device(other, item("0,1", "x")))
    try:
        async with running(adapter, store := ValueStore()):
            await until(lambda: store.readings("a") and store.readings("x"))
            other.tell("deaf")
            await until(lambda: not store.latest("x").good)
            assert store.latest("x").quality == BadQuality.COMMUNICATION
            await server.set({"a": 5})
            await until(lambda: store.values("a")[-1:] == [5])
            other.tell("deaf", False)
            await until(lambda: store.latest("x").good)
            assert adapter.status.connects == 1
    finally:
        other.kill()


async def test_a_device_is_found_by_who_is_through_a_bbmd(server: BacnetServer, tmp_path: Path) -> None:
    found = device(server, item("0,1", "a"))
    del found["address"]
    adapter = adapter_for(tmp_path, found, bbmd=server.address)
    async with running(adapter, store := ValueStore()):
        await until(lambda: store.readings("a"))
        assert adapter._devices[0].address == server.address
    nobody = adapter_for(tmp_path, found, bbmd=f"127.0.0.1:{servers.free_port()}")
    async with running(nobody, ValueStore(), wait=False):
        await until(lambda: nobody.status.state is SourceState.BACKOFF)
        assert "does not answer; does it accept foreign devices?" in nobody.status.error


async def test_what_is_wrong_is_said(server: BacnetServer, tmp_path: Path) -> None:
    async def error(state: SourceState, *devices: dict, **settings) -> str:
        adapter = adapter_for(tmp_path, *devices, **settings)
        async with running(adapter, ValueStore(), wait=False):
            await until(lambda: adapter.status.state is state)
            return str(adapter.status.error)

    there = device(server)
    assert await error(SourceState.FAILED, there | {"device_id": 5}) == (
        f"at {server.address} is device 1234, not 5: correct `device_id` or `address`"
    )
    assert "cannot be used: Address already in use; give our own" in await error(
        SourceState.BACKOFF, there, port=server.port
    )
    assert "give our own `address` with its mask" in await error(SourceState.BACKOFF, there, address="198.51.100.7/24")
    assert "found address 'x', expected our own" in await error(SourceState.FAILED, there, address="x")
    assert "found address '1.2.3', expected one such as" in await error(
        SourceState.FAILED, there | {"address": "1.2.3"}
    )
    assert "the host nobody.invalid is not known" in await error(
        SourceState.BACKOFF, there | {"address": "nobody.invalid:47808"}
    )
    nowhere = {**there, "device_id": 6}
    del nowhere["address"]
    assert "device 6: no answer to Who-Is; is it on" in await error(SourceState.BACKOFF, nowhere)


async def test_a_device_that_is_another_one_disturbs_no_other(server: BacnetServer, tmp_path: Path) -> None:
    other = device(server, item("0,2", "x")) | {"device_id": 5}
    adapter = adapter_for(tmp_path, other, device(server, item("0,1", "a")))
    async with running(adapter, store := ValueStore()):
        await until(lambda: store.values("a") == [0])
        await until(lambda: store.latest("x") is not None)
        assert store.latest("x").quality == BadQuality.COMMUNICATION
        await server.set({"a": 4})
        await until(lambda: store.values("a")[-1:] == [4])


async def test_an_address_is_compared_however_it_is_written(server: BacnetServer, tmp_path: Path) -> None:
    assert canonical("192.168.1.20:47808") == canonical("192.168.1.20") == "192.168.1.20"
    found = device(server, item("0,1", "a"), address=f"localhost:{server.port}")
    async with running(adapter_for(tmp_path, found, interval="1h", heartbeat="1h"), store := ValueStore()):
        await until(lambda: len(store.readings("a")) >= 2)  # read, and told


# Writing


@pytest.fixture
def writing(server: BacnetServer, tmp_path: Path) -> BacnetAdapter:
    server.add(
        {
            "1,1": {"name": "valve", "value": 5.0, "default": 5.0},
            "4,1": {"name": "fan", "value": 0, "tag": ENUM, "default": 0},
            "14,1": {"name": "mode", "value": 1, "tag": UNSIGNED, "states": ["off", "auto", "hand"], "default": 1},
            "2,9": {"name": "locked", "locked": True},
        }
    )
    found = device(
        server,
        item("1,1", "valve", priority=8),
        item("4,1", "fan"),
        item("14,1", "mode"),
        item("2,9", "locked"),
        item("0,1", "measured"),
        item("2,3", "mine", writable=False),
    )
    return adapter_for(tmp_path, found, writable=True)


def point(adapter: BacnetAdapter, name: str) -> Point:
    return next(point for point in adapter._devices[0].points.points if point.address == name)


async def test_values_are_written_at_their_priority_and_given_up(server: BacnetServer, writing: BacnetAdapter) -> None:
    async with running(writing, ValueStore()):
        assert isinstance(writing, WritingAdapter)
        assert [point.address for point in writing.writable()] == ["valve", "fan", "mode", "locked"]
        await writing.write(point(writing, "valve"), 42.5)
        assert server.tell("get", "1,1") == {"value": 42.5, "priorities": {"8": 42.5}}
        assert (await writing.read(point(writing, "valve"))).value == 42.5
        await writing.write(point(writing, "valve"), None)
        assert server.tell("get", "1,1") == {"value": 5, "priorities": {}}
        await writing.write(point(writing, "fan"), True)
        assert server.tell("get", "4,1") == {"value": 1, "priorities": {"16": 1}}
        assert (await writing.read(point(writing, "fan"))).value is True
        for mode, number in (("hand", 3), (2, 2)):
            await writing.write(point(writing, "mode"), mode)
            assert server.tell("get", "14,1")["value"] == number
        assert (await writing.read(point(writing, "mode"))).value == "auto"


async def test_what_cannot_be_written_is_said(server: BacnetServer, writing: BacnetAdapter) -> None:
    async with running(writing, ValueStore()):
        for name, value, words in (
            ("valve", "open", "found 'open', expected a number: valve is analog-output"),
            ("fan", 3, "found 3, expected true or false: fan is binary-output"),
            ("mode", "manual", "found 'manual', expected one of off, auto, hand: mode is multi-state-output"),
            ("measured", 1.0, "may not be written: that takes `writable: true` at the source, and an output or a val"),
            ("mine", 1.0, "may not be written"),
        ):
            with pytest.raises(InvalidValueError, match=words):
                await writing.write(point(writing, name), value)
        with pytest.raises(SourceError, match=r"locked \(analog-value,9\) cannot be written at priority 16: write acc"):
            await writing.write(point(writing, "locked"), 1.0)
        at = point(writing, "valve")
    with pytest.raises(SourceError, match="source bacnet is not connected"):
        await writing.write(at, 1.0)
