"""A detector's window features at work: the state they are kept in, and the ledger behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from baluarte.adapters.history_file import HistoryFile
from baluarte.core.contract import Contract
from baluarte.core.envelope import Subject, names_by_field
from baluarte.core.event import Events, Values
from baluarte.core.window_cell import Choice
from baluarte.core.window_plan import WindowPlan, compile_windows
from baluarte.core.windows import Seen, Told, WindowCounts
from baluarte.errors import ContractError
from baluarte.ports import LedgerReader, Progress, WindowState
from baluarte.stages.derive import derive_in_order
from baluarte.stages.remember import LabelFeed, catch_up
from baluarte.stages.unseal import Unsealer

OpenState = Callable[[WindowPlan, str], WindowState]  #: of a plan and a detector's name
Labels = Callable[[], Mapping[str, int]]  #: event id to 1 for attack, 0 for not

_PAST_ROWS = 4_096  # of the past that are shown at a time


class Windowed:
    """Window features of one version, with what was decided before brought in.

    Args:
        reader: of the ledger; None where nothing is recorded.
        labels: all labels known now; None where none are fed.
        unsealer: opens personal values of the ledger; None where there are none.
    """

    def __init__(
        self,
        plan: WindowPlan,
        state: WindowState,
        *,
        detector: str,
        reader: LedgerReader | None,
        labels: Labels | None = None,
        unsealer: Unsealer | None = None,
    ) -> None:
        self._unsealer = unsealer or Unsealer(None)
        self.plan, self.state, self.detector = plan, state, detector
        self._reader, self._labels = reader, labels
        self._mark = dict(state.mark)
        self._feed = None
        if reader is not None and plan.labelled:
            self._feed = LabelFeed(plan, reader, detector=detector, unsealer=self._unsealer)
        self.catch_up()

    def see(self, rows: Sequence[Values], *, arrived_at: int) -> None:
        """Remember events of a request, in order, and write the features into their records."""
        self.state.see([Seen(record=row, arrived_at=arrived_at) for row in rows])

    def derive(self, events: Events, *, arrived_at: int) -> Events:
        """The same for events in columns, in order."""
        return derive_in_order(self.state.see, self.plan, events, arrived_at=arrived_at)

    def catch_up(self) -> None:
        """Bring in what was decided since the state was kept; a shared state knows it already."""
        if self._reader is not None and not self.state.shared:
            self._mark = catch_up(
                self.state,
                self.plan,
                self._reader,
                detector=self.detector,
                mark=self._mark,
                unsealer=self._unsealer,
            )

    def backfill(self, history: HistoryFile, *, progress: Progress | None = None) -> None:
        """Make the state anew: events of the past first, then what the ledger has beside them."""
        self.state.clear()
        n = 0
        for seen in history.in_order(_PAST_ROWS):
            self.state.see(seen)
            n += len(seen)
            if progress is not None:
                progress.step(n, history.n)
        if self._reader is not None:
            self._mark = catch_up(
                self.state,
                self.plan,
                self._reader,
                detector=self.detector,
                mark={},
                skip=history,
                unsealer=self._unsealer,
            )

    def new_labels(self) -> list[Told]:
        """Labels of decided events that the state was not told yet."""
        if self._feed is None or self._labels is None:
            return []
        return self._feed.news(self._labels())

    def forget(self, subjects: Sequence[Subject]) -> int:
        """Forget people, and the events of theirs that wait for labels; of how many entities."""
        n = 0
        for field, names in names_by_field(subjects).items():
            n += self.state.forget(field, names)
            if self._feed is not None:
                self._feed.forget(field, names)
        return n

    def snapshot(self, *, tag: str | None = None, size: int = 0) -> bytes:
        """The state as it is now.

        Args:
            tag: the shard that this process writes, of which the state knows ``size`` records.
        """
        sizes = {}
        if self._reader is not None:
            sizes = {each: self._reader.size(each) for each in self._reader.shards()}
        return self.state.snapshot(sizes | ({} if tag is None else {tag: size}))

    def keep(self) -> None:
        """Make the state durable, where nothing is being decided."""
        self.state.keep(self.snapshot())

    def count(self) -> WindowCounts:
        """What the rules did so far, and what is held."""
        return self.state.count()

    def close(self) -> None:
        """Let go of the state."""
        self.state.close()


def open_windows(
    contract: Contract,
    open_state: OpenState,
    *,
    reader: LedgerReader | None,
    labels: Labels | None = None,
    unsealer: Unsealer | None = None,
    kernel: Choice = "auto",
) -> Windowed | None:
    """The contract's window features at work; None where it declares none.

    Args:
        kernel: as :func:`baluarte.core.window_plan.compile_windows` takes it.

    Raises:
        OutsideError: the state is held by another process, or away.
        TrustError: the state or the ledger is damaged.
    """
    plan = compile_windows(contract, kernel=kernel)
    if plan is None:
        return None
    state = open_state(plan, contract.name)
    try:
        return Windowed(
            plan, state, detector=contract.name, reader=reader, labels=labels, unsealer=unsealer
        )
    except BaseException:
        state.close()
        raise


def window_place(detector: str, plan: WindowPlan) -> str:
    """What the state of a detector's window features is called in an erasure."""
    return f"windows/{detector}/{plan.digest[:16]}"


def require_one_process(state_url: str, workers: int, *, where: str) -> None:
    """Refuse state in memory for several workers, each of which would know a part.

    Raises:
        ContractError: there are several.
    """
    if workers > 1 and state_url.partition(":")[0] == "memory":
        raise ContractError(
            f"window features of {workers} workers need a state that they share",
            where=where,
            hint="Write state.url = redis://HOST:PORT/DB, or serve with one worker.",
        )
