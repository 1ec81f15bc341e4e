"""Which bytes of a ledger are committed, for whoever copies them beside its writers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from baluarte.adapters.ledger import head as heads
from baluarte.adapters.ledger.layout import note_path, notes, segments, tags
from baluarte.core.checkpoint import LEDGER_ORIGIN, read_note

_OURS = re.compile(r"lock|head|spare|\..*|[0-9]{20}\.(?:seg|idx|cold)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedFile:
    """One file, or its committed beginning."""

    path: str  #: within the ledger
    source: Path
    n_bytes: int | None = None  #: None: all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedShard:
    """How far one shard is committed, and the files that say so."""

    tag: str
    size: int
    head: bytes  #: of a head file that says the same
    files: tuple[CommittedFile, ...]


def committed_shards(root: Path) -> Iterator[CommittedShard]:
    """Every shard that has records.

    A sweep may put a cold file in the place of a segment while it is copied: then that shard is
    asked for again.
    """
    for tag in tags(root):
        found = committed_shard(root, tag)
        if found is not None:
            yield found


def committed_shard(root: Path, tag: str) -> CommittedShard | None:
    """One shard; None where nothing was ever committed."""
    folder = root / tag
    head = heads.read(folder / "head")
    if head is None or head.size == 0:
        return None
    files = []
    for first in segments(folder):
        if first > head.segment or (first == head.segment and not head.offset):
            continue
        cold = folder / f"{first:020d}.cold"
        limit = head.offset if first == head.segment and not cold.exists() else None
        source = cold if cold.exists() else folder / f"{first:020d}.seg"
        files.append(CommittedFile(path=f"{tag}/{source.name}", source=source, n_bytes=limit))
    for size in notes(folder / "checkpoints"):
        if size <= head.size:  # one that was signed since belongs to the next backup
            name = f"checkpoints/{size:020d}.note"
            files.append(CommittedFile(path=f"{tag}/{name}", source=folder / name))
    files += [
        CommittedFile(path=f"{tag}/{name}", source=folder / name)
        for name in sorted(os.listdir(folder))
        if not _OURS.fullmatch(name) and (folder / name).is_file()
    ]
    return CommittedShard(tag=tag, size=head.size, head=heads.first_file(head), files=tuple(files))


def signed_heads(root: Path, until_us: int, n_logged: int) -> list[CommittedFile]:
    """The checkpoints over all shards that were signed until then.

    Args:
        n_logged: entries of the log of heads that are copied; one that covers more is left out.
    """
    folder = root / "heads"
    return [
        CommittedFile(path=f"heads/{at:020d}.note", source=note_path(folder, at))
        for at in notes(folder)
        if at <= until_us and _covers(note_path(folder, at)) <= n_logged
    ]


def _covers(path: Path) -> int:
    """How many entries of the log of heads a checkpoint covers; version 0.1 had none."""
    checkpoint, _ = read_note(path.read_bytes(), where=path.name)
    return 0 if checkpoint.origin == LEDGER_ORIGIN else checkpoint.size
