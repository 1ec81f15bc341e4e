"""Models as other libraries write them, with what those libraries say of rows themselves."""

from __future__ import annotations

import gc
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pmml_by_itself import raw_score

from baluarte.testing.readers import Sample

SERVICES = ("http", "dns", "ssh", "smtp")


def table(n: int = 500, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of numbers, missing ones among them, and a category; and their labels."""
    rng = np.random.default_rng(seed)
    service = rng.integers(0, len(SERVICES), n)
    X = pd.DataFrame(
        {
            "bytes": np.exp(2 * rng.normal(size=n)),
            "rate": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "failures": rng.integers(0, 9, n).astype(float),
            "service": pd.Categorical.from_codes(service, categories=list(SERVICES)),
        }
    )
    signal = X["bytes"] + X["failures"] + 3 * (service == 2) + rng.normal(size=n)
    return X, (signal > 7).to_numpy().astype(int)


def coded(X: pd.DataFrame) -> np.ndarray:
    """The rows as a reader's model is fed: categories by their place, NaN where missing."""
    codes = {
        name: X[name].cat.codes.astype(float).where(X[name].notna())
        for name in X.columns
        if isinstance(X[name].dtype, pd.CategoricalDtype)
    }
    return np.ascontiguousarray(X.assign(**codes).to_numpy(dtype=np.float64))


def lightgbm_text() -> list[Sample]:
    import lightgbm as lgb

    X, y = table()
    samples = []
    small = {"verbose": -1, "num_leaves": 7, "min_data_in_leaf": 5, "num_threads": 1}
    kinds = {
        "boosted": {"objective": "binary"},
        "zero_as_missing": {"objective": "binary", "zero_as_missing": True},
        "forest": {
            "objective": "binary",
            "boosting": "rf",
            "bagging_freq": 1,
            "bagging_fraction": 0.7,
        },
        "dart": {"objective": "cross_entropy", "boosting": "dart"},
    }
    for kind, options in kinds.items():
        booster = lgb.train(small | options, lgb.Dataset(X, y), 12)
        said = booster.predict(X, raw_score=True)
        if kind == "forest":  # log-odds are the mean of the trees; LightGBM's raw score is the sum
            said = said / 12
        data = booster.model_to_string().encode()
        samples.append(Sample(name=f"{kind}.txt", data=data, rows=coded(X), output=said))
    several = y + (X["failures"] > 6).to_numpy()
    own = lgb.train(
        small | {"objective": "multiclassova", "num_class": 3}, lgb.Dataset(X, several), 6
    )
    samples.append(
        Sample(
            name="one_of_three.txt",
            data=own.model_to_string().encode(),
            rows=coded(X),
            output=own.predict(X, raw_score=True)[:, 2],
            positive="2",
        )
    )
    whole = coded(X)
    numbers = lgb.train(
        small | {"objective": "binary"}, lgb.Dataset(whole, y, categorical_feature=[3]), 6
    )
    samples.append(
        Sample(
            name="codes.txt",
            data=numbers.model_to_string().encode(),
            rows=whole,
            output=numbers.predict(whole, raw_score=True),
        )
    )
    return samples


def onnx() -> list[Sample]:
    import lightgbm as lgb

    onnxmltools = pytest.importorskip("onnxmltools")
    pytest.importorskip("onnxruntime")
    from onnxmltools.convert.common.data_types import FloatTensorType as LightGBMFloats
    from skl2onnx import convert_sklearn, to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    X, y = table()
    rows = coded(X)
    full = np.nan_to_num(rows)
    samples = []
    single = full.astype(np.float32)
    plain = {
        "forest": RandomForestClassifier(5, max_depth=4, random_state=0),
        "boosted": GradientBoostingClassifier(n_estimators=5, random_state=0),
        "scaled_linear": make_pipeline(StandardScaler(), LogisticRegression()),
        "scaled_trees": make_pipeline(
            StandardScaler(), GradientBoostingClassifier(n_estimators=5, random_state=0)
        ),
        "filled_trees": make_pipeline(
            SimpleImputer(), RandomForestClassifier(4, max_depth=3, random_state=0)
        ),
    }
    for kind, model in plain.items():
        model.fit(single, y)
        data = to_onnx(model, single[:1]).SerializeToString()
        samples.append(Sample(name=f"{kind}.onnx", data=data, rows=full, missing=False))
    texts = X.assign(service=X["service"].astype(str))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    for kind, last in {
        "coded_linear": LogisticRegression(),
        "coded_trees": GradientBoostingClassifier(n_estimators=5, random_state=0),
    }.items():
        treated = ColumnTransformer(
            [
                ("numbers", numbers, ["bytes", "rate", "failures"]),
                ("codes", OneHotEncoder(handle_unknown="ignore"), ["service"]),
            ]
        )
        model = make_pipeline(treated, last).fit(texts, y)
        types = [
            (c, StringTensorType([None, 1]) if c == "service" else FloatTensorType([None, 1]))
            for c in texts.columns
        ]
        data = convert_sklearn(model, initial_types=types).SerializeToString()
        cats = sorted(SERVICES)
        own = rows.copy()
        own[:, 3] = [cats.index(text) for text in texts["service"]]
        samples.append(Sample(name=f"{kind}.onnx", data=data, rows=own))
    booster = lgb.LGBMClassifier(n_estimators=5, num_leaves=7, verbose=-1, n_jobs=1)
    booster.fit(rows[:, :3], y)
    written = onnxmltools.convert_lightgbm(
        booster, initial_types=[("input", LightGBMFloats([None, 3]))]
    )
    data = written.SerializeToString()
    samples.append(Sample(name="lightgbm.onnx", data=data, rows=rows[:, :3].copy()))
    return samples


def pmml() -> list[Sample]:
    import lightgbm as lgb
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    data = (Path(__file__).parent / "by_hand.pmml").read_bytes()
    X, y = table()
    X.loc[::7, "service"] = None
    X.loc[::11, "failures"] = np.nan
    samples = [by_itself("by_hand.pmml", data, X)]
    nyoka = pytest.importorskip("nyoka")
    columns = ["bytes", "rate", "failures"]
    X = X[columns].fillna(0.5)
    makers = {
        "forest": (RandomForestClassifier(4, max_depth=4, random_state=0), nyoka.skl_to_pmml),
        "boosted": (GradientBoostingClassifier(n_estimators=4, random_state=0), nyoka.skl_to_pmml),
        "linear": (LogisticRegression(), nyoka.skl_to_pmml),
        "lightgbm": (lgb.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1), nyoka.lgb_to_pmml),
    }
    for kind, (model, write) in makers.items():
        steps = [("scale", StandardScaler())] if kind == "linear" else []
        pipe = Pipeline([*steps, ("model", model)]).fit(X, y)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{kind}.pmml"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files open
                write(pipe, columns, "y", str(path))
                gc.collect()
            samples.append(by_itself(path.name, path.read_bytes(), X, missing=False))
    return samples


