"""Compute past decisions again from their records, bit for bit, or name the difference.

Nothing but the recorded event is used: identity, features, score, points, band, threshold and
reasons are all computed again by the bundle that the record names. The values of window features
stand in the recorded event, so no state is needed. What is not computed but was given from outside
is taken as it is and protected by the ledger's proof alone: the arrival of an event that has no
time of its own, and the microseconds of ``decided_at`` below the millisecond that the id repeats.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from baluarte.core.bundle import SealedBundle
from baluarte.core.decision import DecisionRecord
from baluarte.core.difference import Component, Difference, differs, same_float, unlike_rows
from baluarte.core.envelope import KEYED_DIGEST
from baluarte.core.event import Value, Values, event_digest
from baluarte.core.event_rows import TEXTUAL, from_records
from baluarte.core.ids import parse_id
from baluarte.core.schema import Field, Role
from baluarte.errors import BaluarteError, DataError, TrustError
from baluarte.stages.score import Decisions, Kernel, Scorer
from baluarte.stages.unseal import Unsealer

BATCH = 4096  #: decisions that are computed together


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One decision computed again; identical where there is no difference and nothing is erased."""

    id: str
    difference: Difference | None
    n_reasons: int = 0  #: reasons that were recorded and came out the same
    #: base and reasons where the record left them to replay, in the contract's order
    supplied: tuple[int, tuple[int, ...]] | None = None
    erased: bool = False  #: its personal values are gone for good, so nothing could be computed


OpenAt = Callable[[str, int], SealedBundle]  #: (digest, decided at) to a checked bundle


def replay(
    records: Sequence[DecisionRecord],
    open_bundle: OpenAt,
    *,
    kernel: Kernel = "auto",
    unsealer: Unsealer | None = None,
) -> list[Replayed]:
    """Replay decisions, in the order given; records of one bundle are scored together.

    Args:
        open_bundle: gives the sealed bundle with a digest, checked as of the decision's time. A
            bundle that can't be opened is a difference of its decisions, named ``bundle``.
        unsealer: opens records that are still sealed; values that can't be opened are a difference
            of the event. Without it a sealed record counts as erased.
    """
    replayer = Replayer(open_bundle, kernel=kernel, unsealer=unsealer)
    return [
        found
        for start in range(0, len(records), BATCH)
        for found in replayer.replay(records[start : start + BATCH])
    ]


def damaged(name: str, error: Exception) -> Replayed:
    """What replay says of a record that can't be read as a decision.

    Args:
        name: the record's place in the ledger.
    """
    _, _, field = str(error).partition(" - at ")  # as msgspec writes where it stopped
    return Replayed(
        id=name, difference=differs("record", field.strip("`$.") or None, "unreadable", error)
    )


