"""Record what shap's TreeExplainer says of small models, beside our programs of them.

Run where shap is installed beside baluarte[train,xgboost]; shap is too large for the tests' own
environment, so they compare with what it said:

    python tests/core/record_shap.py > tests/core/shap_values.json
"""

from __future__ import annotations

import base64
import json
import sys

import lightgbm
import numpy as np
import shap
import xgboost
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)

from baluarte.core.program.draft import seal
from baluarte.core.program.format import dumps
from baluarte.methods.lightgbm_text import draft_of_text
from baluarte.methods.sklearn_trees import draft_of_boosting, draft_of_forest
from baluarte.methods.xgboost_model import draft_of_model, read_model


def trees_of(draft):
    """A draft's trees as shap takes trees, each node with the weight that arrives by our shares.

    XGBoost's own covers are float32 sums that don't quite add up; shap divides by the node's, we by
    the sum of its children's, and so they are 3e-8 apart for no reason that is of interest here.
    """
    (part,) = draft.parts
    found = []
    for root in part.root.tolist():
        nodes, waiting = [], [(int(root), 1.0)]
        order = {}
        while waiting:
            ref, weight = waiting.pop()
            order[ref] = len(nodes)
            nodes.append((ref, weight))
            if ref < 0:
                continue
            children = int(part.left[ref]), int(part.right[ref])
            covers = [
                float(part.leaf_cover[~child] if child < 0 else part.node_cover[child])
                for child in children
            ]
            waiting += [
                (child, weight * (cover / sum(covers)))
                for child, cover in zip(children, covers, strict=True)
            ]
        inner = [ref if ref >= 0 else 0 for ref, _ in nodes]
        leaf = np.array([ref < 0 for ref, _ in nodes])
        left = np.array([-1 if r < 0 else order[int(part.left[r])] for r, _ in nodes])
        right = np.array([-1 if r < 0 else order[int(part.right[r])] for r, _ in nodes])
        below = np.nextafter(part.threshold[inner].astype(np.float32), np.float32(-np.inf))
        found.append(
            {
                "children_left": left,
                "children_right": right,
                "children_default": np.where(part.flags[inner] & 1 != 0, left, right),
                "features": np.where(leaf, -2, part.feature[inner]),
                "thresholds": below.astype(np.float64),  # x < t, of float32
                "values": np.array([[part.leaf[~r] if r < 0 else 0.0] for r, _ in nodes]),
                "node_sample_weight": np.array([weight for _, weight in nodes]),
            }
        )
    return {"trees": found}


def models(X, y):
    """Name, model as shap takes it, draft, the output that is explained."""
    data = lightgbm.Dataset(X, y, params={"verbose": -1})
    params = {"objective": "binary", "num_leaves": 14, "verbose": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(params, data, 8)
    yield "lightgbm", booster, draft_of_text(booster.model_to_string()), None
    params = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1, "base_score": 0.5}
    boosted = xgboost.train(params, xgboost.DMatrix(X, y), 8)
    draft = draft_of_model(read_model(bytes(boosted.save_raw("ubj"))))
    yield "xgboost", trees_of(draft), draft, None
    whole = np.nan_to_num(X)
    gradient = GradientBoostingClassifier(n_estimators=8, max_depth=4, random_state=1)
    gradient.fit(whole, y)
    yield "gradient boosting", gradient, draft_of_boosting(gradient), None
    for name, kind in (("forest", RandomForestClassifier), ("extra trees", ExtraTreesClassifier)):
        forest = kind(6, max_depth=6, random_state=1).fit(whole, y)
        yield name, forest, draft_of_forest(forest), 1


def main():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(600, 10)).round(2)
    X[rng.random(X.shape) < 0.05] = np.nan
    known = np.nan_to_num(X)
    y = (known[:, 0] * known[:, 1] + known[:, 2] - known[:, 3] ** 2 > -0.5).astype(int)
    found = []
    for name, model, draft, output in models(X, y):
        rows = X[:20] if name in {"lightgbm", "xgboost"} else known[:20]
        explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
        explainer.model.model_type = "internal"  # shap's own values, not the library's through it
        values = np.asarray(explainer.shap_values(rows, check_additivity=False))
        if output is not None:
            values = values[..., output]
        found.append(
            {
                "name": name,
                "program": base64.b64encode(dumps(seal(draft))).decode(),
                "rows": [[None if np.isnan(x) else x for x in row] for row in rows.tolist()],
                "values": values.tolist(),
            }
        )
    json.dump({"shap": shap.__version__, "models": found}, sys.stdout, indent=None)
    print()


if __name__ == "__main__":
    main()
