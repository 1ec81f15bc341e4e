"""What would another version have decided, on the events that the ledger holds?

Records are read in columns and scored at batch speed. Values of window features are the recorded
ones where both versions compute them by the same rule; where they don't, and where a version reads
what the one that decided did not keep, the value is missing and the answer says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from baluarte.core.bundle import SealedBundle
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import Events, Values
from baluarte.core.event_rows import from_records
from baluarte.core.first_seen import FirstSeen
from baluarte.core.registry import LabelRow
from baluarte.core.whatif import Both, Gap, Sums, WhatIf
from baluarte.errors import BaluarteError, TrustError
from baluarte.stages.reread import Gaps, Reading, reading_of, reading_of_unknown
from baluarte.stages.score import Kernel, Scorer
from baluarte.stages.unseal import Unsealer

LabelsOf = Callable[[Sequence[str]], Mapping[str, LabelRow]]  #: of these events, where known
OpenAt = Callable[[str, int], SealedBundle]  #: (digest, decided at) to a checked bundle


def what_if(
    batches: Iterable[Sequence[DecisionRecord]],
    bundle: SealedBundle,
    *,
    labels_of: LabelsOf,
    open_bundle: OpenAt,
    unsealer: Unsealer | None = None,
    fields: Sequence[str] = (),
    kernel: Kernel = "auto",
) -> WhatIf:
    """Decide recorded events by a version, and add up what is otherwise.

    Args:
        batches: decisions of the version's detector; a challenger's are passed over.
        labels_of: what is known of events by now.
        open_bundle: the versions that decided, to know what their records hold.
        unsealer: opens records that are still sealed; without it these count as erased.
        fields: to tell events apart by.
    """
    asked = _Asked(bundle, open_bundle=open_bundle, kernel=kernel)
    objective = bundle.contract.objective
    sums = Sums(
        cost_missed=objective.cost_missed,
        cost_false_alarm=objective.cost_false_alarm,
        fields=fields,
    )
    seen, decided_by = FirstSeen(), Counter[str]()
    decisions, erased, first, last = 0, 0, 2**63, 0
    for batch in batches:
        champions = [record for record in batch if record.role == "champion"]
        if not champions:
            continue
        decisions += len(champions)
        first = min(first, *(record.decided_at for record in champions))
        last = max(last, *(record.decided_at for record in champions))
        new = seen.mask([record.event_id for record in champions])
        fresh = [champions[i] for i in np.flatnonzero(new).tolist()]
        opened = fresh if unsealer is None else unsealer.all(fresh)
        records = [record for record in opened if not record.is_sealed]
        erased += len(fresh) - len(records)
        if records:
            decided_by.update(f"{record.detector}@{record.version}" for record in records)
            sums.add(asked.decide(records, labels_of([record.event_id for record in records])))
    days = sums.all_days()
    budget = objective.budget
    return WhatIf(
        version=f"{bundle.manifest.name}@{bundle.manifest.version}",
        n=sums.n,
        repeats=decisions - len(seen),
        erased=erased,
        decided_by=dict(sorted(decided_by.items())),
        since=first if decisions else 0,
        until=last,
        changed=sum(n for (a, b), n in sums.moves.items() if a != b),
        moves=tuple((a, b, n) for (a, b), n in sums.moves.most_common()),
        raised=sums.changed(raised=True),
        lowered=sums.changed(raised=False),
        attacks=sums.of_label(1),
        others=sums.of_label(0),
        old=sums.judged(new=False),
        new=sums.judged(new=True),
        cost_missed=objective.cost_missed,
        cost_false_alarm=objective.cost_false_alarm,
        without_cost=sums.without_cost,
        days=days,
        alerts=(sum(day.old for day in days), sum(day.new for day in days)),
        max_alerts_per_day=budget.value if budget.kind == "max_alerts_per_day" else None,
        segments=sums.all_parts(),
        gaps=asked.gaps(),
    )


class _Asked:
    """The version that is asked, and what it can't read of the records."""

    def __init__(self, bundle: SealedBundle, *, open_bundle: OpenAt, kernel: Kernel) -> None:
        self._bundle, self._open = bundle, open_bundle
        self._scorer = Scorer(bundle, kernel=kernel)
        self._readings: dict[str, Reading] = {bundle.digest: Reading()}
        self._gaps: Gaps = Counter()

    def decide(self, records: Sequence[DecisionRecord], labels: Mapping[str, LabelRow]) -> Both:
        """The version's decisions beside the recorded ones."""
        decided = self._scorer.decide(self._events(records), reasons="none")
        names = decided.outcomes
        said = [labels.get(record.event_id) for record in records]
        return Both(
            events=[record.event for record in records],
            at=[record.event_at for record in records],
            outcomes=(
                [record.outcome for record in records],
                [names[band] for band in decided.bands.tolist()],
            ),
            alerts=(np.array([record.band > 0 for record in records]), decided.bands > 0),
            labels=np.array([-1 if row is None else row.label for row in said], dtype=np.int8),
        )

    def gaps(self) -> tuple[Gap, ...]:
        """What was not in the records as the version reads it, by field."""
        found = sorted(self._gaps.items())
        return tuple(Gap(field=name, kind=kind, n=n) for (name, kind), n in found)

    def _events(self, records: Sequence[DecisionRecord]) -> Events:
        read = [self._read(record) for record in records]
        try:
            return from_records(self._bundle.contract.events, read)
        except (TypeError, ValueError, OverflowError) as error:
            raise TrustError(
                f"a record holds a value of another kind than its version reads: {error}",
                where=f"{records[0].id} … {records[-1].id}",
                hint="baluarte replay names the record, baluarte ledger verify the change.",
            ) from error

    def _read(self, record: DecisionRecord) -> Values:
        """The event's values as the version reads them."""
        reading = self._readings.get(record.bundle)
        if reading is None:
            reading = self._readings[record.bundle] = self._reading_of(record)
        return reading.read(record.event, self._gaps)

    def _reading_of(self, record: DecisionRecord) -> Reading:
        asked = self._bundle.contract
        try:
            decided = self._open(record.bundle, record.decided_at).contract
        except BaluarteError:
            return reading_of_unknown(asked, record.event)
        return reading_of(asked, decided)