def by_itself(name: str, data: bytes, X: pd.DataFrame, *, missing: bool = True) -> Sample:
    """A PMML sample; what it says is worked out by a reading that is not ours."""
    rows = X.astype(object).where(X.notna(), None).to_dict("records")
    said = np.array([raw_score(data, row) for row in rows], dtype=np.float64)
    return Sample(name=name, data=data, rows=coded(X), output=said, missing=missing, library=False)


def xgboost() -> list[Sample]:
    xgb = pytest.importorskip("xgboost")
    X, y = table()
    samples = []
    small = {"max_depth": 3, "nthread": 1}
    kinds: dict[str, dict[str, object]] = {
        "boosted.json": {"objective": "binary:logistic", "max_cat_to_onehot": 1},
        "dart.ubj": {"objective": "binary:logitraw", "booster": "dart", "rate_drop": 0.3},
        "squared.json": {"objective": "reg:squarederror"},
    }
    for name, options in kinds.items():
        data = xgb.DMatrix(X, y, enable_categorical=True)
        booster = xgb.train(small | options, data, 8)
        said = booster.predict(data, output_margin=True).astype(np.float64)
        raw = bytes(booster.save_raw("json" if name.endswith("json") else "ubj"))
        # Its margin is a float32 sum: that is the most that can be asked of it.
        samples.append(Sample(name=name, data=raw, rows=coded(X), output=said, tolerance=2.0**-20))
    return samples


