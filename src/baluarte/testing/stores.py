"""Stores in memory, and what every ledger, registry and bundle store must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from baluarte.core.merkle import Frontier, leaf_hash, root_of
from baluarte.core.registry import (
    LabelIntake,
    LabelRow,
    Promotion,
    Shadowing,
    Version,
    WorkerState,
)
from baluarte.core.retention import Dropped
from baluarte.core.tiles import Tree, tree_of
from baluarte.errors import DataError, OutsideError, TrustError
from baluarte.ports import BundleStore, LedgerReader, LedgerShard, Room
from baluarte.testing.expect import refused, same
from baluarte.testing.keepers import MemoryKeeper


class MemoryLedger:
    """A ledger in memory: opens shards, reads them all, and can be told to run out of room."""

    name: ClassVar[str] = "memory"

    def __init__(self) -> None:
        self.room = Room(1 << 40, 1 << 25, next_is_reserved=True)
        self.full = False  #: every commit fails from the moment this is set
        self.kept: dict[str, list[bytes]] = {}  #: durable records by tag; tests may damage them
        self.dropped: dict[str, dict[int, Dropped]] = {}  #: what stays of dropped records
        self.cold: dict[str, set[int]] = {}  #: first indexes of cold segments
        self.segment_records = 10  #: how many records a segment has
        self.held: set[str] = set()  #: tags of shards that have a writer
        self.kept_heads: list[bytes] = []  #: the log of heads; tests may damage it
        self._notes: dict[str | None, dict[int, bytes]] = {}

    def open_shard(self) -> MemoryShard:
        """Any free shard, or a new one."""
        free = sorted(self.kept.keys() - self.held)
        tag = free[0] if free else f"{len(self.kept):06x}"
        self.kept.setdefault(tag, [])
        self.held.add(tag)
        return MemoryShard(self, tag)

    def release(self, tag: str) -> None:
        """A shard's writer is done."""
        self.held.discard(tag)

    def reader(self) -> LedgerReader:
        """Reads all shards."""
        return self

    def shards(self) -> list[str]:
        """Tags of all shards, sorted."""
        return sorted(self.kept)

    def size(self, tag: str) -> int:
        """Durable records of a shard."""
        return len(self._of(tag))

    def entries(
        self, tag: str, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes | Dropped]:
        """The records' bytes in order, and of each dropped one what stays of it."""
        dropped = self.dropped.get(tag, {})
        for index, record in enumerate(self._of(tag)[start:stop], start):
            yield dropped.get(index, record)

    def records(self, tag: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of the records that are kept, in order."""
        for entry in self.entries(tag, start, stop):
            if not isinstance(entry, Dropped):
                yield entry

    def record(self, tag: str, index: int) -> bytes:
        """One record."""
        if not 0 <= index < self.size(tag) or index in self.dropped.get(tag, {}):
            raise DataError(f"shard {tag} has no record {index}")
        return self.kept[tag][index]

    def leaf_hashes(self, tag: str, stop: int | None = None, *, start: int = 0) -> Sequence[bytes]:
        """Leaf hashes of the records from ``start`` up to ``stop``."""
        return [
            entry.leaf if isinstance(entry, Dropped) else leaf_hash(entry)
            for entry in self.entries(tag, start, stop)
        ]

    def tree(self, tag: str, *, fresh: bool = False) -> Tree:
        """The tree over a shard's records."""
        del fresh
        return tree_of(self.leaf_hashes(tag))

    def heads(self) -> list[bytes]:
        """Entries of the log of heads; tests may damage what is kept."""
        return list(self.kept_heads)

    def add_heads(self, entries: Sequence[bytes], *, after: int) -> None:
        """Append to the log of heads."""
        if len(self.kept_heads) != after:
            raise OutsideError("another process signs at this moment", retryable=True)
        self.kept_heads.extend(entries)

    def keeper(self) -> MemoryKeeper:
        """Compresses and drops."""
        return MemoryKeeper(self)

    def notes(self, tag: str | None) -> list[bytes]:
        """Signed checkpoints, oldest first."""
        return [note for _, note in sorted(self._notes.get(tag, {}).items())]

    def put_note(self, tag: str | None, number: int, note: bytes) -> None:
        """Keep a signed checkpoint."""
        self._notes.setdefault(tag, {})[number] = note

    def _of(self, tag: str) -> list[bytes]:
        if tag not in self.kept:
            raise DataError(f"the ledger has no shard {tag!r}")
        return self.kept[tag]


class MemoryShard:
    """One shard of a :class:`MemoryLedger`."""

    def __init__(self, ledger: MemoryLedger, tag: str) -> None:
        self._ledger, self._tag = ledger, tag
        self._queue: list[bytes] = []
        self._failed = self._closed = False

    @property
    def tag(self) -> str:
        """Six hex digits."""
        return self._tag

    @property
    def size(self) -> int:
        """Records so far, durable or not."""
        return len(self._ledger.kept[self._tag]) + len(self._queue)

    def append(self, records: Sequence[bytes]) -> int:
        """Queue records and return the first one's index."""
        self._refuse()
        if not all(records):
            raise ValueError("a record has at least 1 byte")
        first = self.size
        self._queue.extend(records)
        return first

    def commit(self) -> None:
        """Keep everything appended."""
        self._refuse()
        if self._queue and self._ledger.full:
            self._failed = True
            raise OutsideError("no room", hint="This is a test.")
        self._ledger.kept[self._tag].extend(self._queue)
        self._queue = []

    def room(self) -> Room:
        """As much as the test says."""
        return self._ledger.room

    def root(self) -> bytes:
        """The tree head over all records."""
        return root_of(leaf_hash(r) for r in (*self._ledger.kept[self._tag], *self._queue))

    def close(self) -> None:
        """Commit and give the shard free."""
        if self._closed:
            return
        try:
            if not self._failed:
                self.commit()
        finally:
            self._closed = True
            self._ledger.release(self._tag)

    def _refuse(self) -> None:
        if self._failed or self._closed:
            raise OutsideError("the shard takes no records")


class MemoryBundles:
    """Bundles in memory; tests may damage what is kept."""

    name: ClassVar[str] = "memory"

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, bytes]] = {}

    def put(self, files: Mapping[str, bytes], digest: str) -> None:
        """Keep files under a digest."""
        if self.kept.setdefault(digest, dict(files)) != dict(files):
            raise TrustError("other files are kept under this digest", where=digest)

    def get(self, digest: str) -> dict[str, bytes]:
        """The files under a digest."""
        if digest not in self.kept:
            raise DataError(f"there is no bundle {digest}")
        return dict(self.kept[digest])


