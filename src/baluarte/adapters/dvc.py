"""DVC's own files, read and written: which content a data file had. Extra ``dvc``.

``data.csv.dvc`` names one file, ``dvc.lock:data.csv`` one of a pipeline's; the file itself must be
there (``dvc pull``) and have the MD5 that is written. DVC 3 writes ``hash: md5``; in files without
it (DVC 2) the MD5 of a text is of its lines ended by LF.

Of a folder DVC writes the MD5 of a list of its files, ``….dir``. The list is in DVC's cache; where
it is not it is made anew from the folder. ``data.dvc:2026/tx.csv`` and, in a lock,
``dvc.lock:data/2026/tx.csv`` name a file of such a folder; without a name all its files are meant,
which are then read as the parts of one set.

Source: DVC's documentation, ".dvc files", "dvc.lock file" and "Internal directories and files"
(https://dvc.org/doc/user-guide).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from baluarte.adapters import dvc_folder
from baluarte.adapters.disk import write_aside
from baluarte.adapters.dvc_folder import md5_of_lines
from baluarte.adapters.event_files import content_md5, size_of
from baluarte.core.nearest import did_you_mean
from baluarte.errors import DataError, Fault, OutsideError, TrustError

_LOCK = "dvc.lock"
_MAX_BYTES = 16 << 20  #: of a file of DVC's own


def resolved(address: str) -> str:
    """The data file that an address of DVC's stands for, checked; other addresses as they are.

    Raises:
        DataError: the file of DVC's is damaged or doesn't name the data, or the data aren't there.
        TrustError: the data are not those that it names.
        OutsideError: PyYAML isn't installed.
    """
    lock, mark, wanted = address.rpartition(f"{_LOCK}:")
    if mark:
        path = Path(lock + _LOCK)
        entry, within = _of_lock(path, wanted)
        return _checked(address, path.parent, entry, within)
    name, mark, within = address.rpartition(".dvc:")
    name = name + ".dvc" if mark else address
    if name.lower().endswith(".dvc") and "://" not in address:
        path = Path(name)
        found = _read(path)
        outs = found.get("outs")
        if not isinstance(outs, list) or len(outs) != 1 or not isinstance(outs[0], dict):
            raise DataError("expected one file under outs, found another shape", where=address)
        folder = path.parent / str(found.get("wdir", "."))
        return _checked(address, folder, outs[0], within if mark else "")
    return address


def write_dvc(data: Path) -> Path:
    """Write ``DATA.dvc`` for a file, as ``dvc add`` does, and return its path."""
    beside = data.with_name(data.name + ".dvc")
    write_aside(beside, _text({"outs": [_entry(data, path_last=True)]}))
    return beside


def write_lock(
    lock: Path, stage: str, *, command: str, deps: Sequence[str], outs: Sequence[str] = ()
) -> None:
    """Write a stage into ``dvc.lock``, as ``dvc repro`` does; the other stages stay.

    Args:
        deps: files that the stage read, by path from the lock's folder.
        outs: files that it wrote, likewise.
    """
    found = _read(lock) if lock.exists() else {"schema": "2.0", "stages": {}}
    stages = found.setdefault("stages", {})
    if not isinstance(stages, dict):
        raise DataError("expected stages, found another shape", where=str(lock))
    entry: dict[str, object] = {"cmd": command}
    for key, paths in (("deps", deps), ("outs", outs)):
        if paths:
            entry[key] = [{"path": path, **_entry(lock.parent / path)} for path in sorted(paths)]
    stages[stage] = entry
    write_aside(lock, _text(found))


def _entry(data: Path, *, path_last: bool = False) -> dict[str, object]:
    """What DVC writes of a file."""
    md5, size = content_md5(str(data)), size_of(str(data))
    if path_last:
        return {"md5": md5, "size": size, "hash": "md5", "path": data.name}
    return {"hash": "md5", "md5": md5, "size": size}


def _of_lock(path: Path, wanted: str) -> tuple[dict[str, Any], str]:
    """The entry that a file stands in, and its path within that where it is a folder."""
    stages = _read(path).get("stages")
    entries = [
        entry
        for stage in (stages.values() if isinstance(stages, dict) else ())
        if isinstance(stage, dict)
        for kind in ("outs", "deps")
        for entry in _entries(stage.get(kind))
        if isinstance(own := entry.get("path"), str) and f"{wanted}/".startswith(f"{own}/")
    ]
    entries = [entry for entry in entries if entry["path"] == wanted] or entries
    if not entries:
        raise DataError(f"expected {wanted} among its stages' files, found none", where=str(path))
    if len({entry.get("md5") for entry in entries}) > 1:
        raise DataError(
            f"expected one content of {wanted}, found several",
            where=str(path),
            hint="Run dvc repro.",
        )
    return entries[0], wanted.removeprefix(entries[0]["path"]).strip("/")


def _entries(found: object) -> Iterator[dict[str, Any]]:
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, dict):
            yield entry


def _checked(address: str, folder: Path, entry: Mapping[str, Any], within: str) -> str:
    """The path of an entry's file, or of one in an entry's folder, after its MD5 was compared."""
    md5, name = entry.get("md5"), entry.get("path")
    if not isinstance(md5, str) or not isinstance(name, str):
        raise DataError("expected a file's path and MD5, found another shape", where=address)
    path, size = folder / name, entry.get("size")
    if md5.endswith(".dir"):
        files = dvc_folder.files_of(path, md5, strict="hash" in entry, where=address)
        if not within:
            return _all_of(address, path, files, strict="hash" in entry)
        if within not in files:
            raise DataError(
                f"expected {within} in the folder that DVC keeps, found none",
                where=address,
                hint=did_you_mean(within, list(files)),
            )
        path, md5, size = path / within, files[within], None
    elif within:
        raise DataError(f"expected a folder that {within} is in, found a file", where=address)
    _compare(address, path, md5, size, strict="hash" in entry)
    return str(path)


def _all_of(address: str, folder: Path, files: Mapping[str, str], *, strict: bool) -> str:
    """A folder whose files are those of the list and no others; its single file, where it is one.

    Raises:
        DataError: the list is empty.
        TrustError: a file is another, or is in one of the two only.
    """
    dvc_folder.must_be_the_same(folder, files, where=address)
    for within, md5 in files.items():
        _compare(address, folder / within, md5, None, strict=strict)
    return str(folder / next(iter(files))) if len(files) == 1 else str(folder)


def _compare(address: str, path: Path, md5: str, size: object, *, strict: bool) -> None:
    """Whether a file is what DVC's names.

    Raises:
        DataError: it isn't there.
        TrustError: it is another.
    """
    if not path.is_file():
        raise DataError(
            "expected the data beside it, found none", where=str(path), hint=f"dvc pull {path.name}"
        )
    faults = []
    if strict and isinstance(size, int) and size != size_of(str(path)):
        faults.append(Fault(f"expected {size} bytes, found {size_of(str(path))}", str(path)))
    found = content_md5(str(path))
    if md5 != found and (strict or md5 != md5_of_lines(path)):
        faults.append(
            Fault(
                f"expected the MD5 {md5}, as {address} says; found {found}",
                str(path),
                "Run dvc checkout for the data that it names, or dvc add for these.",
            )
        )
    if faults:
        raise TrustError.of(faults)


def _read(path: Path) -> dict[str, Any]:
    yaml = _yaml(path)
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise DataError(f"expected at most {_MAX_BYTES} bytes", where=str(path))
        found = yaml.safe_load(text)
    except OSError as error:
        raise DataError(f"expected a file of DVC's: {error.strerror}", where=str(path)) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"expected YAML, found: {reason}", where=str(path)) from None
    if not isinstance(found, dict):
        raise DataError("expected a file of DVC's, found another YAML", where=str(path))
    return found


def _text(found: Mapping[str, object]) -> bytes:
    text: str = _yaml(Path()).safe_dump(dict(found), sort_keys=False, allow_unicode=True)
    return text.encode()


def _yaml(path: Path) -> Any:
    try:
        import yaml  # noqa: PLC0415 - only who uses DVC pays
    except ImportError as error:
        raise OutsideError(
            "a file of DVC's needs PyYAML, which isn't installed",
            where=str(path),
            hint="pip install 'baluarte[dvc]'",
        ) from error
    return yaml
