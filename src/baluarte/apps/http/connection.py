"""One connection: requests in, one after another; to each one answer, in their order.

A head is read when its last byte is there. A request whose small body is there soon goes to the
service as it is; any other gets a task, and its body as it comes. Bytes that come while a request
is being answered wait, and beyond a few kilobytes nobody reads them. What was refused with its body
unread ends the connection, without the loss of the answer: what still comes is read for a moment
and thrown away.

Source: RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

import httptools

from baluarte.apps.http.answers import CONTINUE, answer_bytes, bare
from baluarte.apps.http.exchange import Service
from baluarte.apps.http.head import END, MOST_BYTES, BadHeadError, Head, Heads
from baluarte.apps.http.incoming import Exchange, Scope

LOG = logging.getLogger("baluarte.http")
SMALL_BYTES = 64 << 10  #: of a body that is waited for without a task
AHEAD_BYTES = 64 << 10  #: that are read before somebody wants them
HEAD_S = 30.0  #: in which a head must have come; also the longest idle connection
SOON_S = 1.0  #: in which a small body is waited for without a task
STALL_S = 30.0  #: in which a caller must take some of its answer
LINGER_S = 2.0  #: for which a caller may go on sending what nobody reads
_NEVER = float("inf")

_HEAD, _BODY, _BUSY, _LINGER, _GONE = range(5)


class Keeper:
    """What the connections of a worker share.

    Attributes:
        now_s: the loop's time, as of its last look.
        leaves: whether each connection ends with its next answer.
    """

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self.service = service
        self.loop = loop
        self.heads = Heads()
        self.open: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.leaves = False
        self.now_s = loop.time()

    def look(self) -> None:
        """End what waited too long."""
        self.now_s = now_s = self.loop.time()
        for connection in [one for one in self.open if one.until_s < now_s]:
            connection.expire()

    def drain(self) -> None:
        """Let every connection end with its next answer; one that waits for a request now."""
        self.leaves = True
        for connection in list(self.open):
            connection.end_if_idle()

    def ended(self, task: asyncio.Task[None]) -> None:
        """A request's task ended."""
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("a request failed", exc_info=error)


