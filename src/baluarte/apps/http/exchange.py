"""What a service sees of a request, whoever brings it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from baluarte.apps.http.head import Head


class Headers(Protocol):
    """The request's headers; names in lower case."""

    def get(self, key: str) -> str | None:
        """The first value, or None."""
        ...

    def get_all(self, key: str) -> list[str]:
        """All values, in order."""
        ...


class Scope(Protocol):
    """The head of a request."""

    @property
    def method(self) -> str:
        """In capitals."""
        ...

    @property
    def path(self) -> str:
        """Without the query, and decoded."""
        ...

    @property
    def query_string(self) -> str:
        """As it came."""
        ...

    @property
    def authority(self) -> str | None:
        """The host that the request's target names beside the header; most name none."""
        ...

    @property
    def client(self) -> str:
        """Address and port."""
        ...

    @property
    def headers(self) -> Headers:
        """All of them."""
        ...


class HTTPProtocol(Protocol):
    """The body of a request, and its answer."""

    async def __call__(self) -> bytes:
        """The whole body.

        Raises:
            RuntimeError: the connection ended before the body did, or the body is malformed.
        """
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in parts, as they come."""
        ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer, once."""
        ...


class Wire(Protocol):
    """Where the answer of a request goes that came whole."""

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer, once; a caller that has gone away is not told."""
        ...

    def hand_over(self, body: bytes) -> None:
        """Give the request to the service's :meth:`Service.handle` after all."""
        ...


class Service(Protocol):
    """What a worker answers by, in its own process."""

    def open(self, loop: asyncio.AbstractEventLoop, /) -> None:
        """Before the first connection."""
        ...

    async def handle(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request; whatever happens, it gets exactly one answer."""
        ...

    def handle_now(self, head: Head, body: bytes, wire: Wire) -> bool:
        """Take a request whose small body is there, without a task of its own.

        Args:
            head: shared by all requests whose heads are the same bytes.

        Returns:
            Whether it was taken: then it is answered on the wire, now or later; else :meth:`handle`
            gets it.
        """
        ...

    def close(self, loop: asyncio.AbstractEventLoop, /) -> None:
        """After the last answer; the loop no longer runs."""
        ...
