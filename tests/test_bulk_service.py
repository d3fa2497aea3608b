"""Bulk export and import through running services: the verbs, the SDK, and the API itself."""

import json
from pathlib import Path

import httpx
import pytest
from bulk_fixtures import filled, image
from service_fixtures import API, document, process, run_cli, service, write_plant
from test_bulk import LINES, write_lines

from iotsense import IoTSense
from iotsense.rest.bulk_jobs import READERS
from iotsense.twin.bulk_export import bulk_export
from iotsense.twin.bulk_files import load_manifest
from iotsense.twin.bulk_import import bulk_import
from iotsense.twin.errors import ConflictError, InvalidValueError
from iotsense.twin.twin import Twin


def test_a_service_is_exported_and_an_empty_one_becomes_the_same(tmp_path: Path) -> None:
    with process(tmp_path / "a", "-c", str(write_plant(tmp_path))) as a, IoTSense(url=a.url) as iot:
        for number in range(20):
            iot.telemetry.send(document("conveyor", "motor_temperature", 70 + number * 2))
        iot.flush()
        while not any(event["kind"] == "anomaly" for event in iot.events()):
            pass
        out = run_cli("bulk", "export", "export", "--data", "a", cwd=tmp_path)
        assert out.returncode == 0, out.stderr
        assert "exported: 7 nodes" in out.stdout
        assert not list((tmp_path / "a" / "bulk").iterdir())
        a.terminate()
    with process(tmp_path / "b") as b:
        assert b.url
        came = run_cli("bulk", "import", "export", "--data", "b", cwd=tmp_path)
        assert came.returncode == 0, came.stderr
        assert "taken over exactly: 7 nodes" in came.stdout
        with IoTSense(url=b.url) as iot:
            events = [event["kind"] for event in iot.events()]
            assert len(events) == load_manifest(tmp_path / "export").last_event
            # What comes now is judged by the rules that came along.
            for value in (20, 99):
                iot.telemetry.send(document("conveyor", "motor_temperature", value))
            iot.flush()
            while sum(event["kind"] == "anomaly" for event in iot.events()) < events.count("anomaly") + 2:
                pass
        b.terminate()
    manifest = load_manifest(tmp_path / "export")
    with Twin.open(tmp_path / "a") as twin, Twin.open(tmp_path / "b") as other:
        before, after = image(twin), image(other)
        for name in ("structure", "changes"):
            assert after[name] == before[name]
        assert after["events"][: manifest.last_event] == before["events"][: manifest.last_event]
        known = [row for row in before["readings"] if row[4] <= manifest.taken]
        assert [row for row in after["readings"] if row[4] <= manifest.taken] == known


