"""A file that appears whole or not at all: written aside, made durable, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from baluarte.adapters.disk import open_new, outside, sync_folder
from baluarte.adapters.objects import is_object, put_object
from baluarte.errors import DataError


class Aside:
    """A private folder beside the file that is to be; the file that was opened last becomes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n = 0

    @property
    def path(self) -> Path:
        """The file that was opened last."""
        return self._folder / str(self._n)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """A new empty file; durable when the block ends."""
        self._n += 1
        with os.fdopen(open_new(self.path), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def whole_file(address: str) -> Iterator[Aside]:
    """Where to write a file's content; it stands at ``address`` when the block ends without error.

    What becomes an object is written to this machine's temporary folder first.

    Raises:
        DataError: the address is no place for a file.
        OutsideError: the operating system refused; nothing is left behind.
    """
    if is_object(address):
        with _whole_object(address) as aside:
            yield aside
        return
    path = Path(address)
    if not path.parent.is_dir():
        raise DataError("expected a folder to write into, found none", where=str(path.parent))
    if path.exists() and not path.is_file():
        raise DataError("expected a file or nothing there, found a folder or device", where=address)
    folder = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.part")
    with outside("can't write the file", path):
        folder.mkdir(mode=0o700)
        try:
            aside = Aside(folder)
            yield aside
            aside.path.rename(path)
            sync_folder(path.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _whole_object(address: str) -> Iterator[Aside]:
    with tempfile.TemporaryDirectory(prefix="baluarte-") as folder:
        aside = Aside(Path(folder))
        with outside("can't write the file", Path(folder)):
            yield aside
        put_object(aside.path, address)
