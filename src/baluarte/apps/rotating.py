"""A new master key of personal values takes the place of the old one, while servers run.

Data keys are wrapped again, in place; no record changes. The key's file holds both until all is
wrapped under the new one, so a run that was stopped is gone on with. What was copied earlier, such
as an old backup's keys, can't be opened with the new key.
"""

from __future__ import annotations

from pathlib import Path

from baluarte import wiring
from baluarte.adapters.disk import outside, write_aside
from baluarte.adapters.sealing import new_master
from baluarte.apps.session import Session
from baluarte.core.decision import ActRecord
from baluarte.errors import ContractError
from baluarte.stages.erase import EVERY


def rotate_people(session: Session, *, reason: str) -> int:
    """Make a new master key and wrap every data key under it; how many there were.

    Raises:
        ContractError: the key is in a variable, and only one stands there.
        OutsideError: the store or the file can't be written; it can be run again.
    """
    place = session.place
    lines = place.people_master().split()
    file = place.people_master_file
    if len(lines) == 1:
        if file is None:
            raise ContractError(
                "expected two master keys, the new one on the first line; found one",
                where=f"{place.workspace.keys.people.env}",
                hint="Servers that were started with both go on while this command runs.",
            )
        lines = [new_master(), *lines]
        _write(Path(file), lines)
    with wiring.open_people(place.people, "\n".join(lines)) as keys:
        n = keys.rewrap()
    if file is not None:
        _write(Path(file), lines[:1])
    session.record_act(
        ActRecord(
            at=session.clock.now_us(),
            act="key",
            actor=session.actor,
            detector=EVERY,
            reason=reason,
            details={"verb": "rotate-people", "keys": n},
        )
    )
    return n


def _write(path: Path, lines: list[str]) -> None:
    with outside("the master key can't be written", path):
        write_aside(path, "".join(f"{line}\n" for line in lines).encode())
