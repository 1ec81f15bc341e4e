"""Labels on their way in: read with the faults of all rows, recorded as an act, then kept."""

from __future__ import annotations

from baluarte.apps.intake import Intake
from baluarte.apps.session import Session
from baluarte.core.contract import Contract
from baluarte.core.decision import ActRecord
from baluarte.core.event import records
from baluarte.core.event_faults import Faults
from baluarte.core.label_rows import LABEL_SCHEMA, expected_labels, label_of, label_row
from baluarte.core.pseudonym import Pseudonyms
from baluarte.core.registry import LabelRow


def read_labels(
    intake: Intake,
    contract: Contract,
    *,
    source: str,
    taken_at: int,
    pseudonyms: Pseudonyms | None = None,
) -> list[LabelRow]:
    """All labels of an address; rows that can't be read go to the quarantine.

    Raises:
        DataError: a row says what is no label of the contract's, or too many can't be read.
    """
    faults = Faults(lambda row, path: f"{intake.address}: row {row + 1}: {path}")
    rows: list[LabelRow] = []
    n = 0
    for batch in intake.read(intake.address, LABEL_SCHEMA):
        for number, values in enumerate(records(batch), n):
            said = str(values["label"])
            label = label_of(said, contract)
            if label is None:
                message = f"expected {expected_labels(contract)}; found {said!r}"
                faults.add(number, "label", message)
            else:
                if pseudonyms is not None:
                    values["event_id"] = pseudonyms.event_id(str(values["event_id"]))
                rows.append(label_row(values, label, source=source, taken_at=taken_at))
        n += batch.n
    faults.raise_any()
    return rows


def take_labels(
    session: Session, detector: str, rows: list[LabelRow], *, source: str, reason: str = ""
) -> dict[str, int]:
    """Record the intake in the ledger, then keep the labels; what was new and what contradicted."""
    session.record_act(
        ActRecord(
            at=session.clock.now_us(),
            act="label",
            actor=session.actor,
            detector=detector,
            reason=reason,
            details={"rows": len(rows), "source": source},
        )
    )
    taken = session.registry.add_labels(detector, rows)
    same = len(rows) - taken.new - taken.corrections - taken.conflicts
    return {
        "new": taken.new,
        "same": max(0, same),
        "corrections": taken.corrections,
        "conflicts": taken.conflicts,
    }
