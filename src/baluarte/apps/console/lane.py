"""What is slow by nature has a lane of its own, so that a crowd in it leaves others their room."""

from __future__ import annotations

import asyncio

from baluarte.apps.console.problem import Refused


class Lane:
    """So many at once, so many more that wait, and no more.

    Args:
        at_once: that go on together.
        waiting: that may wait for one of these.
    """

    def __init__(self, at_once: int, *, waiting: int) -> None:
        self._gate = asyncio.Semaphore(at_once)
        self._room = at_once + waiting

    async def __aenter__(self) -> None:
        if self._room <= 0:
            raise Refused("overloaded", "try again", retry_after_s=1)
        self._room -= 1
        try:
            await self._gate.acquire()
        except BaseException:
            self._room += 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._gate.release()
        self._room += 1
