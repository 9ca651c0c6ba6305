"""What systemd is told by a service of Type=notify: ready, alive, stopping.

The protocol is a datagram to the socket that NOTIFY_SOCKET names, see sd_notify(3).
"""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send ``READY=1``, ``WATCHDOG=1`` or ``STOPPING=1``; nothing where systemd did not ask for it.

    A socket that cannot be reached is no reason to stop working.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        try:
            # A leading @ stands for the zero byte of the abstract namespace.
            sender.sendto(
                state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address
            )
        except OSError:
            pass


def watchdog_seconds() -> float | None:
    """How often ``WATCHDOG=1`` is expected at most, None when it is not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdigit() and int(text) else None
