"""The audit log on its way to a syslog server: real sockets, servers that are slow, away and back."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from service_fixtures import API, process

from iotsense.syslog_sender import SyslogAddress, SyslogSender, parse_address
from iotsense.twin.audit_files import audit_files, verify
from iotsense.twin.audit_record import AuditDraft

MESSAGE = re.compile(
    rb"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]{1,255}) iotsense (\d+) (audit|dropped) - (.*)", re.S
)
Message = tuple[int, str, str]


class Udp:
    """A server of datagrams."""

    def __init__(self, path: Path | None = None) -> None:
        self.messages: list[Message] = []
        self._socket = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0) if path is None else str(path))
        name = self._socket.getsockname()
        self.address = f"127.0.0.1:{name[1]}" if path is None else str(path)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.messages.append(parsed(self._socket.recv(65536)))

    def close(self) -> None:
        self._socket.close()


class Tcp:
    """A server of counted messages; closing it hangs up."""

    def __init__(self, port: int = 0) -> None:
        self.messages: list[Message] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as file:
            while digits := self._count(file.read):
                self.messages.append(parsed(file.read(int(digits))))

    def _count(self, read: Callable[[int], bytes]) -> bytes:
        digits = b""
        while (digit := read(1)).isdigit():
            digits += digit
        return digits

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def parsed(body: bytes) -> Message:
    """Priority, kind and text."""
    found = MESSAGE.fullmatch(body)
    assert found is not None, body
    return int(found[1]), found[5].decode(), found[6].decode()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def draft(outcome: str = "ok") -> AuditDraft:
    return AuditDraft(1_700_000_000_123_456_789, "key anna", "", "POST /x", outcome=outcome)


@contextlib.contextmanager
def sending(address: str, **options: int) -> Iterator[SyslogSender]:
    sender = SyslogSender(parse_address(address), **options)
    try:
        yield sender
    finally:
        sender.close()


def test_addresses() -> None:
    assert parse_address("log:1514") == SyslogAddress("udp", "log", 1514)
    assert parse_address("udp://[::1]:514") == SyslogAddress("udp", "::1", 514)
    assert parse_address("tcp://log") == SyslogAddress("tcp", "log", 514)
    assert parse_address("[::1]") == SyslogAddress("udp", "::1", 514)
    assert parse_address("/dev/log") == SyslogAddress("unix", "/dev/log")
    assert [str(parse_address(each)) for each in ("tcp://[::1]:5", "/dev/log")] == ["tcp://[::1]:5", "/dev/log"]
    for wrong in ("", "tls://log:1", "log:x", "log:0", "log:70000", "tcp://"):
        with pytest.raises(Exception, match="is no syslog server"):
            parse_address(wrong)


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix"])
def test_a_record_arrives_as_rfc_5424(tmp_path: Path, kind: str) -> None:
    server = Tcp() if kind == "tcp" else Udp(tmp_path / "log" if kind == "unix" else None)
    with contextlib.closing(server), sending(server.address) as sender:
        sender.tell(draft(), b'{"seq":1}\n')
        sender.tell(draft("forbidden"), b'{"seq":2}\n')
        until(lambda: len(server.messages) == 2)
        # Facility 13 (log audit); a notice, a warning.
        assert server.messages == [(109, "audit", '{"seq":1}'), (108, "audit", '{"seq":2}')]
        assert (sender.sent, sender.dropped, sender.trouble) == (2, 0, None)


def test_a_server_that_is_back_gets_what_waited() -> None:
    first = Tcp()
    with sending(first.address) as sender:
        sender.tell(draft(), b"1\n")
        until(lambda: len(first.messages) == 1)
        first.close()
        time.sleep(0.1)
        sender.tell(draft(), b"2\n")
        until(lambda: sender.trouble is not None)
        assert "syslog server tcp://127.0.0.1" in sender.reasons()[0]
        with contextlib.closing(Tcp(first.port)) as second:
            until(lambda: len(second.messages) == 1)
            assert second.messages[0][2] == "2"
            until(lambda: sender.reasons() == [] == sender.notices())


def test_what_does_not_fit_is_dropped_counted_and_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with sending(str(path), most=5) as sender:
        sender.tell(draft(), b"0\n")
        until(lambda: sender.trouble is not None)
        began = time.monotonic()
        for number in range(1, 21):
            sender.tell(draft(), b"%d\n" % number)
        assert time.monotonic() - began < 5
        assert sender.dropped == 15 and "15 records" in sender.notices()[0]
        with contextlib.closing(Udp(path)) as server:
            until(lambda: len(server.messages) == 7)
            told = [text for _, kind, text in server.messages if kind == "dropped"]
            assert told == ["15 records of the audit log are missing here; they are in its file"]
            assert [text for _, kind, text in server.messages if kind == "audit"] == [str(each) for each in range(6)]


def test_it_ends_although_nobody_listens() -> None:
    with sending("tcp://127.0.0.1:9") as sender:
        sender.tell(draft(), b"1\n")
        began = time.monotonic()
    assert time.monotonic() - began < 20 and sender.dropped == 1


@pytest.mark.parametrize("make", [Udp, Tcp])
def test_a_service_sends_its_audit_log(tmp_path: Path, make: type[Udp] | type[Tcp]) -> None:
    data = tmp_path / "data"
    with contextlib.closing(make()) as server:
        with process(data, "--syslog", server.address) as running:
            assert httpx.post(f"{running.url}{API}/keys", json={"name": "a", "role": "admin"}).status_code == 201
            assert httpx.get(f"{running.url}{API}/nodes").status_code == 401
            assert running.terminate() == 0
        until(lambda: len(server.messages) == 4)
    lines = [path.read_text() for path in audit_files(data)]
    assert "".join(text + "\n" for _, _, text in server.messages) == "".join(lines)
    assert json.loads(server.messages[-1][2])["hash"] == verify(audit_files(data)).head
    assert [priority for priority, _, _ in server.messages] == [109, 109, 108, 109]


def test_a_server_that_is_away_is_told_in_health(tmp_path: Path) -> None:
    with process(tmp_path / "data", "--syslog", "tcp://127.0.0.1:9") as running:
        url = f"{running.url}/health"
        until(lambda: any("syslog server" in each for each in httpx.get(url).json()["reasons"]))
        assert httpx.get(url).json()["status"] == "degraded"
