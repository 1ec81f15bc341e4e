"""A request that has a task: its head, its body as it comes, and the way of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from baluarte.apps.http.head import Head, HeadFields


class Line(Protocol):
    """What a request needs of its connection."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Whose it is."""
        ...

    @property
    def client(self) -> str:
        """Address and port."""
        ...

    def go_on(self) -> None:
        """Read again: somebody wants it."""
        ...

    def say_continue(self) -> None:
        """Tell a caller who waits for that that the body may come."""
        ...

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer the request."""
        ...


class Scope:
    """A head, and whose it is."""

    __slots__ = ("_connection", "_head")

    def __init__(self, head: Head, connection: Line) -> None:
        self._head = head
        self._connection = connection

    @property
    def method(self) -> str:
        """In capitals."""
        return self._head.method

    @property
    def path(self) -> str:
        """Without the query, and decoded."""
        return self._head.path

    @property
    def query_string(self) -> str:
        """As it came."""
        return self._head.query_string

    @property
    def authority(self) -> str | None:
        """The host that the target names beside the header."""
        return self._head.authority

    @property
    def client(self) -> str:
        """Address and port."""
        return self._connection.client

    @property
    def headers(self) -> HeadFields:
        """All of them."""
        return self._head.headers


class Exchange:
    """A request with a task: its body as it comes, and its answer."""

    __slots__ = (
        "_connection",
        "_failed",
        "_is_asked_for",
        "_is_over",
        "_parts",
        "_waiter",
        "head",
        "is_wanted",
        "left",
    )

    def __init__(
        self, connection: Line, head: Head, *, parts: list[bytes], left: int | None
    ) -> None:
        self._connection = connection
        self.head = head
        self._parts = parts
        self._failed = False
        self._is_asked_for = False  # whether the caller was told that the body may come
        self._is_over = False  # answered: what its service still does is nothing to the connection
        self._waiter: asyncio.Future[None] | None = None
        self.left = left  #: bytes of the body that haven't come; None: nobody knows
        self.is_wanted = False  #: whether somebody reads it

    @property
    def wants_more(self) -> bool:
        """Whether bytes that come are of its body."""
        return self.left != 0 and not self._failed

    @property
    def n_waiting(self) -> int:
        """Bytes that came and were not read."""
        return sum(map(len, self._parts))

    async def __call__(self) -> bytes:
        """The whole body.

        Raises:
            RuntimeError: the connection ended before it did, or it is malformed.
        """
        self._want()
        while self.left != 0:
            await self._more()
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        return body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in parts, as they come."""
        while True:
            parts, self._parts = self._parts, []
            self.is_wanted = False  # whoever works on one doesn't wait for more
            for part in parts:
                yield part
            if self._parts:
                continue
            if self.left == 0:
                return
            self._want()
            await self._more()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer, once; a second answer goes nowhere."""
        if not self._is_over:
            self._connection.answer(status, headers, body)

    def _want(self) -> None:
        """Let the body come."""
        self.is_wanted = True
        if self.left == 0 or self._is_over:
            return
        if self.head.expects and not self._parts and not self._is_asked_for:
            self._connection.say_continue()
        self._is_asked_for = True
        self._connection.go_on()

    async def _more(self) -> None:
        if self._failed:
            raise RuntimeError("the body doesn't come")
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # --- what the connection tells --------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes of the body."""
        if data and self.left != 0:
            self._parts.append(data)
            if self.left is not None:
                self.left -= len(data)
            self._wake()

    def fail(self) -> None:
        """No more comes."""
        if self.left != 0:
            self._failed = True
            self._wake()

    def end(self) -> None:
        """It is answered."""
        self._is_over = True
        self.fail()

    on_body = feed  # llhttp's name, of chunks

    def on_message_complete(self) -> None:
        """The last chunk came; of what may follow nothing is read."""
        self.left = 0
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