class MemoryRegistry:
    """A registry in memory."""

    name: ClassVar[str] = "memory"

    def __init__(self) -> None:
        self._versions: dict[str, list[Version]] = {}
        self._promotions: list[Promotion] = []
        self._approvals: dict[tuple[str, int], list[tuple[str, int, str]]] = {}
        self._declines: dict[tuple[str, int], list[tuple[str, int, str]]] = {}
        self._looks: dict[str, int] = {}
        self._shadows: dict[tuple[str, int], str] = {}
        self._workers: dict[str, WorkerState] = {}
        self._labels: dict[str, dict[str, dict[str, tuple[int, int, LabelRow]]]] = {}
        self._count = 0

    def add(self, version: Version) -> None:
        """Record a sealed version."""
        known = self._versions.setdefault(version.detector, [])
        last, epoch = (known[-1].version, known[-1].epoch) if known else (0, 0)
        digests = {v.digest for versions in self._versions.values() for v in versions}
        if version.version != last + 1 or version.epoch <= epoch or version.digest in digests:
            raise DataError(f"{version.detector}@{version.version} is not the next version")
        known.append(version)

    def versions(self, detector: str) -> list[Version]:
        """All versions, oldest first."""
        return list(self._versions.get(detector, []))

    def detectors(self) -> list[str]:
        """Names of all detectors, sorted."""
        return sorted(name for name, versions in self._versions.items() if versions)

    def set_champion(self, promotion: Promotion) -> None:
        """Make a version the one that decides."""
        self._must_exist(promotion.detector, promotion.version)
        self._promotions.append(promotion)

    def champion(self, detector: str) -> Version | None:
        """The version that decides, or None."""
        promotions = self.promotions(detector)
        return self._versions[detector][promotions[-1].version - 1] if promotions else None

    def champion_epoch(self, detector: str) -> int:
        """Rises by every change of champion."""
        numbers = [n for n, p in enumerate(self._promotions, 1) if p.detector == detector]
        return max(numbers, default=0)

    def shadow(self, change: Shadowing) -> None:
        """Let a version score beside the one that decides, or end it."""
        self._must_exist(change.detector, change.version)
        self._shadows[change.detector, change.version] = change.kind

    def challengers(self, detector: str) -> list[Version]:
        """The versions that score beside the one that decides."""
        kinds = self._shadows
        return [v for v in self.versions(detector) if kinds.get((detector, v.version)) == "shadow"]

    def beat(self, state: WorkerState) -> None:
        """Keep what a worker says of itself."""
        self._workers[state.worker] = state
        for one in list(self._workers.values()):
            if one.seen_at < state.seen_at - 86_400_000_000:
                self.leave(one.worker)

    def leave(self, worker: str) -> None:
        """A worker ends."""
        self._workers.pop(worker, None)

    def workers(self) -> list[WorkerState]:
        """What workers said last."""
        return [self._workers[name] for name in sorted(self._workers)]

    def promotions(self, detector: str) -> list[Promotion]:
        """All changes of champion, oldest first."""
        return [p for p in self._promotions if p.detector == detector]

    def approve(self, detector: str, version: int, *, actor: str, at: int, reason: str) -> None:
        """Record an approval."""
        self._must_exist(detector, version)
        given = self._approvals.setdefault((detector, version), [])
        if any(by == actor for by, _, _ in given):
            raise DataError(f"{actor} approved {detector}@{version} before")
        given.append((actor, at, reason))

    def approvals(self, detector: str, version: int) -> list[tuple[str, int, str]]:
        """Each approval, oldest first."""
        return list(self._approvals.get((detector, version), []))

    def decline(self, detector: str, version: int, *, actor: str, at: int, reason: str) -> None:
        """Record that a version was declined."""
        self._must_exist(detector, version)
        said = self._declines.setdefault((detector, version), [])
        if any(by == actor for by, _, _ in said):
            raise DataError(f"{actor} declined {detector}@{version} before")
        said.append((actor, at, reason))

    def declines(self, detector: str, version: int) -> list[tuple[str, int, str]]:
        """Each time it was declined, oldest first."""
        return list(self._declines.get((detector, version), []))

    def spend_look(
        self, holdout: str, *, detector: str, actor: str, at: int, candidate: str
    ) -> int:
        """Record a look; its number, from 1."""
        del detector, actor, at, candidate  # counted, not kept
        self._looks[holdout] = self.looks(holdout) + 1
        return self._looks[holdout]

    def looks(self, holdout: str) -> int:
        """Looks spent so far."""
        return self._looks.get(holdout, 0)

    def add_labels(self, detector: str, rows: Sequence[LabelRow]) -> LabelIntake:
        """Keep what sources said about events."""
        new = corrections = conflicts = 0
        events = self._labels.setdefault(detector, {})
        for row in rows:
            said = events.setdefault(row.event_id, {})
            before = said.get(row.source)
            if before is not None and before[2].label == row.label:
                continue
            others = {w[2].label for source, w in said.items() if source != row.source}
            corrections += before is not None
            new += not said
            conflicts += bool(others - {row.label})
            self._count += 1
            word = (row.at, self._count, row)
            said[row.source] = word if before is None or before[0] <= row.at else before
        return LabelIntake(new=new, corrections=corrections, conflicts=conflicts)

    def labels(self, detector: str) -> dict[str, LabelRow]:
        """The label of each event: what was said last counts."""
        events = self._labels.get(detector, {})
        return {event_id: _rows(said)[-1] for event_id, said in events.items()}

    def labels_of(self, detector: str, event_ids: Sequence[str]) -> dict[str, LabelRow]:
        """The labels of these events, where they have any."""
        known = self.labels(detector)
        return {event: known[event] for event in event_ids if event in known}

    def label_conflicts(self, detector: str) -> list[LabelRow]:
        """The newest word of each source about the events on which sources differ."""
        rows: list[LabelRow] = []
        for _, said in sorted(self._labels.get(detector, {}).items()):
            if len({row.label for _, _, row in said.values()}) > 1:
                rows += _rows(said)
        return rows

    def _must_exist(self, detector: str, version: int) -> None:
        if not 1 <= version <= len(self._versions.get(detector, [])):
            raise DataError(f"there is no version {detector}@{version}")


