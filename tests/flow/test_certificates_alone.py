"""Certificates of adopted models, recomputed by a script that knows the model's library alone."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from baluarte import wiring
from baluarte.core.certificate import Certificate
from baluarte.core.contract import Band, Budget, Contract, Label, Learner, Objective, Points
from baluarte.core.event import Events
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.schema import Field, Schema
from baluarte.methods.search.optuna import Optuna
from baluarte.stages.adopt import ModelFile, adopt
from baluarte.stages.train import Provenance, TrainingTools

N = 1_500
SERVICES = ["dns", "http", "smtp", "ssh"]
NUMBERS = ["bytes", "rate", "failures"]


def rows() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(2)
    service = rng.integers(0, len(SERVICES), N)
    X = pd.DataFrame(
        {
            "bytes": np.exp(rng.normal(size=N)),
            "rate": rng.normal(size=N),
            "failures": rng.integers(0, 9, N).astype(float),
            "service": pd.Categorical.from_codes(service, SERVICES),
        }
    )
    signal = X["bytes"] + X["failures"] + 3 * (service == 2) + rng.normal(size=N)
    return X, (signal > 8).to_numpy().astype(int)


def lightgbm(path: Path, X: pd.DataFrame, y: np.ndarray) -> pd.DataFrame:
    import lightgbm as lgb

    options = {"objective": "binary", "verbose": -1, "num_leaves": 7, "num_threads": 1}
    lgb.train(options, lgb.Dataset(X, y), 20).save_model(str(path))
    return X


def xgboost(path: Path, X: pd.DataFrame, y: np.ndarray) -> pd.DataFrame:
    xgb = pytest.importorskip("xgboost")
    data = xgb.DMatrix(X, y, enable_categorical=True)
    xgb.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 20).save_model(
        path
    )
    return X


def pipeline(last: object, X: pd.DataFrame, y: np.ndarray) -> tuple[object, pd.DataFrame]:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = X.assign(service=X["service"].astype(object))
    treated = ColumnTransformer(
        [
            ("n", StandardScaler(), NUMBERS),
            ("c", OneHotEncoder(handle_unknown="ignore"), ["service"]),
        ]
    )
    return make_pipeline(treated, last).fit(texts, y), texts


def skops(path: Path, X: pd.DataFrame, y: np.ndarray) -> pd.DataFrame:
    sio = pytest.importorskip("skops.io")
    from sklearn.ensemble import RandomForestClassifier

    model, texts = pipeline(RandomForestClassifier(12, max_depth=5, random_state=0), X, y)
    sio.dump(model, path)
    return texts


def machine(path: Path, X: pd.DataFrame, y: np.ndarray) -> pd.DataFrame:
    """A polynomial, which grows fast beyond a range, behind codes that are kept sparse."""
    sio = pytest.importorskip("skops.io")
    from sklearn.svm import SVC

    model, texts = pipeline(SVC(kernel="poly", degree=2), X, y)
    model[0].set_params(sparse_threshold=1.0)
    sio.dump(model.fit(texts, y), path)
    return texts


def onnx(path: Path, X: pd.DataFrame, y: np.ndarray) -> pd.DataFrame:
    skl2onnx = pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxruntime")
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.linear_model import LogisticRegression

    model, texts = pipeline(LogisticRegression(), X, y)
    types = [(c, FloatTensorType([None, 1])) for c in NUMBERS]
    types.append(("service", StringTensorType([None, 1])))
    options = {"zipmap": False}
    made = skl2onnx.convert_sklearn(model, initial_types=types, options=options)
    path.write_bytes(made.SerializeToString())
    return texts


def pmml(path: Path, X: pd.DataFrame, y: np.ndarray) -> pd.DataFrame:
    nyoka = pytest.importorskip("nyoka")
    import gc

    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    model = Pipeline([("model", GradientBoostingClassifier(n_estimators=6, random_state=0))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files open
        nyoka.skl_to_pmml(model.fit(X[NUMBERS], y), NUMBERS, "y", str(path))
        gc.collect()
    return X[NUMBERS]


Make = Callable[[Path, pd.DataFrame, np.ndarray], pd.DataFrame]

#: the model's file, who makes it, and how near the library's own output must come
MODELS: dict[str, tuple[Make, float]] = {
    "model.txt": (lightgbm, 1e-9),
    "model.json": (xgboost, 1e-9),
    "model.ubj": (xgboost, 1e-9),
    "model.skops": (skops, 1e-9),
    "machine.skops": (machine, 1e-9),
    "model.onnx": (onnx, 1e-6),  # of a probability in float32
    "model.pmml": (pmml, 1e-9),
}


def contract() -> Contract:
    budget = Budget(kind="max_fpr", value=0.1)
    return Contract(
        name="flows",
        purpose="test",
        owner="test",
        events=Schema(
            fields=(
                *(Field(name=name, type="number") for name in NUMBERS),
                Field(name="service", type="category"),
                Field(name="attack", type="boolean", role="label"),
            )
        ),
        label=Label(field="attack", positive=("true",)),
        objective=Objective(budget=budget),
        bands=(Band(name="pass"), Band(name="alert", budget=budget)),
        points=Points(),
        learner=Learner(threads=1),
        gates=(),
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_library_alone_finds_what_the_certificate_says(name: str, tmp_path: Path) -> None:
    make, tolerance = MODELS[name]
    X, y = rows()
    path = tmp_path / name
    make(path, X, y).to_parquet(tmp_path / "rows.parquet")
    data = path.read_bytes()
    reader = wiring.reader_for(name, data[:4096])
    assert reader is not None
    columns = {c: X[c].to_numpy() for c in NUMBERS}
    columns["service"] = X["service"].astype(object).to_numpy()
    of = contract()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    events = Events(n=N, columns=columns | {"attack": y.astype(float)})
    candidate = adopt(
        of,
        events,
        reader.read(data, positive=None, where=name),
        file=ModelFile(digest=digest, name=name),
        tools=TrainingTools(models=[], search=Optuna(None), gates={}, rng=np.random.default_rng(0)),
        provenance=Provenance(),
    )
    certificate = candidate.training.certificate
    assert isinstance(certificate, Certificate)
    scores = Evaluator(candidate.program).score(candidate.encoder.encode(events))
    said = {
        "model": name,
        "scores": scores.tolist(),
        "scale_bits": candidate.program.scale_bits,
        "thresholds": candidate.bands.thresholds,
        "certificate": msgspec.to_builtins(certificate),
    }
    (tmp_path / "said.json").write_text(json.dumps(said), "utf-8")

    script = Path(__file__).with_name("recompute_certificate.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["baluarte"] is False
    assert found["digest"] == certificate.model
    assert found["n"] == certificate.n
    scale = max(1.0, float(np.abs(scores).max() * 2.0**-candidate.program.scale_bits))
    assert found["largest_difference"] <= tolerance * scale
    if tolerance < 1e-8:
        assert found["largest_difference"] == pytest.approx(
            certificate.largest_difference, rel=0.5, abs=1e-12
        )
        assert found["changed"] == [one.row for one in certificate.changed]
        assert all(one.tie for one in certificate.changed)
