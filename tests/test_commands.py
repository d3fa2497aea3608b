"""Commands: what is refused, what is sent, how it is confirmed, and what a crash leaves of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from command_fixtures import Device, plant, show
from service_fixtures import service

from iotsense.service import Service
from iotsense.twin.command import COMMAND, Asked, Command, CommandState
from iotsense.twin.commanded import command, commands, latest
from iotsense.twin.errors import ConflictError, InvalidValueError, IoTSenseError, NotFoundError, OutdatedError
from iotsense.twin.times import NS, now_ns


async def until(condition: Callable[[], Any]) -> None:
    while not condition():  # noqa: ASYNC110 - a command tells nobody but the log
        await asyncio.sleep(0.005)


@asynccontextmanager
async def running(tmp_path: Path, device: Device | None = None) -> AsyncIterator[tuple[Service, Device]]:
    device = device or Device()
    async with service(tmp_path / "data", plant(tmp_path)) as started:
        started.sources[device.name] = device
        try:
            yield started, device
        finally:
            started.sources.pop(device.name, None)  # the service did not start it, and must not stop it


async def ended(service: Service, made: Command) -> Command:
    """The command once it has ended."""
    await until(lambda: command(service.twin.as_of(), made.id).ended is not None)
    return command(service.twin.as_of(), made.id)


async def done(service: Service, signal: str, value: Any, **more: Any) -> Command:
    return await ended(service, await service.commands.set(Asked(f"conveyor.{signal}", value, **more)))


async def test_a_value_is_sent_and_confirmed(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        made = await service.commands.set(Asked("conveyor.speed", 1.5, reason="slower", actor="Ada", origin="test"))
        assert (made.state, made.value, made.source, made.address) == (CommandState.REQUESTED, 1.5, "plc", "c.speed")
        found = await ended(service, made)
        assert (found.state, found.read_back, found.why) == (CommandState.CONFIRMED, 1.5, None)
        assert (found.actor, found.origin, found.reason) == ("Ada", "test", "slower")
        assert made.requested <= (found.sent or 0) <= (found.ended or 0)
        assert device.writes == [("speed", 1500)]
        desired = service.twin.graph.find_signal("conveyor.speed.desired")
        assert service.twin.state.read(desired.index)[:2] == (1.5, made.requested)  # type: ignore[index]
        log = service.twin.as_of().told(f"command:{made.id}")
        assert [event.data["state"] for event in log] == ["requested", "sent", "confirmed"]
        assert service.twin.open_events(COMMAND) == [] and service.commands.open_count == 0


@pytest.mark.parametrize(
    ("signal", "value", "unit", "sent"),
    [
        ("speed", 90, "m/min", ("speed", 1500)),
        ("speed", "90 m/min", None, ("speed", 1500)),
        ("speed", 1, None, ("speed", 1000)),
        ("state", "running", None, ("state", 1.0)),
        ("light", True, None, ("light", True)),
        ("light", "off", None, ("light", False)),
        ("apart", 2.5, None, ("setpoint", 2500)),
    ],
)
async def test_what_is_meant_is_what_goes_out(
    tmp_path: Path, signal: str, value: Any, unit: str | None, sent: tuple[str, Any]
) -> None:
    async with running(tmp_path) as (service, device):
        assert (await done(service, signal, value, unit=unit)).state is CommandState.CONFIRMED
        assert device.writes == [(sent[0], pytest.approx(sent[1]))]


async def test_texts_go_to_a_machine_that_knows_them(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.values["state"] = "stopped"
        assert (await done(service, "state", "running")).read_back == "running"
        assert device.writes == [("state", "running")]


@pytest.mark.parametrize(
    ("signal", "value", "unit", "error", "words"),
    [
        ("nothing", 1, None, NotFoundError, "has no signal 'nothing'"),
        ("fixed", 1, None, ConflictError, "must say `writable: true`"),
        ("lost", 1, None, ConflictError, "plc may be written, but has no point for"),
        ("speed", 3.5, None, InvalidValueError, "above the highest that may be set, 3 m/s"),
        ("speed", -1, None, InvalidValueError, "below the lowest"),
        ("speed", 1, "bar", InvalidValueError, "bar"),
        ("speed", "fast", None, InvalidValueError, "not a number with a unit"),
        ("speed", True, None, InvalidValueError, "expected a number"),
        ("rare", 1, "m/s", InvalidValueError, "has no unit"),
        ("state", "walking", None, InvalidValueError, "expected one of stopped, running"),
        ("light", "maybe", None, InvalidValueError, "expected true or false"),
        ("ramp", 1.6, None, ConflictError, "from 1 to 1.6 is a step of 0.6; at most 0.5"),
        ("guarded", 1, None, ConflictError, "the interlock .* does not hold: state is 'stopped', guarded is 1.0"),
    ],
)
async def test_what_must_not_be_is_refused_before_anything_is_sent(
    tmp_path: Path, signal: str, value: Any, unit: str | None, error: type[IoTSenseError], words: str
) -> None:
    async with running(tmp_path) as (service, device):
        for name, shown in (("ramp", 1.0), ("guarded", 1.0), ("state", "stopped")):
            show(service, f"conveyor.{name}", shown)
        with pytest.raises(error, match=words):
            await service.commands.set(Asked(f"conveyor.{signal}", value, unit))
        assert device.writes == [] and device.reads == 0
        assert service.twin.open_events(COMMAND) == []


async def test_what_is_not_known_locks(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        with pytest.raises(ConflictError, match="state is not known"):
            await service.commands.set(Asked("conveyor.guarded", 1.0))
        with pytest.raises(ConflictError, match="no usable value"):
            await service.commands.set(Asked("conveyor.ramp", 1.0))
        show(service, "conveyor.state", "running")
        show(service, "conveyor.guarded", 2.6)
        with pytest.raises(ConflictError, match=r"guarded is 2\.6, limit is 2\.5"):
            await service.commands.set(Asked("conveyor.guarded", 1.0))
        show(service, "conveyor.guarded", 2.4)
        assert (await done(service, "guarded", 1.0)).state is CommandState.CONFIRMED
        assert device.writes == [("guarded", 1000)]


async def test_refusals_are_on_record_with_who_asked(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, _):
        for _ in range(2):
            with pytest.raises(InvalidValueError):
                await service.commands.set(Asked("conveyor.speed", 9, actor="Eve"), key="k")
        found = commands(service.twin.as_of(), state=CommandState.REFUSED)
        assert [(each.actor, each.value) for each in found] == [("Eve", 9.0)] * 2
        assert "above the highest" in str(found[0].why)
        signal = service.twin.graph.find_signal("conveyor.speed").index
        assert latest(service.twin.as_of(), signal) is None


async def test_not_more_often_than_allowed(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, _):
        await done(service, "rare", 1)
        with pytest.raises(ConflictError, match="once every 1h is allowed"):
            await service.commands.set(Asked("conveyor.rare", 2))


async def test_a_read_only_source_says_what_to_set(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.points = []
        with pytest.raises(ConflictError, match="plc is read-only: set `writable: true` there"):
            await service.commands.set(Asked("conveyor.speed", 1))
        service.sources.clear()
        with pytest.raises(ConflictError, match="no source is configured"):
            await service.commands.set(Asked("conveyor.speed", 1))


async def test_the_same_key_is_the_same_command(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        asked = Asked("conveyor.speed", 1.5, origin="one machine")
        first = await service.commands.set(asked, key="k")
        await ended(service, first)
        again = await service.commands.set(Asked("conveyor.speed", 1.5, origin="another"), key="k")
        assert (again.id, again.state) == (first.id, CommandState.CONFIRMED)
        with pytest.raises(ConflictError, match="used for another command"):
            await service.commands.set(Asked("conveyor.speed", 2), key="k")
        assert device.writes == [("speed", 1500)]


async def test_only_what_the_caller_has_seen(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, _):
        first = await service.commands.set(Asked("conveyor.speed", 1), expected="")
        with pytest.raises(OutdatedError):
            await service.commands.set(Asked("conveyor.speed", 2), expected="")
        await service.commands.set(Asked("conveyor.speed", 2), expected=first.id)


async def test_one_at_a_time_and_the_newest_of_those_that_wait(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.gate.clear()
        first = await service.commands.set(Asked("conveyor.speed", 0.1))
        await until(lambda: device.writes)
        waiting = [await service.commands.set(Asked("conveyor.speed", value)) for value in (0.2, 0.3, 0.4)]
        other = await service.commands.set(Asked("conveyor.light", True))
        await until(lambda: len(device.writes) == 2)
        assert service.commands.open_count == 3
        device.gate.set()
        states = [(await ended(service, each)).state.value for each in (first, *waiting, other)]
        assert states == ["confirmed", "superseded", "superseded", "confirmed", "confirmed"]
        assert device.writes == [("speed", 100), ("light", True), ("speed", pytest.approx(400))]
        assert command(service.twin.as_of(), waiting[0].id).why == f"{waiting[1].id} came after it"


async def test_cancelled_while_it_waits_and_not_afterwards(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.goes()
        waiting = await service.commands.set(Asked("conveyor.speed", 1))
        assert (await service.commands.cancel(waiting.id, "no need")).why == "no need"
        assert (await ended(service, waiting)).state is CommandState.CANCELLED
        device.returns()
        device.gate.clear()
        sent = await service.commands.set(Asked("conveyor.speed", 1))
        await until(lambda: device.writes)
        with pytest.raises(ConflictError, match="is sent: it cannot be cancelled"):
            await service.commands.cancel(sent.id)
        device.gate.set()
        with pytest.raises(NotFoundError):
            await service.commands.cancel("c0")


async def test_a_device_that_comes_back_in_time_gets_it(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.goes()
        made = await service.commands.set(Asked("conveyor.speed", 1))
        await asyncio.sleep(0.15)
        assert device.writes == []
        device.returns()
        assert (await ended(service, made)).state is CommandState.CONFIRMED


async def test_one_that_does_not_come_back_lets_it_expire(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.goes()
        found = await done(service, "speed", 1, within=0.2)
        assert (found.state, found.sent) == (CommandState.EXPIRED, None)
        assert "plc is not connected (backoff): the line is dead" in str(found.why)
        assert device.writes == []


async def test_the_interlock_is_looked_at_again_before_it_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        show(service, "conveyor.state", "running")
        show(service, "conveyor.guarded", 1.0)
        device.goes()
        made = await service.commands.set(Asked("conveyor.guarded", 1))
        show(service, "conveyor.state", "stopped")
        device.returns()
        found = await ended(service, made)
        assert (found.state, found.sent) == (CommandState.FAILED, None)
        assert "state is 'stopped'" in str(found.why)
        assert device.writes == []


async def test_a_device_that_refuses_has_the_last_word(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.refuses = "BadUserAccessDenied"
        found = await done(service, "speed", 1)
        assert (found.state, found.why) == (CommandState.FAILED, "BadUserAccessDenied")
        device.refuses = None
        device.breaks = InvalidValueError("the register holds at most 65535")
        assert (await done(service, "speed", 1)).why == "the register holds at most 65535"
        device.breaks = RuntimeError("a bug")
        assert (await done(service, "speed", 1)).why == "RuntimeError: a bug"
        device.breaks = None
        assert (await done(service, "speed", 1)).state is CommandState.CONFIRMED


async def test_a_device_that_cannot_be_read_for_a_while_is_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.mute = "nothing has come on its topic yet"
        made = await service.commands.set(Asked("conveyor.speed", 1))
        await until(lambda: device.reads > 6)
        device.mute = None
        assert (await ended(service, made)).state is CommandState.CONFIRMED
        device.mute = "nothing has come on its topic yet"
        found = await done(service, "speed", 2, within=0.2)
        assert found.why == "not confirmed in time: nothing has come on its topic yet"
        assert device.writes == [("speed", 1000), ("speed", 2000)]


async def test_what_the_device_does_not_show_is_not_confirmed(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.values["speed"] = 700
        device.deaf = True
        found = await done(service, "speed", 1, within=0.2)
        assert (found.state, found.read_back) == (CommandState.EXPIRED, pytest.approx(0.7))
        assert found.why == "not confirmed in time: the device shows 0.7 m/s"
        assert device.writes == [("speed", 1000)]


async def test_the_tolerance_decides_what_is_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.deaf = True
        device.values["setpoint"] = 1050
        assert (await done(service, "apart", 1)).read_back == pytest.approx(1.05)
        assert (await done(service, "apart", 1.2, within=0.1)).state is CommandState.EXPIRED


async def test_a_line_that_breaks_while_it_is_sent_is_read_before_it_is_written_again(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.gate.clear()
        made = await service.commands.set(Asked("conveyor.speed", 1))
        await until(lambda: device.writes)
        device.goes()
        device.values["speed"] = 1000  # it had arrived, and only the answer was lost
        device.gate.set()
        await asyncio.sleep(0.1)
        device.returns()
        assert (await ended(service, made)).state is CommandState.CONFIRMED
        assert device.writes == [("speed", 1000)]


async def test_what_is_not_read_back_is_never_sent_twice(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        assert (await done(service, "blind", 1)).state is CommandState.CONFIRMED
        assert device.reads == 0
        device.refuses = "no"
        found = await done(service, "blind", 2)
        assert found.state is CommandState.FAILED
        assert "it was sent (no), and whether it arrived is not known" in str(found.why)
        assert device.writes == [("blind", 1.0), ("blind", 2.0)]


@pytest.mark.parametrize("arrived", [True, False])
async def test_after_a_restart_what_was_sent_is_read_back_first(tmp_path: Path, arrived: bool) -> None:
    async with running(tmp_path) as (service, device):
        device.gate.clear()
        sent = await service.commands.set(Asked("conveyor.speed", 1))
        await until(lambda: device.writes)
        waiting = await service.commands.set(Asked("conveyor.speed", 2))
    again = Device()
    again.values["speed"] = 1000 if arrived else 0
    async with running(tmp_path, again) as (service, _):
        assert (await ended(service, sent)).state is CommandState.CONFIRMED
        assert (await ended(service, waiting)).state is CommandState.CONFIRMED
        assert again.writes == ([] if arrived else [("speed", 1000)]) + [("speed", 2000)]


async def test_what_came_to_its_deadline_while_we_were_away(tmp_path: Path) -> None:
    """One that was sent is still looked for; nothing is sent too late."""
    async with running(tmp_path) as (service, device):
        device.gate.clear()
        made = [await service.commands.set(Asked(f"conveyor.{name}", 1, within=0.3)) for name in ("speed", "rare")]
        await until(lambda: len(device.writes) == 2)
        waiting = await service.commands.set(Asked("conveyor.speed", 2, within=0.3))
    await asyncio.sleep(0.35)
    again = Device()
    again.values["speed"] = 1000
    async with running(tmp_path, again) as (service, _):
        assert (await ended(service, made[0])).state is CommandState.CONFIRMED
        found = await ended(service, waiting)
        assert (found.state, found.why) == (CommandState.EXPIRED, "it was not sent in time")
        assert again.writes == []


async def test_as_of_an_instant_a_command_is_where_it_was(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, _):
        made = await done(service, "speed", 1)
        twin = service.twin
        assert made.sent is not None and made.ended is not None
        assert command(twin.as_of(made.ended), made.id).state is CommandState.CONFIRMED
        assert command(twin.as_of(made.ended - 1), made.id).state is CommandState.SENT
        assert command(twin.as_of(made.sent - 1), made.id).state is CommandState.REQUESTED
        assert commands(twin.as_of(made.requested - 1)) == []


async def test_in_a_scenario_nothing_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        twin = service.twin
        await asyncio.to_thread(twin.scenarios.fork, "what_if", time=now_ns())
        held = await service.commands.hold("what_if", Asked("conveyor.speed", 2.5))
        assert held.state is CommandState.HELD
        desired = twin.graph.find_signal("conveyor.speed.desired").index
        plant = await twin.as_of_async(scenario="what_if")
        assert plant.read(desired)[0] == 2.5  # type: ignore[index]
        assert twin.state.read(desired) is None
        with pytest.raises(InvalidValueError, match="above the highest"):
            await service.commands.hold("what_if", Asked("conveyor.speed", 9))
        await service.commands.hold("what_if", Asked("conveyor.state", "running"))
        await asyncio.sleep(0.05)
        assert device.writes == [] and commands(twin.as_of()) == []


async def test_a_command_whose_signal_goes_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, device):
        device.goes()
        made = await service.commands.set(Asked("conveyor.speed", 1, within=0.3))

        def remove(edit: Any) -> None:
            node = edit.graph.find("conveyor.speed")
            edit.remove_node(node.key)

        await service.twin.change_async(remove, "test")
        found = await ended(service, made)
        assert found.state is CommandState.EXPIRED


async def test_deadlines_are_bounded(tmp_path: Path) -> None:
    async with running(tmp_path) as (service, _):
        for within in (0.0, -1.0, 2e5):
            with pytest.raises(InvalidValueError, match="at most a day"):
                await service.commands.set(Asked("conveyor.speed", 1, within=within))
        found = await service.commands.set(Asked("conveyor.speed", 1))
        assert found.deadline - found.requested == 10 * NS
