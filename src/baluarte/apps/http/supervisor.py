"""The parent of the workers: starts them, starts them again, and renews them one by one.

The workers share one listening socket: what waits in it when a worker dies is taken by another. A
worker that once answered is started again as often as it dies; one that can't even start ends the
server, which says why.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from baluarte.apps.http.places import Place, Places
from baluarte.apps.http.pool import Bounds, CpuMeter, Pool
from baluarte.apps.http.process import LEAVE, LEAVE_S, Tls, run

if TYPE_CHECKING:
    from baluarte.apps.http.exchange import Service

LOG = logging.getLogger("baluarte.http")
_POLL_S = 0.02
_TICK_S = 0.5  #: between two looks at the spare and the load
_SPARE_PAUSE_S = 5.0  #: before another spare, where one ended by itself
_MOST_KILLED = 20
_AGAIN_S = 1.0  #: between two signals to a worker that shall end
_DRAIN_S = 30.0  #: after which a worker that still answers is ended
_START_S = 30.0  #: in which a new worker must answer, before the old one goes

Load: TypeAlias = "Callable[[], Service]"


class Supervisor:
    """The parent process of workers that answer one socket.

    Args:
        load: makes what a worker answers by, in the worker's process.
        workers: how many there are.
        started: process ids of the workers that answered so far.
        warm: makes what a worker answers by, up to where it would begin, and waits for the word
            from a pipe: a spare worker does that, and takes the place of one that dies. None: no
            spare.
        bounds: between which the number of workers follows the load; None: it stays.
    """

    def __init__(
        self,
        load: Load,
        listening: socket.socket,
        tls: Tls | None,
        *,
        workers: int,
        started: Callable[[], set[int]],
        warm: Callable[[Connection], Service] | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._load, self._listening, self._tls = load, listening, tls
        self._n = workers
        self._started, self._warm = started, warm
        self._spawn = multiprocessing.get_context("spawn")
        self._workers: list[SpawnProcess] = []
        self._places = Places()
        self._placed: list[tuple[SpawnProcess, Place | None]] = []
        self._spare: tuple[SpawnProcess, Connection] | None = None
        self._spare_after_s = 0.0
        self._pool = None if bounds is None else Pool(bounds)
        self._meter = CpuMeter()
        self._ending: list[threading.Thread] = []
        self._killed_early = 0  # workers in a row that a signal ended before they answered
        self._renews = False
        self._stops = False
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)

    def renew(self) -> None:
        """Replace all workers, one by one: a new one answers before its old one ends."""
        self._renews = True
        self._wake()

    def serve(self) -> bool:
        """Run the workers until SIGTERM or SIGINT; False where one couldn't even start.

        Call it from the main thread: it takes over the signals.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        try:
            self._workers += [self._start(self._load) for _ in range(self._n)]
            well = self._follow()
        finally:
            self._stop_workers()
            self._places.close()
            ends, self._woken, self._wakes = (self._woken, self._wakes), -1, -1
            for end in ends:  # a signal that still comes must not write into another's file
                os.close(end)
        return well

    def _told_to_stop(self, *_: object) -> None:
        self._stops = True
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake; closed: it has ended
            os.write(self._wakes, b".")

    def _start(self, load: Load) -> SpawnProcess:
        self._clear_places()
        place = self._places.take()
        worker = self._spawn.Process(
            name="baluarte-worker", target=run, args=(load, self._listening, self._tls, place)
        )
        worker.start()
        self._placed.append((worker, place))
        return worker

    def _clear_places(self) -> None:
        """Nobody waits for workers that have ended."""
        for worker, place in self._placed:
            if not worker.is_alive():
                self._places.give_back(place)
        self._placed = [one for one in self._placed if one[0].is_alive()]

    def _follow(self) -> bool:
        ticks = self._warm is not None or self._pool is not None
        while True:
            told = wait([self._woken, *self._sentinels()], _TICK_S if ticks else None)
            if self._woken in told:
                os.read(self._woken, 1 << 10)
            if self._stops:
                return True
            if not self._replace_ended():
                return False
            if self._renews:
                self._renews = False
                self._renew_all()
            if ticks:
                self._begin_spare()
                self._follow_load()

    def _sentinels(self) -> list[int]:
        spare = [] if self._spare is None else [self._spare[0].sentinel]
        return [*spare, *(worker.sentinel for worker in self._workers)]

    def _replace_ended(self) -> bool:
        """Put others in the place of workers that ended; False where one can't even start."""
        if self._spare is not None and not self._spare[0].is_alive():
            LOG.error("the spare worker ended by itself; another one comes")
            self._drop_spare()
        started: set[int] | None = None
        for index, worker in enumerate(self._workers):
            if worker.is_alive():
                continue
            started = self._started() if started is None else started
            if worker.pid in started:
                self._killed_early = 0
            else:  # a signal from outside says nothing about why, its own exit does
                self._killed_early += 1
                if (worker.exitcode or 0) >= 0 or self._killed_early > _MOST_KILLED:
                    return False
            self._clear_places()
            LOG.error("worker %d ended by itself; another one takes its place", index + 1)
            self._workers[index] = self._another()
        return True

    def _another(self) -> SpawnProcess:
        """A worker for a place: the spare if there is one, else a new process."""
        return self._take_spare() or self._start(self._load)

    # --- the spare ------------------------------------------------------------------------------

    def _begin_spare(self) -> None:
        """Start a spare where there is none and all workers answer."""
        now_s = time.monotonic()
        if self._warm is None or self._spare is not None or now_s < self._spare_after_s:
            return
        started = self._started()
        if not all(worker.pid in started for worker in self._workers):
            return
        receiver, sender = multiprocessing.Pipe(duplex=False)
        worker = self._start(functools.partial(self._warm, receiver))
        receiver.close()
        self._spare = worker, sender

    def _take_spare(self) -> SpawnProcess | None:
        if self._spare is None:
            return None
        worker, sender = self._spare
        self._spare = None
        try:
            sender.send_bytes(b"go")
        except OSError:
            return None
        finally:
            sender.close()
        return worker if worker.is_alive() else None

    def _drop_spare(self) -> None:
        self._spare_after_s = time.monotonic() + _SPARE_PAUSE_S
        if self._spare is not None:
            self._spare[1].close()
            self._spare = None

    # --- how many -------------------------------------------------------------------------------

    def _follow_load(self) -> None:
        if self._pool is None:
            return
        now_s = time.monotonic()
        pids = (worker.pid for worker in self._workers)
        busy = self._meter.busy((pid for pid in pids if pid is not None), now_s=now_s)
        n = len(self._workers)
        wish = n if busy is None else self._pool.wish(n, busy, now_s=now_s)
        if wish > n:
            self._workers.append(self._another())
        elif wish < n:
            last = self._workers.pop()
            thread = threading.Thread(target=_relieve, args=(last,), name="ending")
            thread.start()
            self._ending = [one for one in self._ending if one.is_alive()] + [thread]

    # --- starting and ending --------------------------------------------------------------------

    def _renew_all(self) -> None:
        for index in range(len(self._workers)):
            new = self._another()
            if not self._wait_for(new):
                if not self._stops:
                    LOG.error("a new worker doesn't answer; the ones before it go on")
                _end([new])
                return
            old, self._workers[index] = self._workers[index], new
            _relieve(old)

    def _stop_workers(self) -> None:
        spare = self._spare
        self._drop_spare()  # it hears that, and ends
        _end(self._workers)
        self._workers.clear()
        if spare is not None:
            spare[0].join(_AGAIN_S)
            _end([spare[0]])
        for thread in self._ending:
            thread.join()

    def _wait_for(self, worker: SpawnProcess) -> bool:
        """Whether it answers, soon."""
        until = time.monotonic() + _START_S
        while worker.is_alive() and not self._stops and time.monotonic() < until:
            if worker.pid in self._started():
                return True
            time.sleep(_POLL_S)
        return False


