"""Programs that tests talk to: where they are, and how to bring them."""

import functools
import glob
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

# The name in `needs("...")` -> programs, any one of which will do. scripts/services.sh installs them.
PROGRAMS: dict[str, tuple[str, ...]] = {
    "mosquitto": ("mosquitto",),
    "mosquitto-clients": ("mosquitto_pub",),
    "openssl": ("openssl",),
    "curl": ("curl",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "gcc": ("gcc",),
    "postgresql": ("postgres",),
    "influxdb": ("influxd-v2.7.11",),  # Debian's is 1.6, so this one bears its version in its name
    "neo4j": ("java",),  # and the jars that scripts/service-neo4j.sh fetches
    "kafka": ("java",),  # and those of scripts/service-kafka.sh
    "node": ("node",),  # and the packages that scripts/service-node.sh fetches
    "rabbitmq": ("rabbitmq-server",),
    "amqp-tools": ("amqp-publish",),
    "libcoap": ("coap-client-openssl",),
    "mbpoll": ("mbpoll",),
    "socat": ("socat",),
    "mono": ("mcs",),  # and mono, which comes with it
    "tmpfs": ("mount",),  # a small file system of its own, for a full disk; only root may mount one
}

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iotsense"
"""Where scripts/service-*.sh keep what they build."""

# Debian keeps servers where an ordinary user's PATH does not look.
_PATH = os.pathsep.join(
    [
        os.environ.get("PATH", ""),
        "/usr/local/sbin",
        "/usr/sbin",
        "/sbin",
        *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True),
        str(CACHE / "influxdb"),
    ]
)


@functools.cache
def find(name: str) -> Path | None:
    """The program that serves as `name`, or None if this machine has none; KeyError for an unknown name."""
    paths = (shutil.which(program, path=_PATH) for program in PROGRAMS[name])
    found = next((Path(path) for path in paths if path), None)
    if name == "gcc" and found and not _compiles(found):
        return None
    if name in ("neo4j", "kafka") and found:
        return max(CACHE.glob(f"{name}/*/lib"), default=None)
    if name == "node" and found and node_modules() is None:
        return None
    if name == "tmpfs" and found and not _mounts(found):
        return None
    return found


def node_modules() -> Path | None:
    """Where the packages are that programs in tests/peers may require (NODE_PATH), the newest set."""
    found = CACHE.glob("node/*/node_modules")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def program(name: str) -> str:
    """The path of a program that the test is marked to need."""
    found = find(name)
    assert found is not None, f"mark the test with needs({name!r})"
    return str(found)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _compiles(gcc: Path) -> bool:
    # Without the C library's headers the compiler is there, but of no use.
    check = [str(gcc), "-x", "c", "-fsyntax-only", "-"]
    return subprocess.run(check, input=b"#include <stdio.h>\n", capture_output=True).returncode == 0


def _mounts(mount: Path) -> bool:
    with tempfile.TemporaryDirectory() as place:
        if subprocess.run([mount, "-t", "tmpfs", "tmpfs", place], capture_output=True).returncode:
            return False
        subprocess.run(["umount", place], check=True)
    return True
