"""The worker's hold on the keys of personal values.

Keys in memory are used at once. Others are looked up, or made and made durable, in a thread: all
that wait at once in one go, so that requests share what it costs.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from baluarte.apps.scoring.problem import Refusal
from baluarte.core.envelope import Subject
from baluarte.core.erasure import Erasure
from baluarte.errors import BaluarteError
from baluarte.ports import DataKey, SubjectKeys

LOG = logging.getLogger("baluarte.scoring")
REFRESH_S = 0.25  #: between two looks for keys that were destroyed


class People:
    """Hands out the keys of subjects.

    Args:
        open_keys: opens the store; called when the first version with personal fields comes in.
    """

    def __init__(self, open_keys: Callable[[], SubjectKeys]) -> None:
        self._open_keys = open_keys
        self._store: SubjectKeys | None = None
        self._waiting: list[tuple[Sequence[Subject], asyncio.Future[list[DataKey]]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        #: told of erasures that are not finished, in the store's thread
        self.on_erasure: Callable[[Erasure, Callable[[str, str], None]], None] | None = None

    def open(self) -> SubjectKeys:
        """The store, opened once.

        Raises:
            BaluarteError: it can't be opened: no version with personal fields is let in.
        """
        if self._store is None:
            self._store = self._open_keys()
            self._thread = threading.Thread(target=self._follow, name="people", daemon=True)
            self._thread.start()
        return self._store

    async def keys(self, subjects: Sequence[Subject]) -> list[DataKey]:
        """The key of each subject.

        Raises:
            Refusal: the store is away.
        """
        found = self.open().at_hand(subjects)
        if found is not None:
            return found
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[DataKey]] = loop.create_future()
        self._waiting.append((subjects, future))
        if self._asking is None:
            self._asking = loop.create_task(self._ask(loop))
        return await future

    def close(self) -> None:
        """End the thread and forget all keys."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        if self._store is not None:
            self._store.close()

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                wanted = [subject for subjects, _ in waiting for subject in subjects]
                try:
                    found = await loop.run_in_executor(None, self.open().keys, wanted)
                except BaluarteError as error:
                    LOG.error("keys of personal values are away: %s", error)  # noqa: TRY400 - an answer, not a crash
                    for _, future in waiting:
                        if not future.done():
                            future.set_exception(Refusal("keys_away", "try again", retry_after_s=1))
                    continue
                start = 0
                for subjects, future in waiting:
                    if not future.done():
                        future.set_result(found[start : start + len(subjects)])
                    start += len(subjects)
        finally:
            self._asking = None

    def _follow(self) -> None:
        """Let go of destroyed keys, and of what else erasures forget, until the end."""
        while not self._stopping.wait(REFRESH_S):
            try:
                store = self.open()
                store.refresh()
                hear = self.on_erasure
                if hear is not None:
                    for erasure in store.unfinished():
                        hear(erasure, store.forgotten)
            except BaluarteError as error:
                LOG.error("keys of personal values are away: %s", error)  # noqa: TRY400 - likewise
