"""One kill of the service under each protocol's load; `make crash-test` does twenty, with 20,000 readings.

MQTT and HTTP are killed in tests/test_crash_test.py.
"""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import crash_protocols
import crash_test


@pytest.mark.parametrize(
    "protocol",
    [
        pytest.param("amqp", marks=pytest.mark.needs("rabbitmq", "openssl")),
        pytest.param("kafka", marks=pytest.mark.needs("kafka", "node", "openssl")),
        pytest.param("cdc", marks=pytest.mark.needs("postgresql")),
    ],
)
def test_nothing_is_lost_or_doubled(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_protocols, "SECONDS", (0.05, 0.3))
    account = crash_protocols.kill_under(protocol, 1, 1000)
    assert account.kept, account
    assert account.sent == account.acknowledged == account.stored == 1000
    assert crash_test.line(account).startswith("| `kill -9` of the service under")
