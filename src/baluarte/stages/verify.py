"""Check what was kept: every record of the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from baluarte.core.checkpoint import LEDGER_ORIGIN, signed_at
from baluarte.core.decision import ActRecord, DecisionRecord, Record
from baluarte.core.gap import payload, signature_of
from baluarte.core.ids import parse_id
from baluarte.core.merkle import EMPTY_ROOT, Frontier, leaf_hashes
from baluarte.core.retention import Dropped, DroppedDigest
from baluarte.errors import BaluarteError, Fault
from baluarte.ports import LedgerReader, Progress, Verifier
from baluarte.stages.heads_walk import HeadsWalk
from baluarte.stages.notes import NO_WITNESSES, WitnessPolicy, cosigners, verify_note
from baluarte.stages.repeats import Repeats
from baluarte.stages.sweep import unaccounted

_BATCH = 4096
_MAX_FAULTS = 100  #: named of one shard; the rest are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """What was found in one shard."""

    tag: str
    size: int  #: records that were read
    root: bytes  #: over them
    records: Mapping[str, int]  #: how many of each kind: ``decision`` and the acts
    signed_size: int  #: how many of them a checkpoint covers
    dropped: int  #: how many a sweep dropped, all of them accounted for
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """How far witnesses saw the log of heads."""

    quorum: int  #: cosignatures that a checkpoint must have
    newest: Mapping[str, int]  #: who cosigned the newest checkpoint, and when (POSIX time)
    at_us: int | None  #: when the newest one with enough of them was signed; None where none has
    n_later: int  #: checkpoints after that one


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReport:
    """What was found in a ledger; it holds when there is no fault."""

    shards: tuple[ShardReport, ...]
    n_heads: int  #: checkpoints over all shards that were checked
    n_entries: int = 0  #: of the log of heads
    witnessed: Witnessed | None = None  #: None where no witness is asked for
    faults: tuple[Fault, ...] = field(default=())  #: not of one shard
    events: int = 0  #: distinct events that were decided; retries share an id
    gap_decisions: int = 0  #: that were answered without a record, by signed gap records
    incidents: tuple[Fault, ...] = ()  #: events that one version gave two scores

    @property
    def all_faults(self) -> tuple[Fault, ...]:
        """Every fault of every shard and of the whole."""
        return self.faults + tuple(fault for shard in self.shards for fault in shard.faults)


def verify_ledger(
    reader: LedgerReader,
    verifier: Verifier,
    *,
    witnesses: WitnessPolicy = NO_WITNESSES,
    kept: Sequence[bytes] = (),
    progress: Progress | None = None,
) -> LedgerReport:
    """Read every record, hash every leaf, and hold all of it against every signed checkpoint.

    Args:
        kept: checkpoints over all shards that were kept elsewhere: what they cover must be there.
    """
    heads = HeadsWalk(reader.heads())
    notes = reader.notes(None)
    seen: list[tuple[int, dict[str, int]]] = []
    for number, note in enumerate((*notes, *kept)):
        where = f"heads/{number}" if number < len(notes) else "the checkpoint kept elsewhere"
        try:
            checkpoint = verify_note(note, verifier, origin=None)
            heads.hold(checkpoint)
            if number < len(notes):
                seen.append((signed_at(checkpoint), cosigners(note, witnesses)))
        except BaluarteError as error:
            heads.faults += _located(error, where)
    witnessed = _witnessed(seen, witnesses, heads.faults)
    tags = reader.shards()
    heads.faults += [
        Fault("a signed checkpoint lists this shard; it isn't there", where=tag)
        for tag in sorted(heads.promised.keys() - set(tags))
    ]
    shards = []
    account = _Account(verifier)
    for number, tag in enumerate(tags):
        shards.append(_verify_shard(reader, verifier, tag, heads.promised[tag], account))
        if progress is not None:
            progress.step(number + 1, len(tags), tag)
    return LedgerReport(
        shards=tuple(shards),
        n_heads=len(notes),
        n_entries=heads.tree.size,
        witnessed=witnessed,
        faults=(*heads.faults, *account.faults()),
        events=account.repeats.distinct(),
        gap_decisions=account.gap_decisions,
        incidents=tuple(account.repeats.incidents(reader)),
    )


def _witnessed(
    seen: Sequence[tuple[int, Mapping[str, int]]], policy: WitnessPolicy, faults: list[Fault]
) -> Witnessed | None:
    if not policy.keys or not seen:
        return None
    enough = [n for n, (_, names) in enumerate(seen) if len(names) >= policy.quorum]
    if not enough:
        faults.append(
            Fault(
                f"no checkpoint has the cosignatures of {policy.quorum} of "
                f"{len(policy.keys)} witnesses",
                where="heads",
                hint="`baluarte ledger witness` asks for them.",
            )
        )
    return Witnessed(
        quorum=policy.quorum,
        newest=seen[-1][1],
        at_us=seen[enough[-1]][0] if enough else None,
        n_later=len(seen) - 1 - (enough[-1] if enough else -1),
    )


class _Account:
    """What can be judged only when every shard was read: sweeps, and repeated decisions."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier = verifier
        self.repeats = Repeats()
        self.gap_decisions = 0
        self.sweeps: dict[str, ActRecord] = {}
        self.dropped: dict[str, tuple[str, DroppedDigest]] = {}

    def take(self, act: ActRecord) -> None:
        """An act that accounts for what is not there.

        Raises:
            TrustError: a gap record that no trusted key signed.
        """
        if act.act == "sweep":
            self.sweeps[str(act.details.get("sweep"))] = act
        elif act.act == "gap":
            key_id, signature = signature_of(act)
            self.verifier.verify(payload(act), signature, key_id=key_id, at_us=act.at)
            self.gap_decisions += int(act.details.get("decisions") or 0)

    def faults(self) -> Iterable[Fault]:
        """Records that are gone without an act that accounts for exactly them."""
        for sweep_id in unaccounted(self.dropped, self.sweeps):
            tag, digest = self.dropped[sweep_id]
            yield Fault(
                f"{digest.count} records are gone and no act accounts for exactly them",
                where=f"{tag}: sweep {sweep_id}",
                hint="Restore the shard from a copy; only `baluarte ledger sweep` drops records.",
            )