class Replayer:
    """Replays batch after batch; a bundle is opened and its scorer made once.

    Args:
        open_bundle, unsealer: as for :func:`replay`.
    """

    def __init__(
        self, open_bundle: OpenAt, *, kernel: Kernel = "auto", unsealer: Unsealer | None = None
    ) -> None:
        self._open_bundle, self._kernel, self._unsealer = open_bundle, kernel, unsealer
        self._scorers: dict[str, Scorer] = {}
        self._held: dict[str, tuple[int, int]] = {}  # digest -> first and last time it held at

    def replay(self, records: Sequence[DecisionRecord]) -> list[Replayed]:
        """Replay one batch, in the order given."""
        found: dict[int, Replayed] = {}
        records = self._unsealed(records, found)
        groups: dict[str, list[int]] = defaultdict(list)
        for i, record in enumerate(records):
            if i not in found:
                groups[record.bundle].append(i)
        for digest, members in groups.items():
            lost = self._lost(digest, [(i, records[i].decided_at) for i in members])
            for i, difference in lost.items():
                found[i] = Replayed(id=records[i].id, difference=difference)
            kept = [i for i in members if i not in lost]
            if kept:
                again = _replay_batch(self._scorers[digest], [records[i] for i in kept])
                found.update(zip(kept, again, strict=True))
        return [found[i] for i in range(len(records))]

    def _unsealed(
        self, records: Sequence[DecisionRecord], found: dict[int, Replayed]
    ) -> list[DecisionRecord]:
        """The records opened; those that can't be computed again are found already."""
        opened = records if self._unsealer is None else self._unsealer.each(records)
        out: list[DecisionRecord] = []
        for i, (record, result) in enumerate(zip(records, opened, strict=True)):
            if isinstance(result, TrustError):
                fault = differs("event", None, "sealed values", result)
                found[i] = Replayed(id=record.id, difference=fault)
            elif result.is_sealed:
                found[i] = Replayed(id=record.id, difference=None, erased=True)
            out.append(record if isinstance(result, TrustError) else result)
        return out

    def _lost(self, digest: str, members: Sequence[tuple[int, int]]) -> dict[int, Difference]:
        """The records whose bundle doesn't hold at their time; a key is valid in one stretch."""
        first, last = min(at for _, at in members), max(at for _, at in members)
        try:
            self._hold(digest, first)
            self._hold(digest, last)
        except BaluarteError:  # each decision by its own time, then
            pass
        else:
            return {}
        said: dict[int, Difference] = {}
        for at in {at for _, at in members}:
            try:
                self._hold(digest, at)
            except BaluarteError as error:
                said[at] = differs("bundle", None, digest, error)
        return {i: said[at] for i, at in members if at in said}

    def _hold(self, digest: str, at: int) -> None:
        """Open the bundle as of a time, unless it held before and after that time already."""
        first, last = self._held.get(digest, (at, at - 1))
        if first <= at <= last:
            return
        bundle = self._open_bundle(digest, at)
        if digest not in self._scorers:
            self._scorers[digest] = Scorer(bundle, kernel=self._kernel)
            first, last = at, at
        self._held[digest] = (min(first, at), max(last, at))


def _replay_batch(scorer: Scorer, records: Sequence[DecisionRecord]) -> list[Replayed]:
    """Records of one bundle: those whose event is sound are computed together, in columns."""
    broken = _event_differences(scorer, records)
    sound = [i for i in range(len(records)) if i not in broken]
    out = {i: Replayed(id=records[i].id, difference=broken[i]) for i in broken}
    kept = [records[i] for i in sound]
    schema = scorer.contract.events
    decisions = scorer.decide(from_records(schema, [one.event for one in kept]), reasons="none")
    reasons = _reasons(scorer, kept, decisions)
    suspects = _suspects(scorer, kept, decisions)
    features = decisions.features
    for row, record in enumerate(kept):
        difference = None
        if suspects[row]:
            difference = _compare(scorer, record, decisions, row, features[row].tolist())
        if difference is None:
            difference = _compare_reasons(scorer, record, reasons.get(row))
        difference = _version_difference(scorer, record, difference)
        out[sound[row]] = _replayed(record, difference, reasons.get(row))
    return [out[i] for i in range(len(records))]


def _replayed(
    record: DecisionRecord,
    difference: Difference | None,
    reasons: tuple[int, tuple[int, ...]] | None,
) -> Replayed:
    deferred = record.reasons_deferred is True and record.reasons is None
    return Replayed(
        id=record.id,
        difference=difference,
        n_reasons=0 if difference else len(record.reasons or ()),
        supplied=reasons if deferred and difference is None else None,
    )


# --- the event -----------------------------------------------------------------------------------


def _event_differences(scorer: Scorer, records: Sequence[DecisionRecord]) -> dict[int, Difference]:
    """Where identity, time or event are not what they should be; these are not scored."""
    out: dict[int, Difference] = {}
    for i, record in enumerate(records):
        difference = _digest_difference(scorer, record) or _identity_difference(scorer, record)
        if difference is not None:
            out[i] = difference
    events = [record.event for record in records]
    for field in scorer.contract.events.features:
        for i in _wrong_kinds(field, events):
            out.setdefault(
                i, differs("event", field.name, events[i][field.name], "a value of another kind")
            )
    return out


