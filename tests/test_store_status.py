"""A store's state machine, and what /health and /metrics tell of it."""

from pathlib import Path

import pytest
from service_fixtures import client, service

from iotsense.twin.store_status import StoreState, StoreStatus, store_reasons


def test_it_tells_since_when_and_why() -> None:
    status = StoreStatus("postgresql", "postgresql", "db:5432/iotsense")
    status.connecting()
    status.backoff("connection refused")
    since = status.since
    status.connecting()
    assert status.error == "connection refused"
    status.backoff("connection refused")
    assert status.state is StoreState.BACKOFF and status.since > since and not status.healthy
    (reason,) = store_reasons([status])
    assert "postgresql is in backoff since 20" in reason and "connection refused" in reason
    status.connecting()
    status.catching_up()
    status.running()
    assert status.connects == 1 and status.error is None and store_reasons([status]) == []


def test_an_impossible_step_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="a stopped store cannot become running"):
        StoreStatus("x", "postgresql").running()


def test_a_gap_is_told_for_ever() -> None:
    status = StoreStatus("influxdb", "influxdb")
    status.connecting()
    status.running()
    status.gaps.append((10, 19))
    assert store_reasons([status]) == ["store influxdb will never have the entries 10 to 19"]


async def test_health_and_metrics_show_it(tmp_path: Path) -> None:
    status = StoreStatus("postgresql", "postgresql", "db:5432/iotsense")
    status.connecting()
    status.backoff("connection refused")
    status.moved(90, 100)
    status.gaps.append((1, 5))
    async with service(tmp_path / "data") as running, client(running) as http:
        running.context.stores = lambda: [status]
        report = (await http.get("/health")).json()
        assert report["status"] == "degraded"
        assert report["stores"][0]["lag_entries"] == 10 and report["stores"][0]["state"] == "backoff"
        assert any("connection refused" in reason for reason in report["reasons"])
        text = (await http.get("/metrics")).text
        assert 'iotsense_store_up{store="postgresql",state="backoff"} 0' in text
        assert 'iotsense_store_lag_entries{store="postgresql"} 10' in text
        assert 'iotsense_store_missing_entries{store="postgresql"} 5' in text
