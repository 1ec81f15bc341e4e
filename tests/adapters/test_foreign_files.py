"""Model files that people bring: pickles behind walls, MLflow folders by plain steps."""

from __future__ import annotations

import os
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest

from baluarte.adapters.mlflow_folder import model_file
from baluarte.adapters.model_files import ModelBytes, read_model
from baluarte.adapters.unpickle import unpickle
from baluarte.errors import DataError
from baluarte.methods.readers.lightgbm_text import LightGBMText


def opened(data: bytes) -> ModelBytes:
    return ModelBytes(name="model.pkl", data=data, digest="sha256:0")


class RunsShell:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.path}",)


class CallsHome:
    def __reduce__(self) -> object:
        return socket.create_connection, (("127.0.0.1", 9), 1)


def test_a_pickled_booster_comes_out_as_text() -> None:
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    model = lgb.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(X, X[:, 0] > 0)
    found = unpickle(opened(pickle.dumps(model)))
    read = LightGBMText().read(found.model.data, positive=None, where="model.txt")
    program = read.by_library(X)
    assert program is not None
    assert program.margin == pytest.approx(model.booster_.predict(X, raw_score=True))
    assert "seccomp" in found.confined or "NOT cut off" in found.confined


def test_a_pickle_starts_no_other_program(tmp_path: Path) -> None:
    made = tmp_path / "made"
    with pytest.raises(DataError, match=r"no form that is data|can't be opened") as refused:
        unpickle(opened(pickle.dumps(RunsShell(made))))
    assert refused.value.faults[0].hint
    assert not made.exists()


def test_a_pickle_reaches_no_network() -> None:
    with pytest.raises(DataError, match="PermissionError"):
        unpickle(opened(pickle.dumps(CallsHome())))


@pytest.mark.parametrize("data", [b"", b"\x80\x04", b"\x80\x04.", b"cos\nsystem\n(S'x'\ntR."])
def test_a_damaged_pickle_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        unpickle(opened(data))


def mlflow(folder: Path, text: str) -> Path:
    (folder / "MLmodel").write_text(text, "utf-8")
    return folder


def test_the_flavours_own_file_is_the_model(tmp_path: Path) -> None:
    (tmp_path / "model.lgb").write_text("tree\n", "utf-8")
    text = "flavors:\n  lightgbm:\n    data: model.lgb\n  python_function:\n    loader_module: x\n"
    assert model_file(mlflow(tmp_path, text)) == tmp_path / "model.lgb"


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "a/../../secret", "link", "down/link", "", "..", "none", "a\\b"],
)
def test_no_path_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("x", "utf-8")
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "down").symlink_to(tmp_path)
    with pytest.raises(DataError):
        model_file(mlflow(folder, f"flavors:\n  onnx:\n    data: '{name}'\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flavors:\n  keras:\n    data: x\n", "keras"),
        ("a: &b [1]\nflavors: *b\n", "anchors"),
        ("flavors: [", "YAML"),
        ("- 1\n", "no flavors"),
        ("!!python/object/apply:os.system ['x']\n", "YAML"),
        ("flavors:\n  sklearn:\n    loader: x\n", "sklearn"),
    ],
)
def test_a_folder_of_another_kind_says_what_was_found(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        model_file(mlflow(tmp_path, text))


def test_a_folder_without_a_model_and_no_file_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="MLmodel"):
        model_file(tmp_path)
    with pytest.raises(DataError, match="none"):
        read_model(tmp_path / "nothing.txt")
