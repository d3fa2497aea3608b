"""What all tests share: `needs("mosquitto")`, and a loud word about what could not be tested.

Where a needed program is missing a test is skipped, and the summary says so; under CI=true it fails instead.
A test that needs somebody else's server and fails is tried a second time, and the summary says that too.
"""

import os
from collections import defaultdict

import pytest
import servers
from database_fixtures import influxdb_server, postgresql_server
from kafka_fixtures import kafka_peer, kafka_server
from mosquitto_fixtures import mosquitto
from neo4j_fixtures import neo4j, neo4j_server
from rabbitmq_fixtures import rabbitmq_server

__all__ = [
    "influxdb_server",
    "kafka_peer",
    "kafka_server",
    "mosquitto",
    "neo4j",
    "neo4j_server",
    "postgresql_server",
    "rabbitmq_server",
]

_MISSING = "missing server"


def _strict() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses a misspelt server, which would otherwise look like a missing one; a real one gets a second chance."""
    for item in items:
        if _needed(item):
            item.add_marker(pytest.mark.flaky(reruns=1))
        for name in _needed(item):
            if name not in servers.PROGRAMS:
                raise pytest.UsageError(f"{item.nodeid} needs {name!r}; known are {', '.join(servers.PROGRAMS)}")


# Before fixtures are set up, or one that starts a missing server would fail first.
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = [name for name in _needed(item) if servers.find(name) is None]
    if not missing:
        return
    reason = f"{', '.join(missing)} is not on this machine; `make services` installs it"
    if _strict():
        pytest.fail(reason, pytrace=False)
    # Tests may run in another process than the summary; these travel with their reports.
    item.user_properties += [(_MISSING, name) for name in missing]
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    _tell_left_out(terminalreporter)
    _tell_tried_again(terminalreporter)


def _tell_tried_again(terminalreporter: pytest.TerminalReporter) -> None:
    again = terminalreporter.getreports("rerun")
    if not again:
        return
    terminalreporter.section("FAILED AT FIRST, TRIED A SECOND TIME", sep="!", yellow=True, bold=True)
    for report in again:
        terminalreporter.line(f"{report.nodeid} ({report.when})", yellow=True)
        terminalreporter.line(report.longreprtext[-2000:])


def _tell_left_out(terminalreporter: pytest.TerminalReporter) -> None:
    left_out: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.getreports("skipped"):
        for key, name in report.user_properties:
            if key == _MISSING:
                left_out[str(name)].append(report.nodeid)
    if not left_out:
        return
    terminalreporter.section("NOT TESTED: SERVERS ARE MISSING", sep="!", red=True, bold=True)
    for name, tests in sorted(left_out.items()):
        modules = sorted({test.partition("::")[0] for test in tests})
        terminalreporter.line(f"{name}: {len(tests)} tests left out in {', '.join(modules)}", red=True)
    terminalreporter.line("`make services` installs them; with CI=true a missing server is a failure.", red=True)


def _needed(item: pytest.Item) -> list[str]:
    return [str(name) for marker in item.iter_markers("needs") for name in marker.args]
