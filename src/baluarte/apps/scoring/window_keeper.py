"""The upkeep of window state beside the decisions: snapshots, labels and figures."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from baluarte.apps.scoring.champions import Champions
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.plane import Plane
from baluarte.apps.scoring.recorder import Recorder
from baluarte.apps.windowed import Windowed, window_place
from baluarte.core.erasure import Erasure
from baluarte.core.windows import Told
from baluarte.errors import BaluarteError, OutsideError

LOG = logging.getLogger("baluarte.scoring")
LABELS_S = 2.0  #: between two looks for new labels and at the figures


class WindowKeeper:
    """Keeps the window state of a worker's champions.

    A snapshot is taken in the loop, between two batches, so it knows exactly the events whose
    records are in the shard; it is written in a thread of its own once those are durable, one after
    another, so that none from before an erasure takes the place of one from after it.

    Args:
        apart: state that challengers have for themselves: it hears labels and erasures, too, and is
            kept nowhere.
    """

    def __init__(
        self,
        *,
        champions: Champions,
        plane: Plane,
        recorder: Recorder,
        counts: Counts,
        loop: asyncio.AbstractEventLoop,
        every_s: float,
        apart: Callable[[], list[Windowed]] = list,
    ) -> None:
        self._apart = apart
        self._champions, self._plane, self._recorder = champions, plane, recorder
        self._counts, self._loop, self._every_s = counts, loop, every_s
        self._stopping = threading.Event()
        self._writer = ThreadPoolExecutor(1, "snapshots")
        self._forgetting: set[tuple[str, str]] = set()  # (erasure, place)
        self._thread = threading.Thread(target=self._follow, name="windows", daemon=True)
        self._thread.start()
        loop.call_later(every_s, self._snapshot)

    def stop(self) -> None:
        """End the upkeep; then everything is recorded and :meth:`keep` is the last word."""
        self._stopping.set()
        self._thread.join()
        self._writer.shutdown()

    def keep(self) -> None:
        """Keep all state, after the last record became durable."""
        for windowed in self._windowed():
            try:
                windowed.keep()
            except BaluarteError as error:
                LOG.error("window state was not kept: %s", error)  # noqa: TRY400 - said, not a crash
            windowed.close()

    def _windowed(self) -> list[Windowed]:
        current = self._champions.current.values()
        return [champion.windows for champion in current if champion.windows is not None]

    def _snapshot(self) -> None:
        if self._stopping.is_set():
            return
        shard = self._recorder.shard
        if self._plane.is_deciding:  # the batch that waits comes first, then this
            self._loop.call_soon(self._snapshot)
            return
        self._loop.call_later(self._every_s, self._snapshot)
        if shard is None:
            return
        for windowed in self._windowed():
            if not windowed.state.shared:
                data = windowed.snapshot(tag=shard.tag, size=shard.size)
                self._recorder.after_commit(functools.partial(self._write, windowed, data, None))

    def hear(self, erasure: Erasure, forgotten: Callable[[str, str], None]) -> None:
        """Forget an erasure's people in the state that this process holds; from any thread.

        Args:
            forgotten: told the erasure's id and the place when that is durable.
        """
        for windowed in self._apart():
            self._loop.call_soon_threadsafe(windowed.forget, erasure.subjects)
        for windowed in self._windowed():
            place = window_place(windowed.detector, windowed.plan)
            once = (erasure.id, place)
            if windowed.state.shared or place not in erasure.places or once in self._forgetting:
                continue
            self._forgetting.add(once)
            done = functools.partial(forgotten, erasure.id, place)
            self._loop.call_soon_threadsafe(self._forget, windowed, erasure, done)

    def _forget(self, windowed: Windowed, erasure: Erasure, done: Callable[[], None]) -> None:
        shard = self._recorder.shard
        if self._plane.is_deciding:  # the batch that waits comes first, then this
            self._loop.call_soon(self._forget, windowed, erasure, done)
            return
        windowed.forget(erasure.subjects)
        if shard is None:
            self._forgetting.clear()  # nothing can be kept now: it is heard again
            return
        data = windowed.snapshot(tag=shard.tag, size=shard.size)
        self._recorder.after_commit(functools.partial(self._write, windowed, data, done))

    def _write(
        self,
        windowed: Windowed,
        data: bytes,
        done: Callable[[], None] | None,
        failure: OutsideError | None,
    ) -> None:
        if failure is not None:
            self._forgetting.clear()
        elif not self._stopping.is_set():
            self._writer.submit(self._keep, windowed, data, done)

    def _keep(self, windowed: Windowed, data: bytes, done: Callable[[], None] | None) -> None:
        try:
            windowed.state.keep(data)
            if done is not None:
                done()
        except BaluarteError as error:
            self._forgetting.clear()
            LOG.error("window state was not kept: %s", error)  # noqa: TRY400 - said, not a crash

    def _follow(self) -> None:
        """Look for labels and tell the figures until the end."""
        while not self._stopping.wait(LABELS_S):
            for windowed in [*self._windowed(), *self._apart()]:
                try:
                    news = windowed.new_labels()
                    if windowed.state.shared:  # it may be asked from any thread
                        self._learn(windowed, news)
                    else:
                        self._loop.call_soon_threadsafe(self._learn, windowed, news)
                except BaluarteError as error:
                    LOG.error("labels were not heard: %s", error)  # noqa: TRY400 - likewise
                except RuntimeError:  # the loop has ended
                    return

    def _learn(self, windowed: Windowed, news: list[Told]) -> None:
        try:
            windowed.state.learn(news)
            self._counts.windows(windowed.detector, windowed.count())
        except BaluarteError as error:
            LOG.error("labels were not heard: %s", error)  # noqa: TRY400 - likewise
