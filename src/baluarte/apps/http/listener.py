"""The listening socket of a worker: connections are taken one at a time, and no more than it keeps.

All workers share the socket: who is free takes the next connection, and what waits in it when a
worker dies is taken by another.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from typing import Final

from baluarte.apps.http.connection import Connection, Keeper
from baluarte.apps.http.exchange import Service

LOG = logging.getLogger("baluarte.http")
MOST_OPEN = 4_096  #: connections of a worker; more wait to be accepted
HANDSHAKE_S = 30.0
_LOOK_S = 0.5  #: between two looks at who waits too long
_FULL_S = 0.2  #: before connections are taken again, where there is no room for them
_NO_ROOM: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """Takes connections from a socket that listens.

    Args:
        context: of TLS; None: plain.
    """

    def __init__(
        self,
        service: Service,
        listening: socket.socket,
        *,
        loop: asyncio.AbstractEventLoop,
        context: ssl.SSLContext | None,
    ) -> None:
        self._loop = loop
        self._socket = listening
        self._context = context
        self._keeper = Keeper(service, loop)
        self._greeting: set[asyncio.Task[None]] = set()
        self._takes = False
        self._stopped = False

    def start(self) -> None:
        """Take connections from now on."""
        self._socket.setblocking(False)  # noqa: FBT003 - as the socket module has it
        self._listen()
        self._loop.call_later(_LOOK_S, self._look)

    def stop(self) -> None:
        """Take no more; those that are open end with their next answer."""
        self._stopped = True
        self._pause()
        self._keeper.leaves = True

    async def drain(self) -> None:
        """Return when every request is answered and every connection closed."""
        self.stop()
        self._keeper.drain()
        while self._keeper.open or self._keeper.tasks or self._greeting:
            await asyncio.sleep(0.02)
            self._keeper.drain()

    def _look(self) -> None:
        self._keeper.look()
        if not self._stopped and not self._takes:
            self._listen()
        self._loop.call_later(_LOOK_S, self._look)

    def _listen(self) -> None:
        if self._n_open() < MOST_OPEN:
            self._takes = True
            self._loop.add_reader(self._socket.fileno(), self._take)

    def _pause(self) -> None:
        if self._takes:
            self._takes = False
            self._loop.remove_reader(self._socket.fileno())

    def _n_open(self) -> int:
        return len(self._keeper.open) + len(self._greeting)

    def _take(self) -> None:
        """Take one connection; the loop calls again while there are more."""
        try:
            taken, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return  # another worker was sooner, or the caller has gone
        except OSError as error:
            LOG.error("a connection can't be taken: %s", error)  # noqa: TRY400 - one line will do
            if error.errno in _NO_ROOM:
                self._pause()
                self._loop.call_later(_FULL_S, self._again)
            return
        taken.setblocking(False)  # noqa: FBT003 - likewise
        task = self._loop.create_task(self._greet(taken))
        self._greeting.add(task)
        task.add_done_callback(self._greeting.discard)
        if self._n_open() >= MOST_OPEN:
            self._pause()

    def _again(self) -> None:
        if not self._stopped and not self._takes:
            self._listen()

    async def _greet(self, taken: socket.socket) -> None:
        """Make a connection of a socket; a handshake that fails ends it, and nothing else."""
        context = self._context
        try:
            await self._loop.connect_accepted_socket(
                lambda: Connection(self._keeper),
                taken,
                ssl=context,
                ssl_handshake_timeout=None if context is None else HANDSHAKE_S,
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            taken.close()
