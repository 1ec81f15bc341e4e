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
import functools
import logging
from collections.abc import Callable
from typing import cast

import httptools

from baluarte.apps.http.answers import CONTINUE, answer_bytes, bare
from baluarte.apps.http.exchange import Service
from baluarte.apps.http.head import END, MOST_BYTES, TOO_LARGE, BadHeadError, Head, Heads
from baluarte.apps.http.incoming import Exchange, Scope

LOG = logging.getLogger("baluarte.http")
SMALL_BYTES = 64 << 10  #: of a body that is waited for without a task
AHEAD_BYTES = 64 << 10  #: that are read before somebody wants them
HEAD_S = 30.0  #: in which a head must have come; also the longest idle connection
LAST_HEAD_S = 5.0  #: in which a head that has begun must have come where the worker ends
FIRST_S = 1.0  #: in which the first request of a new connection may begin to come there
SOON_S = 1.0  #: in which a small body is waited for without a task
STALL_S = 30.0  #: in which a caller must take so much of its answers
TAKEN_BYTES = 16 << 10
LINGER_S = 2.0  #: for which a caller may go on sending what nobody reads
_NEVER = float("inf")
_NO_HEAD = cast("Head", None)  #: before the first request
_FAULT: tuple[int, list[tuple[str, str]], bytes] = 500, [("connection", "close")], b""

_HEAD, _BODY, _BUSY, _LINGER, _GONE = range(5)


