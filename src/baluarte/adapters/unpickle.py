"""A pickle, by the user's word: opened in a confined child process that hands back data."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from baluarte.adapters.model_files import MAX_BYTES, ModelBytes
from baluarte.errors import DataError

_TIMEOUT_S = 330
_HEAD_LINES = 3
_CURE = "Load it where it was made and save it as data: LightGBM text, XGBoost JSON, skops, ONNX."


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpickled:
    """A model as data, and how the process was confined that opened the pickle."""

    model: ModelBytes
    confined: str


def unpickle(found: ModelBytes) -> Unpickled:
    """Open a pickle in a child process without network, and take what it re-saved.

    Raises:
        DataError: the child failed, or its model has no form that is data.
    """
    with tempfile.TemporaryDirectory(prefix="baluarte-pickle-") as folder:
        environment = {
            "PATH": os.defpath,
            "HOME": folder,
            "TMPDIR": folder,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-m", "baluarte.adapters.pickle_child"],
                input=found.data,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=environment,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(
                f"the pickle took more than {_TIMEOUT_S} s to open", where=found.name, hint=_CURE
            ) from error
    parts = done.stdout.split(b"\n", _HEAD_LINES)
    if len(parts) != _HEAD_LINES + 1 or len(done.stdout) > MAX_BYTES:
        raise DataError(
            f"the child process that opened the pickle ended with {done.returncode}",
            where=found.name,
            hint=_CURE,
        )
    state, said, confined = (part.decode("utf-8", "replace")[:400] for part in parts[:3])
    if state == "unknown":
        raise DataError(
            f"the pickle holds a {said}, which has no form that is data",
            where=found.name,
            hint="Supported: scikit-learn, LightGBM and XGBoost models.",
        )
    if state != "ok":
        raise DataError(f"the pickle can't be opened: {said}", where=found.name, hint=_CURE)
    data = parts[3]
    digest = "sha256:" + hashlib.sha256(found.data).hexdigest()
    return Unpickled(
        model=ModelBytes(name=said, data=data, digest=digest),
        confined=confined,
    )
