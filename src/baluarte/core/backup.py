"""What a backup says of itself: every file by its content, and how far each shard went."""

from __future__ import annotations

import msgspec

FORMAT = "baluarte-backup/1"


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a store.

    Attributes:
        store: whose it is, such as ``ledger``.
        path: within the store; empty where the store is this file.
        digest: SHA-256 of the bytes, in hex; under this name they are kept.
        mtime_ns: of the file that was read: one that has not changed is not read again.
    """

    store: str
    path: str
    digest: str
    n_bytes: int
    mtime_ns: int = 0


class ShardMark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a shard of the ledger went, as the backup has it."""

    tag: str
    size: int
    root: str  #: of the tree over these records, in hex


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One backup.

    Attributes:
        at: microseconds of UTC at which it began; everything recorded before is in it.
        left_out: stores that are not files here, and have backups of their own.
    """

    id: str
    at: int
    program: str
    actor: str
    shards: tuple[ShardMark, ...]
    files: tuple[BackupFile, ...]
    left_out: tuple[str, ...] = ()
    format: str = FORMAT


class SignedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest's bytes with the signature over them."""

    manifest: msgspec.Raw
    key_id: str
    signature: bytes


def is_within(path: str) -> bool:
    """Whether a file's path stays within its store.

    >>> [is_within(path) for path in ("", "3fa04c/head", "../key", "/etc/passwd", "a//b")]
    [True, True, False, False, False]
    """
    return not path or all(
        part and part not in (".", "..") and "\0" not in part and "\\" not in part
        for part in path.split("/")
    )