def _verify_shard(
    reader: LedgerReader,
    verifier: Verifier,
    tag: str,
    promised: dict[int, set[bytes]],
    account: _Account,
) -> ShardReport:
    faults: list[Fault] = []
    try:
        for number, note in enumerate(reader.notes(tag)):
            try:
                checkpoint = verify_note(note, verifier, origin=f"{LEDGER_ORIGIN}/{tag}")
                promised[checkpoint.size].add(checkpoint.root)
            except BaluarteError as error:
                faults += _located(error, f"{tag}/checkpoints/{number}")
    except BaluarteError as error:
        faults += error.faults
    walk = _Walk(tag, promised, account)
    try:
        batch: list[bytes | Dropped] = []
        for entry in reader.entries(tag):
            batch.append(entry)
            if len(batch) == _BATCH:
                walk.take(batch)
                batch = []
        walk.take(batch)
    except BaluarteError as error:
        walk.take(batch)
        walk.faults.extend(error.faults)
    signed = max(promised, default=0)
    if signed > walk.frontier.size:
        faults.append(
            Fault(
                f"a signed checkpoint covers {signed} records, found {walk.frontier.size}",
                where=tag,
            )
        )
    return ShardReport(
        tag=tag,
        size=walk.frontier.size,
        root=walk.frontier.root(),
        records=dict(walk.counts),
        signed_size=min(signed, walk.frontier.size),
        dropped=walk.dropped,
        faults=(*faults, *walk.shown_faults()),
    )


class _Walk:
    """One pass over a shard: leaves into the tree, records against their place, heads at sizes."""

    def __init__(self, tag: str, promised: Mapping[int, set[bytes]], account: _Account) -> None:
        self.tag, self.promised, self.account = tag, promised, account
        self.dropped = 0
        account.repeats.begin(tag)
        self.frontier = Frontier()
        self.counts: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self._decode = msgspec.json.Decoder(Record).decode
        self._sizes = sorted((size for size in promised if size > 0), reverse=True)
        if promised.get(0, set()) - {EMPTY_ROOT}:
            self.faults.append(Fault("a checkpoint of no records has a root", where=tag))

    def take(self, entries: Sequence[bytes | Dropped]) -> None:
        """The next records of the shard, in order, and what stays of dropped ones."""
        hashes = iter(leaf_hashes([e for e in entries if not isinstance(e, Dropped)]))
        leaves = [e.leaf if isinstance(e, Dropped) else next(hashes) for e in entries]
        self._check_records(entries)
        start = 0
        while self._sizes and self._sizes[-1] <= self.frontier.size + len(leaves) - start:
            size = self._sizes.pop()
            stop = start + size - self.frontier.size
            self.frontier.extend(leaves[start:stop])
            start = stop
            if self.promised[size] != {self.frontier.root()}:
                self.faults.append(
                    Fault(
                        f"the first {size} records are not the ones that were signed",
                        where=f"{self.tag}/{size - 1}",
                    )
                )
        self.frontier.extend(leaves[start:])

    def shown_faults(self) -> Iterable[Fault]:
        """The first faults, and how many more there are."""
        yield from self.faults[:_MAX_FAULTS]
        if len(self.faults) > _MAX_FAULTS:
            yield Fault(f"{len(self.faults) - _MAX_FAULTS} further faults", where=self.tag)

    def _check_records(self, entries: Sequence[bytes | Dropped]) -> None:
        for index, data in enumerate(entries, self.frontier.size):
            if isinstance(data, Dropped):
                self.dropped += 1
                _, digest = self.account.dropped.setdefault(data.sweep, (self.tag, DroppedDigest()))
                digest.add(index, data.leaf)
                continue
            try:
                record = self._decode(data)
                if isinstance(record, DecisionRecord):
                    self.counts["decision"] += 1
                    place = parse_id(record.id)
                    if (place.tag, place.index) != (self.tag, index):
                        self.faults.append(
                            Fault(
                                f"expected the record of this place, found that of {record.id}",
                                where=f"{self.tag}/{index}",
                            )
                        )
                    self.account.repeats.add(record, index)
                else:
                    self.counts[record.act] += 1
                    self.account.take(record)
            except (msgspec.MsgspecError, BaluarteError, ValueError, RecursionError) as error:
                self.faults.append(
                    Fault(f"expected a record, found: {error}", where=f"{self.tag}/{index}")
                )


def _located(error: BaluarteError, where: str) -> list[Fault]:
    return [Fault(fault.message, where=where, hint=fault.hint) for fault in error.faults]
