"""Bundles and drafts in a folder: one subfolder a digest, whole or not there.

Files are written aside, made durable, and renamed into place in one step. What is read is what was
listed: no links, no subfolders, no name outside the grammar, nothing larger than its limit.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from baluarte.adapters.disk import open_existing, open_new, outside, read_at, sync_folder, write_at
from baluarte.core.bundle import MAX_FILE_BYTES
from baluarte.errors import DataError, TrustError

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_FOLDER = re.compile(r"sha256-([0-9a-f]{64})")
_FILE = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}(\.[a-z0-9]{1,8})?")
_MAX_FILES = 64
_MAX_BYTES = max(MAX_FILE_BYTES.values())


class FolderBundles:
    """Content under one root folder, by digest."""

    name: ClassVar[str] = "folder"

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, files: Mapping[str, bytes], digest: str) -> None:
        """Keep a bundle's files under its digest; the whole bundle or nothing.

        Putting the same files again is nothing.

        Raises:
            TrustError: other files are kept under this digest.
            OutsideError: the folder can't be written or has no room.
            ValueError: a file's name or size is out of bounds.
        """
        for path, data in files.items():
            if not _FILE.fullmatch(path) or len(data) > _MAX_BYTES or len(files) > _MAX_FILES:
                raise ValueError(f"no such file can be kept: {path!r}, {len(data)} bytes")
        target = self._folder(digest)
        aside = self._root / f".aside-{secrets.token_hex(8)}"
        with outside("the bundle can't be written", target):
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            aside.mkdir(mode=0o700)
            try:
                for path, data in files.items():
                    descriptor = open_new(aside / path)
                    try:
                        write_at(descriptor, data, 0)
                        os.fsync(descriptor)
                    finally:
                        os.close(descriptor)
                sync_folder(aside)
                if not os.path.lexists(target):
                    aside.rename(target)
                    sync_folder(self._root)
                    return
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        if self.get(digest) != dict(files):
            raise TrustError("other files are kept under this digest", where=str(target))

    def get(self, digest: str) -> dict[str, bytes]:
        """A bundle's files; the caller verifies them.

        Raises:
            DataError: there is no such bundle.
            TrustError: there is something in its folder that can't be part of a bundle.
        """
        folder = self._folder(digest)
        if not os.path.lexists(folder):
            raise DataError(f"there is no bundle {digest}", where=str(self._root))
        return read_folder(folder)

    def digests(self) -> list[str]:
        """Digests of all that is kept, sorted."""
        if not self._root.is_dir():
            return []
        found = (_FOLDER.fullmatch(name) for name in os.listdir(self._root))
        return sorted(f"sha256:{match[1]}" for match in found if match)

    def _folder(self, digest: str) -> Path:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise DataError(f"expected sha256: and 64 hex digits, found {digest[:80]!r}")
        return self._root / f"sha256-{match[1]}"


def read_folder(folder: Path) -> dict[str, bytes]:
    """All files of one bundle folder, wherever it stands; the caller verifies them.

    Raises:
        OutsideError: the folder can't be read.
        TrustError: there is something that can't be part of a bundle: a link, a subfolder, a
            device, a strange name, too many or too large files.
    """
    files: dict[str, bytes] = {}
    with outside("the bundle can't be read", folder):
        if folder.is_symlink() or not folder.is_dir():
            raise TrustError("expected a folder, found something else", where=str(folder))
        for name in sorted(os.listdir(folder)):
            if not _FILE.fullmatch(name) or len(files) == _MAX_FILES:
                raise TrustError("a bundle has no such file", where=f"{folder}/{name[:80]}")
            files[name] = _read(folder / name)
    return files


def _read(path: Path) -> bytes:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise TrustError("expected a file, found a link, folder or device", where=str(path))
    descriptor = open_existing(path)
    try:
        status = os.fstat(descriptor)
        limit = MAX_FILE_BYTES.get(path.name, _MAX_BYTES)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise TrustError(
                f"expected a file of at most {limit} bytes, found {status.st_size}",
                where=str(path),
            )
        return read_at(descriptor, status.st_size, 0)
    finally:
        os.close(descriptor)
