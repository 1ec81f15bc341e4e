"""Window features of more events than memory holds, read in the order of the file.

What the windows read goes to disk and comes back in the order of time, through the same state that
training and serving use; the features go to disk by the event's number, and are read beside the
events when these are read again. So the memory is that of a batch and of what the windows remember.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np

from baluarte.adapters.feature_file import FeatureFile
from baluarte.adapters.history_file import HistoryFile
from baluarte.apps.intake import Intake
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.survey import MAX_ROWS
from baluarte.core.window_plan import WindowPlan
from baluarte.core.windows import WindowMemory
from baluarte.errors import DataError
from baluarte.stages.derive import features_of, past_events

_AT_A_TIME = 4_096  # of the past that are shown at a time


class Derived:
    """Events of some intakes with their window features, as training derives them.

    The windows of later intakes look back at the events of all. Up to ``most`` rows are kept and
    not read again.

    Raises:
        OutsideError: there is no room on disk.
        DataError: an intake has no events, or more bad rows than the workspace allows.
    """

    def __init__(
        self,
        plan: WindowPlan,
        contract: Contract,
        intakes: Iterable[Intake],
        *,
        most: int = MAX_ROWS,
    ) -> None:
        self._plan, self._contract, self._intakes = plan, contract, tuple(intakes)
        self._counts: list[int] = []  # events of each intake
        self._held: list[list[Events]] | None = [[] for _ in self._intakes]
        self._open = ExitStack()
        try:
            self._features = self._open.enter_context(FeatureFile(len(self._plan.names)))
            with HistoryFile(self._plan, knows_ids=False) as history:
                for i in range(len(self._intakes)):
                    self._lay_down(i, history, most)
                self._derive(history)
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def batches(self, i: int) -> Iterator[Events]:
        """The events of an intake in its order, with their window features.

        Raises:
            DataError: they are other than they were a moment ago.
        """
        intake, first = self._intakes[i], sum(self._counts[:i])
        at, stop = first, first + self._counts[i]
        held = self._held[i] if self._held is not None else None
        for batch in (
            held if held is not None else intake.read(intake.address, self._contract.events)
        ):
            if at + batch.n <= stop:
                found = self._features.read(at, batch.n)
                own = {name: found[:, j] for j, name in enumerate(self._plan.names)}
                yield Events(n=batch.n, columns={**batch.columns, **own})
            at += batch.n
        if at != stop:
            raise DataError(
                f"expected {stop - first:,} events, as when they were read before, "
                f"found {at - first:,}",
                where=intake.address,
                hint="Plan on data that nobody writes to: a copy, or a table that stands still.",
            )

    def _lay_down(self, i: int, history: HistoryFile, most: int) -> None:
        intake, before = self._intakes[i], history.n
        for events in intake.read(intake.address, self._contract.events):
            history.add(past_events(self._plan, self._contract, events))
            if history.n > most:
                self._held = None
            if self._held is not None:
                self._held[i].append(events)
        self._counts.append(history.n - before)
        if history.n == before:
            raise DataError("expected events, found none", where=intake.address)

    def _derive(self, history: HistoryFile) -> None:
        memory = WindowMemory(self._plan)
        for numbers, seen in history.numbered(_AT_A_TIME):
            memory.see(seen)
            self._features.write(np.array(numbers), features_of(self._plan, seen))
