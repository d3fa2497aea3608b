"""The planner: what is read in one request, and what is learned from refusals. And frames, byte by byte."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotsense.ingest.modbus_frames import Frames, RtuFrames, TcpFrames, checksum
from iotsense.ingest.modbus_pdu import (
    MalformedError,
    ModbusRefusal,
    data_of,
    mask_register,
    read_request,
    write_coils,
    write_registers,
)
from iotsense.ingest.modbus_plan import Block, Item, Limits, plan
from iotsense.ingest.modbus_poll import Poll
from iotsense.ingest.modbus_values import Spec
from iotsense.twin.define_modbus import ModbusDevice, ModbusRegister


def items(*spans: tuple[int, int], unit: int = 1, table: str = "holding") -> list[Item]:
    return [Item(row, unit, table, first, count) for row, (first, count) in enumerate(spans)]


def limits(**settings) -> Limits:
    return Limits.of(ModbusDevice.model_validate({"host": "h"} | settings))


def spans(blocks: list[Block]) -> list[tuple[int, int]]:
    return [(block.first, block.count) for block in blocks]


def test_neighbours_are_read_together_and_gaps_up_to_the_limit_along_with_them() -> None:
    wanted = items((0, 2), (2, 2), (10, 1), (30, 1))
    assert spans(plan(wanted, limits(max_gap=6))) == [(0, 11), (30, 1)]
    assert spans(plan(wanted, limits(max_gap=5))) == [(0, 4), (10, 1), (30, 1)]
    assert spans(plan(wanted, limits(max_gap=0))) == [(0, 4), (10, 1), (30, 1)]
    assert spans(plan(wanted, limits(max_gap=100))) == [(0, 31)]


def test_a_block_is_never_larger_than_the_device_gives_and_no_value_is_torn() -> None:
    wanted = items(*((2 * n, 2) for n in range(100)))
    blocks = plan(wanted, limits(max_registers=25))
    assert max(block.count for block in blocks) == 24
    assert sum(len(block.items) for block in blocks) == 100
    assert [block.count for block in plan(items((0, 4)), limits(max_registers=2))] == [4]  # one value goes whole
    coils = [Item(n, 1, "coil", n, 1) for n in range(3000)]
    assert spans(plan(coils, limits())) == [(0, 2000), (2000, 1000)]


def test_units_and_tables_are_never_mixed() -> None:
    wanted = [Item(n, 1 + n % 2, ("holding", "input", "coil", "discrete")[n // 2 % 4], n, 1) for n in range(80)]
    for block in plan(wanted, limits(max_gap=100)):
        assert {(item.unit, item.table) for item in block.items} == {(block.unit, block.table)}


def test_forbidden_ranges_are_not_read_along() -> None:
    wanted = items((0, 1), (8, 1), (12, 1))
    forbidden = [{"first": 3, "last": 4}]
    assert spans(plan(wanted, limits(forbidden=forbidden))) == [(0, 1), (8, 5)]
    assert spans(plan(wanted, limits(forbidden=[{"first": 3, "last": 4, "table": "input"}]))) == [(0, 13)]
    assert spans(plan(wanted, limits(forbidden=[{"first": 3, "last": 4, "unit_id": 2}]))) == [(0, 13)]


def test_values_that_overlap_are_read_once() -> None:
    assert spans(plan(items((0, 4), (1, 1), (1, 1), (3, 2)), limits())) == [(0, 5)]


class Device:
    """Registers, some of which are refused; the most that it gives at once."""

    def __init__(self, bad: set[int], most: int = 125, code: int = 2) -> None:
        self.bad, self.most, self.code, self.requests = bad, most, code, 0

    async def read(self, block: Block) -> bytes:
        self.requests += 1
        if block.count > self.most:
            raise ModbusRefusal(3)
        if self.bad & set(range(block.first, block.first + block.count)):
            raise ModbusRefusal(self.code)
        return bytes(2 * block.count)


def poll_of(wanted: list[Item], **settings) -> Poll:
    register = ModbusRegister.model_validate({"address": 0, "type": "uint16", "name": "x"})
    return Poll(1.0, wanted, [Spec(register, "big", "big")] * len(wanted), limits(**settings))


async def settle(poll: Poll, device: Device) -> None:
    """Rounds until nothing is refused any more."""
    for _ in range(20):
        refused = False
        for block in list(poll.blocks):
            try:
                await device.read(block)
            except ModbusRefusal as refusal:
                refused = True
                await poll.divide(device.read, block, refusal)
        if not refused:
            return
    raise AssertionError("it never settles")


async def test_the_bad_register_is_found_by_halving_and_the_rest_is_planned_around_it() -> None:
    device, poll = Device({37}), poll_of(items(*((n, 1) for n in range(100))))
    await settle(poll, device)
    assert [item.first for item in poll.bad] == [37]
    assert spans(poll.blocks) == [(0, 37), (38, 62)]
    assert device.requests < 20


async def test_a_gap_that_is_refused_is_not_asked_for_again() -> None:
    device, poll = Device({5}), poll_of(items((0, 1), (1, 1), (8, 1), (9, 1)))
    assert spans(poll.blocks) == [(0, 10)]
    await settle(poll, device)
    assert not poll.bad
    assert spans(poll.blocks) == [(0, 2), (8, 2)]


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_refused_all_else_is_read(seed: int) -> None:
    chance = random.Random(seed)
    bad = set(chance.sample(range(300), 12))
    wanted = items(*((first, 1) for first in sorted(chance.sample(range(300), 150))))
    device, poll = Device(bad, most=chance.choice([125, 40, 7])), poll_of(wanted)
    await settle(poll, device)
    assert {item.first for item in poll.bad} == {item.first for item in wanted} & bad
    read = {item.first for block in poll.blocks for item in block.items}
    assert read == {item.first for item in wanted} - bad


async def test_a_table_that_the_device_has_not_is_not_halved() -> None:
    device, poll = Device(set(range(100)), code=1), poll_of(items(*((n, 1) for n in range(100))))
    await settle(poll, device)
    assert device.requests == 1 and len(poll.bad) == 100 and not poll.blocks


async def test_what_can_be_read_again_is_planned_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotsense.ingest.modbus_poll.AGAIN_S", 0.0)
    device, poll = Device({3}), poll_of(items(*((n, 1) for n in range(10))))
    await settle(poll, device)
    assert await poll.retry(device.read) == [] and [item.first for item in poll.bad] == [3]
    device.bad.clear()
    assert [block.first for block, _ in await poll.retry(device.read)] == [3]
    assert not poll.bad and spans(poll.blocks) == [(0, 10)]


# Frames


def test_an_answer_may_come_in_any_pieces() -> None:
    for frames in (TcpFrames(), RtuFrames()):
        sent = frames.ask(7, read_request("holding", 5, 2))
        body = b"\x03\x04\x00\x01\x00\x02"
        if isinstance(frames, TcpFrames):
            answer = sent[:4] + (len(body) + 1).to_bytes(2, "big") + b"\x07" + body
        else:
            answer = b"\x07" + body + checksum(b"\x07" + body)
        got = [frames.take(answer[n : n + 1]) for n in range(len(answer))]
        assert got[:-1] == [None] * (len(answer) - 1) and got[-1] == body


def test_an_answer_to_an_earlier_request_is_none() -> None:
    frames = TcpFrames()
    first = frames.ask(1, read_request("holding", 0, 1))
    frames.ask(1, read_request("holding", 9, 1))
    late = first[:4] + b"\x00\x05\x01\x03\x02\x00\x07"
    assert frames.take(late) is None and frames.stale == 1
    assert frames.take(b"\x00\x02\x00\x00\x00\x05\x01\x03\x02\x00\x08") == b"\x03\x02\x00\x08"
    assert frames.take(b"\x00\x02\x00\x00\x00\x05\x01\x03\x02\x00\x09") is None  # nor is a second one


def test_on_a_line_the_answer_of_another_unit_is_none_and_an_echo_is_overheard() -> None:
    def frame(body: bytes) -> bytes:
        return body + checksum(body)

    frames = RtuFrames()
    sent = frames.ask(2, read_request("input", 0, 1))
    assert frames.take(sent + frame(b"\x01\x04\x02\x00\x07")) is None
    assert frames.take(frame(b"\x02\x04\x02\x00\x08")) == b"\x04\x02\x00\x08"
    assert frames.stale == 1


def test_rubbish_is_told_from_answers() -> None:
    tcp, rtu = TcpFrames(), RtuFrames()
    tcp.ask(1, read_request("holding", 0, 1))
    with pytest.raises(MalformedError, match="is another service on this port"):
        tcp.take(b"HTTP/1.1 400 Bad Request\r\n")
    rtu.ask(1, read_request("holding", 0, 1))
    with pytest.raises(MalformedError, match="the checksum is wrong; check baudrate"):
        rtu.take(b"\x01\x03\x02\x00\x07\x00\x00")
    with pytest.raises(MalformedError, match="2 bytes came instead of 4"):
        data_of(read_request("holding", 0, 2), b"\x03\x02\x00\x07")
    with pytest.raises(ModbusRefusal, match=r"exception 11 \(gateway target device failed to respond\)"):
        data_of(read_request("holding", 0, 2), b"\x83\x0b")


@given(st.lists(st.binary(max_size=40), max_size=8), st.sampled_from([TcpFrames, RtuFrames]))
def test_whatever_comes_is_an_answer_rubbish_or_not_whole_yet(pieces: list[bytes], kind: type[Frames]) -> None:
    frames = kind()
    request = read_request("holding", 0, 3)
    frames.ask(1, request)
    for piece in pieces:
        try:
            answer = frames.take(piece)
        except MalformedError:
            return
        if answer is not None:
            with suppress(MalformedError, ModbusRefusal):
                assert len(data_of(request, answer)) == 6


def test_requests_are_those_of_the_specification() -> None:
    # Modbus Application Protocol V1.1b3: the examples of 6.3, 6.11, 6.12 and 6.16; Serial Line V1.02 for the checksum.
    assert read_request("holding", 0x6B, 3) == bytes.fromhex("03 006b 0003")
    on = [bit == "1" for bit in "1011001110"]
    assert write_coils(0x13, on) == bytes.fromhex("0f 0013 000a 02 cd 01")
    assert write_registers(1, bytes.fromhex("000a0102")) == bytes.fromhex("10 0001 0002 04 000a 0102")
    assert mask_register(4, 0xF2, 0x25) == bytes.fromhex("16 0004 00f2 0025")
    assert checksum(bytes.fromhex("0207")) == bytes.fromhex("4112")
