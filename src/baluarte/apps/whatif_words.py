"""What another version would have decided, in sentences that terminal and page both say."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.apps.compare_words import move_line, paired_line
from baluarte.apps.gate_words import outcome_name
from baluarte.apps.numerals import spoken_instant
from baluarte.core.event import Value
from baluarte.core.whatif import Changed, Gap, Judged, Part, WhatIf
from baluarte.stages.compare import Paired, paired


def lead(texts: Texts, found: WhatIf) -> str:
    """What matters first."""
    saved = found.old.cost - found.new.cost
    key = (
        "lead_none"
        if not found.attacks + found.others
        else ("lead_less" if saved > 0 else "lead_more" if saved < 0 else "lead_same")
    )
    return texts.get(
        f"whatif.{key}",
        version=found.version,
        n=found.n,
        changed=found.changed,
        cost=texts.numerals.number(abs(saved), 6),
    )


def read_line(texts: Texts, found: WhatIf) -> str:
    """Which decisions were read."""
    by = ", ".join(f"{name} ({texts.numerals.count(n)})" for name, n in found.decided_by.items())
    return texts.get(
        "whatif.read",
        n=found.n,
        by=by or "–",
        since=spoken_instant(found.since),
        until=spoken_instant(found.until),
        repeats=found.repeats,
    )


def move_lines(texts: Texts, found: WhatIf) -> list[str]:
    """Pairs of outcomes that differ, the most frequent first."""
    return [move_line(texts, move) for move in found.moves if move[0] != move[1]]


def changed_lines(texts: Texts, found: WhatIf) -> list[str]:
    """Alerts that would be new, and alerts that would be gone, by what is known of them."""
    return [_changed(texts, "raised", found.raised), _changed(texts, "lowered", found.lowered)]


def _changed(texts: Texts, key: str, changed: Changed) -> str:
    return texts.get(
        f"whatif.{key}",
        n=changed.n,
        attacks=changed.attacks,
        others=changed.others,
        unlabelled=changed.unlabelled,
    )


def labels_line(texts: Texts, found: WhatIf) -> str:
    """How much is known by now."""
    return texts.get(
        "whatif.labels", attacks=found.attacks, others=found.others, unlabelled=found.unlabelled
    )


def judged_cells(texts: Texts, found: WhatIf, judged: Judged) -> list[str]:
    """Caught, missed, false alarms and cost of one side."""
    share = judged.caught / found.attacks if found.attacks else None
    return [
        texts.numerals.count(judged.caught)
        + ("" if share is None else f" ({texts.numerals.percent(share)})"),
        texts.numerals.count(judged.missed),
        texts.numerals.count(judged.false_alarms),
        texts.numerals.number(judged.cost, 6),
    ]


def costs_line(texts: Texts, found: WhatIf) -> str:
    """What is counted for what."""
    costs = [
        cost if isinstance(cost, str) else texts.numerals.number(cost, 6)
        for cost in (found.cost_missed, found.cost_false_alarm)
    ]
    line = texts.get("whatif.costs", missed=costs[0], false_alarm=costs[1])
    if found.without_cost:
        line += " " + texts.get("whatif.without_cost", n=found.without_cost)
    return line


def pairs(found: WhatIf) -> list[Paired]:
    """The exact comparison on the labelled events."""
    out = []
    if found.attacks:
        only_new, only_old = found.raised.attacks, found.lowered.attacks
        out.append(paired("attacks", found.attacks, only_old, only_new))
    if found.others:
        only_new, only_old = found.lowered.others, found.raised.others
        out.append(paired("others", found.others, only_old, only_new))
    return out


def paired_lines(texts: Texts, found: WhatIf) -> list[str]:
    """Likewise in words."""
    return [paired_line(texts, pair) for pair in pairs(found)]


def alerts_line(texts: Texts, found: WhatIf) -> str:
    """Alerts a day, of both sides, and the budget where there is one."""
    old, new = found.alerts_a_day()
    line = texts.get(
        "whatif.alerts",
        old=texts.numerals.number(old, 4),
        new=texts.numerals.number(new, 4),
        days=len(found.days),
    )
    if found.max_alerts_per_day is not None:
        limit = texts.numerals.number(found.max_alerts_per_day, 6)
        line += " " + texts.get("whatif.alerts_budget", limit=limit)
    return line


def gap_line(texts: Texts, gap: Gap) -> str:
    """One field that the records don't hold as the version reads it."""
    return texts.get(f"whatif.gap_{gap.kind}", field=gap.field, n=gap.n)


def part_cells(texts: Texts, part: Part) -> list[str]:
    """One segment's row."""
    count = texts.numerals.count
    return [
        f"{part.field} = {_value(texts, part.value)}",
        count(part.n),
        count(part.changed),
        f"{count(part.old)} → {count(part.new)}",
        f"{count(part.caught_old)} → {count(part.caught_new)} / {count(part.attacks)}",
    ]


def _value(texts: Texts, value: Value | None) -> str:
    if value is None:
        return texts.get("word.missing")
    return texts.numerals.number(value, 6) if isinstance(value, float) else str(value)


def move_cells(texts: Texts, move: tuple[str, str, int]) -> list[str]:
    """One pair of outcomes."""
    return [*(outcome_name(texts, name) for name in move[:2]), texts.numerals.count(move[2])]
