"""Folders that DVC keeps: the list of their files, whose MD5 is the folder's.

The list is JSON in DVC's own form, an object of ``md5`` and ``relpath`` a file, by path. Its bytes
are what the MD5 is of, so that it is proved by the file of DVC's, wherever it comes from.

Source: DVC's documentation, "Internal directories and files", structure of the cache directory
(https://dvc.org/doc/user-guide/project-structure/internal-files).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from baluarte.adapters.event_files import content_md5
from baluarte.errors import DataError, TrustError

_PART = 1 << 20
_MAX_BYTES = 256 << 20  #: of a list
_MAX_SHOWN = 5  #: files that a message names


class _Entry(msgspec.Struct, frozen=True):
    md5: str
    relpath: str


_decode = msgspec.json.Decoder(list[_Entry]).decode


def files_of(folder: Path, md5: str, *, strict: bool, where: str) -> dict[str, str]:
    """The MD5 of each file of a folder by its path within it, as the list that has this MD5 says.

    Args:
        md5: with ``.dir`` at its end.
        strict: MD5s are of the bytes, as DVC 3 takes them.

    Raises:
        DataError: the folder isn't there, or the list is damaged.
        TrustError: the folder's files are not those of the list.
    """
    if not folder.is_dir():
        raise DataError(
            "expected the data beside it, found none", where=str(folder), hint="dvc pull"
        )
    wanted = md5.removesuffix(".dir")
    for path in _cached(folder, md5):
        if path.is_file() and path.stat().st_size <= _MAX_BYTES:
            found = path.read_bytes()
            if hashlib.md5(found, usedforsecurity=False).hexdigest() == wanted:
                return _listed(found, str(path))
    for take in (_md5,) if strict else (_md5, md5_of_lines):
        found = _written({path: take(folder / path) for path in _walk(folder)})
        if hashlib.md5(found, usedforsecurity=False).hexdigest() == wanted:
            return _listed(found, str(folder))
    raise TrustError(
        f"expected the files whose list has the MD5 {wanted}, as {where} says; found others",
        where=str(folder),
        hint="Run dvc checkout for the data that it names, or dvc add for these.",
    )


def must_be_the_same(folder: Path, files: Mapping[str, str], *, where: str) -> None:
    """Whether a folder has the files of its list, and no others.

    Raises:
        DataError: the list is empty.
        TrustError: a file is in one of the two only.
    """
    if not files:
        raise DataError("expected files in the folder that DVC keeps, found none", where=where)
    apart = sorted(set(_walk(folder)) ^ set(files))
    if apart:
        shown = ", ".join(apart[:_MAX_SHOWN])
        more = f" and {len(apart) - _MAX_SHOWN} more" if len(apart) > _MAX_SHOWN else ""
        raise TrustError(
            f"expected the files that {where} names and no others; {shown}{more} "
            f"{'are' if len(apart) > 1 else 'is'} in one of the two only",
            where=str(folder),
            hint="Run dvc checkout for the data that it names, or dvc add for these.",
        )


def md5_of_lines(path: Path) -> str:
    """The MD5 of a text whose lines end with LF, as DVC 2 took it."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        kept = b""
        while part := file.read(_PART):
            part = kept + part
            kept = part[-1:] if part.endswith(b"\r") else b""
            digest.update(part[: len(part) - len(kept)].replace(b"\r\n", b"\n"))
        digest.update(kept)
    return digest.hexdigest()


def _md5(path: Path) -> str:
    return content_md5(str(path))


def _cached(folder: Path, md5: str) -> Iterator[Path]:
    """Where DVC 3 and DVC 2 keep a list, in the project around a folder."""
    for above in (folder.resolve(), *folder.resolve().parents):
        cache = above / ".dvc" / "cache"
        if cache.is_dir():
            yield cache / "files" / "md5" / md5[:2] / md5[2:]
            yield cache / md5[:2] / md5[2:]
            return


def _walk(folder: Path) -> Iterator[str]:
    """The files of a folder, by their path within it."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def _written(files: Mapping[str, str]) -> bytes:
    """The list as DVC writes it."""
    entries = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    return json.dumps(entries, sort_keys=True).encode()


def _listed(found: bytes, where: str) -> dict[str, str]:
    try:
        files = {entry.relpath: entry.md5 for entry in _decode(found)}
    except msgspec.MsgspecError as error:
        raise DataError(f"expected DVC's list of a folder: {error}", where=where) from None
    if any(part in ("", "..") for path in files for part in path.split("/")):
        raise DataError("expected paths within the folder, found others", where=where)
    return files
