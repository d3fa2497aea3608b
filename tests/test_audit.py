"""The audit log: what is recorded of changes and refusals, and that whatever is done to it shows."""

import asyncio
import errno
import json
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_fixtures import PLANT, Device, plant
from facade_fixtures import build
from service_fixtures import API, client, process, run_cli, service, write_plant
from test_cli import typed
from test_keys import Door

from iotsense.exit_codes import STORAGE
from iotsense.rest.app import ENDPOINTS
from iotsense.rest.key_authentication import KeyAuthentication
from iotsense.rest.session import SessionAuthentication
from iotsense.syslog_sender import MOST, parse_address
from iotsense.twin.access import Role, Scope
from iotsense.twin.access_key import new_token
from iotsense.twin.audit_files import CURRENT, FOLDER, audit_files, newest_first, verify, whole_lines
from iotsense.twin.audit_log import FILE_BYTES, AuditLog
from iotsense.twin.audit_record import START, AuditDraft, AuditRecord, chained, plain, text
from iotsense.twin.audit_trail import AN_ADDRESS, IN_ALL, WINDOW_S, Asking, AuditTrail
from iotsense.twin.backup import backup, restore
from iotsense.twin.errors import InvalidValueError, StorageError, StorageFullError
from iotsense.twin.key_store import KeyStore
from iotsense.twin.twin import Twin


def draft(number: int, **more: Any) -> AuditDraft:
    return AuditDraft(number, "key anna", "192.0.2.7", "POST /x", f"x{number}", **more)


def written(data: Path, count: int, **options: Any) -> list[bytes]:
    """A log of so many records; the lines of its last file."""
    log = AuditLog(data, **options)
    for number in range(count):
        log.append(draft(number)).result(10)
    log.close()
    return current(data).read_bytes().splitlines(keepends=True)


def current(data: Path) -> Path:
    return data / FOLDER / CURRENT


def records(data: Path) -> list[AuditRecord]:
    return list(newest_first(data, 2**53))[::-1]


# The chain


