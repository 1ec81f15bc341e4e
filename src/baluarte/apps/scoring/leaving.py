"""A worker whose work others take over: no new connection, and an end to each after an answer.

Workers share one listening socket, and Granian stops accepting only in the moment in which it ends:
a connection that it had just taken would be cut in its handshake, and one that waits for its next
request in the middle of it. So a worker that shall end is told so a little before.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path

LEAVE = signal.SIGURG  #: says so; a process that doesn't await it doesn't notice
LEAVE_S = 1.5  #: from then to the end: a connection that is in use has ended with an answer


def stop_accepting(port: int) -> int:
    """Leave the connections that come from now on to the other processes; on how many sockets.

    The listening socket is shared, so it can't be closed or shut down; and its number is the event
    loop's, so it can't be given up. In its place comes one that nobody connects to.
    """
    left = 0
    for name in os.listdir(_fds()):
        with contextlib.suppress(OSError):
            left += _leave(int(name), port)
    return left


def _leave(descriptor: int, port: int) -> bool:
    with socket.socket(fileno=os.dup(descriptor)) as shared:
        if not shared.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        if (
            shared.family not in {socket.AF_INET, socket.AF_INET6}
            or shared.getsockname()[1] != port
        ):
            return False
        family = shared.family
    with socket.socket(family, socket.SOCK_STREAM) as quiet:
        quiet.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        quiet.listen(1)
        quiet.setblocking(False)  # noqa: FBT003 - as the socket module has it
        os.dup2(quiet.fileno(), descriptor, inheritable=False)
    return True


def _fds() -> str:
    return "/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd"
