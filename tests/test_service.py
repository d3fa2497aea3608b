"""The service as a process: it starts whole or not at all, drains, comes back from kill -9, and says why it cannot."""

import asyncio
import json
import socket
import stat
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from service_fixtures import API, Process, document, process, run_cli, service, write_plant

from iotsense import exit_codes
from iotsense.config import AddressInUseError, Listen, NotLoopbackError, beyond_loopback, parse_listen
from iotsense.notify import notify
from iotsense.supervisor import Supervisor
from iotsense.twin.errors import (
    DefinitionError,
    DirectoryInUseError,
    InvalidValueError,
    NotFoundError,
    StorageFullError,
)


def post(url: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}{API}/telemetry", json=body, headers=headers, timeout=30)


def speeds(url: str) -> list[float]:
    path = f"{url}{API}/signals/conveyor.speed/history?from=2024-01-01&to=2025-01-01"
    values: list[float] = httpx.get(path, timeout=30).json()["value"]
    return values


def reading(i: int) -> object:
    return document("conveyor", "speed", i, f"2024-01-15T10:{i // 60:02d}:{i % 60:02d}Z")


def test_sigterm_drains_and_ends_with_0(tmp_path: Path) -> None:
    with process(tmp_path / "data", "-c", str(write_plant(tmp_path))) as running:
        assert post(running.url, [reading(i) for i in range(100)]).status_code == 202
        assert running.terminate() == 0
        assert "stopping" in running.log
        assert running.log.splitlines()[-1].endswith("stopped")
        assert not (tmp_path / "data" / "iotsense.sock").exists()
    with process(tmp_path / "data") as running:
        assert speeds(running.url) == list(range(100))


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    with process(tmp_path / "data", "-c", str(write_plant(tmp_path))) as running:
        url = running.url
        with httpx.Client(base_url=url, timeout=30) as client:
            for i in range(200):
                answer = client.post(f"{API}/telemetry", json=reading(i), headers={"Idempotency-Key": str(i)})
                if answer.status_code == 202:
                    acknowledged.append(i)
        running.kill()
    with process(tmp_path / "data") as running:
        assert speeds(running.url) == acknowledged == list(range(200))
        assert post(running.url, reading(7), **{"Idempotency-Key": "7"}).json()["duplicate"]
        assert speeds(running.url) == acknowledged


def test_a_second_process_says_whose_directory_it_is(tmp_path: Path) -> None:
    with process(tmp_path / "data") as running:
        assert running.url
        with process(tmp_path / "data") as second:
            assert second.wait() == 4
            assert f"in use by process {running.process.pid}" in second.log
            assert "Traceback" not in second.log
        assert httpx.get(running.url + "/readyz").status_code == 200


def test_an_address_in_use(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with process(tmp_path / "data", "--listen", f"127.0.0.1:{port}") as running:
            assert running.wait() == 6
            assert f"cannot listen on 127.0.0.1:{port}" in running.log
    with process(tmp_path / "data") as running:
        assert running.url  # nothing was half-started: the directory is free


def test_wrong_definitions_stop_the_start(tmp_path: Path) -> None:
    file = write_plant(tmp_path, "digital_twin: []\n")
    with process(tmp_path / "data", "-c", str(file)) as running:
        assert running.wait() == 3
        assert "did you mean 'digital_twins'" in running.log
    assert not (tmp_path / "data").exists()


def test_an_unset_variable_stops_the_start_only_where_it_is_used(tmp_path: Path) -> None:
    idle = write_plant(
        tmp_path / "idle", "iotsense:\n  alerts:\n    channels:\n      email:\n        smtp: ${NO_SUCH}\n"
    )
    with process(tmp_path / "data", "-c", str(idle)) as running:
        assert running.url
        assert "NO_SUCH is not set" in running.log
    used = write_plant(tmp_path / "used", "sensor_ingestion:\n  protocols:\n    - {name: mqtt, broker: '${NO_SUCH}'}\n")
    with process(tmp_path / "other", "-c", str(used)) as running:
        assert running.wait() == 3
        assert "NO_SUCH is not set" in running.log


def test_a_section_without_an_engine_says_so_in_one_line(tmp_path: Path) -> None:
    model = "{name: m, type: remaining_useful_life, equipment_class: motor, features: [x]}"
    file = write_plant(tmp_path, f"predictive_maintenance:\n  models:\n    - {model}\n")
    with process(tmp_path / "data", "-c", str(file)) as running:
        url = running.url
        [notice] = [line for line in running.log.splitlines() if "predictive_maintenance" in line]
        assert "no engine" in notice
        assert any("predictive_maintenance" in each for each in httpx.get(url + "/health").json()["notices"])


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_it_refuses_to_listen_beyond_loopback(tmp_path: Path, listen: str) -> None:
    with process(tmp_path / "data", "--listen", listen) as running:
        assert running.wait() == 7
        assert "there is no key" in running.log and "iotsense keys create" in running.log
    assert not (tmp_path / "data").exists()


def test_addresses() -> None:
    assert parse_listen("127.0.0.1:80") == Listen("127.0.0.1", 80)
    assert parse_listen("[::1]:8080") == Listen("::1", 8080)
    assert parse_listen(":0") == parse_listen("0") == Listen("127.0.0.1", 0)
    assert str(Listen("::1", 80)) == "[::1]:80"
    for wrong in ("localhost", "127.0.0.1:x", "127.0.0.1:70000", ""):
        with pytest.raises(InvalidValueError):
            parse_listen(wrong)
    assert beyond_loopback(Listen("localhost", 0)) is None
    assert beyond_loopback(Listen("192.0.2.1", 0)) == "192.0.2.1"
    with pytest.raises(InvalidValueError):
        beyond_loopback(Listen("no.such.host.invalid", 0))


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    result = run_cli("run", "--data", "/proc/no-such-place", "--listen", "127.0.0.1:0", cwd=tmp_path)
    assert result.returncode == 5
    assert "/proc/no-such-place" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")
    result = run_cli("run", "--data", "data", "--listen", "127.0.0.1:0", cwd=tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_logs_as_json(tmp_path: Path) -> None:
    with process(tmp_path / "data", "--log-format", "json") as running:
        deadline = time.monotonic() + 60
        while "listening" not in running.log and time.monotonic() < deadline:
            time.sleep(0.02)
        running.terminate()
        entries = [json.loads(line) for line in running.log.splitlines()]
    assert [entry["message"] for entry in entries][-2:] == ["stopping", "stopped"]
    assert all({"time", "level", "logger", "message"} <= set(entry) for entry in entries)


async def test_the_socket_is_the_users_own(tmp_path: Path) -> None:
    async with service(tmp_path / "data") as running:
        mode = stat.S_IMODE((tmp_path / "data" / "iotsense.sock").stat().st_mode)
        assert mode == 0o600
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "data" / "iotsense.sock"))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            over_socket = (await http.get("/health")).json()
        async with httpx.AsyncClient(base_url=running.url) as http:
            assert (await http.get("/health")).json()["started"] == over_socket["started"]


