"""The listening socket of a worker: connections are taken a few at a time, no more than it keeps.

All workers share the socket: each takes of what waits so many that all come to have alike, the rest
is left to the others for a moment, and what waits in it when a worker dies is taken by another.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import select
import socket
import ssl
import sys
from typing import Final

from baluarte.apps.http.connection import Connection, Keeper
from baluarte.apps.http.exchange import Service
from baluarte.apps.http.places import Place

LOG = logging.getLogger("baluarte.http")
MOST_OPEN = 4_096  #: connections of a worker; more wait to be accepted
HANDSHAKE_S = 30.0
DRAIN_S = 20.0  #: in which what is open must be answered; then it ends all the same
_FILES = 256  #: that a worker opens beside its connections
_LOOK_S = 0.5  #: between two looks at who waits too long
_FULL_S = 0.2  #: before connections are taken again, where that failed
_AT_ONCE = 16  #: connections that are taken in one turn of the loop
_WAY_S = 0.05  #: for which a connection is left to workers that have fewer
_FREELY_S = 0.005  #: for which it takes what comes where nobody else did in that time
_WAY_PAUSE_S = 0.001
_ROOM = 32  #: one in so many idle connections ends where all places are taken
_UNACKED: Final = slice(24, 28)  #: where that stands in what the system says of a connection
_CANCEL_S = 2.0  #: in which what was given up has ended
_NOTHING: Final = {errno.EAGAIN, errno.EINTR, errno.ECONNABORTED, errno.EPROTO}


class Listener:
    """Takes connections from a socket that listens.

    Args:
        context: of TLS; None: plain.
        place: where this worker sees how many connections the others have; None: it is alone.
    """

    def __init__(
        self,
        service: Service,
        listening: socket.socket,
        *,
        loop: asyncio.AbstractEventLoop,
        context: ssl.SSLContext | None,
        place: Place | None = None,
    ) -> None:
        self._loop = loop
        self._socket = listening
        self._context = context
        self._keeper = Keeper(service, loop, on_change=self._tell)
        self._place = place
        self._waits_since_s: float | None = None  # since when one is left to others
        self._freely_until_s = 0.0
        self._waiting = select.poll()
        self._waiting.register(listening, select.POLLIN)
        self._greeting: set[asyncio.Task[None]] = set()
        self._most = most_open()
        self._takes = False
        self._stopped = False
        self._is_told = False  # whether the log says that connections can't be taken

    def start(self) -> None:
        """Take connections from now on."""
        self._socket.setblocking(False)  # noqa: FBT003 - as the socket module has it
        self._tell()
        self._listen()
        self._loop.call_later(_LOOK_S, self._look)

    def stop(self) -> None:
        """Take no more; those that are open end with their next answer."""
        self._stopped = True
        self._pause()
        if self._place is not None:
            self._place.leave()
        self._keeper.leaves = True

    async def drain(self) -> None:
        """Return when every request is answered and every connection closed, or soon."""
        self.stop()
        keeper, until = self._keeper, self._loop.time() + DRAIN_S
        while keeper.open or keeper.tasks or self._greeting:
            if self._loop.time() > until:
                LOG.error("what is still open is given up")
                await self._give_up()
                return
            keeper.drain()
            await asyncio.sleep(0.02)

    async def _give_up(self) -> None:
        tasks = self._keeper.tasks | self._greeting
        self._keeper.give_up()
        for task in self._greeting:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_S)
        await asyncio.sleep(0)  # the loop tells connections that they are gone

    def _look(self) -> None:
        self._loop.call_later(_LOOK_S, self._look)
        self._keeper.look()
        if self._n_open() >= self._most:
            self._keeper.make_room(max(1, self._most // _ROOM))
        if not self._takes:
            self._listen()

    def _listen(self) -> None:
        if not self._stopped and self._n_open() < self._most:
            self._takes = True
            self._loop.add_reader(self._socket.fileno(), self._take)

    def _pause(self) -> None:
        if self._takes:
            self._takes = False
            self._loop.remove_reader(self._socket.fileno())

    def _n_open(self) -> int:
        return len(self._keeper.open) + len(self._greeting)

    def _tell(self) -> None:
        """The others see how many are open."""
        if self._place is not None and not self._stopped:
            self._place.tell(self._n_open())

    def _gives_way(self) -> bool:
        """Whether what waits is left for a moment to workers that have fewer connections."""
        place, now_s = self._place, self._loop.time()
        if place is None or place.share(self._n_open(), n_waiting(self._socket)) > 0:
            self._waits_since_s = None
            return False
        if now_s < self._freely_until_s:
            return False
        if self._waits_since_s is None:
            self._waits_since_s = now_s
        elif now_s - self._waits_since_s > _WAY_S:  # nobody did: they are busy, or gone
            self._waits_since_s, self._freely_until_s = None, now_s + _FREELY_S
            return False
        self._pause()
        self._loop.call_later(_WAY_PAUSE_S, self._look_again)
        return True

    def _look_again(self) -> None:
        """Go on with a connection that was left to others."""
        if not self._waiting.poll(0):
            self._waits_since_s = None
        self._again()

    def _take(self) -> None:
        """Take connections, not too many at once; the loop calls again while there are more."""
        for _ in range(_AT_ONCE):
            if self._gives_way() or not self._take_one():
                return

    def _take_one(self) -> bool:
        """Take a connection; False where no further one can be taken now."""
        try:
            taken, peer = self._socket.accept()
        except OSError as error:
            if error.errno not in _NOTHING:  # else another worker was sooner, or the caller left
                self._fail(error)
            return False
        self._is_told = False
        taken.setblocking(False)  # noqa: FBT003 - likewise
        task = self._loop.create_task(self._greet(taken, peer))
        self._greeting.add(task)
        task.add_done_callback(self._greeted)
        self._tell()
        if self._n_open() >= self._most:
            self._pause()
            return False
        return True

    def _greeted(self, task: asyncio.Task[None]) -> None:
        self._greeting.discard(task)
        self._tell()

    def _fail(self, error: OSError) -> None:
        """No connection can be taken, for want of files or memory: try again a little later."""
        if not self._is_told:
            LOG.error("a connection can't be taken: %s", error)
            self._is_told = True
        self._pause()
        self._loop.call_later(_FULL_S, self._again)

    def _again(self) -> None:
        if not self._takes:
            self._listen()

    async def _greet(self, taken: socket.socket, peer: tuple[str, int]) -> None:
        """Make a connection of a socket; a handshake that fails ends it, and nothing else."""
        context = self._context
        try:
            await self._loop.connect_accepted_socket(
                lambda: Connection(self._keeper, peer),
                taken,
                ssl=context,
                ssl_handshake_timeout=None if context is None else HANDSHAKE_S,
            )
        except (OSError, RuntimeError, asyncio.CancelledError):  # that is all that ends with it
            taken.close()


def n_waiting(listening: socket.socket) -> int:
    """How many connections wait in a socket that listens; 1 where the system doesn't say.

    Source: linux/tcp.h; of a socket that listens ``tcpi_unacked`` is the length of its queue.
    """
    if sys.platform != "linux":
        return 1
    try:
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED.stop)
    except OSError:
        return 1
    return max(1, int.from_bytes(info[_UNACKED], sys.byteorder))


def most_open() -> int:
    """Connections of a worker: as many as there may be, and files for all else."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST_OPEN
    return max(1, min(MOST_OPEN, files - min(_FILES, files // 2)))
