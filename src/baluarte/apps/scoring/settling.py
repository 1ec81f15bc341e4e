"""Shards that stay without an owner, settled beside the decisions: nothing waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from baluarte.errors import BaluarteError, OutsideError
from baluarte.ports import LedgerKeeper

LOG = logging.getLogger("baluarte.scoring")


class Settler:
    """Looks, every so often, for shards whose owner died and that nobody took since.

    A worker that starts takes a free shard; where there are fewer workers than before, what an
    abandoned shard holds behind its head would be neither read nor signed. It keeps the ledger's
    headroom, too.

    Args:
        also: called in each look, by the one worker that looks.
    """

    def __init__(
        self,
        open_keeper: Callable[[], LedgerKeeper],
        *,
        every_s: float,
        also: Callable[[], None] | None = None,
    ) -> None:
        self._open_keeper, self._every_s, self._also = open_keeper, every_s, also
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="settler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No further look."""
        self._stopping.set()
        self._thread.join()

    def _follow(self) -> None:
        self._keep(settle=False)  # at the start free shards are for the workers that come up
        while not self._stopping.wait(self._every_s):
            self._keep(settle=True)

    def _keep(self, *, settle: bool) -> None:
        try:
            keeper = self._open_keeper()
        except OutsideError:
            return  # another worker is at it, or the ledger is away
        try:
            keeper.reserve()
            if self._also is not None:
                self._also()
            for tag in keeper.settle() if settle else ():
                LOG.warning("shard %s had no owner and was not closed: recovered", tag)
        except BaluarteError as error:
            LOG.error("a shard without an owner can't be recovered: %s", error)  # noqa: TRY400 - said
        finally:
            keeper.close()
