"""MLflow's model folders: which of their files is the model; MLflow itself isn't needed."""

from __future__ import annotations

import importlib
import stat
from pathlib import Path, PurePosixPath
from typing import Any

from baluarte.adapters.disk import outside
from baluarte.errors import DataError, OutsideError

_MAX_BYTES = 256 << 10  #: of the MLmodel file
#: by flavour: the key that names the model's file, in the order in which they are tried
_FLAVOURS = (
    ("onnx", ("data",)),
    ("lightgbm", ("data",)),
    ("xgboost", ("data",)),
    ("sklearn", ("pickled_model",)),
)


def model_file(folder: Path) -> Path:
    """The model's file inside a folder that MLflow wrote.

    Raises:
        DataError: no MLmodel file, none of the known flavours, or a path that leads outside.
        OutsideError: PyYAML isn't installed.
    """
    described = folder / "MLmodel"
    if not described.is_file():
        raise DataError(
            "expected a model's file or an MLflow model folder, found a folder without MLmodel",
            where=str(folder),
        )
    with outside("can't read the model", described):
        if described.stat().st_size > _MAX_BYTES:
            raise DataError(f"expected at most {_MAX_BYTES} bytes", where=str(described))
        text = described.read_bytes()
    flavours = _flavours(text, described)
    for flavour, keys in _FLAVOURS:
        said = flavours.get(flavour)
        if not isinstance(said, dict):
            continue
        for key in keys:
            if isinstance(said.get(key), str):
                return _inside(folder, said[key], described)
    there = ", ".join(sorted(str(name) for name in flavours)) or "none"
    raise DataError(
        f"expected one of the flavours {', '.join(name for name, _ in _FLAVOURS)}; "
        f"found {there:.200}",
        where=str(described),
        hint="Log the model in one of them, or export it to ONNX.",
    )


def _flavours(text: bytes, where: Path) -> dict[str, Any]:
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError as error:
        raise OutsideError(
            "expected the library PyYAML, found none", hint="pip install 'baluarte[adopt]'"
        ) from error
    try:
        # Anchors could make a small file large; MLflow writes none.
        if any(isinstance(token, (yaml.AliasToken, yaml.AnchorToken)) for token in yaml.scan(text)):
            raise DataError("expected YAML without anchors, found one", where=str(where))
        said = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"not readable as YAML: {error!s:.200}", where=str(where)) from error
    found = said.get("flavors") if isinstance(said, dict) else None
    if not isinstance(found, dict):
        raise DataError("the file names no flavors", where=str(where))
    return found


def _inside(folder: Path, name: str, where: Path) -> Path:
    """A file below the folder, by plain steps and without links."""
    steps = PurePosixPath(name).parts
    plain = bool(steps) and not PurePosixPath(name).is_absolute()
    plain = plain and not any(step == ".." or "\\" in step or "\x00" in step for step in steps)
    path = folder
    for step in steps if plain else ():
        path /= step
        plain = plain and path.exists() and not stat.S_ISLNK(path.lstat().st_mode)
    if not plain or not path.is_file():
        raise DataError(
            f"expected a file inside the folder, found {name!r:.120}",
            where=str(where),
            hint="The folder is damaged, or its files were moved.",
        )
    return path
