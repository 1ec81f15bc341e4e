"""What a worker needs of RSGI, as types; Granian's own publish only a part.

Source: the RSGI specification 1.5 (Granian).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


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

    method: str
    path: str
    query_string: str
    authority: str | None
    client: str  #: address and port
    headers: Headers


class HTTPProtocol(Protocol):
    """The body of a request, and its answer."""

    async def __call__(self) -> bytes:
        """The whole body."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in parts, as they come."""
        ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer, once."""
        ...
