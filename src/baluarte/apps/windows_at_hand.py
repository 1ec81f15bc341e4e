"""Window features of a command: opened for one run, kept when it ends well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from baluarte import wiring
from baluarte.apps.session import Session
from baluarte.apps.windowed import Windowed, open_windows
from baluarte.core.contract import Contract
from baluarte.core.window_plan import WindowPlan
from baluarte.ports import WindowState


def session_windows(
    session: Session, contract: Contract, *, private: bool = False
) -> Windowed | None:
    """The contract's window features in the workspace's state, with the labels that are known.

    Args:
        private: in a memory of its own, which nobody else sees and nothing is kept of.

    Raises:
        OutsideError: a server holds the state, or it is away.
    """
    place = session.place

    def open_state(plan: WindowPlan, detector: str) -> WindowState:
        return wiring.open_state(
            "memory:" if private else place.workspace.state.url,
            plan,
            detector=detector,
            folder=None if private else place.state_folder,
            password=place.state_password,
        )

    def labels() -> dict[str, int]:
        known = session.registry.labels(contract.name)
        return {name: row.label for name, row in known.items()}

    windows = open_windows(
        contract,
        open_state,
        reader=session.reader,
        labels=labels,
        unsealer=session.unsealer,
        kernel=wiring.kernel_choice(),
    )
    if windows is not None:
        windows.state.learn(windows.new_labels())
    return windows


@contextmanager
def closing_windows(windows: Windowed | None) -> Iterator[None]:
    """Keep the state when the block ends without error, and let go of it in any case."""
    try:
        yield
        if windows is not None:
            windows.keep()
    finally:
        if windows is not None:
            windows.close()