class Connection(asyncio.Protocol):
    """One connection of a caller."""

    __slots__ = (
        "_chunks",
        "_ends",
        "_exchange",
        "_head",
        "_keeper",
        "_paused",
        "_rest",
        "_seen",
        "_stalled",
        "_state",
        "_transport",
        "until_s",
    )

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._transport = cast("asyncio.Transport", None)  # until it is made
        self._rest = bytearray()  # came, and is not looked at yet
        self._seen = 0  # of it, known to hold no end of a head
        self._state = _HEAD
        self._head = cast("Head", None)  # of the request that is answered
        self._exchange: Exchange | None = None
        self._chunks: httptools.HttpRequestParser | None = None
        self._ends = False  # whether the connection ends with this answer, whatever the head says
        self._paused = self._stalled = False
        self.until_s = _NEVER  #: in the loop's time; then it has waited too long

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Whose it is."""
        return self._keeper.loop

    @property
    def client(self) -> str:
        """Address and port."""
        peer = self._transport.get_extra_info("peername") or ("", 0)
        return f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"

    # --- what the loop tells --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._keeper.open.add(self)
        self.until_s = self._keeper.now_s + HEAD_S

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """It is gone; who waits for its body hears that, and its answer goes nowhere."""
        self._state = _GONE
        self._keeper.open.discard(self)
        if self._exchange is not None:
            self._exchange.fail()

    def eof_received(self) -> bool:
        """The caller sends no more; an answer that is due still goes out."""
        self._ends = True
        if self._state == _BODY:  # its service says what is wrong with it
            self._begin_task(self._rest)
        if self._exchange is not None:
            self._exchange.fail()
        # With TLS there is no half of a connection.
        return self._state == _BUSY and self._transport.get_extra_info("ssl_object") is None

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        state = self._state
        if state == _HEAD and not self._rest:
            self._look(data)
        elif state in (_HEAD, _BODY):
            self._rest += data
            self._look(self._rest)
        elif state == _BUSY:
            if self._exchange is not None and self._exchange.wants_more:
                self._pass_on(data)
            else:
                self._rest += data
                self._hold()
        # in any other state nobody reads it

    def pause_writing(self) -> None:
        """The caller doesn't take its answers."""
        self._stalled = True
        self.until_s = self._keeper.loop.time() + STALL_S

    def resume_writing(self) -> None:
        """It does again."""
        self._stalled = False
        self.until_s = _NEVER
        if self._state in (_HEAD, _LINGER):
            self.until_s = self._keeper.now_s + (HEAD_S if self._state == _HEAD else LINGER_S)
            if self._state == _HEAD and self._rest:
                self._keeper.loop.call_soon(self._look_again)

    def expire(self) -> None:
        """It has waited too long: for a head, for a body, for a caller who takes nothing."""
        if self._state == _BODY and not self._stalled:
            self._begin_task(self._rest)
        elif self._state == _HEAD and not self._stalled:
            self._end()
        else:
            self._transport.abort()

    def end_if_idle(self) -> None:
        """End it now where no request is being answered."""
        if self._state == _HEAD and not self._rest:
            self._end()

    def _end(self) -> None:
        """Close it once what was written is taken, or soon."""
        self._state = _GONE
        self.until_s = self._keeper.now_s + STALL_S
        self._transport.close()

    # --- from bytes to requests -----------------------------------------------------------------

    def _look(self, data: bytes | bytearray) -> None:
        """See whether a request, or its head, is there."""
        if self._state == _BODY:
            self._take_whole(self._head, data, 0)
            return
        end = data.find(END, self._seen)
        if end == 0 or data[:2] == b"\r\n":  # empty lines before a request are passed over
            data = data.lstrip(b"\r\n")
            self._seen = 0
            end = data.find(END)
        if end < 0:
            self._wait_for_head(data)
            return
        begins = end + len(END)
        if begins > MOST_BYTES:
            self._refuse(431)
            return
        self._seen = 0
        try:
            head = self._keeper.heads.read(bytes(data[:begins]))
        except BadHeadError as error:
            self._refuse(error.status)
            return
        self._head = head
        if head.length is None or head.length > SMALL_BYTES or head.expects:
            self._begin_task(data[begins:])
        else:
            self._take_whole(head, data, begins)

    def _look_again(self) -> None:
        if self._state == _HEAD and self._rest and not self._stalled:
            rest, self._rest = self._rest, bytearray()
            self._look(rest)

    def _wait_for_head(self, data: bytes | bytearray) -> None:
        if len(data) > MOST_BYTES:
            self._refuse(431)
            return
        self._seen = max(0, len(data) - len(END) + 1)
        if data is not self._rest:
            self._rest = bytearray(data)

    def _take_whole(self, head: Head, data: bytes | bytearray, begins: int) -> None:
        """Take a request whose length is known and small, if all of it is there."""
        ends = begins + cast("int", head.length)
        if len(data) < ends:
            if self._state != _BODY:
                self._state = _BODY
                self.until_s = self._keeper.now_s + SOON_S
                self._rest = bytearray(data[begins:])
            return
        body = bytes(data[begins:ends])
        if self._rest or len(data) > ends:
            self._rest = bytearray(data[ends:])
        self._state = _BUSY
        self.until_s = _NEVER
        if not self._keeper.service.handle_now(head, body, self):
            self.hand_over(body)

    def hand_over(self, body: bytes) -> None:
        """Give the request, whose body is there, a task."""
        if self._state == _BUSY:
            head = self._head
            self._run(Scope(head, self), Exchange(self, head, parts=[body], left=0))

    def _begin_task(self, data: bytes | bytearray) -> None:
        """Give a request a task, and what has come of its body."""
        head = self._head
        self._state = _BUSY
        self.until_s = _NEVER
        came = bytes(data)
        self._rest = bytearray()
        exchange = Exchange(self, head, parts=[], left=head.length)
        self._exchange = exchange
        if head.length is None:
            self._chunks = httptools.HttpRequestParser(exchange)
            # It ends a message only where it saw its head; this one says what matters of ours.
            self._chunks.feed_data(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        if came:
            self._pass_on(came)
        self._run(Scope(head, self), exchange)

    def _run(self, scope: Scope, exchange: Exchange) -> None:
        keeper = self._keeper
        self._exchange = exchange
        task = keeper.loop.create_task(keeper.service.handle(scope, exchange))
        keeper.tasks.add(task)
        task.add_done_callback(keeper.ended)

    def _pass_on(self, data: bytes) -> None:
        """Bytes of a body that comes in; what follows it waits."""
        exchange = cast("Exchange", self._exchange)
        if self._chunks is not None:
            try:
                self._chunks.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                exchange.fail()
        else:
            left = cast("int", exchange.left)
            if len(data) > left:
                self._rest += data[left:]
                data = data[:left]
            exchange.feed(data)
        self._hold()

    def _hold(self) -> None:
        """Read no further while there is enough that nobody wants."""
        waiting = len(self._rest)
        if self._exchange is not None and not self._exchange.is_wanted:
            waiting += self._exchange.n_waiting
        if waiting > AHEAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again: somebody wants it."""
        if self._paused:
            self._paused = False
            if self._state != _GONE:
                self._transport.resume_reading()

    def say_continue(self) -> None:
        """Tell a caller who waits for that that the body may come."""
        if self._state == _BUSY:
            self._transport.write(CONTINUE)

    # --- answers --------------------------------------------------------------------------------

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer the request, once; a caller that has gone away is not told."""
        if self._state != _BUSY:
            return
        head, exchange = self._head, self._exchange
        is_read = exchange is None or exchange.left == 0
        ends = (
            self._keeper.leaves
            or self._ends
            or not head.keeps
            or not is_read
            or ("connection", "close") in headers
        )
        self._exchange = self._chunks = None
        self._transport.write(
            answer_bytes(status, headers, body, ends=ends, bodiless=head.method == "HEAD")
        )
        if ends:
            self._close(lingers=not is_read or bool(self._rest))
            return
        self._state = _HEAD
        if not self._stalled:
            self.until_s = self._keeper.now_s + HEAD_S
        if self._paused:
            self.go_on()
        if self._rest:
            self._keeper.loop.call_soon(self._look_again)

    def _refuse(self, status: int) -> None:
        """Answer what no service sees; the connection ends."""
        self._transport.write(bare(status))
        self._close(lingers=True)

    def _close(self, *, lingers: bool) -> None:
        self._rest = bytearray()
        if not lingers:
            self._end()
            return
        # To close with bytes unread would take the answer from the caller (RFC 9112, 9.6).
        self._state = _LINGER
        self.until_s = self._keeper.now_s + LINGER_S
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.go_on()
