"""Other engines beside ours: each in an environment of its own, timed in turn with us.

An engine's environment is made under ``.engines/NAME`` on first use; one that can't be made, or
whose engine refuses the model, is named and left out. The engine runs in a process that waits while
we are timed, so rounds interleave, and each side times itself.

This file is also what runs in that process: ``engines.py NAME MODEL ROWS``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
HOME = Path(__file__).parents[1] / ".engines"
PACKAGES = {
    "onnxruntime": ("onnxruntime", "onnxmltools", "onnx", "lightgbm", "scikit-learn"),
    "treelite": ("treelite",),
    # its last release wants an older scikit-learn
    "daal4py": ("daal4py", "lightgbm", "scikit-learn<1.6", "packaging"),
    "shap": ("shap", "lightgbm"),
}


class AwayError(Exception):
    """An engine that isn't here; says why."""


# --- in the benchmark -----------------------------------------------------------------------------


class Engine:
    """A peer in a process of its own, with a LightGBM model and rows."""

    def __init__(self, name: str, model: Path, rows: Path, *, clock: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [str(environment(name, PACKAGES[name])), __file__, name, str(model), str(rows), clock],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.version = self._answer()

    def seconds(self, n_rows: int, times: int) -> float:
        """Of one pass over the first rows, on average."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{n_rows} {times}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        """End its process."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = (self._process.communicate()[1] or "nothing").strip().splitlines()[-1]
            raise AwayError(f"{self.name} left out: it said {said:.150}")
        return line.strip()


def environment(name: str, packages: tuple[str, ...]) -> Path:
    """The Python of an engine's environment, made where it isn't yet.

    Raises:
        AwayError: it can't be made here.
    """
    python = HOME / name / "bin" / "python"
    if (HOME / name / "made").exists():
        return python
    if os.environ.get("BALUARTE_OFFLINE"):
        raise AwayError(f"{name} left out: not installed, and BALUARTE_OFFLINE is set")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    install = [uv, "pip", "install", "--quiet", "--python", str(python)] if uv else None
    try:
        subprocess.run([sys.executable, "-m", "venv", *["--without-pip"] * bool(uv), HOME / name],
                       check=True, capture_output=True)  # fmt: skip
        subprocess.run(
            [*(install or [str(python), "-m", "pip", "install", "--quiet"]), *packages],
            check=True,
            capture_output=True,
            timeout=600,
        )
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(HOME / name, ignore_errors=True)
        raise AwayError(
            f"{name} left out: it can't be installed here ({type(error).__name__})"
        ) from error
    (HOME / name / "made").touch()
    return python


Timed = Callable[[int], float]  #: how often, to the seconds of one pass


def timed(work: Callable[[], object], clock: str) -> Timed:
    """Work of our own process, timed."""
    now = time.perf_counter if clock == "wall" else time.process_time

    def seconds(times: int) -> float:
        started = now()
        for _ in range(times):
            work()
        return (now() - started) / times

    return seconds


def compare(sides: dict[str, Timed], *, rows: int, rounds: int) -> dict[str, float]:
    """Time all sides in turn, about a twentieth of a second each; ratios to the first, medians.

    Returns:
        microseconds a row of the first side, and each other side's ratio to it.
    """
    times = {name: max(1, int(0.05 / max(side(1), side(1), 1e-9))) for name, side in sides.items()}
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(side(times[name]) / rows * 1e6)
    first = next(iter(sides))
    ratios = {
        name: median(b / a for a, b in zip(found[first], found[name], strict=True))
        for name in sides
        if name != first
    }
    return {first: median(found[first]), **ratios}


# --- in an engine's process -----------------------------------------------------------------------


def _onnxruntime(model: str) -> tuple[str, Callable[[Rows], object]]:
    import lightgbm
    import onnxmltools
    import onnxruntime
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = lightgbm.Booster(model_file=model)
    kind = FloatTensorType([None, booster.num_feature()])
    graph = onnxmltools.convert_lightgbm(
        booster, initial_types=[("X", kind)], zipmap=False, target_opset=15
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return onnxruntime.__version__, lambda X: session.run(None, {"X": X.astype(np.float32)})


def _treelite(model: str) -> tuple[str, Callable[[Rows], object]]:
    import treelite

    trees = treelite.frontend.load_lightgbm_model(model)
    return treelite.__version__, lambda X: treelite.gtil.predict(
        trees, X, nthread=1, pred_margin=True
    )


def _daal4py(model: str) -> tuple[str, Callable[[Rows], object]]:
    import importlib.metadata

    import daal4py
    import lightgbm

    daal4py.daalinit(1)
    converted = daal4py.mb.convert_model(lightgbm.Booster(model_file=model))
    return importlib.metadata.version("daal4py"), converted.predict_proba


def _shap(model: str) -> tuple[str, Callable[[Rows], object]]:
    import lightgbm
    import shap

    booster = lightgbm.Booster(model_file=model)
    explainer = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    return shap.__version__, lambda X: explainer.shap_values(X, check_additivity=False)


_ENGINES: dict[str, Callable[[str], Any]] = {
    "onnxruntime": _onnxruntime,
    "treelite": _treelite,
    "daal4py": _daal4py,
    "shap": _shap,
}


def _serve(name: str, model: str, rows: str, clock: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the engine prints is not an answer
    version, work = _ENGINES[name](model)
    X = np.load(rows, allow_pickle=False)
    work(X[:2].copy())
    print(version, file=answers, flush=True)
    for line in sys.stdin:
        n_rows, times = map(int, line.split())
        own = X[:n_rows].copy()
        print(timed(lambda: work(own), clock)(times), file=answers, flush=True)  # noqa: B023 - called at once


if __name__ == "__main__" and len(sys.argv) > 1:  # `make bench` runs every file here
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    _serve(*sys.argv[1:5])
