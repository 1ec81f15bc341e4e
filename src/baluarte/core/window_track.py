"""What is remembered of one entity: its events' times and values, as arrays in order of time.

Sums are kept as running totals of whole numbers, so that the sum over any window is one
subtraction, whatever came before and in whatever order. Beyond a stated number of events the oldest
half is added up in one bucket, which counts wholly at the time of its last event.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from baluarte.core import sketch
from baluarte.core.event import MAX_EXACT_INTEGER

Kind = Literal["sum", "value", "hash"]
Entry = tuple[Any, ...]  #: one event's values, one a column: whole units, a number, a hash

TYPECODES: dict[Kind, str] = {"sum": "q", "value": "d", "hash": "Q"}
MAX_UNITS = 2**46  #: of one value in minor units; 65,536 of them stay within 64 bits
MAX_BUCKETS = 32
_SLACK = 16  #: entries that may wait to be dropped
_REBASE = 2**60
_MANY = 256  #: from here on NumPy is quicker than a loop


class Bucket(msgspec.Struct, array_like=True):
    """Events that are no longer kept one by one."""

    at: int  #: of the last of them, microseconds of UTC
    n: int
    #: a column: the sum; the least and the greatest; the registers of a sketch
    columns: list[Any]


class Track:
    """The remembered events of one entity that meet one condition."""

    __slots__ = ("at", "buckets", "columns", "kinds")

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.kinds = kinds
        self.at = array("q")
        self.columns = [array(TYPECODES[kind], (0,) if kind == "sum" else ()) for kind in kinds]
        self.buckets: list[Bucket] | None = None

    def insert(self, at: int, entry: Entry) -> int:
        """Remember an event, after those of the same time; its position, -1 in a bucket."""
        times = self.at
        if times and at >= times[-1]:
            times.append(at)
            for kind, column, value in zip(self.kinds, self.columns, entry, strict=True):
                column.append(column[-1] + value if kind == "sum" else value)
            return len(times) - 1
        if self.buckets and at <= self.buckets[-1].at:
            _add(next(b for b in self.buckets if at <= b.at), self.kinds, entry)
            return -1
        i = bisect_right(times, at)
        times.insert(i, at)
        for kind, column, value in zip(self.kinds, self.columns, entry, strict=True):
            if kind == "sum":
                column.insert(i + 1, column[i])
                for j in range(i + 1, len(column)):
                    column[j] += value
            else:
                column.insert(i, value)
        return i

    def remove(self, at: int, entry: Entry) -> bool:
        """Forget one event with this time and these values; whether there was one."""
        for i in range(bisect_left(self.at, at), bisect_right(self.at, at)):
            if self._entry(i) == entry:
                self._delete(i, entry)
                return True
        return False

    def forget(self, j: int, values: Collection[int]) -> int:
        """Forget the events that have one of these values in a column; how many."""
        n = 0
        for i in range(len(self.at) - 1, -1, -1):
            if self.columns[j][i] in values:
                self._delete(i, self._entry(i))
                n += 1
        return n

    def is_untidy(self, floor: int, max_events: int) -> bool:
        """Whether :meth:`tidy` has something to do."""
        n = len(self.at)
        return n > 2 * _SLACK and (self.at[_SLACK] <= floor or n > max_events)

    def tidy(self, floor: int, max_events: int) -> bool:
        """Drop what is at or before ``floor``; whether events were put into a bucket."""
        times = self.at
        if len(times) > 2 * _SLACK and times[_SLACK] <= floor:
            self._drop(bisect_right(times, floor))
        if self.buckets and self.buckets[0].at <= floor:
            self.buckets = [b for b in self.buckets if b.at > floor] or None
        if len(times) <= max_events:
            return False
        self._fold(len(times) // 2)
        return True

    def total(self, j: int, lo: int, hi: int, old: Sequence[Bucket]) -> int:
        """Sum of a column over a window, in whole units."""
        column = self.columns[j]
        exact: int = column[hi] - column[lo]
        return exact + sum(b.columns[j] for b in old) if old else exact

    def extreme(
        self, j: int, lo: int, hi: int, old: Sequence[Bucket], pick: Callable[..., float]
    ) -> float | None:
        """The least or greatest value of a window; None where it is empty."""
        found: list[float] = [b.columns[j][pick is max] for b in old]
        if hi - lo > _MANY:
            values = np.frombuffer(self.columns[j], dtype=np.float64)[lo:hi]
            found.append(float(values.max() if pick is max else values.min()))
        elif hi > lo:
            found.append(pick(self.columns[j][lo:hi]))
        return pick(found) if found else None

    def distinct(self, j: int, lo: int, hi: int, old: Sequence[Bucket]) -> int:
        """Distinct values of a window: exact, or by a sketch where it reaches into buckets."""
        if not old and hi - lo <= _MANY:
            return len(set(self.columns[j][lo:hi]))
        hashes = np.frombuffer(self.columns[j], dtype=np.uint64)[lo:hi]
        if not old:
            return len(np.unique(hashes))
        return sketch.estimate(
            sketch.union(sketch.sketch_of(hashes), *(bucket.columns[j] for bucket in old))
        )

    def dump(self) -> list[Any]:
        """As plain values that MessagePack holds."""
        buckets = [[b.at, b.n, [_plain(c) for c in b.columns]] for b in self.buckets or ()]
        return [self.at.tobytes(), [c.tobytes() for c in self.columns], buckets]

    @classmethod
    def load(cls, kinds: Sequence[Kind], data: Sequence[Any]) -> Track:
        """A track from :meth:`dump`.

        Raises:
            ValueError: it is none, or one of other columns.
        """
        track = cls(kinds)
        times, columns, buckets = data
        track.at = array("q", times)
        track.columns = [array(TYPECODES[k], c) for k, c in zip(kinds, columns, strict=True)]
        wanted = [len(track.at) + (kind == "sum") for kind in kinds]
        if [len(column) for column in track.columns] != wanted:
            raise ValueError("columns of another length than the times")
        track.buckets = msgspec.convert(buckets, list[Bucket]) or None
        for bucket in track.buckets or ():
            bucket.columns = [
                int(c) if kind == "sum" else c
                for kind, c in zip(kinds, bucket.columns, strict=True)
            ]
        return track

    def _delete(self, i: int, entry: Entry) -> None:
        del self.at[i]
        for kind, column, value in zip(self.kinds, self.columns, entry, strict=True):
            if kind == "sum":
                del column[i + 1]
                for j in range(i + 1, len(column)):
                    column[j] -= value
            else:
                del column[i]

    def _entry(self, i: int) -> Entry:
        return tuple(
            column[i + 1] - column[i] if kind == "sum" else column[i]
            for kind, column in zip(self.kinds, self.columns, strict=True)
        )

    def _drop(self, n: int) -> None:
        del self.at[:n]
        for j, (kind, column) in enumerate(zip(self.kinds, self.columns, strict=True)):
            del column[:n]
            if kind == "sum" and abs(column[-1]) > _REBASE:
                base = column[0]
                self.columns[j] = array("q", [total - base for total in column])

    def _fold(self, n: int) -> None:
        """Put the oldest ``n`` events into one bucket."""
        columns: list[Any] = []
        for kind, column in zip(self.kinds, self.columns, strict=True):
            if kind == "sum":
                columns.append(column[n] - column[0])
            elif kind == "value":
                columns.append([min(column[:n]), max(column[:n])])
            else:
                hashes = np.frombuffer(column, dtype=np.uint64)[:n]
                columns.append(sketch.sketch_of(hashes).tobytes())
                del hashes  # an array that is looked at can't shrink
        buckets = self.buckets = self.buckets or []
        buckets.append(Bucket(at=self.at[n - 1], n=n, columns=columns))
        self._drop(n)
        if len(buckets) > MAX_BUCKETS:
            i = min(range(len(buckets) - 1), key=lambda i: buckets[i].n + buckets[i + 1].n)
            buckets[i : i + 2] = [_joined(self.kinds, buckets[i], buckets[i + 1])]


def _plain(column: Any) -> Any:
    """A bucket's value as MessagePack holds it, which ends at 64 bits."""
    return str(column) if isinstance(column, int) and not -(2**63) <= column < 2**63 else column


