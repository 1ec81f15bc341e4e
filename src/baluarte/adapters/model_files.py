"""Model files that people bring: read whole, within bounds, without running anything."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from baluarte.adapters.disk import outside
from baluarte.errors import DataError

MAX_BYTES = 512 << 20  #: of a model's file
HEAD_BYTES = 4096  #: from which a format is recognised


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBytes:
    """A model's file: what it is called, what is in it, and its digest."""

    name: str
    data: bytes
    digest: str

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return self.data[:HEAD_BYTES]


def read_model(path: Path) -> ModelBytes:
    """The file's content.

    Raises:
        DataError: no such file, no regular file, or one that is too large.
        OutsideError: the operating system refused.
    """
    if not path.is_file():
        raise DataError("expected a model's file, found none", where=str(path))
    with outside("can't read the model", path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise DataError(
                f"expected at most {MAX_BYTES} bytes, found {size}",
                where=str(path),
                hint="A model of this size can't decide in milliseconds; train a smaller one.",
            )
        data = file.read(MAX_BYTES)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return ModelBytes(name=path.name, data=data, digest=digest)
