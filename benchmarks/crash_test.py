"""`make crash-test`: breaks the service and what is around it, again and again, and counts outside what came of it."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

import crash_damage  # noqa: E402
import crash_protocols  # noqa: E402
import crash_scenarios  # noqa: E402
import crash_stores  # noqa: E402
import servers  # noqa: E402
from crash_plant import Account  # noqa: E402

PAGE = HERE.parent / "docs" / "durability.md"
BEGIN, END = "<!-- crash-test: written by `make crash-test ARGS=--keep` -->", "<!-- crash-test ends -->"
# What runs, how often it breaks, and the programs that it needs.
SCENARIOS: dict[str, tuple[Callable[[int], Account], int, tuple[str, ...]]] = {
    "service": (crash_scenarios.kill_service, 20, ("mosquitto",)),
    "broker": (crash_scenarios.kill_broker, 5, ("mosquitto",)),
    "disk": (crash_scenarios.full_disk, 5, ("mosquitto", "tmpfs")),
    "clock": (crash_scenarios.clock_back, 6, ("mosquitto", "gcc")),
    "postgresql": (crash_stores.kill_postgresql, 5, ("mosquitto", "postgresql")),
    "influxdb": (crash_stores.kill_influxdb, 5, ("mosquitto", "influxdb")),
    "neo4j": (crash_stores.kill_neo4j, 5, ("mosquitto", "neo4j")),
    "damage": (crash_damage.damage, 6, ("mosquitto",)),
    "mqtt": (partial(crash_protocols.kill_under, "mqtt"), 20, ("mosquitto",)),
    "amqp": (partial(crash_protocols.kill_under, "amqp"), 20, ("rabbitmq", "openssl")),
    "kafka": (partial(crash_protocols.kill_under, "kafka"), 20, ("kafka", "node", "openssl")),
    "http": (partial(crash_protocols.kill_under, "http"), 20, ()),
    "cdc": (partial(crash_protocols.kill_under, "cdc"), 20, ("postgresql",)),
}
HEAD = ["what", "rounds", "sent", "corrected", "acknowledged", "in history", "shown"]
HEAD += ["lost", "doubled", "event gaps", "counters off"]


def main() -> int:
    """Runs the chosen scenarios; 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(prog="make crash-test", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--rounds", type=int, help="how often each thing breaks (default: 20 times the service)")
    parser.add_argument("--keep", action="store_true", help="write the table to docs/durability.md")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(SCENARIOS)
    if unknown:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    accounts = []
    for name in arguments.names or SCENARIOS:
        run, rounds, programs = SCENARIOS[name]
        if missing := [program for program in programs if servers.find(program) is None]:
            print(f"LEFT OUT: {name} needs {', '.join(missing)}; `make services` brings it", file=sys.stderr)
            continue
        began = time.monotonic()
        accounts.append(run(arguments.rounds or rounds))
        if arguments.keep:
            keep(accounts[-1])
        print(f"{line(accounts[-1])}\n({time.monotonic() - began:.0f} s)", flush=True)
    return 0 if all(account.kept for account in accounts) else 1


def line(account: Account) -> str:
    """A row of the table, in Markdown."""
    counts = (
        account.rounds,
        account.sent,
        account.corrections,
        account.acknowledged,
        account.stored,
        account.shown,
        account.lost,
        account.doubled,
        account.event_gaps,
        account.unbalanced,
    )
    note = f" ({account.note})" if account.note else ""
    return "| " + " | ".join([account.what + note, *(f"{count:,}" for count in counts)]) + " |"


def keep(account: Account) -> None:
    """Puts a row into the table of the page, in the place of the one that tells of the same."""
    page = PAGE.read_text()
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    rows = {_what(row): row for row in page[begin:end].splitlines() if row.startswith("| ")}
    rows.pop(HEAD[0], None)
    row = line(account)
    rows[_what(row)] = row
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    head = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    table = ["", "", f"Latest run: {time.strftime('%Y-%m-%d')}, {machine}.", "", *head, *rows.values(), "", ""]
    PAGE.write_text(page[:begin] + "\n".join(table) + page[end:])


def _what(row: str) -> str:
    return row.removeprefix("| ").partition(" |")[0].partition(" (")[0]


if __name__ == "__main__":
    raise SystemExit(main())
