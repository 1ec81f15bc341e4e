"""Bodies as they come in: within their size, within their time, and in nobody's place.

A body that is there at once costs a few dictionary steps. One that comes slowly waits beside the
requests that are being answered, and is given up after half a minute.
"""

from __future__ import annotations

import asyncio
from typing import Any

from baluarte.apps.scoring.asked import Asked
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.settings import Limits

LARGE_BYTES = 64 << 10  #: from here on, and without an announced length, it is a large one
MOST_LARGE = 32  #: that come in at a time: so much memory and no more


class Bodies:
    """Reads the bodies of a worker's requests."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[asyncio.Task[Any], int] = {}  # since which second of this clock
        self._late: set[asyncio.Task[Any]] = set()
        self._second = 0
        self._ticks = False
        self._n_large = 0

    async def read(self, asked: Asked) -> bytes:
        """The body, if it stays within the limits; of a longer one no more than that is kept.

        Raises:
            Refusal: 413 or 415; 400 where the connection ends before the body does; 408 where it
                doesn't come; 503 where too many large ones come in.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a body is read within a task")
        self._waiting[task] = self._second
        if not self._ticks:
            self._ticks = True
            asyncio.get_running_loop().call_later(1.0, self._tick)
        try:
            return await self._read(asked)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            raise Refusal("too_slow", "send it at once") from None
        except RuntimeError:  # the connection ended, or chunks are none
            raise Refusal("incomplete_body", "expected the whole of it") from None
        finally:
            self._waiting.pop(task, None)

    async def _read(self, asked: Asked) -> bytes:
        protocol, headers = asked.protocol, asked.scope.headers
        limit = self._limits.max_body_bytes
        if headers.get("content-encoding") not in (None, "identity"):
            raise Refusal("unsupported_media_type", "expected a body without content coding")
        length = headers.get("content-length")
        if length is not None:
            if not length.isdecimal() or int(length) > limit:
                raise _too_large(limit)
            if int(length) <= LARGE_BYTES:
                return await protocol()
        if self._n_large >= MOST_LARGE:
            raise Refusal("overloaded", "too many large bodies come in", retry_after_s=1)
        self._n_large += 1
        try:
            return await protocol() if length is not None else await self._parts(asked, limit)
        finally:
            self._n_large -= 1

    async def _parts(self, asked: Asked, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in asked.protocol:
            size += len(part)
            parts.append(part)
            if size > limit or len(parts) > self._limits.max_body_parts:
                raise _too_large(limit)
        return b"".join(parts)

    def _tick(self) -> None:
        self._second += 1
        for task, since in self._waiting.items():
            if self._second - since > self._limits.body_s and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._ticks = bool(self._waiting)
        if self._ticks:
            asyncio.get_running_loop().call_later(1.0, self._tick)


def _too_large(limit: int) -> Refusal:
    return Refusal("body_too_large", f"expected at most {limit} bytes")
