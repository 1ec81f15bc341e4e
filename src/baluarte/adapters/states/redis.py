"""Window state in Redis, for any number of workers: an entity is changed as a whole or not at all.

The workers run the same rules as the state in memory: a block of events is read, computed and
written in one transaction, which Redis refuses if another worker changed any of its entities in
between (WATCH, MULTI, EXEC); then it is computed again. Workers need no order among themselves, but
what has arrived is what counts: a stream whose events of one entity must be seen in order sends
them to one worker, by hashing the entity's key (as Kafka does by the message key).

An entity that is idle for longer than it can matter expires. Redis bounds its memory itself: with
``maxmemory-policy volatile-lru`` the longest idle entities go first, and are counted.

Source: Redis documentation, "Transactions" (optimistic locking using check-and-set).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from baluarte.adapters.outward import LEAST
from baluarte.core.window_cell import NEW, Cell
from baluarte.core.window_plan import Group, WindowPlan
from baluarte.core.windows import (
    Seen,
    Told,
    WindowCounts,
    forget_distinct,
    id_of,
    is_of,
    place_of,
    time_of,
)
from baluarte.errors import OutsideError

_BLOCK = 32  #: events of one transaction
_TRIES = 1_000  #: of a transaction that others keep changing under
_PATIENT = 3  #: tries of a whole block before its events go one by one
_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.decode


class RedisState:
    """The state of one detector's window features.

    Args:
        url: ``redis://HOST:PORT/DB``, ``rediss://…`` or ``unix://…``.

    Raises:
        OutsideError: the client isn't installed, or the server doesn't answer.
    """

    name: ClassVar[str] = "redis"
    shared: ClassVar[bool] = True

    def __init__(
        self, plan: WindowPlan, *, detector: str, url: str, password: str | None = None
    ) -> None:
        try:
            import redis  # noqa: PLC0415 - only who keeps state in Redis pays
        except ImportError as error:
            raise OutsideError(
                "window state in Redis needs its client, which isn't installed",
                where="state.url",
                hint="pip install 'baluarte[redis]'",
            ) from error
        self._redis = redis
        self._plan = plan
        self._where = url.rpartition("@")[2]
        self._prefix = f"baluarte:{detector}:{plan.digest[:16]}:"
        secured = {"ssl_min_version": LEAST} if url.startswith("rediss:") else {}
        self._client: Any = redis.Redis.from_url(url, password=password, **secured)
        self._ttl_ms = 1 + (plan.keep_us + plan.late_us) // 1_000
        self._id_ttl_ms = 1 + (plan.repeat_us + plan.late_us) // 1_000
        with self._outside():
            self._client.ping()

    def see(self, events: Sequence[Seen]) -> None:
        """Remember events, in order, and write the window features into their records.

        Raises:
            OutsideError: Redis is away.
        """
        with self._outside():
            for start in range(0, len(events), _BLOCK):
                block = events[start : start + _BLOCK]
                if not self._tried(block, _PATIENT):
                    for one in block:
                        self._insist([one])

    def learn(self, labels: Sequence[Told]) -> int:
        """Take labels in; how many changed something that can still matter.

        Raises:
            OutsideError: Redis is away.
        """
        with self._outside():
            return sum(self._learn(told) for told in labels)

    def forget(self, field: str, names: Collection[str]) -> int:
        """Forget the subjects that ``field`` names; of how many entities something was held.

        Raises:
            OutsideError: Redis is away.
        """
        n = 0
        with self._outside():
            for i, group in enumerate(self._plan.groups):
                start = f"{self._prefix}c{i}:".encode()
                for name in self._client.scan_iter(start + b"*", 1_000):
                    if is_of(group, _decode(name[len(start) :]), field, names):
                        n += self._client.delete(name)
                    elif group.counts_distinct(field):
                        n += self._forget_distinct(group, name, field, names)
        return n

    def clear(self) -> None:
        """Forget everything.

        Raises:
            OutsideError: Redis is away.
        """
        with self._outside():
            for name in self._client.scan_iter(f"{self._prefix}*", 1_000):
                self._client.delete(name)

    def count(self) -> WindowCounts:
        """What the rules did so far over all workers, and what is held."""
        with self._outside():
            found = self._client.hgetall(f"{self._prefix}n")
            counts = WindowCounts(**{name.decode(): int(n) for name, n in found.items()})
            counts.entities = sum(1 for _ in self._client.scan_iter(f"{self._prefix}c*", 10_000))
            counts.entities_forgotten = int(self._client.info("stats")["evicted_keys"])
        return counts

    @property
    def mark(self) -> Mapping[str, int]:
        """Nothing: whatever was seen is there already."""
        return {}

    def snapshot(self, mark: Mapping[str, int]) -> bytes:  # noqa: ARG002 - the port's
        """Nothing: Redis keeps what it was told, by its own settings."""
        return b""

    def keep(self, snapshot: bytes) -> None:
        """Nothing, likewise."""

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    # --- within -----------------------------------------------------------------------------

    def _insist(self, block: Sequence[Seen]) -> None:
        if not self._tried(block, _TRIES):
            raise OutsideError(
                f"an entity's state was changed by others in {_TRIES} tries",
                where=self._where,
                retryable=True,
            )

    def _tried(self, block: Sequence[Seen], tries: int) -> bool:
        """One block as one transaction; False where others were quicker each time."""
        with self._client.pipeline() as pipe:
            for _ in range(tries):
                work = _Work(self._plan, self._prefix)
                for seen in block:
                    for name in self._plan.names:
                        seen.record.pop(name, None)
                names = work.names(block)
                if not names:
                    work.run(block)
                    return True
                pipe.watch(*names)
                work.take(dict(zip(names, pipe.mget(names), strict=True)))
                work.run(block)
                pipe.multi()
                work.give(pipe, ttl_ms=self._ttl_ms, id_ttl_ms=self._id_ttl_ms)
                with contextlib.suppress(self._redis.WatchError):
                    pipe.execute()
                    return True
        return False

    def _forget_distinct(
        self, group: Group, name: bytes, field: str, names: Collection[str]
    ) -> bool:
        with self._client.pipeline() as pipe:
            for _ in range(_TRIES):
                pipe.watch(name)
                data = pipe.get(name)
                if data is None:
                    return False
                cell = group.cells.load(_decode(data))
                if not forget_distinct(group, cell, field, names):
                    return False
                pipe.multi()
                pipe.set(name, _encode(cell.dump()), keepttl=True)
                with contextlib.suppress(self._redis.WatchError):
                    pipe.execute()
                    return True
        raise OutsideError("an entity keeps changing", where=self._where, retryable=True)

    def _learn(self, told: Told) -> bool:
        plan, name = self._plan, f"{self._prefix}l{told.event_id}"
        groups = [
            (group, f"{self._prefix}c{i}:".encode() + _encode(group.key(told.record)))
            for i, group in enumerate(plan.groups)
            if group.key(told.record) is not None
        ]
        with self._client.pipeline() as pipe:
            for _ in range(_TRIES):
                pipe.watch(name, *(cell for _, cell in groups))
                known, *raw = pipe.mget([name, *(cell for _, cell in groups)])
                was, at = None if known is None else int(known), told.record.get(plan.time)
                if was == told.label or at is None:
                    pipe.unwatch()
                    return False
                taken = False
                pipe.multi()
                for (group, cell_name), data in zip(groups, raw, strict=True):
                    if data is None:
                        continue
                    cell = group.cells.load(_decode(data))
                    if cell.learn(told.record, int(at), was, told.label):
                        taken = True
                        pipe.set(cell_name, _encode(cell.dump()), px=self._ttl_ms)
                pipe.set(name, told.label, px=self._ttl_ms)
                pipe.hincrby(f"{self._prefix}n", "labels" if taken else "labels_too_late", 1)
                with contextlib.suppress(self._redis.WatchError):
                    pipe.execute()
                    return taken
        raise OutsideError("a label's entity keeps changing", where=self._where, retryable=True)

    @contextlib.contextmanager
    def _outside(self) -> Iterator[None]:
        try:
            yield
        except (self._redis.RedisError, OSError) as error:
            raise OutsideError(
                f"Redis did not answer as expected: {error}",
                where=self._where,
                hint="Start it, or see state.url in workspace.toml.",
                retryable=True,
            ) from error


class _Work:
    """One transaction: what it reads, what it computes, what it writes."""

    def __init__(self, plan: WindowPlan, prefix: str) -> None:
        self._plan, self._prefix = plan, prefix
        self._counts = WindowCounts()
        self._cells: dict[bytes, Cell] = {}
        self._changed: set[bytes] = set()
        self._ids: dict[bytes, int] = {}
        self._new_ids: set[bytes] = set()

    def names(self, block: Sequence[Seen]) -> list[bytes]:
        """Everything that the block depends on."""
        found: dict[bytes, None] = {}
        for seen in block:
            name = self._id_name(seen)
            if name is not None:
                found[name] = None
            for i, group in enumerate(self._plan.groups):
                key = group.key(seen.record)
                if key is not None:
                    found[self._cell_name(i, key)] = None
        return list(found)

    def take(self, values: dict[bytes, bytes | None]) -> None:
        """What Redis holds of it."""
        cells = f"{self._prefix}c".encode()
        for name, data in values.items():
            if data is None:
                continue
            if name.startswith(cells):
                i = int(name[len(cells) :].partition(b":")[0])
                self._cells[name] = self._plan.groups[i].cells.load(_decode(data))
            else:
                self._ids[name] = int(data)

    def run(self, block: Sequence[Seen]) -> None:
        """Compute the block, event by event."""
        plan = self._plan
        for seen in block:
            at = time_of(plan, seen)
            if at is None:
                continue
            name = self._id_name(seen)
            known = None if name is None else self._ids.get(name)
            place = place_of(plan, seen, at, known, self._counts)
            if place == NEW and name is not None:
                self._ids[name] = at
                self._new_ids.add(name)
            for i, group in enumerate(plan.groups):
                key = group.key(seen.record)
                if key is None:
                    continue
                cell_name = self._cell_name(i, key)
                cell = self._cells.get(cell_name) or group.cells.new()
                if place == NEW:
                    self._cells[cell_name] = cell
                    self._changed.add(cell_name)
                self._counts.took(cell.step(seen.record, seen.label, at, place))

    def give(self, pipe: Any, *, ttl_ms: int, id_ttl_ms: int) -> None:
        """Queue what changed."""
        for name in self._changed:
            pipe.set(name, _encode(self._cells[name].dump()), px=ttl_ms)
        for name in self._new_ids:
            pipe.set(name, self._ids[name], px=id_ttl_ms)
        for count, n in msgspec.structs.asdict(self._counts).items():
            if n:
                pipe.hincrby(f"{self._prefix}n", count, n)

    def _id_name(self, seen: Seen) -> bytes | None:
        event_id = id_of(self._plan, seen.record)
        return None if event_id is None else f"{self._prefix}i{event_id}".encode()

    def _cell_name(self, i: int, key: Any) -> bytes:
        return f"{self._prefix}c{i}:".encode() + _encode(key)
