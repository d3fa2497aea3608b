"""The simulated line keeps its promises: no bottle is lost, the seed decides everything, wear shows and is repaired."""

from typing import Any

import pytest

from iotsense.sim.bottling_line import REPAIR_AT, REPAIR_TIME, WEAR_CYCLE, WEAR_ONSET, BottlingLine
from iotsense.sim.packml import PackML, Unit


def shown(line: BottlingLine) -> dict[str, dict[str, Any]]:
    return dict(line.readings())


def run(seed: int, seconds: int) -> list[dict[str, dict[str, Any]]]:
    line = BottlingLine(seed)
    record = []
    for _ in range(seconds):
        line.advance(1.0)
        record.append(shown(line))
    return record


@pytest.mark.parametrize("seed", [1, 2, 77])
def test_bottles_are_conserved_at_every_moment(seed: int) -> None:
    line = BottlingLine(seed)
    for _ in range(400):
        line.advance(1.0)
        assert line.supplied == line.accounted
    assert line.palletiser.good > 1000
    assert sum(machine.rejected for machine in line.machines) > 0


def test_each_machine_takes_only_what_the_one_before_passed_on() -> None:
    line = BottlingLine(5)
    line.advance(300.0)
    for machine, belt in zip(line.machines[1:], line.belts, strict=True):
        before = line.machines[line.machines.index(machine) - 1]
        assert before.good == machine.taken + len(belt)
        assert len(belt) <= belt.capacity


def test_the_same_seed_gives_the_same_readings_and_another_seed_others() -> None:
    assert run(11, 90) == run(11, 90)
    assert run(11, 90) != run(12, 90)


def test_there_are_some_sixty_sensors() -> None:
    line = BottlingLine(1)
    line.advance(1.0)
    assert 55 <= sum(len(values) for values in shown(line).values()) <= 75


def test_the_worn_bearing_shows_in_vibration_and_temperature_and_the_repair_brings_both_back() -> None:
    record = run(4, int(WEAR_CYCLE))
    vibration = [moment["capper"]["vibration_rms"] for moment in record]
    temperature = [moment["capper"]["bearing_temperature"] for moment in record]
    worn, mended = slice(55, int(REPAIR_AT)), slice(int(REPAIR_AT + REPAIR_TIME) + 4, None)
    assert max(vibration[: int(WEAR_ONSET)]) < 3.0
    assert max(vibration[worn]) > 7.1
    assert max(temperature[worn]) > 75.0
    assert max(vibration[mended]) < 3.0
    assert max(temperature[mended]) < 50.0
    # Heat lags behind the friction that causes it.
    assert temperature.index(max(temperature)) >= vibration.index(max(vibration)) - 5


def test_only_the_capper_wears() -> None:
    for moment in run(4, 240):
        for machine, values in moment.items():
            assert machine == "capper" or values["vibration_rms"] < 3.0


def test_a_held_machine_starves_the_next_and_blocks_the_one_before() -> None:
    line = BottlingLine(9)
    line.advance(REPAIR_AT + REPAIR_TIME - 1.0)
    assert line.capper.unit.state is PackML.HELD
    assert line.belts[0].full
    assert line.filler.unit.state is PackML.SUSPENDED
    assert len(line.belts[1]) == 0
    assert line.labeller.unit.state is PackML.SUSPENDED
    line.advance(20.0)
    assert line.capper.unit.executing
    assert line.filler.unit.executing


def test_an_empty_reel_of_labels_is_changed() -> None:
    line = BottlingLine(1)
    held = False
    for _ in range(300):
        line.advance(1.0)
        held = held or line.labeller.unit.state is PackML.HELD
    assert held
    assert line.labeller.taken > line.labeller.REEL
    assert line.labeller.labels_left > 0


def test_a_packml_unit_obeys_a_command_only_where_the_state_allows_it() -> None:
    unit = Unit()
    assert not unit.command("start")
    assert unit.command("reset")
    unit.step(1.0)
    assert unit.state is PackML.IDLE
    assert unit.command("start")
    unit.step(2.0)
    assert unit.executing
    assert unit.command("abort")
    assert not unit.command("abort")
    unit.step(0.5)
    assert unit.state is PackML.ABORTED
    assert unit.command("clear")
    unit.step(1.0)
    assert unit.state is PackML.STOPPED