def test_each_record_is_chained_to_the_one_before(tmp_path: Path) -> None:
    lines = written(tmp_path, 3)
    former = START
    for number, line in enumerate(lines):
        expected, former = chained(draft(number), number + 1, former)
        assert line == expected
    found = verify(tmp_path)
    assert (found.records, found.head, found.broken, found.torn) == (3, former, None, 0)
    assert stat.S_IMODE(current(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(current(tmp_path).parent.stat().st_mode) == 0o700
    assert [record.seq for record in records(tmp_path)] == [1, 2, 3]


def test_it_goes_on_after_a_restart_and_over_files(tmp_path: Path) -> None:
    for _ in range(3):
        written(tmp_path, 5, file_bytes=600)
    files = audit_files(tmp_path)
    assert len(files) > 3 and files[-1] == current(tmp_path) and files[0].name == "audit-000000000001.jsonl"
    assert all(path.stat().st_size < 1200 for path in files)
    assert (verify(files).records, verify(files).broken) == (15, None)
    assert [record.seq for record in newest_first(tmp_path, 9)] == list(range(8, 0, -1))
    assert b"".join(whole_lines(tmp_path)) == b"".join(path.read_bytes() for path in files)
    assert verify(files) == verify(tmp_path)
    # A crash right after a file was put aside.
    current(tmp_path).rename(current(tmp_path).with_name("audit-000000000015.jsonl"))
    written(tmp_path, 1)
    assert (verify(tmp_path).records, verify(tmp_path).broken) == (16, None)


def swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[4], lines[3], *lines[5:]]


def forged(lines: list[bytes]) -> list[bytes]:
    """Another record in the place of the fourth, with a hash that is right."""
    former = json.loads(lines[2])["hash"]
    return [*lines[:3], chained(draft(99), 4, former)[0], *lines[4:]]


TAMPERED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "a word": (lambda lines: [*lines[:3], lines[3].replace(b"anna", b"bert"), *lines[4:]], 4, "its hash"),
    "a time": (lambda lines: [*lines[:3], lines[3].replace(b"1970", b"1971"), *lines[4:]], 4, "its hash"),
    "a hash": (lambda lines: [*lines[:3], lines[3].replace(b'"hash":"', b'"hash":"0')[:-1], *lines[4:]], 4, ""),
    "a blank": (lambda lines: [*lines[:3], lines[3].replace(b",", b", ", 1), *lines[4:]], 4, "its hash"),
    "a name more": (lambda lines: [*lines[:3], b'{"a":1,' + lines[3][1:], *lines[4:]], 4, "its hash"),
    "a name twice": (lambda lines: [*lines[:3], b'{"by":"x",' + lines[3][1:], *lines[4:]], 4, "its hash"),
    "rubbish": (lambda lines: [*lines[:3], b"{]\n", *lines[4:]], 4, "no record"),
    "no object": (lambda lines: [*lines[:3], b"[]\n", *lines[4:]], 4, "no record"),
    "an empty line": (lambda lines: [*lines[:3], b"\n", *lines[3:]], 4, "no record"),
    "one missing": (lambda lines: [*lines[:3], *lines[4:]], 4, "record 4 is missing"),
    "two missing": (lambda lines: [*lines[:3], *lines[5:]], 4, "records 4 to 5 are missing"),
    "the first missing": (lambda lines: lines[1:], 1, "record 1 is missing"),
    "one twice": (lambda lines: [*lines[:4], *lines[3:]], 5, "record 4 stands in its place"),
    "swapped": (swapped, 4, "record 4 is missing: record 5 stands in its place"),
    "forged": (forged, 5, "its hash"),
    "cut within": (lambda lines: [*lines[:3], lines[3][:40], *lines[4:]], 4, "no record"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_whatever_is_changed_shows(tmp_path: Path, name: str) -> None:
    change, broken, why = TAMPERED[name]
    lines = written(tmp_path, 8)
    current(tmp_path).write_bytes(b"".join(change(lines)))
    found = verify(tmp_path)
    assert (found.broken, found.records) == (broken, broken - 1) and why in (found.why or "")
    assert found.where is not None and found.where.startswith(str(current(tmp_path)))


def test_the_end_that_is_cut_off_shows_by_its_anchor(tmp_path: Path) -> None:
    lines = written(tmp_path, 8)
    files = audit_files(tmp_path)
    head = verify(files).head
    older = json.loads(lines[4])["hash"]
    assert verify(files, head).anchored == 8 and verify(files, older.upper()).anchored == 5
    assert verify(files, START).anchored == 0
    current(tmp_path).write_bytes(b"".join(lines[:6]))
    assert verify(files).broken is None, "without an anchor nothing tells"
    assert verify(files, older).broken is None
    found = verify(files, head)
    assert found.broken == 7 and "the end of the log is missing" in (found.why or "")
    # All of it anew, with right hashes.
    current(tmp_path).unlink()
    log = AuditLog(tmp_path)
    for number in range(8):
        log.append(draft(number + (number == 7))).result(10)
    log.close()
    assert verify(files).broken is None and verify(files, head).broken == 9
    with pytest.raises(InvalidValueError, match="64 hexadecimal digits"):
        verify(files, "abc")


def test_a_file_that_is_missing_or_cut_off_shows(tmp_path: Path) -> None:
    written(tmp_path, 12, file_bytes=600)
    first, second, *_ = audit_files(tmp_path)
    body = second.read_bytes()
    second.unlink()
    assert "are missing" in (verify(tmp_path).why or "")
    second.write_bytes(body[:-10])
    assert "it is cut off, and others follow" in (verify(tmp_path).why or "")
    second.write_bytes(body)
    assert verify(tmp_path).broken is None
    first.unlink()
    assert verify(tmp_path).broken == 1


def test_a_record_that_was_not_written_to_its_end_is_cut_off_and_told(tmp_path: Path) -> None:
    lines = written(tmp_path, 3)
    torn = lines[2][: len(lines[2]) // 2] * 3
    current(tmp_path).write_bytes(b"".join(lines[:2]) + torn)
    assert (verify(tmp_path).broken, verify(tmp_path).torn) == (None, len(torn))
    log = AuditLog(tmp_path)
    assert log.recovered is not None and f"{len(torn)} bytes" in log.recovered
    log.append(draft(5)).result(10)
    log.close()
    assert [record.what for record in records(tmp_path)] == ["POST /x", "POST /x", "recover audit log", "POST /x"]
    assert (verify(tmp_path).records, verify(tmp_path).broken) == (4, None)


def test_a_damaged_end_is_kept_and_told(tmp_path: Path) -> None:
    lines = written(tmp_path, 3)
    current(tmp_path).write_bytes(b"".join(lines[:2]) + b"rubbish\n")
    log = AuditLog(tmp_path)
    assert log.damage is not None and "last 1 lines are no records" in log.damage
    log.append(draft(5)).result(10)
    log.close()
    assert b"rubbish" in current(tmp_path).read_bytes()
    assert verify(tmp_path).broken == 3


def test_it_is_whole_for_whoever_reads_it_while_a_file_becomes_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path, file_bytes=600)
    for number in range(4):
        log.append(draft(number)).result(10)
    real, seen = Path.read_bytes, [0]

    def read(path: Path) -> bytes:
        """Before and after each of the first reads the file that is written to becomes full."""
        seen[0] += 1
        for number in range(8 if seen[0] < 6 else 0):
            log.append(draft(number)).result(10)
        body = real(path)
        for number in range(8 if seen[0] < 6 else 0):
            log.append(draft(number)).result(10)
        return body

    for look in (lambda: verify(tmp_path).broken, lambda: _gap([each.seq for each in newest_first(tmp_path, 2**53)])):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", read)
            seen[0] = 0
            assert look() is None
            assert seen[0] > 1
    log.close()


def _gap(numbers: list[int]) -> int | None:
    return next((seq for seq, former in zip(numbers[1:], numbers, strict=False) if seq != former - 1), None)


# Writing


def test_what_cannot_be_written_is_owed_and_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path)
    log.append(draft(0)).result(10)
    real = os.pwrite

    def half(handle: int, body: bytes, at: int) -> int:
        if len(body) < 100:
            raise OSError(errno.ENOSPC, "full")
        return real(handle, body[:-50], at)

    monkeypatch.setattr(os, "pwrite", half)
    for number in (1, 2):
        with pytest.raises(StorageFullError):
            log.append(draft(number)).result(10)
    assert log.trouble is not None and verify(tmp_path).records == 1
    assert verify(tmp_path).torn == 0, "half a record is taken back"
    monkeypatch.undo()
    assert log.append(draft(3)).result(10) == 4
    assert log.trouble is None
    log.close()
    assert [record.target for record in records(tmp_path)] == ["x0", "x1", "x2", "x3"]
    assert verify(tmp_path).broken is None


async def test_changes_are_refused_as_long_as_records_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path)
    trail = AuditTrail(log)
    await trail.require_writable()

    def full(handle: int, body: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", full)
    await trail.changed(Asking("anna", "", "POST /x"))  # it is done: whoever asked is not told that it failed
    with pytest.raises(StorageFullError, match="changes are refused, since the audit log cannot be written"):
        await trail.require_writable()
    monkeypatch.undo()
    await trail.require_writable()
    trail.end()
    assert [record.by for record in records(tmp_path)] == ["anna"]
    with pytest.raises(StorageError):
        log.append(draft(1)).result(10)


async def test_many_changes_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = 0
    real = os.fsync

    def counted(handle: int) -> None:
        nonlocal synced
        synced += 1
        real(handle)

    monkeypatch.setattr(os, "fsync", counted)
    log = AuditLog(tmp_path)
    trail = AuditTrail(log)
    await asyncio.gather(*(trail.changed(Asking("anna", "", "POST /x", str(number))) for number in range(500)))
    trail.end()
    assert len(records(tmp_path)) == 500 and synced < 100


def test_secrets_and_what_is_too_large_stay_out() -> None:
    token = new_token()
    assert token not in text(f"the key {token} of mqtt://anna:geheim@host") and "geheim" not in text("x://a:geheim@b")
    assert "abcdefghijkl" not in text("Authorization: Bearer abcdefghijkl")
    assert text("password: 'geheim', \"token\": x") == 'password: … "token": …'
    assert text("a key or token is needed: Authorization: Bearer KEY").endswith("Bearer KEY")
    told = json.dumps(plain({"password": "geheim", "apiKey": "geheim", "deep": [{"token": "geheim", "a": token}]}))
    assert "geheim" not in told and token not in told
    assert plain({"a": float("nan"), "b": {1, 2}, "c": None}) == {"a": "nan", "b": [1, 2]}
    line, _ = chained(draft(1, after={"a": ["x" * 400] * 100}, detail="y" * 9999), 1, START)
    assert len(line) < 1500 and json.loads(line)["after"] == {"too_large": 40500 - 93}


# Over the facades


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    with Twin.open(tmp_path / "data") as twin:
        twin.change(build, "test")
        yield twin


class Audited(Door):
    """The application behind keys, with an audit log."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self.data = twin.directory
        self.context.audit = AuditTrail(AuditLog(twin.directory), lambda: self.now)

    def records(self) -> list[AuditRecord]:
        """All, whoever waits for them."""
        assert self.context.audit is not None
        self.context.audit.log.append(None).result(10)
        return records(self.data)


async def test_a_change_is_recorded_with_who_what_before_and_after(twin: Twin) -> None:
    door = Audited(twin)
    _, admin = door.keys.create("admin", sorted(Scope))
    headers = {"X-API-Key": admin}
    made = await door.ask("/keys", "POST", headers, json={"name": "hmi", "role": "viewer", "under": ["line_1"]})
    rotated = await door.ask("/keys/hmi/rotate", "POST", headers, json={"grace": "0"})
    await door.ask("/keys/hmi", "DELETE", headers)
    await door.ask("/keys/hmi", "DELETE", headers)
    create, rotate, revoke, again = door.records()
    assert {record.by for record in door.records()} == {"key admin"}
    assert {record.address for record in door.records()} == {"192.0.2.7"}
    assert create.what == "POST /api/v1/iotsense/keys" and create.target == "hmi" and create.before is None
    assert create.after["role"] == "viewer" and create.after["hint"] == made.json()["token"][-4:]
    assert rotate.before["hint"] == create.after["hint"] != rotate.after["hint"]
    assert revoke.before["hint"] == rotate.after["hint"] and revoke.after is None
    assert (again.outcome, again.target) == ("not-found", "hmi") and "no key is called" in (again.detail or "")
    assert create.revisions == [twin.graph.revision] * 2
    kept = (door.data / FOLDER / CURRENT).read_text()
    assert not any(token in kept for token in (admin, made.json()["token"], rotated.json()["token"]))
    assert verify(door.data).broken is None


async def test_what_changes_nothing_is_not_recorded(twin: Twin) -> None:
    door = Audited(twin)
    _, admin = door.keys.create("admin", sorted(Scope))
    headers = {"X-API-Key": admin}
    body = {"device_id": "line_2.conveyor", "measurements": [{"name": "speed", "value": 1.5}]}
    async with door.context.pipeline:
        assert (await door.ask("/telemetry", "POST", headers, json=body)).status_code == 202
    assert (await door.ask("/nodes", headers=headers)).status_code == 200
    await door.ask("/definitions/plan", "POST", headers, json={"documents": {"a.yaml": "digital_twins: []"}})
    await door.ask_root("/graphql", "POST", headers, json={"query": "{ nodes { edges { node { id } } } }"})
    assert door.records() == []


async def test_refusals_are_recorded_and_bounded(twin: Twin) -> None:
    door = Audited(twin)
    _, viewer = door.keys.create("viewer", sorted(Role.VIEWER.scopes))
    headers = {"X-API-Key": viewer}
    await door.ask("/keys", headers=headers)
    await door.ask("/events", "POST", headers, json={"kind": "failure", "node": "line_1"})
    await door.ask("/telemetry?token=geheim", "POST", headers, json={})
    await door.ask("/nodes")
    await door.ask("/nodes", headers={"X-API-Key": new_token()})
    mutation = 'mutation { removeScenario(id: "x") }'
    assert "errors" in (await door.ask_root("/graphql", "POST", headers, json={"query": mutation})).json()
    told = [(record.by, record.what.rpartition("/")[2], record.outcome) for record in door.records()]
    assert told == [
        ("key viewer", "keys", "forbidden"),
        ("key viewer", "events", "forbidden"),
        ("key viewer", "telemetry", "forbidden"),
        ("nobody", "nodes", "unauthenticated"),
        ("nobody", "nodes", "unauthenticated"),
        ("key viewer", "mutation removeScenario", "forbidden"),
    ]
    assert "lacks the scope access:write" in (door.records()[0].detail or "")
    assert "geheim" not in (door.data / FOLDER / CURRENT).read_text()
    for _ in range(AN_ADDRESS + 5):
        await door.ask("/nodes")
    assert len(door.records()) == AN_ADDRESS
    door.now += WINDOW_S
    await door.ask("/nodes")
    assert (len(door.records()), door.records()[-1].left_out) == (AN_ADDRESS + 1, 11)


def test_nobody_fills_the_disk_from_many_addresses(tmp_path: Path) -> None:
    trail = AuditTrail(AuditLog(tmp_path), lambda: 0.0)
    for number in range(2 * IN_ALL):
        trail.refused(Asking("nobody", str(number), "GET /x"), "unauthenticated", None)
    trail.end()
    assert len(records(tmp_path)) == IN_ALL + 1 and records(tmp_path)[-1].left_out == IN_ALL


async def test_pages_of_the_log(twin: Twin) -> None:
    door = Audited(twin)
    _, admin = door.keys.create("admin", sorted(Scope))
    headers = {"X-API-Key": admin}
    for number in range(5):
        await door.ask("/keys", "POST", headers, json={"name": f"k{number}", "role": "viewer"})
    first = (await door.ask("/audit?limit=3&by=admin", headers=headers)).json()
    assert [record["target"] for record in first["records"]] == ["k4", "k3", "k2"]
    rest = (await door.ask(f"/audit?limit=3&before={first['next']}", headers=headers)).json()
    assert [record["target"] for record in rest["records"]] == ["k1", "k0"] and rest["next"] is None
    assert (first["last"], first["head"]) == (5, verify(door.data).head)
    since = first["records"][1]["time"]
    later = (await door.ask("/audit", headers=headers, params={"since": since})).json()
    assert len(later["records"]) == 2
    assert (await door.ask("/audit?by=bert", headers=headers)).json()["records"] == []
    assert (await door.ask("/audit?limit=0", headers=headers)).status_code == 400
    whole = await door.ask("/audit/export", headers=headers)
    assert whole.content == (door.data / FOLDER / CURRENT).read_bytes()
    _, engineer = door.keys.create("engineer", sorted(Role.ENGINEER.scopes))
    assert await door.status("/audit", x_api_key=engineer) == await door.status("/audit/export", x_api_key=engineer)
    assert await door.status("/audit", x_api_key=engineer) == 403


async def test_a_backup_holds_the_log(twin: Twin, tmp_path: Path) -> None:
    written(twin.directory, 9, file_bytes=600)
    with current(twin.directory).open("ab") as file:
        file.write(b'{"half')
    head = verify(audit_files(twin.directory)).head
    backup(twin, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    found = verify(audit_files(tmp_path / "again"), head)
    assert (found.records, found.anchored, found.torn) == (9, 9, 0)


async def test_sessions_are_recorded_and_bounded(twin: Twin) -> None:
    door = Audited(twin)
    (by_key,) = door.context.authenticators
    assert isinstance(by_key, KeyAuthentication)
    door.context.authenticators.append(SessionAuthentication(door.keys, by_key))
    _, key = door.keys.create("anna", sorted(Role.VIEWER.scopes))
    begun = await door.ask("/session", "POST", json={"key": key})
    assert (await door.ask("/session", "POST", json={"key": new_token()})).status_code == 401
    assert (await door.ask("/session", "POST", json={"no": 1})).status_code == 400
    cookie = {"Cookie": begun.headers["set-cookie"].partition(";")[0], "Origin": "http://plant.example"}
    assert (await door.ask("/session", "DELETE", cookie | {"Origin": "http://foreign.example"})).status_code == 403
    assert (await door.ask("/session", "DELETE", cookie)).status_code == 204
    assert (await door.ask("/session", "DELETE", cookie)).status_code == 204, "it is over, and nobody's"
    assert (await door.ask("/session", "DELETE")).status_code == 204
    told = [(record.by, record.what.partition(" ")[0], record.outcome) for record in door.records()]
    assert told == [
        ("key anna", "POST", "ok"),
        ("nobody", "POST", "unauthenticated"),
        ("nobody", "DELETE", "forbidden"),
        ("key anna", "DELETE", "ok"),
    ]
    kept = (door.data / FOLDER / CURRENT).read_text()
    assert key not in kept and cookie["Cookie"].partition("=")[2] not in kept
    for _ in range(AN_ADDRESS + 10):
        await door.ask("/session", "POST", json={"key": key})
    assert sum(record.by == "key anna" for record in door.records()) == AN_ADDRESS


async def test_an_answer_that_comes_line_by_line_is_recorded_at_its_end(twin: Twin) -> None:
    door = Audited(twin)
    _, admin = door.keys.create("admin", sorted(Scope))
    headers = {"X-API-Key": admin, "Content-Type": "text/csv", "Accept": "application/x-ndjson"}
    for signal in ("line_2.conveyor.speed", "line_9.speed"):
        params = {"mapping": json.dumps({"columns": {"speed": signal}}), "name": "day.csv"}
        body = b"time,speed\n2024-01-15T10:30:00Z,1.5\n"
        answer = await door.ask("/load", "POST", headers, params=params, content=body)
        assert answer.status_code == 200, answer.text
    done, wrong = door.records()
    assert (done.what, done.outcome) == ("POST /api/v1/iotsense/load", "ok")
    assert (wrong.outcome, wrong.after) == ("invalid-value", None) and "line_9" in (wrong.detail or "")


async def test_what_nobody_foresaw_is_recorded(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Audited(twin)
    _, admin = door.keys.create("admin", sorted(Scope))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(door.keys, "create", broken)
    answer = await door.ask("/keys", "POST", {"X-API-Key": admin}, json={"name": "a", "role": "viewer"})
    assert answer.status_code == 500
    assert [(record.outcome, record.detail) for record in door.records()] == [("error", "a bug")]


async def test_a_change_is_refused_over_rest_and_graphql_if_it_cannot_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service(tmp_path / "data", plant(tmp_path)) as running, client(running) as http:
        ask = {"query": 'mutation { forkScenario(id: "b") { id } }'}
        with monkeypatch.context() as patch:
            patch.setattr(running.audit.log, "_write", full)
            assert (await http.post(f"{API}/scenarios", json={"id": "a"})).status_code == 201
            refused = await http.post(f"{API}/keys", json={"name": "a", "role": "admin"})
            assert refused.status_code == 507 and "the audit log cannot be written" in refused.json()["detail"]
            told = (await http.post("/graphql", json=ask)).json()["errors"][0]
            assert told["extensions"]["code"] == "STORAGE_FULL"
            health = (await http.get("/health")).json()
            assert health["status"] == "degraded" and any("audit log" in each for each in health["reasons"])
            assert (await http.get(f"{API}/keys")).json()["keys"] == []
            text = (await http.get("/metrics")).text
            assert "iotsense_audit_writable 0" in text
        assert "errors" not in (await http.post("/graphql", json=ask)).json()
        assert (await http.get("/health")).json()["status"] == "ok"
    kept = records(tmp_path / "data")
    assert [(record.what, record.target) for record in kept[1:-1]] == [
        (f"POST {API}/scenarios", "a"), ("mutation forkScenario", "b"),
    ]  # fmt: skip


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "full")


# A service


def test_every_change_has_a_scope_that_may_make_it() -> None:
    assert {endpoint.path for endpoint in ENDPOINTS if endpoint.tag == "audit"} == {
        f"{API}/audit",
        f"{API}/audit/export",
    }


async def test_a_service_records_definitions_and_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, speed = tmp_path / "data", f"{API}/signals/conveyor.speed/desired"
    ask = 'mutation { setDesired(signal: "conveyor.speed", value: 2, reason: "night") { errors { code } } }'
    async with service(data, plant(tmp_path)) as running, client(running) as http:
        with monkeypatch.context() as patch:
            patch.setitem(running.sources, "plc", Device())
            for value in (1, 1.5, 9):
                await http.put(speed, json={"value": value})
            await http.post("/graphql", json={"query": ask})
            await http.post("/graphql", json={"query": ask.replace("2,", "9,")})
        await http.post("/graphql", json={"query": 'mutation { removeScenario(id: "no") }'})
        changed = PLANT.replace("limit: 2.5", "limit: 2.4")
        await http.post(f"{API}/definitions/apply", json={"documents": {"plant.yaml": changed}})
    start, first, second, third, mutation, refused, gone, apply, stop = records(data)
    assert (start.what, stop.what, start.by) == ("start", "stop", "the service")
    assert start.revisions is not None and start.revisions[0] < start.revisions[1]
    assert (first.what, first.target) == (f"PUT {API}/signals/{{id}}/desired", "conveyor.speed")
    assert (first.before, first.after["value"], second.before) == (None, 1, {"value": 1})
    assert (third.outcome, third.before, third.after) == ("invalid-value", {"value": 1.5}, None)
    assert (mutation.what, mutation.target) == ("mutation setDesired", "conveyor.speed")
    assert (mutation.before, mutation.after["value"]) == ({"value": 1.5}, 2)
    assert mutation.asked == {"signal": "conveyor.speed", "value": 2, "reason": "night"}
    assert (refused.outcome, refused.after) == ("invalid-value", None) and refused.detail
    assert (gone.what, gone.target, gone.outcome) == ("mutation removeScenario", "no", "not-found")
    assert apply.what == f"POST {API}/definitions/apply" and apply.by == "this machine"
    assert apply.revisions is not None and apply.revisions[0] + 1 == apply.revisions[1] and apply.after["counts"]


def test_kill_9_loses_no_record_that_was_answered(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with process(data) as running, httpx.Client(base_url=running.url) as http:
        for number in range(20):
            answer = http.post(f"{API}/scenarios", json={"id": f"s{number}"})
            assert answer.status_code in (200, 201), answer.text
        running.kill()
    with current(data).open("ab") as file:
        file.write(b'{"address":"127.0.0.1","aft')
    with process(data) as running:
        assert running.url and "were cut off" in running.log
        assert running.terminate() == 0
    found = verify(data)
    assert found.broken is None
    whats = [record.what for record in records(data)]
    assert whats[0] == "start" and whats[-3:] == ["recover audit log", "start", "stop"]
    assert whats.count("POST /api/v1/iotsense/scenarios") == 20


def test_the_store_of_keys_and_the_log_share_a_folder(tmp_path: Path) -> None:
    KeyStore(tmp_path).create("a", [Scope.PLANT_READ])
    written(tmp_path, 1)
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {"keys.json", CURRENT}


# The verbs


def test_the_verbs_list_export_and_verify(tmp_path: Path) -> None:
    data, exported = tmp_path / "data", tmp_path / "log.jsonl"
    here = ("--data", str(data))
    assert typed("apply", str(write_plant(tmp_path)), *here)[0] == 0
    admin = typed("keys", "create", "admin", "--role", "admin", *here)[1].strip()
    with process(data) as running:
        remote = ("--url", running.url, "--api-key", admin)
        assert typed("keys", "create", "hmi", "--role", "viewer", *remote)[0] == 0
        assert typed("keys", "revoke", "hmi", *here)[0] == 0
        listed = json.loads(typed("audit", "list", "--json", *here)[1])
        assert [(each["by"], each["target"]) for each in listed] == [
            ("this machine", "hmi"), ("key admin", "hmi"), ("the service", None), ("this machine", "admin"),
            ("this machine", None),
        ]  # fmt: skip
        assert [each["address"] for each in listed] == [
            "this machine's socket", "127.0.0.1", "the service", "this machine", "this machine",
        ]  # fmt: skip
        code, shown, _ = typed("audit", "list", "--by", "admin", "--since", "1h", "--limit", "1", *remote)
        assert code == 0 and "POST /keys" in shown and "key admin" in shown
        assert typed("audit", "list", "--since", "yesterday", *remote)[0] == 1
        done = run_cli("audit", "export", *here, cwd=tmp_path)
        assert done.returncode == 0
        exported.write_text(done.stdout)
        assert exported.read_bytes() == current(data).read_bytes()
        code, told, _ = typed("audit", "verify", *remote)
        assert code == 0 and "5 records, each as it was written" in told
    head = verify(data).head
    assert typed("audit", "verify", "--anchor", head, *here)[1].endswith("record 5 has the hash of the anchor\n")
    assert typed("audit", "verify", str(exported), "--anchor", "abc")[0] == 1
    exported.write_text(exported.read_text().replace("key admin", "key anna"))
    code, _, told = typed("audit", "verify", str(exported))
    assert code == STORAGE and "record 4 is the first that is wrong" in told and f"{exported}:4" in told
    lines = current(data).read_bytes().splitlines(keepends=True)
    current(data).write_bytes(b"".join(lines[:-1]))
    assert typed("audit", "verify", *here)[0] == 0
    code, told, _ = typed("audit", "verify", "--anchor", head, "--json", *here)
    assert code == STORAGE and json.loads(told)["broken"] == 5
    assert typed("audit", "verify", "--data", str(tmp_path / "nowhere"))[0] == 1


def test_what_verbs_do_to_a_directory_without_a_service_is_recorded(tmp_path: Path) -> None:
    data, rows = tmp_path / "data", tmp_path / "nodes.jsonl"
    rows.write_text('{"id": "plant", "level": "site"}\n')
    assert typed("bulk", "import", str(rows), "--data", str(data))[0] == 0
    assert typed("backup", str(tmp_path / "copy"), "--data", str(data))[0] == 0
    assert typed("restore", str(tmp_path / "copy"), "--data", str(tmp_path / "again"))[0] == 0
    taken, restored = records(tmp_path / "again")
    assert (taken.what, taken.by, taken.after) == ("bulk import", "this machine", {"nodes": 1})
    assert restored.what == "restore" and (restored.target or "").startswith("backup ")
    assert verify(audit_files(tmp_path / "again")).broken is None


# The page


def test_the_page_says_what_is_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs" / "audit.md").read_text("utf-8")
    assert f"{AN_ADDRESS} an hour from one address, {IN_ALL} in all" in page
    assert f"put aside at {FILE_BYTES >> 20} MiB" in page and f"{MOST:,} records wait" in page
    assert all(f"`{name}`" in page for name in AuditRecord.__struct_fields__)
    shell, python, anchor, syslog = (block.split("\n", 1)[1] for block in page.split("```")[1:8:2])
    (tmp_path / "audit-log.jsonl").write_bytes(b"".join(written(tmp_path, 5)))
    monkeypatch.chdir(tmp_path)
    head = verify(tmp_path).head
    with redirect_stdout(StringIO()) as out:
        exec(compile(python, "audit.md", "exec"), {})
    assert out.getvalue() == f"5 {head}\n"
    for line in (shell + anchor).splitlines():
        words = shlex.split(line.partition(" > ")[0].replace("HASH", head))[1:]
        if words[1] == "export":
            assert run_cli(*words, "--data", ".", cwd=tmp_path).returncode == 0
        else:
            assert typed(*words, "--data", str(tmp_path))[0] == 0
    for line in syslog.splitlines():
        assert str(parse_address(shlex.split(line, comments=True)[-1]))