def _digest_difference(scorer: Scorer, record: DecisionRecord) -> Difference | None:
    if record.event_digest.startswith(KEYED_DIGEST):
        return None  # that one held when the record was opened
    digest = event_digest(record.event)
    if digest == record.event_digest:
        return None
    return differs("event", _changed_field(scorer, record), record.event_digest, digest)


def _changed_field(scorer: Scorer, record: DecisionRecord) -> str | None:
    """The field of a changed event that no longer gives what was recorded, if one can be told."""
    schema = scorer.contract.events
    kinds = [field.name for field in schema.features if _wrong_kinds(field, [record.event])]
    if kinds:
        return kinds[0]
    features = scorer.encoder.encode_row(record.event)
    if len(features) == len(record.features):
        for said, computed, info in zip(
            record.features, features, scorer.encoder.columns, strict=True
        ):
            if not same_float(said, computed):
                return info.field
    pairs: tuple[tuple[Role, str], ...] = (
        ("id", record.event_id),
        ("time", str(record.event_at)),
    )
    for role, said_of_it in pairs:
        field = schema.by_role(role)
        own = None if field is None else record.event.get(field.name)
        if field is not None and own is not None and str(own) != said_of_it:
            return field.name
    return None


def _identity_difference(scorer: Scorer, record: DecisionRecord) -> Difference | None:
    """Id and times, as far as they follow from the event and from one another."""
    event, schema = record.event, scorer.contract.events
    id_field, time_field = schema.by_role("id"), schema.by_role("time")
    own = event.get(id_field.name) if id_field else None
    if own is not None:
        if str(own) != record.event_id:
            return differs("id", "event_id", record.event_id, own)
    elif record.role == "champion" and not _is_derived(record):
        # A challenger's record has the id by which the champion's knows the event.
        derived = f"{record.event_digest[7:39]}-ORDINAL"
        return differs("id", "event_id", record.event_id, derived)
    own_at = event.get(time_field.name) if time_field else None
    if isinstance(own_at, int | float) and int(own_at) != record.event_at:
        return differs("time", "event_at", record.event_at, int(own_at))
    try:
        at_ms = parse_id(record.id).at_ms
    except DataError as error:
        return differs("id", "id", record.id, error)
    if record.decided_at // 1000 != at_ms:
        return differs("time", "decided_at", record.decided_at, f"{at_ms} ms, as the id says")
    return None


def _is_derived(record: DecisionRecord) -> bool:
    if record.event_digest.startswith(KEYED_DIGEST):
        return True  # it may be the name by which the event's own key is found
    head, _, ordinal = record.event_id.rpartition("-")
    return head == record.event_digest[7:39] and ordinal.isdecimal()


def _wrong_kinds(field: Field, events: Sequence[Values]) -> list[int]:
    """The events whose value of this field is none that the schema's reader could have made."""
    values = [event.get(field.name) for event in events]
    kinds = set(map(type, values))
    textual = field.type in TEXTUAL
    usual: set[type] = {str, type(None)} if textual else {int, float, type(None)}
    if kinds <= usual and field.type != "ip" and (int not in kinds or _are_small(values)):
        return []
    known: dict[object, bool] = {}
    out = []
    for i, value in enumerate(values):
        if value is not None and known.get(value) is None:
            known[value] = _fits(field, value)
        if value is not None and not known[value]:
            out.append(i)
    return out


def _are_small(values: Sequence[float | int | str | None]) -> bool:
    """Whether all integers are within 64 bits, so that each has a float64 near it."""
    numbers = [value for value in values if type(value) is int]
    return min(numbers) >= -(2**63) and max(numbers) < 2**63


