"""Split: which rows fit, tune, calibrate, set the threshold and prove; no row does two of these.

By time where the schema has a time field: the oldest rows fit, the newest prove, and rows of one
instant stay together. By entity where it has an entity: no entity stands on two sides. Otherwise by
stratum, with exact duplicates kept together. The last two are decided by the rows' content, so the
order of the rows changes nothing.

A contract may say by which of the three (``split.by``), and that fit rows which repeat a held-out
row, or nearly do, are left out (``split.repeats``): the held-out rows stay what they are, and none
of them was seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from baluarte.core.contract import Contract, Repeats
from baluarte.core.event import Events
from baluarte.core.labels import families
from baluarte.core.near_copies import FEWEST_FIELDS, codes_of, left_out, surplus
from baluarte.core.row_keys import Keys, digest, mixed, row_keys
from baluarte.core.row_names import names_of_rows
from baluarte.core.schema import Schema
from baluarte.core.shares import HELD_OUT, Share, needs_no_attacks, solve_shares
from baluarte.core.telling import missing_in
from baluarte.errors import DataError

How = Literal["time", "entity", "stratum"]


class Part(IntEnum):
    """What a row is for; ``UNUSED`` rows have no label where labels are needed."""

    FIT = 0
    TUNE = 1
    CALIBRATE = 2
    THRESHOLD = 3
    PROOF = 4
    UNUSED = 5


_PARTS = {"tune": Part.TUNE, "calibrate": Part.CALIBRATE, "threshold": Part.THRESHOLD,
          "proof": Part.PROOF}  # fmt: skip
#: A group of more than this share of the rows would distort a held-out part.
_LARGE: dict[How, float] = {"entity": 0.2, "stratum": 0.02}
_UNKNOWN = 1 / 3  #: of the attacks at most, in families that folds keep whole
_SALT = np.uint64(0x5EED)  # the same for every contract: a new seed must not buy new proof rows


class SplitEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows were split, for the candidate's evidence.

    Attributes:
        counts: rows a part, as (negatives, positives).
        large_groups: rows of duplicates or entities too numerous to share out, kept in fit.
        entities_on_two_sides: entities with fit rows and held-out rows, possible by time only.
        holdout: looks are counted against it: the digest of which events were given, whatever
            their order and whatever is read of them; of the proof events alone, where they are of
            their own.
        given: digest of all that the rows given say, where that is another one.
        attacks_fit: attacks of the threshold's share fit instead, for its budgets ask nothing of
            them; there for every row that is no attack, threshold rows are drawn as all others.
        left_out: fit rows that repeat others, where the contract leaves such out.
    """

    how: How
    shares: tuple[Share, ...]
    counts: dict[str, tuple[int, int]]
    large_groups: int
    entities_on_two_sides: int
    holdout: str
    given: str = ""
    attacks_fit: Literal[True] | UnsetType = UNSET
    left_out: int | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Proof events of their own: they prove, and no row that repeats one of them is used."""

    facts: RowFacts
    labels: NDArray[np.int8]  #: (n,) as in :func:`split_facts`

    def usable(self, contract: Contract) -> NDArray[np.bool_]:
        """(n,) which of them can prove: those whose label is known, where there are labels."""
        return self.labels >= 0 if contract.label is not None else np.ones(self.facts.n, dtype=bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The part of every row, and how it came about."""

    parts: NDArray[np.uint8]  #: (n,) of :class:`Part`
    keys: Keys  #: (n,) rows with equal keys are never on two sides, in folds neither
    contents: Keys  #: (n,) of all that the rows say
    evidence: SplitEvidence

    def rows(self, *parts: Part) -> NDArray[np.int64]:
        """Row numbers of these parts, ascending."""
        return np.flatnonzero(np.isin(self.parts, parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFacts:
    """What the split needs to know of each row: 41 bytes a row, however wide the rows are."""

    times: NDArray[np.float64] | None  #: (n,) None where the events have none
    entities: Keys | None  #: (n,) None where the events have none
    nobody: NDArray[np.bool_]  #: (n,) where the entity is missing
    alike: Keys  #: (n,) of the row without its id and label
    contents: Keys  #: (n,) of all that the row says
    named: Keys  #: (n,) of which event it is, whatever a contract reads of it
    copies: Keys | None = None  #: (n,) of what makes a copy, where the contract leaves copies out

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.contents)


def row_facts(
    contract: Contract, events: Events, *, known: dict[str, Keys] | None = None
) -> RowFacts:
    """The facts of these rows; those of consecutive batches may be joined.

    Args:
        known: as in :func:`baluarte.core.row_keys.row_keys`.
    """
    known = {} if known is None else known
    schema, label = contract.events, contract.label
    hidden = {label.field, label.family} if label is not None else set()
    alike = [
        field.name
        for field in schema.fields
        if field.role not in ("id", "label", "derived") and field.name not in hidden
    ]
    time, entity = schema.by_role("time"), schema.by_role("entity")
    contents = row_keys(events, schema.given_names, known=known)
    timed = time is not None and time.name in events.columns
    named = entity is not None and entity.name in events.columns
    return RowFacts(
        times=_times(schema, events) if timed else None,
        entities=row_keys(events, [entity.name], known=known)
        if entity is not None and named
        else None,
        nobody=missing_in(events.columns[entity.name])
        if entity is not None and named
        else np.zeros(events.n, dtype=bool),
        alike=row_keys(events, alike, known=known),
        contents=contents,
        named=names_of_rows(contract, events, contents, known),
        copies=row_keys(events, _telling(contract), known=known)
        if repeats_rule(contract) is not None
        else None,
    )


def repeats_rule(contract: Contract) -> Repeats | None:
    """What becomes of fit rows that repeat others; None where they stay."""
    rules = contract.split
    if isinstance(rules, UnsetType) or isinstance(rules.repeats, UnsetType):
        return None
    return rules.repeats


def _telling(contract: Contract) -> list[str]:
    """The fields in which a copy equals its original: all but id, time and what tells the label."""
    label = contract.label
    hidden = {label.field, label.family} if label is not None else set()
    return [
        field.name
        for field in contract.events.fields
        if field.role not in ("id", "time", "label", "ignored", "derived")
        and field.name not in hidden
    ]


def split_rows(
    contract: Contract,
    events: Events,
    labels: NDArray[np.int8],
    *,
    n_old: int = 0,
    n_apart: int = 0,
    fits: bool = True,
) -> Split:
    """Share the rows out.

    Args:
        labels: (n,) 1 attack, 0 not, -1 not known. Without a label in the contract all are -1.
        n_old: the first rows are of an earlier training: they only fit, the later ones are shared
            out, and no old row is the duplicate of one that is held out.
        n_apart: the last rows are proof events of their own: they prove, and no other row does.
        fits: whether a model is to be fitted; if not, most rows set the threshold and prove.

    Raises:
        DataError: no row can be used.
    """
    if not n_apart:
        split = split_facts(contract, row_facts(contract, events), labels, n_old=n_old, fits=fits)
        return _without_near(contract, events, labels, split)
    n = events.n - n_apart
    rows = np.arange(events.n)
    apart = Apart(facts=row_facts(contract, events.take(rows[n:])), labels=labels[n:])
    own = row_facts(contract, events.take(rows[:n]))
    split = split_facts(contract, own, labels[:n], n_old=n_old, apart=apart, fits=fits)
    proving = np.where(apart.usable(contract), Part.PROOF, Part.UNUSED).astype(np.uint8)
    whole = Split(
        parts=np.concatenate([split.parts, proving]),
        keys=np.concatenate([split.keys, _group_keys(apart.facts, split.evidence.how)]),
        contents=np.concatenate([split.contents, apart.facts.contents]),
        evidence=split.evidence,
    )
    return _without_near(contract, events, labels, whole)


def split_facts(
    contract: Contract,
    facts: RowFacts,
    labels: NDArray[np.int8],
    *,
    n_old: int = 0,
    apart: Apart | None = None,
    fits: bool = True,
    known: tuple[int, int] | None = None,
) -> Split:
    """As :func:`split_rows`, from the rows' facts alone.

    Args:
        apart: the proof events, where they are of their own; they are not among the rows, but the
            evidence counts them.
        known: how many others and attacks there are of which these rows are a sample.

    Raises:
        DataError: no row can be used.
    """
    usable = labels >= 0 if contract.label is not None else np.ones(facts.n, dtype=bool)
    attack, new = labels == 1, np.arange(facts.n) >= n_old
    negatives, positives = known or _classes(labels, usable & new)
    shares = solve_shares(
        contract,
        n_negatives=negatives,
        n_positives=positives,
        others_fit=n_old > 0 or not fits,
        apart=None if apart is None else _classes(apart.labels, apart.usable(contract)),
    )
    how = _how(contract, facts)
    keys = _group_keys(facts, how)
    parts = np.full(facts.n, Part.UNUSED, dtype=np.uint8)
    rows = np.flatnonzero(usable & new)
    kept = 0
    attacks_fit = how != "time" and fits and needs_no_attacks(contract)
    if how == "time":
        assert facts.times is not None  # noqa: S101 - by time only where there is one
        parts[rows] = _by_time(facts.times[rows], shares)
    else:
        parts[rows], kept = _by_groups(
            keys[rows], attack[rows], shares, large=_LARGE[how], attacks_fit=attacks_fit
        )
    old = usable & ~new
    parts[old] = Part.FIT
    parts[old & np.isin(keys, keys[_held(parts)])] = Part.UNUSED
    if apart is not None:
        proving = _group_keys(apart.facts, how)[apart.usable(contract)]
        parts[np.isin(keys, proving)] = Part.UNUSED
    n_left_out = _leave_out(contract, facts, labels, parts, apart)
    counts = {part.name.lower(): _classes(labels, parts == part) for part in Part}
    if apart is not None:
        counts["proof"] = _classes(apart.labels, apart.usable(contract))
    contents = [facts.contents] if apart is None else [facts.contents, apart.facts.contents]
    holdout = digest(facts.named if apart is None else apart.facts.named)
    given = digest(np.concatenate(contents))
    return Split(
        parts=parts,
        keys=keys,
        contents=facts.contents,
        evidence=SplitEvidence(
            how=how,
            shares=shares,
            counts=counts,
            large_groups=kept,
            entities_on_two_sides=_straddling(facts.entities, parts),
            holdout=holdout,
            given="" if given == holdout else given,
            attacks_fit=True if attacks_fit else UNSET,
            left_out=n_left_out,
        ),
    )


def _leave_out(
    contract: Contract,
    facts: RowFacts,
    labels: NDArray[np.int8],
    parts: NDArray[np.uint8],
    apart: Apart | None,
) -> int | UnsetType:
    """Leave out the fit rows that repeat others exactly, in ``parts``; how many they were."""
    rule = repeats_rule(contract)
    if rule is None or facts.copies is None:
        return UNSET
    held = [facts.copies[_held(parts)]]
    if apart is not None and apart.facts.copies is not None:
        held.append(apart.facts.copies[apart.usable(contract)])
    out = (parts == Part.FIT) & np.isin(facts.copies, np.concatenate(held))
    if rule == "once":
        fit = np.flatnonzero((parts == Part.FIT) & ~out)
        order = fit[np.lexsort((facts.contents[fit], labels[fit], facts.copies[fit]))]
        same = np.zeros(len(order), dtype=np.bool_)
        same[1:] = facts.copies[order[1:]] == facts.copies[order[:-1]]
        same[1:] &= labels[order[1:]] == labels[order[:-1]]
        out[order[same]] = True
    parts[out] = Part.UNUSED
    return int(np.count_nonzero(out))


def _without_near(
    contract: Contract, events: Events, labels: NDArray[np.int8], split: Split
) -> Split:
    """The split without the fit rows that nearly repeat others, where the contract says so."""
    rule = repeats_rule(contract)
    names = [f.name for f in contract.events.features if f.name in events.columns]
    if rule not in ("near", "once") or len(names) < FEWEST_FIELDS or not events.n:
        return split
    # In an order of their own, so that the rows' order changes nothing.
    used = np.flatnonzero(split.parts != Part.UNUSED)
    used = used[np.argsort(split.contents[used], kind="stable")]
    codes = codes_of([events.columns[name][used] for name in names])
    fit, held = split.parts[used] == Part.FIT, _held(split.parts[used])
    out = left_out(codes, fit, held)
    if rule == "once":
        hits = labels[used] == 1
        for of_class in (hits, ~hits):
            out |= surplus(codes, fit & ~out & of_class)
    parts = split.parts.copy()
    parts[used[out]] = Part.UNUSED
    before = split.evidence.left_out
    evidence = msgspec.structs.replace(
        split.evidence,
        counts={part.name.lower(): _classes(labels, parts == part) for part in Part},
        left_out=int(np.count_nonzero(out)) + (0 if isinstance(before, UnsetType) else before),
    )
    return replace(split, parts=parts, evidence=evidence)


def _held(parts: NDArray[np.uint8]) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = (parts != Part.FIT) & (parts != Part.UNUSED)
    return held


def _classes(labels: NDArray[np.int8], inside: NDArray[np.bool_]) -> tuple[int, int]:
    """How many others and attacks are inside."""
    attack = labels == 1
    return int(np.count_nonzero(inside & ~attack)), int(np.count_nonzero(inside & attack))


def folds_of(keys: Keys, attack: NDArray[np.bool_], folds: int) -> NDArray[np.int64]:
    """(n,) the fold of each row, in [0, folds): whole groups, attacks spread evenly."""
    unique, group = np.unique(keys, return_inverse=True)
    hits = np.bincount(group, weights=attack, minlength=len(unique))
    of_group = np.zeros(len(unique), dtype=np.int64)
    for stratum in (hits > 0, hits == 0):
        members = np.flatnonzero(stratum)
        order = np.argsort(mixed(mixed(unique[members])), kind="stable")
        of_group[members[order]] = np.arange(len(members)) % folds
    return of_group[group]


def fold_keys(contract: Contract, events: Events, attack: NDArray[np.bool_], keys: Keys) -> Keys:
    """(n,) as ``keys``, with the rarest attack families whole: no fold has seen those it judges.

    Where the contract names a field of families. Tomorrow's attacks are partly of kinds that no
    row shows, so choices made on known kinds alone would be made for yesterday. The rarest
    families, together up to a third of the attacks, play the unknown ones.

    Args:
        attack: (n,) which events are attacks.
        keys: (n,) of :class:`Split`.
    """
    named = np.array([name or "" for name in families(contract, events)], dtype=object)
    rows = np.flatnonzero(attack & (named != ""))
    names, family, sizes = np.unique(
        named[rows].astype(str), return_inverse=True, return_counts=True
    )
    rarest = np.argsort(sizes, kind="stable")
    whole = np.zeros(len(names), dtype=bool)
    whole[rarest[np.cumsum(sizes[rarest]) <= _UNKNOWN * np.count_nonzero(attack)]] = True
    held = rows[whole[family]]
    merged = keys.copy()
    merged[held] = mixed(family[whole[family]].astype(np.uint64) ^ _SALT)
    return merged


def _how(contract: Contract, facts: RowFacts) -> How:
    rules = contract.split
    if not isinstance(rules, UnsetType) and not isinstance(rules.by, UnsetType):
        missing = {"time": facts.times is None, "entity": facts.entities is None}
        if missing.get(rules.by):
            raise DataError(
                f"expected the {rules.by} that the contract splits by; the events have none",
                hint="Give the events that field, or change split.by.",
            )
        return rules.by
    # One instant for all rows, or none at all, orders nothing.
    if facts.times is not None and len(np.unique(facts.times[~np.isnan(facts.times)])) > 1:
        return "time"
    return "stratum" if facts.entities is None else "entity"


def _times(schema: Schema, events: Events) -> NDArray[np.float64]:
    time = schema.by_role("time")
    assert time is not None  # noqa: S101 - asked for only where there is one
    return np.asarray(events.columns[time.name], dtype=np.float64)


def _by_time(times: NDArray[np.float64], shares: tuple[Share, ...]) -> NDArray[np.uint8]:
    """The oldest rows fit; a row without a time counts as older than all.

    A cut moves to the nearest place between two instants, but never before the first one's end, so
    something always fits.
    """
    known = np.where(np.isnan(times), -np.inf, times)
    order = np.argsort(known, kind="stable")
    ordered = known[order]
    parts = np.full(len(times), Part.FIT, dtype=np.uint8)
    stop = len(times)
    for share in reversed(shares):
        wanted = max(stop - round(share.share * len(times)), 0)
        if wanted < stop:
            before = int(np.searchsorted(ordered, ordered[wanted], side="left"))
            after = min(int(np.searchsorted(ordered, ordered[wanted], side="right")), stop)
            start = before if before > 0 and wanted - before <= after - wanted else after
            parts[order[start:stop]] = _PARTS[share.part]
            stop = start
    return parts


def _group_keys(facts: RowFacts, how: How) -> Keys:
    """Rows with equal keys stay together; an event without its entity is one of its own."""
    if how != "entity" or facts.entities is None:
        return facts.alike
    return np.where(facts.nobody, facts.alike, facts.entities)


def _by_groups(
    keys: Keys,
    attack: NDArray[np.bool_],
    shares: tuple[Share, ...],
    *,
    large: float,
    attacks_fit: bool,
) -> tuple[NDArray[np.uint8], int]:
    """Whole groups in the order of their keys' hashes, attacks and the rest each by its share.

    Args:
        attacks_fit: groups of nothing but attacks fit where they would set the threshold. Groups
            with any other row don't, since which rows set it must not hang on what else they are.
    """
    unique, group, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    hits = np.bincount(group, weights=attack, minlength=len(unique))
    of_group = np.full(len(unique), Part.FIT, dtype=np.uint8)
    kept = sizes > max(large * len(keys), 1)
    for stratum in (hits > 0, hits == 0):
        members = np.flatnonzero(stratum & ~kept)
        members = members[np.argsort(mixed(unique[members] ^ _SALT), kind="stable")]
        reached = np.cumsum(sizes[members])
        total = float(reached[-1]) if len(members) else 0.0
        start, goal = 0, 0.0
        for part in reversed(HELD_OUT):
            goal += next(share.share for share in shares if share.part == part) * total
            stop = int(np.searchsorted(reached, goal + 0.5, side="right"))
            of_group[members[start:stop]] = _PARTS[part]
            start = stop
    if attacks_fit:
        of_group[(hits == sizes) & (of_group == Part.THRESHOLD)] = Part.FIT
    return of_group[group], int(sizes[kept].sum())


def _straddling(entities: Keys | None, parts: NDArray[np.uint8]) -> int:
    """Entities that stand in fit and in a held-out part."""
    if entities is None:
        return 0
    return len(np.intersect1d(entities[parts == Part.FIT], entities[_held(parts)]))
