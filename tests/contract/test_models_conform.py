"""Every registered model keeps what its port promises."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from baluarte.ports import Model
from baluarte.testing.models import MODEL_CHECKS, ModelCheck

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
MODELS = PROJECT["project"]["entry-points"]["baluarte.models"]


@pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_conforms(name: str, check: ModelCheck) -> None:
    module, kind = MODELS[name].split(":")
    model: Model = getattr(importlib.import_module(module), kind)()
    assert model.name == name
    check(model)
