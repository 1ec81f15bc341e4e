"""The parent of the workers: starts them, starts them again, and renews them one by one.

Granian's own parent gives each worker a listening socket, so that connections which wait in a
worker's queue are lost with it, and gives up when a worker dies twice within seconds. Here the
workers share one socket: what waits in it is taken by another worker. A worker that once answered
is started again as often as it dies; one that can't even start ends the server, which says why.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from granian.net import SocketSpec  # type: ignore[attr-defined] # not in its list of exports
from granian.server.mp import MPServer, WorkerProcess

LOG = logging.getLogger("baluarte.scoring")
_POLL_S = 0.02
_AGAIN_S = 1.0  #: between two signals to a worker that shall end
_START_S = 30.0  #: in which a new worker must answer, before the old one goes


class Supervisor(MPServer):
    """Granian's parent process, with a shared socket and a rule of its own for who starts again.

    Args:
        started: process ids of the workers that answered so far.
    """

    _ssp: Any
    _shd: Any
    _sfd: Any

    def __init__(self, *, started: Callable[[], set[int]], **granian: Any) -> None:
        super().__init__("baluarte", **granian)
        self._started = started

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
        while True:
            self.main_loop_interrupt.wait()
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                return
            died: list[int] = []
            while self.interrupt_children:
                died.append(self.interrupt_children.pop(0))
            if died:
                started = self._started()
                if any(self.wrks[index].inner.pid not in started for index in died):
                    self.interrupt_children.extend(died)
                    return
                LOG.error("%d workers ended by themselves and are started again", len(died))
                self._respawn_workers(died, spawn_target, target_loader)
            if self.reload_signal:
                self.reload_signal = False
                self._respawn_workers(range(self.workers), spawn_target, target_loader)

    def _respawn_workers(
        self,
        workers: Sequence[int],
        spawn_target: Any,
        target_loader: Any,
        delay: float = 0,  # noqa: ARG002 - Granian's guess at how long a start takes
    ) -> None:
        for index in workers:
            old = self.wrks[index]
            new = self._spawn_worker(idx=index, target=spawn_target, callback_loader=target_loader)
            new.start()
            self.wrks[index] = new
            if old.is_alive():
                self._wait_for(new)
                self._end([old])

    def _stop_workers(self) -> None:
        self._end(self.wrks)
        self.wrks.clear()

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