def _relieve(worker: SpawnProcess) -> None:
    """End a worker whose work others do: its connections end with an answer, not before one."""
    if worker.pid is not None and worker.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, LEAVE)
        worker.join(LEAVE_S)
    _end([worker])


def _end(workers: Sequence[SpawnProcess]) -> None:
    """Let workers answer what is open, and end.

    They are told again and again: one that only starts loses a signal that comes before it listens.
    """
    until = time.monotonic() + _DRAIN_S
    while alive := [worker for worker in workers if worker.is_alive()]:
        if time.monotonic() > until:
            for worker in alive:
                worker.kill()
                worker.join()
            return
        for worker in alive:
            worker.terminate()
        alive[0].join(_AGAIN_S)


def follow_files(
    paths: Sequence[str],
    *,
    every_s: float,
    stopping: threading.Event,
    check: Callable[[], object],
    changed: Callable[[], None],
) -> None:
    """Call ``changed`` when the files are others than before and ``check`` lets them pass.

    Files that don't fit one another are the state between two writes, or a mistake: the ones before
    stay in use, and the log says why.
    """

    def look() -> list[tuple[int, int, int]]:
        found = []
        for path in paths:
            try:
                stat = Path(path).stat()
            except OSError:
                return []
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return found

    known = look()
    while not stopping.wait(every_s):
        now = look()
        if not now or now == known:
            continue
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with them, they aren't used
            LOG.error("the changed certificate is not taken: %s", error)  # noqa: TRY400 - no crash
        else:
            known = now
            changed()
