"""The crash test itself: that it passes on what is well, and finds what is not."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import crash_plant
import crash_scenarios
import crash_test
from crash_ledger import Key

pytestmark = pytest.mark.needs("mosquitto")


def test_a_service_that_is_killed_loses_nothing() -> None:
    account = crash_scenarios.kill_service(2)
    assert account.kept, account
    assert account.sent >= account.stored >= account.acknowledged > 0
    assert account.shown > 0


def test_it_finds_what_is_lost_doubled_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_plant, "SETTLE_S", 0)
    monkeypatch.setattr(crash_plant, "EVENTS_S", 0.5)
    with crash_plant.plant() as running:
        while not running.ledger["http"].acknowledged:
            time.sleep(0.02)
        running.stop_load()
        ledger = running.ledger["http"]
        stored = next(iter(ledger.acknowledged))
        ledger.send(never := Key(running.machines[0], "vibration_rms", 5), 1.0)
        ledger.acknowledge(never)
        ledger.sent[stored] = [-1.0]  # history has another value than was acknowledged
        running.states.seen.add(Key(running.machines[0], "vibration_rms", 6))
        running.events.seen[10**6] = {"seq": 10**6}
        running.unbalanced.append("made up")
        account = running.account("nothing", 0)
        assert account.lost == 3
        assert account.event_gaps >= 1
        assert account.unbalanced == 1
        assert not account.kept
        assert crash_test.line(account).startswith("| nothing | 0 |")


def test_a_strange_reading_in_history_is_found() -> None:
    with crash_plant.plant() as running:
        while not running.ledger["http"].acknowledged:
            time.sleep(0.02)
        running.stop_load()
        assert running.account("all", 0).doubled == 0
        ledger = running.ledger["http"]
        strange = next(iter(ledger.acknowledged))
        del ledger.sent[strange], ledger.acknowledged[strange]
        assert running.account("one less", 0).doubled == 1


def test_a_row_takes_the_place_of_the_one_that_tells_of_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{crash_test.BEGIN}\n{crash_test.END}\nafter\n")
    monkeypatch.setattr(crash_test, "PAGE", page)
    account = crash_plant.Account("one", 1, 2, 0, 2, 2, 5, 0, 0, 0, 0, "a note")
    for kept in (account, replace(account, what="two"), replace(account, sent=3, note="another")):
        crash_test.keep(kept)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[:3] for row in rows[1:]] == [["| one (another)", "1", "3"], ["| two (a note)", "1", "2"]]
    assert rows[0].startswith("| what | rounds |")
