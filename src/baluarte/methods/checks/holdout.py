"""The proof events of their own against the others: what they have that training never sees."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding, Picture
from baluarte.core.labels import as_text
from baluarte.core.moved import distance, distance_figure, moved_picture
from baluarte.core.survey import Survey, survey_of

MANY = 0.01
MOVED = 0.15
FAR = 0.3
MAX_SHOWN = 6


class Holdout:
    """Blocks if none of the label's values is among theirs; warns and notes the rest.

    Label values, attack families and categories that only one side has, a moved share of attacks,
    moved features, events that repeat each other or those of training.
    """

    name: ClassVar[str] = "holdout"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """None where the workspace names no proof events."""
        seen = survey_of(contract, events)
        held = seen.holdout
        if held is None or not held.n or not seen.n:
            return []
        found = [
            *_labels(contract, seen, held),
            *_families(contract, seen, held),
            *_share(seen, held),
            *_drift(contract, seen, held),
            *_repeats(seen, held),
            *_categories(contract, seen, held),
        ]
        return sorted(found, key=lambda f: ("block", "warn", "note").index(f.level))


def _labels(contract: Contract, seen: Survey, held: Survey) -> list[Finding]:
    label = contract.label
    if label is None or label.field not in held.columns or label.field not in seen.columns:
        return []
    if label.negative and label.family == label.field:
        return []  # every value that is not listed is an attack; the families tell of new ones
    kind = contract.events[label.field].type
    theirs, ours = (
        Counter(text for text in as_text(part.columns[label.field], kind) if text is not None)
        for part in (held, seen)
    )
    new = [text for text, _ in theirs.most_common() if text not in ours]
    if not new:
        return []
    listed = set(label.positive or label.negative)
    values: dict[str, str | int | float] = {
        "field": label.field, "found": _shown(new), "known": _shown(list(ours)),
    }  # fmt: skip
    n = sum(theirs[text] for text in new)
    return [
        Finding(
            check="holdout.labels",
            level="warn" if listed & set(theirs) else "block",
            field=label.field,
            values=values,
            evidence=(share_figure("unlike", n, theirs.total()),),
        )
    ]


def _families(contract: Contract, seen: Survey, held: Survey) -> list[Finding]:
    if contract.label is None or contract.label.family is None:
        return []
    ours, theirs = seen.whole.families, Counter(held.whole.families)
    new = {family: n for family, n in theirs.most_common() if family not in ours}
    if not new:
        return []
    n, hits = sum(new.values()), theirs.total()
    values: dict[str, str | int | float] = {
        "n": len(new), "share": n / hits, "found": _shown(list(new)),
    }  # fmt: skip
    picture = Picture(
        name="families",
        labels=tuple(list(new)[:12]),
        values=tuple(float(count) for count in list(new.values())[:12]),
    )
    return [
        Finding(
            check="holdout.families",
            level="warn",
            values=values,
            evidence=(share_figure("unseen", n, hits),),
            picture=picture,
        )
    ]


def _share(seen: Survey, held: Survey) -> list[Finding]:
    known = [part.whole.counts[:2] for part in (seen, held)]
    if not all(sum(part) for part in known):
        return []
    ours, theirs = (
        share_figure(name, part[1], sum(part))
        for name, part in zip(("training", "holdout"), known, strict=True)
    )
    apart = (ours.high or 1) < (theirs.low or 0) or (theirs.high or 1) < (ours.low or 0)
    if not apart or abs(ours.value - theirs.value) < 0.1 * max(ours.value, theirs.value):
        return []
    values: dict[str, str | int | float] = {"ours": ours.value, "theirs": theirs.value}
    return [Finding(check="holdout.share", level="warn", values=values, evidence=(ours, theirs))]


def _drift(contract: Contract, seen: Survey, held: Survey) -> list[Finding]:
    """One finding about all features that moved, with the picture of the one that moved most."""
    names = [
        f.name
        for f in contract.events.features
        if f.type != "time" and f.name in seen.columns and f.name in held.columns
    ]
    moved = {name: distance(seen.columns[name], held.columns[name]) for name in names}
    far = sorted((n for n in names if moved[n] >= MOVED), key=lambda n: -moved[n])
    if not far:
        return []
    worst = far[0]
    values: dict[str, str | int | float] = {
        "n": len(far), "of": len(names), "examples": _shown(far), "distance": moved[worst],
    }  # fmt: skip
    return [
        Finding(
            check="holdout.drift",
            level="warn" if moved[worst] >= FAR else "note",
            values=values,
            evidence=(distance_figure(moved[worst], seen.n, held.n),),
            picture=moved_picture("train_holdout", seen.columns[worst], held.columns[worst]),
        )
    ]


def _repeats(seen: Survey, held: Survey) -> list[Finding]:
    found = []
    n = held.whole.n
    inside = held.whole.groups.n_repeats()
    across = held.whole.groups.n_in(seen.whole.groups)
    for check, count in (("holdout.across", across), ("holdout.repeats", inside)):
        if count:
            share = count / n
            finding = Finding(
                check=check,
                level="warn" if share > MANY else "note",
                values={"n": count, "share": share},
                evidence=(share_figure("copies", count, n),),
            )
            found.append(finding)
    return found


def _categories(contract: Contract, seen: Survey, held: Survey) -> list[Finding]:
    found = []
    for field in contract.events.features:
        if field.type != "category" or not {field.name} <= set(seen.columns) & set(held.columns):
            continue
        ours, theirs = (Counter(part.columns[field.name].tolist()) for part in (seen, held))
        new = [v for v, _ in theirs.most_common() if v is not None and v not in ours]
        gone = [v for v, _ in ours.most_common() if v is not None and v not in theirs]
        if not new and not gone:
            continue
        rows = sum(theirs[v] for v in new)
        values: dict[str, str | int | float] = {
            "field": field.name, "n": len(new), "share": rows / held.n, "gone": len(gone),
            "examples": _shown([str(v) for v in new or gone]),
        }  # fmt: skip
        found.append(
            Finding(
                check="holdout.categories",
                level="warn" if rows > MANY * held.n else "note",
                field=field.name,
                values=values,
                evidence=(share_figure("of_unseen", rows, held.n),),
            )
        )
    return found


def _shown(texts: list[str]) -> str:
    return ", ".join(texts[:MAX_SHOWN]) + (" …" if len(texts) > MAX_SHOWN else "")