def _rows(said: Mapping[str, tuple[int, int, LabelRow]]) -> list[LabelRow]:
    """What sources said of one event, oldest first."""
    return [row for _, _, row in sorted(said.values(), key=lambda word: word[:2])]


# --- conformance ---------------------------------------------------------------------------------


def check_ledger(open_shard: Callable[[], LedgerShard], reader: LedgerReader) -> None:
    """Conformance of a fresh ledger.

    Raises:
        AssertionError: it breaks a rule of the ports.
    """
    first, second = open_shard(), open_shard()
    same(len({first.tag, second.tag}), 2)
    same(reader.shards(), sorted([first.tag, second.tag]))
    records = [b"record %d" % i for i in range(10)]
    same(first.append(records[:3]), 0)
    same(first.append(records[3:7]), 3)
    same((first.size, reader.size(first.tag)), (7, 0))
    first.commit()
    same(reader.size(first.tag), 7)
    same(first.append(records[7:]), 7)
    expected = Frontier()
    expected.extend(map(leaf_hash, records))
    same(first.root(), expected.root())
    refused(ValueError, lambda: first.append([b"x", b""]))
    same(first.size, 10)
    first.close()
    first.close()
    same(list(reader.records(first.tag)), records)
    same(list(reader.records(first.tag, 4, 6)), records[4:6])
    same([reader.record(first.tag, i) for i in range(10)], records)
    same(list(reader.leaf_hashes(first.tag, 9)), [leaf_hash(r) for r in records[:9]])
    same(list(reader.leaf_hashes(first.tag, 9, start=4)), [leaf_hash(r) for r in records[4:9]])
    same(reader.tree(first.tag).root(), expected.root())
    same(reader.tree(first.tag, fresh=True).root(), expected.root())
    same(reader.tree(first.tag).root(7), root_of(leaf_hash(r) for r in records[:7]))
    same(reader.heads(), [])
    reader.add_heads([b"one", b"two"], after=0)
    refused(OutsideError, lambda: reader.add_heads([b"other"], after=0))
    reader.add_heads([], after=2)
    reader.add_heads([b"three"], after=2)
    same(reader.heads(), [b"one", b"two", b"three"])
    refused(DataError, lambda: reader.record(first.tag, 10))
    refused(DataError, lambda: reader.size("ffffff"))
    refused(OutsideError, lambda: first.append([b"late"]))
    again = open_shard()  # a free shard is taken before a new one is made
    same((again.tag, again.size, again.root()), (first.tag, 10, expected.root()))
    again.close()
    second.close()
    for tag in (None, first.tag):
        same(reader.notes(tag), [])
        reader.put_note(tag, 12, b"later")
        reader.put_note(tag, 7, b"earlier")
        same(reader.notes(tag), [b"earlier", b"later"])


def check_bundle_store(store: BundleStore) -> None:
    """Conformance of a fresh bundle store.

    Raises:
        AssertionError: it breaks a rule of the port.
    """
    digest, other = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    files = {"manifest.json": b"{}", "program.bin": bytes(range(256)), "empty.txt": b""}
    refused(DataError, lambda: store.get(digest))
    store.put(files, digest)
    store.put(files, digest)
    same(store.get(digest), files)
    refused(TrustError, lambda: store.put({**files, "more.txt": b""}, digest))
    same(store.get(digest), files)
    refused(DataError, lambda: store.get(other))
