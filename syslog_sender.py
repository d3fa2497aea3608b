"""Records of the audit log, sent to a syslog server as RFC 5424: over UDP (RFC 5426), TCP (RFC 6587) or a Unix socket.

A thread sends what waits in a bounded queue, so that nothing waits for the server. What does not fit is dropped and
counted: it is in the audit log all the same, and the next message that gets through says how many are missing.
"""

import contextlib
import errno
import logging
import os
import queue
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .twin.audit_record import OK, AuditDraft
from .twin.errors import InvalidValueError

log = logging.getLogger("iotsense.audit")

PORT = 514
MOST = 10_000
_FACILITY = 13  # log audit
_NOTICE, _WARNING = 5, 4
_TIMEOUT_S = 5.0
_AGAIN_S = (0.1, 10.0)
_DRAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """Where to send: `kind` is `udp`, `tcp` or `unix`; `host` is the path of a Unix socket."""

    kind: str
    host: str
    port: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.host if self.kind == "unix" else f"{self.kind}://{host}:{self.port}"


def parse_address(text: str) -> SyslogAddress:
    """`HOST:PORT` or `udp://HOST:PORT`, `tcp://HOST:PORT`, or the path of a socket. Raises InvalidValueError."""
    if text.startswith(("/", "unix:")):
        return SyslogAddress("unix", text.removeprefix("unix:"))
    kind, _, rest = text.rpartition("://")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, str(PORT)
    host = host.removeprefix("[").removesuffix("]")
    if kind not in ("", "udp", "tcp") or not host or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise InvalidValueError(
            f"{text!r} is no syslog server: HOST:PORT or udp://HOST:PORT, tcp://HOST:PORT, or a path such as /dev/log",
            "syslog",
        )
    return SyslogAddress(kind or "udp", host, int(port))


class SyslogSender:
    """Sends what it is told of. trouble: why nothing gets through; dropped: how many messages were given up."""

    def __init__(self, address: SyslogAddress, *, most: int = MOST) -> None:
        self.address = address
        self.trouble: str | None = None
        self.dropped = 0
        self.sent = 0
        self._untold = 0
        self._counting = threading.Lock()
        self._queue: queue.Queue[bytes] = queue.Queue(most)
        self._socket: socket.socket | None = None
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._head = f"{_word(socket.gethostname())} iotsense {os.getpid()}"
        threading.Thread(target=self._run, name="syslog", daemon=True).start()

    def tell(self, draft: AuditDraft, line: bytes) -> None:
        """Has a record sent; never waits."""
        severity = _NOTICE if draft.outcome == OK else _WARNING
        try:
            self._queue.put_nowait(self._message(severity, draft.time, "audit", line.rstrip(b"\n")))
        except queue.Full:
            self._drop()

    def close(self) -> None:
        """Sends what waits, for at most two seconds."""
        self._stopping.set()
        self._ended.wait(_DRAIN_S + _TIMEOUT_S)

    def reasons(self) -> list[str]:
        """Why the service is not well, as far as this goes."""
        return [f"syslog server {self.address}: {self.trouble}"] if self.trouble else []

    def notices(self) -> list[str]:
        """What is worth knowing although all may be well by now."""
        missing = f"{self.dropped} records of the audit log were dropped for the syslog server {self.address}"
        return [missing] if self.dropped else []

    def _drop(self) -> None:
        if not self._untold:
            log.warning("the syslog server %s is too slow or away: records are dropped for it", self.address)
        with self._counting:
            self.dropped += 1
            self._untold += 1

    def _run(self) -> None:
        try:
            while not (self._stopping.is_set() and self._queue.empty()):
                try:
                    message = self._queue.get(timeout=0.2)
                except queue.Empty:
                    continue
                if not self._deliver(message):
                    left = 1 + self._queue.qsize()
                    with self._counting:
                        self.dropped += left
                    log.warning("%d records were not sent to the syslog server any more", left)
                    return
        finally:
            self._disconnect()
            self._ended.set()

    def _deliver(self, message: bytes) -> bool:
        """Sends one, however often it takes; False if it was to end before that."""
        wait, longest = _AGAIN_S
        deadline: float | None = None
        while True:
            try:
                self._tell_dropped()
                self._send(message)
            except OSError as error:
                self._failed(error)
            else:
                self.sent += 1
                return True
            if self._stopping.is_set():
                deadline = deadline or time.monotonic() + _DRAIN_S
                if time.monotonic() >= deadline:
                    return False
            self._stopping.wait(wait) if deadline is None else time.sleep(wait)
            wait = min(wait * 2, longest if deadline is None else 0.2)

    def _tell_dropped(self) -> None:
        if missing := self._untold:
            told = f"{missing} records of the audit log are missing here; they are in its file"
            self._send(self._message(_WARNING, time.time_ns(), "dropped", told.encode()))
            with self._counting:
                self._untold -= missing

    def _failed(self, error: OSError) -> None:
        if self.trouble is None:
            log.warning("the syslog server %s cannot be reached: %s", self.address, error)
        self.trouble = error.strerror or str(error)
        self._disconnect()

    def _send(self, message: bytes) -> None:
        if self._socket is None:
            self._socket = _connected(self.address)
        if self._socket.type == socket.SOCK_STREAM:
            _require_open(self._socket)
            # Counted (RFC 6587, 3.4.1): where the message ends does not hang on what is in it.
            message = b"%d %s" % (len(message), message)
        self._socket.sendall(message)
        if self.trouble is not None:
            log.info("the syslog server %s is reached again", self.address)
            self.trouble = None

    def _message(self, severity: int, time: int, kind: str, text: bytes) -> bytes:
        return f"<{_FACILITY * 8 + severity}>1 {_instant(time)} {self._head} {kind} - ".encode() + text

    def _disconnect(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _connected(address: SyslogAddress) -> socket.socket:
    """Raises OSError."""
    if address.kind == "tcp":
        return socket.create_connection((address.host, address.port), _TIMEOUT_S)
    if address.kind == "udp":
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
        return _to(socket.socket(family, kind, protocol), where)
    if not Path(address.host).exists():
        raise OSError(errno.ENOENT, f"there is no socket {address.host}")
    try:
        return _to(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), address.host)
    except OSError as error:
        if error.errno != errno.EPROTOTYPE:
            raise
        return _to(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), address.host)


def _to(made: socket.socket, where: Any) -> socket.socket:
    try:
        made.settimeout(_TIMEOUT_S)
        made.connect(where)
    except OSError:
        made.close()
        raise
    return made


def _require_open(stream: socket.socket) -> None:
    """Raises ConnectionResetError if the server has hung up: what is sent then would vanish without a word."""
    stream.setblocking(False)
    try:
        if not stream.recv(4096):
            raise ConnectionResetError(errno.ECONNRESET, "the server has hung up")
    except BlockingIOError:
        pass
    finally:
        stream.settimeout(_TIMEOUT_S)


def _instant(ns: int) -> str:
    # RFC 5424 knows no more than six digits of a second.
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1000:06d}Z"


def _word(text: str) -> str:
    return "".join(letter for letter in text if "!" <= letter <= "~")[:255] or "-"