class Keeper:
    """What the connections of a worker share.

    Attributes:
        on_change: called when a connection is gone.
        now_s: the loop's time, as of its last look.
        leaves: whether each connection ends with its next answer.
    """

    def __init__(
        self,
        service: Service,
        loop: asyncio.AbstractEventLoop,
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.service = service
        self.on_change = on_change
        self.loop = loop
        self.heads = Heads()
        self.open: dict[Connection, None] = {}  # in the order in which they came
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

    def make_room(self, n: int) -> None:
        """End those of the idle connections that have been idle longest, at most so many."""
        idle = [one for one in self.open if one.is_idle]
        idle.sort(key=lambda one: one.until_s)
        for connection in idle[:n]:
            connection.end_if_idle()

    def give_up(self) -> None:
        """End everything now, answered or not."""
        for connection in list(self.open):
            connection.abort()
        for task in self.tasks:
            task.cancel()


class Connection(asyncio.Protocol):
    """One connection of a caller.

    Args:
        peer: its address and port, and what IPv6 has beside them.
    """

    __slots__ = (
        "_chunks",
        "_eof",
        "_exchange",
        "_head",
        "_keeper",
        "_paused",
        "_peer",
        "_rest",
        "_seen",
        "_stalled",
        "_state",
        "_transport",
        "_untaken",
        "until_s",
    )

    def __init__(self, keeper: Keeper, peer: tuple[str, int] = ("", 0)) -> None:
        self._keeper = keeper
        self._peer = peer
        self._transport = cast("asyncio.Transport", None)  # until it is made
        self._rest = bytearray()  # came, and is not looked at yet
        self._seen = 0  # of it, known to hold no end of a head
        self._state = _HEAD
        self._head = _NO_HEAD  # of the request that is answered
        self._exchange: Exchange | None = None
        self._chunks: httptools.HttpRequestParser | None = None
        self._eof = False  # whether the caller sends no more
        self._paused = self._stalled = False
        self._untaken = 0  # bytes of answers that the caller has not taken
        self.until_s = _NEVER  #: in the loop's time; then it has waited too long

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Whose it is."""
        return self._keeper.loop

    @property
    def client(self) -> str:
        """Address and port."""
        host, port = self._peer[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def is_idle(self) -> bool:
        """Whether no byte of a request is there, nor about to come."""
        return self._state == _HEAD and not self._rest and not self._is_new

    @property
    def _is_new(self) -> bool:
        """Whether it was opened a moment ago, by one who is about to send the first request."""
        return self._head is _NO_HEAD and self.until_s > self._keeper.loop.time() + HEAD_S - FIRST_S

    # --- what the loop tells --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._keeper.open[self] = None
        self.until_s = self._keeper.loop.time() + HEAD_S

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """It is gone; who waits for its body hears that, and its answer goes nowhere."""
        self._state = _GONE
        self._keeper.open.pop(self, None)
        self._keeper.on_change()
        if self._exchange is not None:
            self._exchange.fail()

    def eof_received(self) -> bool:
        """The caller sends no more; the answers that are due still go out."""
        self._eof = True
        if self._state == _BODY:  # its service says what is wrong with it
            self._begin_task(bytes(self._rest))
        elif self._state == _HEAD and self._rest:  # requests may wait in it
            self._keeper.loop.call_soon(self._look_again)
        if self._exchange is not None:
            self._exchange.fail()
        stays = self._state == _BUSY or (self._state == _HEAD and bool(self._rest))
        if stays and self._is_plain:  # with TLS there is no half of a connection
            return True
        self._state = _GONE
        self._wait(STALL_S)
        return False

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        state = self._state
        if state == _HEAD and not self._rest and not self._stalled:
            self._look(data)
        elif state in (_HEAD, _BODY):
            self._rest += data
            if not self._stalled:
                self._look(self._rest)
            self._hold()
        elif state == _BUSY:
            if self._exchange is not None and self._exchange.wants_more:
                self._pass_on(data)
            else:
                self._rest += data
                self._hold()
        # in any other state nobody reads it

    def pause_writing(self) -> None:
        """The caller doesn't take its answers: it gets no more of them until it does."""
        self._stalled = True
        self._wait(STALL_S)

    def resume_writing(self) -> None:
        """It does again."""
        self._stalled = False
        self.until_s = _NEVER
        if self._state != _BUSY:
            self._wait({_HEAD: HEAD_S, _BODY: SOON_S, _LINGER: LINGER_S}.get(self._state, STALL_S))
        if self._rest:
            self._keeper.loop.call_soon(self._look_again)

    def expire(self) -> None:
        """It has waited too long: for a head, for a body, for a caller who takes nothing."""
        left = self._transport.get_write_buffer_size()
        if self._state == _BODY and not self._stalled:
            self._begin_task(bytes(self._rest))
        elif (self._state == _HEAD and not self._stalled) or (self._state == _LINGER and left):
            self._end()
        elif 0 < left <= self._untaken - TAKEN_BYTES:  # slowly, but it takes them
            self._wait(STALL_S)
        else:
            self.abort()

    def abort(self) -> None:
        """End it now, whatever was not sent."""
        self._state = _GONE
        self._transport.abort()

    def end_if_idle(self) -> None:
        """End it now where no request is being answered, soon where one comes or is to come."""
        if self._state != _HEAD:
            return
        if self._rest:
            self.until_s = min(self.until_s, self._keeper.now_s + LAST_HEAD_S)
        elif not self._is_new:
            self._end()
            if not self._stalled:  # of TLS, few answer a goodbye that they don't wait for
                self.until_s = self._keeper.now_s + LINGER_S

    def _end(self) -> None:
        """Close it once what was written is taken, or soon."""
        self._state = _GONE
        self._wait(STALL_S)
        self._transport.close()

    def _wait(self, seconds: float) -> None:
        """Let it expire then."""
        self._untaken = self._transport.get_write_buffer_size()
        self.until_s = self._keeper.loop.time() + seconds

    # --- from bytes to requests -----------------------------------------------------------------

    def _look(self, data: bytes | bytearray) -> None:
        """See whether a request, or its head, is there."""
        if self._state == _BODY:
            self._take_whole(self._head, data, 0)
            return
        end = data.find(END, self._seen)
        if end == 0 or data[:2] == b"\r\n":  # empty lines before a request are passed over
            self._rest = data = bytearray(data.lstrip(b"\r\n"))
            self._seen = 0
            end = data.find(END)
        if end < 0:
            self._wait_for_head(data)
            return
        begins = end + len(END)
        if begins > MOST_BYTES:
            self._refuse(431, TOO_LARGE)
            return
        self._seen = 0
        try:
            head = self._keeper.heads.read(bytes(data[:begins]))
        except BadHeadError as error:
            self._refuse(error.status, str(error))
            return
        self._head = head
        if head.length is None or head.length > SMALL_BYTES or head.expects:
            self._begin_task(bytes(data[begins:]))
        else:
            self._take_whole(head, data, begins)

    def _look_again(self) -> None:
        if self._state in (_HEAD, _BODY) and self._rest and not self._stalled:
            self._look(self._rest)

    def _wait_for_head(self, data: bytes | bytearray) -> None:
        if len(data) > MOST_BYTES:
            self._refuse(431, TOO_LARGE)
            return
        if self._eof:
            self._end()
            return
        self._seen = max(0, len(data) - len(END) + 1)
        if data is not self._rest:
            self._rest = bytearray(data)
        self.go_on()

    def _take_whole(self, head: Head, data: bytes | bytearray, begins: int) -> None:
        """Take a request whose length is known and small, if all of it is there."""
        ends = begins + (head.length or 0)
        if len(data) < ends:
            if self._eof:
                self._begin_task(bytes(data[begins:]))
                return
            if self._state != _BODY:
                self._state = _BODY
                self.until_s = self._keeper.now_s + SOON_S
                self._drop(data, begins)
            self.go_on()
            return
        body = bytes(data[begins:ends])
        if data is self._rest or len(data) > ends:
            self._drop(data, ends)
        self._state = _BUSY
        if not self._stalled:
            self.until_s = _NEVER
        try:
            is_taken = self._keeper.service.handle_now(head, body, self)
        except Exception:
            LOG.exception("a request failed")
            self.answer(*_FAULT)
            return
        if not is_taken:
            self.hand_over(body)

    def _drop(self, data: bytes | bytearray, n: int) -> None:
        """Keep of the bytes that were looked at what is behind these."""
        if data is self._rest:
            del self._rest[:n]
        elif len(data) > n:
            self._rest = bytearray(memoryview(data)[n:])

    def hand_over(self, body: bytes) -> None:
        """Give the request, whose body is there, a task."""
        if self._state == _BUSY:
            self._run(Exchange(self, self._head, parts=[body], left=0))

    def _begin_task(self, came: bytes) -> None:
        """Give a request a task, and what has come of its body."""
        head = self._head
        self._state = _BUSY
        if not self._stalled:
            self.until_s = _NEVER
        self._rest = bytearray()
        exchange = self._exchange = Exchange(self, head, parts=[], left=head.length)
        if head.length is None:
            self._chunks = httptools.HttpRequestParser(exchange)
            # It ends a message only where it saw its head; this one says what matters of ours.
            self._chunks.feed_data(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        if came:
            self._pass_on(came)
        if self._eof:
            exchange.fail()
        self._run(exchange)

    def _run(self, exchange: Exchange) -> None:
        keeper = self._keeper
        self._exchange = exchange
        task = keeper.loop.create_task(keeper.service.handle(Scope(exchange.head, self), exchange))
        keeper.tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, exchange))

    def _ended(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        """A request's task ended; where it gave no answer that is a fault of ours."""
        self._keeper.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("a request failed", exc_info=error)
        elif self._exchange is exchange and self._state == _BUSY:
            LOG.error("a request got no answer")
        if self._exchange is exchange:
            self.answer(*_FAULT)

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
        if waiting > AHEAD_BYTES and not self._paused and self._state < _LINGER:
            self._paused = True
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again: somebody wants it."""
        if self._paused and not self._eof:
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
            or not head.keeps
            or not is_read
            or (self._eof and not self._rest)
            or ("connection", "close") in headers
        )
        try:
            said = answer_bytes(status, headers, body, ends=ends, bodiless=head.method == "HEAD")
        except ValueError:
            LOG.exception("a request's answer is none")
            ends, said = True, bare(500)
        if exchange is not None:
            exchange.end()
            self._exchange = self._chunks = None
        if self._stalled:
            self._untaken += len(said)
        self._transport.write(said)
        if ends:
            self._close(is_read=is_read)
            return
        self._state = _HEAD
        if not self._stalled:
            self.until_s = self._keeper.now_s + HEAD_S
        if self._paused and len(self._rest) <= AHEAD_BYTES:
            self.go_on()
        if self._rest:
            self._keeper.loop.call_soon(self._look_again)

    def _refuse(self, status: int, expected: str) -> None:
        """Answer what no service sees; the connection ends."""
        self._transport.write(bare(status, expected))
        self._close()

    def _close(self, *, is_read: bool = False) -> None:
        """End it after an answer.

        To close with bytes unread would take the answer from the caller (RFC 9112, 9.6): what it
        still sends is read for a moment and thrown away.
        """
        is_read = is_read and not self._rest and not self._paused
        self._rest = bytearray()
        if self._eof or (is_read and not self._is_plain):
            self._end()
            return
        self._state = _LINGER
        if not self._stalled:
            self.until_s = self._keeper.now_s + LINGER_S
        if self._is_plain:
            self._transport.write_eof()
        self.go_on()

    @property
    def _is_plain(self) -> bool:
        """Whether it has two halves, as with TLS there are none."""
        return self._transport.can_write_eof()
