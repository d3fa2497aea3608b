"""Telling systemd that the service is ready or stopping (`Type=notify`); without systemd nothing happens."""

import os
import socket


def notify(state: str) -> bool:
    """Sends `READY=1`, `STOPPING=1` or `STATUS=...`; whether anybody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    # An abstract socket's name begins with a zero byte, written as @.
    address = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        try:
            to.sendto(state.encode(), address)
        except OSError:
            return False  # a supervisor that went away must not take the service along
    return True