def test_the_verbs_work_on_a_directory_and_bad_rows_go_to_a_file(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 10) as twin:
        before = image(twin)
    for words in (("export", "out", "--data", "a"), ("import", "out", "--data", "b")):
        done = run_cli("bulk", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    with Twin.open(tmp_path / "b") as twin:
        assert image(twin) == before
    write_lines(tmp_path / "more.jsonl", [*LINES, {"row": "node", "id": "x", "level": "sensor"}])
    done = run_cli("bulk", "import", "more.jsonl", "--data", "b", "--errors", "bad.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "merged by ids: 4 nodes" in done.stdout
    assert "more.jsonl, line 14: x is a sensor and needs a parent" in done.stderr
    assert json.loads((tmp_path / "bad.jsonl").read_text())["line"] == 14
    strict = run_cli("bulk", "import", "more.jsonl", "--data", "c", "--strict", cwd=tmp_path)
    assert strict.returncode == 1
    assert "line 14" in strict.stderr
    again = run_cli("bulk", "export", "out", "--data", "a", cwd=tmp_path)
    assert again.returncode == 1
    assert "holds an export already" in again.stderr


async def test_rows_go_up_and_down_as_lines(tmp_path: Path) -> None:
    async with service(tmp_path / "a") as one, httpx.AsyncClient(base_url=one.url, timeout=30) as http:
        body = write_lines(tmp_path / "rows.jsonl", LINES).read_bytes()
        headers = {"Content-Type": "application/x-ndjson"}
        answer = await http.post(f"{API}/bulk/rows", content=body, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["rows"]["nodes"] == 4
        down = (await http.get(f"{API}/bulk/rows")).text.splitlines()
        assert {json.loads(line)["row"] for line in down} == {"node", "signal", "relationship", "definition"}
        bad = await http.post(f"{API}/bulk/rows?strict=true", content=b'{"row": "node"}\n', headers=headers)
        assert bad.status_code == 400
        assert (await http.post(f"{API}/bulk/rows", json={})).status_code == 415
    async with service(tmp_path / "b") as other, httpx.AsyncClient(base_url=other.url, timeout=30) as http:
        again = await http.post(f"{API}/bulk/rows", content="\n".join(down), headers=headers)
        assert again.json()["bad_rows"] == 0
        assert sorted((await http.get(f"{API}/bulk/rows")).text.splitlines()) == sorted(down)


def test_the_sdk_carries_an_export_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 10) as twin:
        before = image(twin)
    with process(tmp_path / "a") as a, httpx.Client(base_url=a.url) as http:
        job = http.post(f"{API}/bulk/exports").json()
        (tmp_path / "export").mkdir()
        (tmp_path / "export" / ".job").write_text(job["id"])
        a.kill()
    with process(tmp_path / "a") as a, IoTSense(url=a.url) as iot:
        manifest = iot.bulk_export(tmp_path / "export")
        assert manifest["last_event"] >= before["last_event"]  # the service may have written before it was killed
        with pytest.raises(ConflictError, match="holds an export already"):
            iot.bulk_export(tmp_path / "export")
    with process(tmp_path / "b") as b, IoTSense(url=b.url) as iot:
        report = iot.bulk_import(tmp_path / "export")
        assert report["mode"] == "exact"
        with pytest.raises(InvalidValueError, match="line 2"):
            iot.bulk_import(write_lines(tmp_path / "rows.jsonl", [LINES[1], {"row": "node"}]), strict=True)
        b.terminate()
    with Twin.open(tmp_path / "b") as twin:
        # The service gives components their health as soon as it sees them; the rest is as it was.
        assert image(twin)["changes"][: len(before["changes"])] == before["changes"]
        assert image(twin)["events"][: len(before["events"])] == before["events"]


async def test_jobs_are_found_by_their_own_names_only(tmp_path: Path) -> None:
    async with service(tmp_path / "a") as one, httpx.AsyncClient(base_url=one.url, timeout=30) as http:
        assert (await http.get(f"{API}/bulk/exports/0000")).status_code == 404
        job = (await http.post(f"{API}/bulk/imports")).json()
        place = f"{API}/bulk/imports/{job['id']}"
        for name in ("..%2f..%2flock", ".errors.jsonl", "a/b/c"):
            assert (await http.put(f"{place}/files/{name}", content=b"x")).status_code in (400, 404)
        assert (await http.get(f"{API}/bulk/exports/{job['id']}")).status_code == 404
        assert (await http.post(place)).status_code == 202
        while (state := (await http.get(place)).json())["state"] == "running":
            pass
        assert state["state"] == "failed"
        assert "nothing to import" in state["problem"]["detail"]
        assert (await http.delete(place)).status_code == 204
        assert (await http.get(place)).status_code == 404


async def test_whoever_concludes_something_in_a_service_reads_no_import_that_was_taken_over(tmp_path: Path) -> None:
    with filled(tmp_path / "a", 5) as twin:
        manifest = bulk_export(twin, tmp_path / "export")
    with Twin.open(tmp_path / "b") as twin:
        bulk_import(twin, [tmp_path / "export"], readers=READERS)
        last = twin.last_seq - len(READERS)
    async with service(tmp_path / "b") as running:
        assert {running.monitor.name, running.computation.name} == set(READERS)
        # What it writes on its own account (health of nodes that had none) is nothing that the import told.
        assert min(running.twin.position(name) for name in READERS) >= last > 0
        told = [event.kind for event in running.twin.events(limit=10_000)][manifest.last_event :]
        assert "anomaly" not in told