def _add(bucket: Bucket, kinds: Sequence[Kind], entry: Entry) -> None:
    bucket.n += 1
    for j, (kind, value) in enumerate(zip(kinds, entry, strict=True)):
        if kind == "sum":
            bucket.columns[j] += value
        elif kind == "value":
            low, high = bucket.columns[j]
            bucket.columns[j] = [min(low, value), max(high, value)]
        else:
            one = sketch.sketch_of(np.array([value], dtype=np.uint64))
            bucket.columns[j] = sketch.union(bucket.columns[j], one).tobytes()


def _joined(kinds: Sequence[Kind], first: Bucket, second: Bucket) -> Bucket:
    columns: list[Any] = []
    for kind, a, b in zip(kinds, first.columns, second.columns, strict=True):
        if kind == "sum":
            columns.append(a + b)
        elif kind == "value":
            columns.append([min(a[0], b[0]), max(a[1], b[1])])
        else:
            columns.append(sketch.union(a, b).tobytes())
    return Bucket(at=second.at, n=first.n + second.n, columns=columns)


def record_form(value: float) -> float | int:
    """A computed number as a record holds it: whole numbers as integers."""
    if type(value) is float and value.is_integer() and abs(value) <= MAX_EXACT_INTEGER:
        return int(value)
    return value