def skops() -> list[Sample]:
    sio = pytest.importorskip("skops.io")
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import (
        AdaBoostClassifier,
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import (
        MinMaxScaler,
        OneHotEncoder,
        OrdinalEncoder,
        RobustScaler,
        StandardScaler,
    )
    from sklearn.svm import SVC

    X, y = table()
    numbers = ["bytes", "rate", "failures"]
    texts = X.assign(service=X["service"].astype(object))
    texts.loc[::9, "service"] = np.nan
    cats = sorted(SERVICES)
    rows = coded(X)
    rows[:, 3] = [cats.index(t) if isinstance(t, str) else np.nan for t in texts["service"]]

    def treated(scaler: object, coder: object) -> ColumnTransformer:
        fill = SimpleImputer(strategy="most_frequent")
        return ColumnTransformer(
            [
                ("n", make_pipeline(SimpleImputer(add_indicator=True), scaler), numbers),
                ("c", make_pipeline(fill, coder) if coder is not None else "drop", ["service"]),
            ]
        )

    coder = OneHotEncoder(handle_unknown="ignore", drop="if_binary")
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    several = y + (X["failures"] > 6).to_numpy()
    kinds = {
        "linear": (make_pipeline(treated(StandardScaler(), coder), LogisticRegression()), y),
        "trees": (
            make_pipeline(
                treated(MinMaxScaler(clip=True), ordinal),
                GradientBoostingClassifier(n_estimators=5, random_state=0),
            ),
            y,
        ),
        "robust": (
            make_pipeline(treated(RobustScaler(), coder), SGDClassifier(random_state=0)),
            y,
        ),
        "forest_of_three": (
            make_pipeline(
                treated("passthrough", OneHotEncoder(handle_unknown="ignore")),
                RandomForestClassifier(4, max_depth=4, random_state=0),
            ),
            several,
        ),
        "regression": (make_pipeline(treated(StandardScaler(), coder), Ridge()), y),
        "histogram": (
            make_pipeline(
                treated("passthrough", coder),
                HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=7, random_state=0),
            ),
            y,
        ),
        "votes": (
            make_pipeline(treated("passthrough", ordinal), AdaBoostClassifier(n_estimators=5)),
            y,
        ),
    }
    samples = []
    for kind, (model, target) in kinds.items():
        model.fit(texts, target)
        if kind == "forest_of_three":
            said = model.predict_proba(texts)[:, 2]
        else:
            said = (model.predict if kind == "regression" else model.decision_function)(texts)
        samples.append(
            Sample(
                name=f"{kind}.skops",
                data=sio.dumps(model),
                rows=rows,
                output=said,
                positive="2" if kind == "forest_of_three" else None,
            )
        )
    network = MLPClassifier((8, 4), activation="tanh", max_iter=30, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        piped = make_pipeline(treated(StandardScaler(), coder), network).fit(texts, y)
    share = piped.predict_proba(texts)[:, 1]
    inside = np.abs(share - 0.5) < 0.4999  # a probability of nearly 1 has lost its log-odds
    said = np.log(share[inside] / (1 - share[inside]))
    samples.append(
        Sample(
            name="network.skops",
            data=sio.dumps(piped),
            rows=np.ascontiguousarray(rows[inside]),
            output=said,
        )
    )
    known = texts["service"].notna().to_numpy()
    scaled = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("c", OneHotEncoder(handle_unknown="ignore"), ["service"]),
        ]
    )
    machine = make_pipeline(scaled, SVC(C=2.0)).fit(texts[known], y[known])
    samples.append(
        Sample(
            name="machine.skops",
            data=sio.dumps(machine),
            rows=rows,
            output=machine.decision_function(texts),
        )
    )
    # Behind codes that are mostly zeros a machine keeps its own matrices by what isn't zero.
    scaled.set_params(sparse_threshold=1.0)
    for kind in ("rbf", "poly", "linear"):
        sparse = make_pipeline(scaled, SVC(C=2.0, kernel=kind, degree=2)).fit(
            texts[known], y[known]
        )
        samples.append(
            Sample(
                name=f"sparse_{kind}.skops",
                data=sio.dumps(sparse),
                rows=rows,
                output=sparse.decision_function(texts),
            )
        )
    samples += ensembles(rows[known][:, :3].copy(), y[known])
    extra = ExtraTreesClassifier(4, max_depth=4, random_state=0).fit(rows[:, :3], y)
    samples.append(
        Sample(
            name="nameless.skops",
            data=sio.dumps(extra),
            rows=rows[:, :3].copy(),
            output=extra.predict_proba(rows[:, :3])[:, 1],
        )
    )
    return samples


def ensembles(rows: np.ndarray, y: np.ndarray) -> list[Sample]:
    """Estimators of estimators, on numbers without missing values."""
    sio = pytest.importorskip("skops.io")
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import (
        AdaBoostClassifier,
        GradientBoostingClassifier,
        IsolationForest,
        RandomForestClassifier,
        StackingClassifier,
        VotingClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    X = np.nan_to_num(rows, nan=0.3)
    line = make_pipeline(StandardScaler(), LogisticRegression())
    forest = RandomForestClassifier(3, max_depth=3, random_state=0)
    boosted = GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=0)
    machine = CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC()), cv=2)
    both = [("line", line), ("forest", forest), ("dropped", "drop")]
    kinds = {
        "vote": VotingClassifier(
            [*both, ("boosted", boosted)], voting="soft", weights=[2, 1, 9, 1]
        ),
        "stack": StackingClassifier([("line", line), ("machine", machine)], cv=2, passthrough=True),
        "scores": StackingClassifier(
            [("boosted", boosted), ("votes", AdaBoostClassifier(n_estimators=3))],
            cv=2,
            stack_method="decision_function",
        ),
        "calibrated": CalibratedClassifierCV(forest, cv=2),
    }
    samples = []
    for kind, model in kinds.items():
        model.fit(X, y)
        stacked = hasattr(model, "final_estimator_")
        said = model.decision_function(X) if stacked else model.predict_proba(X)[:, 1]
        data = sio.dumps(model)
        samples.append(Sample(name=f"{kind}.skops", data=data, rows=X, output=said, missing=False))
    alone = IsolationForest(n_estimators=6, max_features=2, max_samples=64, random_state=0).fit(X)
    length = sum(
        2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n
        for n in [float(alone.max_samples_)] * 6
    )
    said = np.log2(-alone.score_samples(X)) * length
    data = sio.dumps(alone)
    samples.append(Sample(name="alone.skops", data=data, rows=X, output=said, missing=False))
    return samples


SAMPLES = {
    "lightgbm_text": lightgbm_text,
    "onnx": onnx,
    "pmml": pmml,
    "skops": skops,
    "xgboost": xgboost,
}
