"""Reading one segment, hot or cold: its records, what stays of dropped ones, its leaf hashes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from baluarte.adapters.disk import outside
from baluarte.adapters.ledger.cold import ColdSegment
from baluarte.adapters.ledger.frames import scan
from baluarte.adapters.ledger.layout import cold_path, read_index, segment_path
from baluarte.core.merkle import leaf_hash, leaf_hashes
from baluarte.core.retention import Dropped
from baluarte.errors import DataError, TrustError
from baluarte.ports import Disk


def open_cold(folder: Path, first: int, disk: Disk) -> ColdSegment | None:
    """The segment as a cold one; None where it is hot."""
    try:
        return ColdSegment(cold_path(folder, first), disk)
    except FileNotFoundError:
        return None


def entries_of(
    folder: Path, first: int, start: int, stop: int, disk: Disk
) -> Iterator[bytes | Dropped]:
    """The records ``start`` to ``stop`` of the segment that begins with ``first``.

    Raises:
        TrustError: a committed record is missing or damaged; where says which.
    """
    at = start
    for entry in _entries(folder, first, start, stop, disk):
        yield entry
        at += 1
    if at < stop:
        raise TrustError("a committed record is damaged", where=f"{folder.name}/{at}")


def _entries(
    folder: Path, first: int, start: int, stop: int, disk: Disk
) -> Iterator[bytes | Dropped]:
    with outside("the ledger can't be read", folder):
        descriptor = _open_hot(folder, first, disk)
        if descriptor is None:
            with ColdSegment(cold_path(folder, first), disk) as cold:
                yield from cold.entries(start - first, stop - first)
            return
    try:
        found = read_index(folder, first, start - first, 1, disk)
        offset, at = (found[0][0], start) if found else (0, first)
        for _, record in scan(descriptor, offset, disk):
            if at >= stop:
                return
            if at >= start:
                yield record
            at += 1
    finally:
        disk.close(descriptor)


def _open_hot(folder: Path, first: int, disk: Disk) -> int | None:
    """A descriptor of the hot segment; None where the cold one took its place."""
    cold = open_cold(folder, first, disk)
    if cold is not None:
        cold.close()
        return None
    try:
        return disk.open_existing(segment_path(folder, first))
    except FileNotFoundError:  # it became cold just now, or it is missing
        return None


def record_of(folder: Path, first: int, index: int, disk: Disk) -> bytes:
    """One record; of a hot segment without reading others, where the index leads to it.

    Raises:
        DataError: a sweep dropped it.
        TrustError: it is missing or damaged.
    """
    where = f"{folder.name}/{index}"
    found = read_index(folder, first, index - first, 1, disk)
    offset, leaf = found[0] if found else (0, b"")
    descriptor = _open_hot(folder, first, disk) if found else None
    if descriptor is not None:
        try:
            record = next((record for _, record in scan(descriptor, offset, disk)), None)
        finally:
            disk.close(descriptor)
        if record is not None:
            if leaf_hash(record) != leaf:
                raise TrustError("the record is not the one that was indexed", where=where)
            return record
    entry = next(entries_of(folder, first, index, index + 1, disk))
    if isinstance(entry, Dropped):
        raise DataError(
            f"record {where} is past its retention: sweep {entry.sweep} dropped it",
            hint="Its leaf hash is kept, so every proof that covers it stays valid.",
        )
    return entry


def leaves_of(folder: Path, first: int, start: int, stop: int, disk: Disk) -> list[bytes]:
    """Leaf hashes of the segment's records from ``start`` up to ``stop``."""
    cold = open_cold(folder, first, disk)
    if cold is not None:
        with cold:
            return cold.leaves(start - first, stop - first)
    found = read_index(folder, first, start - first, stop - start, disk)
    if found is not None:
        return [leaf for _, leaf in found]
    records: list[bytes] = []
    leaves: list[bytes] = []
    for entry in entries_of(folder, first, start, stop, disk):
        if isinstance(entry, Dropped):
            leaves += [*leaf_hashes(records), entry.leaf]
            records = []
        else:
            records.append(entry)
    return leaves + leaf_hashes(records)
