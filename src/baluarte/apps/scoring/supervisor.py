"""The parent of the workers: starts them, starts them again, and renews them one by one.

Granian's own parent gives each worker a listening socket, so that connections which wait in a
worker's queue are lost with it, and gives up when a worker dies twice within seconds. Here the
workers share one socket: what waits in it is taken by another worker. A worker that once answered
is started again as often as it dies; one that can't even start ends the server, which says why.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from granian.net import SocketSpec  # type: ignore[attr-defined] # not in its list of exports
from granian.server.mp import MPServer, WorkerProcess

from baluarte.apps.scoring.leaving import LEAVE, LEAVE_S
from baluarte.apps.scoring.pool import Bounds, CpuMeter, Pool

LOG = logging.getLogger("baluarte.scoring")
_POLL_S = 0.02
_TICK_S = 0.5  #: between two looks at the spare and the load
_SPARE = -1  #: the place of a worker that waits for one
_SPARE_PAUSE_S = 5.0  #: before another spare, where one ended by itself
_MOST_KILLED = 20
_AGAIN_S = 1.0  #: between two signals to a worker that shall end
_START_S = 30.0  #: in which a new worker must answer, before the old one goes


class Supervisor(MPServer):
    """Granian's parent process, with a shared socket and a rule of its own for who starts again.

    Args:
        started: process ids of the workers that answered so far.
        warm: makes what a worker answers by, up to where it would begin, and waits for the word
            from a pipe: a spare worker does that, and takes the place of one that dies. None: no
            spare.
        bounds: between which the number of workers follows the load; None: it stays.
    """

    _ssp: Any
    _shd: Any
    _sfd: Any

    def __init__(
        self,
        *,
        started: Callable[[], set[int]],
        warm: Callable[[Connection], Any] | None = None,
        bounds: Bounds | None = None,
        **granian: Any,
    ) -> None:
        super().__init__("baluarte", **granian)
        self._started, self._warm = started, warm
        self._spare: tuple[WorkerProcess, Connection] | None = None
        self._spare_after_s = 0.0
        self._pool = None if bounds is None else Pool(bounds)
        self._meter = CpuMeter()
        self._ending: list[threading.Thread] = []
        self._killed_early = 0  # workers in a row that a signal ended before they answered

    def renew(self) -> None:
        """Replace all workers, one by one: a new one answers before its old one ends."""
        self.reload_signal = True
        self.main_loop_interrupt.set()

    def _init_shared_socket(self) -> None:
        granian: Any = super()
        granian._init_shared_socket()  # noqa: SLF001 - the one it has
        if self._shd is None:
            self._ssp = None
            self._shd = SocketSpec(self.bind_addr, self.bind_port, self.backlog).build()
            self._sfd = self._shd.get_fd()
            shared = socket.socket(fileno=self._sfd)
            shared.set_inheritable(True)
            self._sso = shared

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        ticks = self._warm is not None or self._pool is not None
        while True:
            self.main_loop_interrupt.wait(_TICK_S if ticks else None)
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                return
            died: list[int] = []
            while self.interrupt_children:
                died.append(self.interrupt_children.pop(0))
            if died and not self._replace(died, spawn_target, target_loader):
                return
            if self.reload_signal:
                self.reload_signal = False
                self._respawn_workers(range(len(self.wrks)), spawn_target, target_loader)
            if ticks:
                self._begin_spare(spawn_target)
                self._follow_load(spawn_target, target_loader)

    def _replace(self, died: list[int], spawn_target: Any, target_loader: Any) -> bool:
        """Put others in the place of workers that ended; False where one can't even start."""
        started = self._started()
        for index in died:
            if index == _SPARE:
                LOG.error("the spare worker ended by itself; another one comes")
                self._drop_spare()
                continue
            worker = self.wrks[index] if index < len(self.wrks) else None
            if worker is None or worker.is_alive():
                continue  # the notice of one whose place was taken already
            if worker.inner.pid in started:
                self._killed_early = 0
            else:  # a signal from outside says nothing about why, its own exit does
                self._killed_early += 1
                if (worker.inner.exitcode or 0) >= 0 or self._killed_early > _MOST_KILLED:
                    self.interrupt_children.append(index)
                    return False
            LOG.error("worker %d ended by itself; another one takes its place", index + 1)
            self._put(index, spawn_target, target_loader)
        return True

    def _put(self, index: int, spawn_target: Any, target_loader: Any) -> WorkerProcess:
        """A worker for this place: the spare if there is one, else a new process."""
        worker = self._take_spare(index)
        if worker is None:
            worker = self._spawn_worker(
                idx=index, target=spawn_target, callback_loader=target_loader
            )
            worker.start()
        self.wrks[index : index + 1] = [worker]
        return worker

    # --- the spare ------------------------------------------------------------------------------

    def _begin_spare(self, spawn_target: Any) -> None:
        """Start a spare where there is none and all workers answer."""
        now_s = time.monotonic()
        if self._warm is None or self._spare is not None or now_s < self._spare_after_s:
            return
        started = self._started()
        if not all(worker.inner.pid in started for worker in self.wrks):
            return
        receiver, sender = multiprocessing.Pipe(duplex=False)
        load = functools.partial(self._warm, receiver)
        worker = self._spawn_worker(idx=_SPARE, target=spawn_target, callback_loader=load)
        worker.start()
        receiver.close()
        self._spare = worker, sender

    def _take_spare(self, index: int) -> WorkerProcess | None:
        if self._spare is None:
            return None
        worker, sender = self._spare
        self._spare = None
        worker.idx = index  # before it is asked whether it lives: who notices its end looks there
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

    def _follow_load(self, spawn_target: Any, target_loader: Any) -> None:
        if self._pool is None:
            return
        now_s = time.monotonic()
        pids = [worker.inner.pid for worker in self.wrks]
        busy = self._meter.busy((pid for pid in pids if pid is not None), now_s=now_s)
        n = len(self.wrks)
        wish = n if busy is None else self._pool.wish(n, busy, now_s=now_s)
        if wish > n:
            self._put(n, spawn_target, target_loader)
        elif wish < n:
            last = self.wrks.pop()
            thread = threading.Thread(target=self._relieve, args=(last,), name="ending")
            thread.start()
            self._ending = [one for one in self._ending if one.is_alive()] + [thread]

    # --- starting and ending --------------------------------------------------------------------

    def _respawn_workers(
        self,
        workers: Sequence[int],
        spawn_target: Any,
        target_loader: Any,
        delay: float = 0,  # noqa: ARG002 - Granian's guess at how long a start takes
    ) -> None:
        for index in workers:
            old = self.wrks[index]
            new = self._put(index, spawn_target, target_loader)
            self._wait_for(new)
            self._relieve(old)

    def _stop_workers(self) -> None:
        spare = self._spare
        self._drop_spare()  # it hears that, and ends
        self._end(self.wrks)
        self.wrks.clear()
        if spare is not None:
            spare[0].interrupt_by_parent = True
            spare[0].join(_AGAIN_S)
            self._end([spare[0]])
        for thread in self._ending:
            thread.join()

    def _relieve(self, worker: WorkerProcess) -> None:
        """End a worker whose work others do: its connections end with an answer, not before one."""
        pid = worker.inner.pid
        if pid is not None and worker.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, LEAVE)
            worker.join(LEAVE_S)
        self._end([worker])

    def _end(self, workers: Sequence[WorkerProcess]) -> None:
        """Let workers answer what is open, and end.

        They are told again and again: one that only starts loses a signal that comes before it
        listens.
        """
        until = time.monotonic() + float(self.workers_kill_timeout or 0)
        while alive := [worker for worker in workers if worker.is_alive()]:
            if time.monotonic() > until:
                for worker in alive:
                    worker.kill()
                    worker.join()
                return
            for worker in alive:
                worker.terminate()
            alive[0].join(_AGAIN_S)

    def _wait_for(self, worker: WorkerProcess) -> None:
        until = time.monotonic() + _START_S
        while worker.is_alive() and time.monotonic() < until:
            if worker.inner.pid in self._started():
                return
            time.sleep(_POLL_S)


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