def _fits(field: Field, value: Value) -> bool:
    if isinstance(value, str):
        if field.type not in TEXTUAL:
            return field.allow_infinite and value in ("Infinity", "-Infinity")
        return field.type != "ip" or _is_address(value)
    return field.type not in TEXTUAL and (isinstance(value, float) or -(2**63) <= value < 2**63)


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


# --- what was computed ---------------------------------------------------------------------------


def _suspects(
    scorer: Scorer, records: Sequence[DecisionRecord], decisions: Decisions
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(n,) where anything but the reasons differs: looked at in columns, named one by one."""
    unlike = unlike_rows([record.features for record in records], decisions.features)
    columns: Sequence[tuple[list[object], list[object]]] = (
        ([r.score for r in records], decisions.scores.tolist()),
        ([r.points for r in records], decisions.points.tolist()),
        ([r.band for r in records], (bands := decisions.bands.tolist())),
        ([r.outcome for r in records], [decisions.outcomes[band] for band in bands]),
        ([r.threshold for r in records], [scorer.thresholds[band] for band in bands]),
    )
    for said, computed in columns:
        if said != computed:
            unlike |= np.array([a != b for a, b in zip(said, computed, strict=True)])
    return unlike


def _compare(
    scorer: Scorer, record: DecisionRecord, decisions: Decisions, row: int, features: list[float]
) -> Difference | None:
    """The first difference, from the encoder to the threshold."""
    if len(record.features) != len(features):
        return differs("features", None, len(record.features), len(features))
    for said, computed, info in zip(record.features, features, scorer.encoder.columns, strict=True):
        if not same_float(said, computed):
            return differs("features", info.name, said, computed)
    band = int(decisions.bands[row])
    pairs: tuple[tuple[Component, object, object], ...] = (
        ("score", record.score, int(decisions.scores[row])),
        ("points", record.points, int(decisions.points[row])),
        ("band", record.band, band),
        ("outcome", record.outcome, decisions.outcomes[band]),
        ("threshold", record.threshold, scorer.thresholds[band]),
    )
    for component, said_value, computed_value in pairs:
        if said_value != computed_value:
            return differs(component, None, said_value, computed_value)
    return None


def _reasons(
    scorer: Scorer, records: Sequence[DecisionRecord], decisions: Decisions
) -> Mapping[int, tuple[int, tuple[int, ...]]]:
    """Base and reasons of the rows that recorded any, or left them to replay."""
    rows = [
        i
        for i, record in enumerate(records)
        if not (record.reasons is None and record.base is None) or record.reasons_deferred is True
    ]
    base, phi = scorer.explain(decisions.features[rows])
    return {row: (base, tuple(one)) for row, one in zip(rows, phi.tolist(), strict=True)}


def _compare_reasons(
    scorer: Scorer,
    record: DecisionRecord,
    computed: tuple[int, tuple[int, ...]] | None,
) -> Difference | None:
    said = record.reasons
    if computed is None or (said is None and record.base is None):
        return None
    base, phi = computed
    if record.base != base:
        return differs("reasons", "base", record.base, base)
    if said is None or len(said) != len(phi):
        return differs("reasons", None, 0 if said is None else len(said), len(phi))
    for one, other, name in zip(said, phi, scorer.fields, strict=True):
        if one != other:
            return differs("reasons", name, one, other)
    return None


def _version_difference(
    scorer: Scorer, record: DecisionRecord, difference: Difference | None
) -> Difference | None:
    """Where the bundle is another detector's or version's than the record says.

    If it gives all that was recorded it did decide, and the name is wrong; otherwise the digest is.
    """
    said, found = f"{record.detector}@{record.version}", f"{scorer.detector}@{scorer.version}"
    if said == found:
        return difference
    if difference is None:
        return differs("version", None, said, found)
    return differs("bundle", None, record.bundle, f"the digest of {found}; the record says {said}")
