"""Recompute a certificate of likeness with the model's own library, and nothing of Baluarte.

    python recompute_certificate.py FOLDER

FOLDER holds the model's file, ``rows.parquet`` as the model was trained on them, and ``said.json``:
the sealed program's integer scores of these rows, its scale and thresholds, and the certificate.
Prints what was found as JSON.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def lightgbm_text(path: Path, rows: pd.DataFrame) -> np.ndarray:
    import lightgbm as lgb

    return lgb.Booster(model_file=str(path)).predict(rows, raw_score=True)


def xgboost(path: Path, rows: pd.DataFrame) -> np.ndarray:
    """The float64 sum of the leaves that XGBoost says it reaches, from its own dump."""
    import xgboost as xgb

    booster = xgb.Booster(model_file=str(path))
    reached = booster.predict(xgb.DMatrix(rows, enable_categorical=True), pred_leaf=True)
    base = json.loads(booster.save_config())["learner"]["learner_model_param"]["base_score"]
    # XGBoost, src/objective/regression_loss.h, ProbToMargin: -logf(1.0f / base_score - 1.0f)
    odds = np.float32(1) / np.float32(base.strip("[]")) - np.float32(1)
    total = np.full(len(rows), -float(np.float32(math.log(odds))))
    for k, dump in enumerate(booster.get_dump(dump_format="json")):
        values: dict[int, float] = {}
        waiting = [json.loads(dump)]
        while waiting:
            node = waiting.pop()
            waiting += node.get("children", [])
            if "leaf" in node:
                values[node["nodeid"]] = float(np.float32(node["leaf"]))
        total += [values[int(leaf)] for leaf in reached[:, k]]
    return total


def skops(path: Path, rows: pd.DataFrame) -> np.ndarray:
    import skops.io as sio

    model = sio.load(path, trusted=sio.get_untrusted_types(file=path))
    if hasattr(model, "decision_function"):
        return model.decision_function(rows)
    return model.predict_proba(rows)[:, 1]


def onnx(path: Path, rows: pd.DataFrame) -> np.ndarray:
    """ONNX Runtime's float32 probability."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(path))
    fed = {
        one.name: rows[[one.name]].to_numpy(dtype=object if "string" in one.type else np.float32)
        for one in session.get_inputs()
    }
    return np.asarray(session.run(None, fed)[1], dtype=np.float64)[:, 1]


def pmml(path: Path, rows: pd.DataFrame) -> np.ndarray:
    sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
    from pmml_by_itself import raw_score

    text = path.read_bytes()
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return np.array([raw_score(text, row) for row in records], dtype=np.float64)


LIBRARIES = {
    ".txt": lightgbm_text,
    ".json": xgboost,
    ".ubj": xgboost,
    ".skops": skops,
    ".onnx": onnx,
    ".pmml": pmml,
}


def recompute(folder: Path) -> dict[str, object]:
    said = json.loads((folder / "said.json").read_text("utf-8"))
    path = folder / said["model"]
    margin = LIBRARIES[path.suffix](path, pd.read_parquet(folder / "rows.parquet"))
    unit = 2.0 ** -said["scale_bits"]
    scores = np.array(said["scores"], dtype=np.int64)
    cuts = np.array(said["thresholds"], dtype=np.float64) * unit
    own = scores * unit
    if path.suffix == ".onnx":  # a probability is all that it gives
        own, cuts = 1 / (1 + np.exp(-own)), 1 / (1 + np.exp(-cuts))
    theirs = np.searchsorted(cuts, margin, side="left")
    ours = np.searchsorted(said["thresholds"], scores, side="left")
    return {
        "digest": "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest(),
        "n": len(margin),
        "largest_difference": float(np.abs(own - margin).max()),
        "changed": np.flatnonzero(theirs != ours).tolist(),
        "baluarte": "baluarte" in sys.modules,
    }


if __name__ == "__main__":
    print(json.dumps(recompute(Path(sys.argv[1]))))
