"""Foreign models: exact thresholds of treated inputs, and what is refused with a word."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.errors import DataError
from baluarte.methods.foreign_columns import (
    Above,
    Affine,
    Clipped,
    Filled,
    InFloat32,
    Number,
    Product,
    Step,
    cuts,
)
from baluarte.methods.protobuf import Message
from baluarte.methods.readers.lightgbm_text import LightGBMText
from baluarte.methods.readers.pmml import Pmml
from baluarte.methods.readers.skops import Skops
from baluarte.methods.xml_tree import read_xml

finite = st.floats(-1e6, 1e6, allow_nan=False)
scales = st.floats(1e-6, 1e6)
steps = st.one_of(
    st.builds(Affine, finite, scales),
    st.builds(Product, scales, finite),
    st.builds(Filled, finite),
    st.builds(lambda a, b: Clipped(min(a, b), max(a, b)), finite, finite),
    st.builds(Above, finite),
    st.builds(InFloat32),
    st.builds(InFloat32, st.builds(Affine, finite, scales)),
)


@given(st.lists(steps, max_size=4), finite, st.booleans())
def test_a_cut_is_the_largest_number_that_the_treated_comparison_holds_for(
    chain: list[Step], threshold: float, strict: bool
) -> None:
    column = Number(0, tuple(chain))
    (cut,) = cuts(column, np.array([threshold]), strict=strict)

    def holds(x: float) -> bool:
        (seen,) = column.value(np.array([x]))
        return bool(seen < threshold if strict else seen <= threshold)

    if np.isfinite(cut):
        assert holds(cut)
        assert not holds(np.nextafter(cut, np.inf))
    else:
        assert all(holds(x) == (cut > 0) for x in (-1e38, -1.0, 0.0, 1.0, 1e38))


@pytest.mark.parametrize(
    "text",
    [
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE l [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><l>&b;</l>',
        b"<a>" * 5_000,
        b"<a><b></a>",
        b"",
    ],
)
def test_xml_with_entities_or_too_deep_or_broken_is_refused(text: bytes) -> None:
    with pytest.raises(DataError):
        read_xml(text)


@pytest.mark.parametrize("data", [b"\x0b", b"\x0a\xff\xff\xff\xff\x7f", b"\x08", b"\xff" * 20])
def test_protobuf_that_asks_for_more_than_there_is_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        Message(data)


PMML = """<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/><DataDictionary>
<DataField name="x" optype="continuous" dataType="double"/></DataDictionary>{}</PMML>"""


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ('<NeuralNetwork functionName="regression"/>', "NeuralNetwork"),
        (
            (
                '<MiningModel functionName="regression"><MiningSchema><MiningField name="x"/>'
                '</MiningSchema><Segmentation multipleModelMethod="median"><Segment><True/>'
                '<TreeModel functionName="regression"><Node score="1"><True/></Node></TreeModel>'
                "</Segment></Segmentation></MiningModel>"
            ),
            "median",
        ),
        (
            (
                '<TreeModel functionName="regression" missingValueStrategy="aggregateNodes">'
                '<MiningSchema><MiningField name="x"/></MiningSchema>'
                '<Node score="1"><True/></Node></TreeModel>'
            ),
            "aggregateNodes",
        ),
        (
            (
                '<RegressionModel functionName="classification" normalizationMethod="softmax">'
                '<MiningSchema><MiningField name="x"/></MiningSchema>'
                '<RegressionTable targetCategory="a"/><RegressionTable targetCategory="b"/>'
                '<RegressionTable targetCategory="c"/></RegressionModel>'
            ),
            "3 classes",
        ),
    ],
)
def test_a_model_that_is_no_sum_is_refused_by_name(model: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as refused:
        Pmml().read(PMML.format(model).encode(), positive=None, where="m.pmml")
    assert refused.value.faults[0].where


def test_a_softmax_of_several_classes_is_refused_and_says_why() -> None:
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    options = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1)
    text = lgb.train(options, lgb.Dataset(X, y), 2).model_to_string().encode()
    with pytest.raises(DataError, match="additive") as refused:
        LightGBMText().read(text, positive="1", where="m.txt")
    assert "multiclassova" in str(refused.value)


def test_trees_with_linear_leaves_are_refused_and_say_why() -> None:
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    options = {"objective": "binary", "linear_tree": True, "verbose": -1, "num_threads": 1}
    text = lgb.train(options, lgb.Dataset(X, X[:, 0] > 0), 2).model_to_string().encode()
    with pytest.raises(DataError, match="linear"):
        LightGBMText().read(text, positive=None, where="m.txt")


@pytest.mark.parametrize("kind", ["majority", "steps", "no probability", "a forest on top"])
def test_an_ensemble_that_is_no_stack_of_sums_is_refused_with_what_to_do(kind: str) -> None:
    sio = pytest.importorskip("skops.io")
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2))
    forest = RandomForestClassifier(2, max_depth=2, random_state=0)
    line, machine = ("line", LogisticRegression()), ("machine", LinearSVC())
    made, said = {
        "majority": (VotingClassifier([line, ("forest", forest)]), "voting='soft'"),
        "steps": (CalibratedClassifierCV(forest, method="isotonic", cv=2), "Adopt the estimator"),
        "no probability": (
            VotingClassifier([line, machine], voting="soft"),
            "no function of its score",
        ),
        "a forest on top": (
            StackingClassifier([line, machine], final_estimator=forest, cv=2),
            "Use LogisticRegression",
        ),
    }[kind]
    data = sio.dumps(made.fit(X, (X[:, 0] > 0).astype(int)))
    with pytest.raises(DataError, match=said):
        Skops().read(data, positive=None, where="m.skops")


def test_a_booster_of_an_objective_of_ones_own_is_read() -> None:
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    text = lgb.train({"verbose": -1}, lgb.Dataset(X, X[:, 0]), 2).model_to_string()
    lines = [line for line in text.split("\n") if not line.startswith("objective=")]
    model = LightGBMText().read("\n".join(lines).encode(), positive=None, where="m.txt")
    assert model.scale == "raw"


def sparse_machine() -> Any:
    from scipy.sparse import csr_matrix
    from sklearn.svm import SVC

    X = np.random.default_rng(0).normal(size=(60, 4)).clip(0)
    return SVC().fit(csr_matrix(X), (X[:, 0] > 0.3).astype(int))


LIES: dict[str, Callable[[Any], object]] = {
    "a column that is none": lambda m: m.support_vectors_.indices.fill(1 << 20),
    "rows that end nowhere": lambda m: m.support_vectors_.indptr.fill(1 << 20),
    "weights that are not stored": lambda m: setattr(m, "_dual_coef_", m._dual_coef_ * 0.0),
    "fewer weights": lambda m: setattr(m, "_dual_coef_", m._dual_coef_[:, :3]),
    "more vectors than there are": lambda m: m._n_support.fill(1 << 20),
    "no intercept": lambda m: setattr(m, "_intercept_", np.zeros(0)),
    "not sparse": lambda m: setattr(m, "_sparse", False),
    "weights in full": lambda m: setattr(m, "dual_coef_", m.dual_coef_.toarray()),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_machine_whose_arrays_lie_is_refused_before_its_library_is_asked(lie: str) -> None:
    sio = pytest.importorskip("skops.io")
    machine = sparse_machine()
    Skops().read(sio.dumps(machine), positive=None, where="m.skops")
    LIES[lie](machine)
    if lie == "weights that are not stored":
        machine._dual_coef_.eliminate_zeros()
    with pytest.raises(DataError):
        Skops().read(sio.dumps(machine), positive=None, where="m.skops")


def test_what_unpacks_to_too_much_inside_a_sparse_matrix_is_refused() -> None:
    sio = pytest.importorskip("skops.io")
    machine = sparse_machine()
    data = sio.dumps(machine)
    inner = io.BytesIO()
    with (
        zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as made,
        made.open("data.npy", "w", force_zip64=True) as at,
    ):
        for _ in range(2_200):
            at.write(bytes(1 << 20))
    outer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(outer, "w") as made:
        for name in given.namelist():
            is_matrix = name.endswith(".npz")
            made.writestr(name, inner.getvalue() if is_matrix else given.read(name))
    assert len(outer.getvalue()) < 32 << 20
    with pytest.raises(DataError, match="bytes unpacked"):
        Skops().read(outer.getvalue(), positive=None, where="m.skops")