def test_a_socket_left_by_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    with process(tmp_path / "data") as running:
        assert running.url
        running.kill()
    assert (tmp_path / "data" / "iotsense.sock").exists()
    with process(tmp_path / "data") as running:
        assert running.url
        assert run_cli("status", "--data", "data", cwd=tmp_path).returncode == 0


@pytest.mark.needs("tmpfs")
def test_a_full_disk_refuses_writes_serves_reads_and_recovers(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], check=True)
    running: Process | None = None
    try:
        running = Process(place / "data", ["-c", str(write_plant(tmp_path))])
        url = running.url
        assert post(url, reading(1)).status_code == 202
        ballast = place / "ballast"
        with ballast.open("wb") as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        statuses = set()
        for i in range(2, 600):
            statuses.add(post(url, [reading(i)] * 100).status_code)
            if 507 in statuses:
                break
        assert 507 in statuses
        refused = post(url, [reading(3600 - 1)] * 1000)
        assert refused.json()["type"] == "/problems/storage-full"
        assert refused.headers["retry-after"]
        assert httpx.get(url + "/readyz").status_code == 503
        assert httpx.get(url + "/health").json()["status"] == "failing"
        assert httpx.get(f"{url}{API}/twins/line_1/state").status_code == 200
        ballast.unlink()
        assert post(url, reading(599)).status_code == 202
        assert httpx.get(url + "/readyz").status_code == 200
        assert running.terminate() == 0
    finally:
        if running is not None and running.process.poll() is None:
            running.kill()
        subprocess.run(["umount", str(place)], check=True)


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        with process(tmp_path / "data", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as running:
            assert systemd.recv(100) == b"READY=1"
            assert httpx.get(running.url + "/readyz").status_code == 200
            running.terminate()
            assert systemd.recv(100) == b"STOPPING=1"


async def test_a_supervised_task_is_begun_again() -> None:
    runs = 0
    third = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise OSError("first")
        if runs == 2:
            return
        third.set()
        await asyncio.Event().wait()

    supervisor = Supervisor()
    supervisor.start("work", work)
    await third.wait()
    status = supervisor.statuses["work"]
    assert (status.running, status.restarts, status.error) == (True, 2, "it ended by itself")
    await supervisor.stop()
    assert supervisor.statuses == {}


def test_the_exit_codes_are_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "operations.md").read_text()
    documented = {int(line.split("|")[1]) for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()}
    assert documented == {value for value in vars(exit_codes).values() if isinstance(value, int)}
    for error, code in (
        (DefinitionError([]), 3),
        (DirectoryInUseError("x"), 4),
        (StorageFullError("x"), 5),
        (AddressInUseError("x"), 6),
        (NotLoopbackError("x"), 7),
        (NotFoundError("x"), 1),
    ):
        assert exit_codes.exit_code(error) == code
