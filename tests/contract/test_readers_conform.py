"""Every registered reader keeps what its port promises, on models that each library made."""

from __future__ import annotations

import importlib
import tomllib
from functools import cache
from pathlib import Path

import pytest
from foreign_samples import SAMPLES

from baluarte.ports import ModelReader
from baluarte.testing.readers import READER_CHECKS, ReaderCheck, Sample, survive_damage

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
READERS = PROJECT["project"]["entry-points"]["baluarte.readers"]


def reader_of(name: str) -> ModelReader:
    module, kind = READERS[name].split(":")
    reader: ModelReader = getattr(importlib.import_module(module), kind)()
    return reader


@cache
def samples(name: str) -> list[Sample]:
    return SAMPLES[name]()


@pytest.mark.parametrize("check", READER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", READERS)
def test_every_reader_conforms(name: str, check: ReaderCheck) -> None:
    reader = reader_of(name)
    assert reader.name == name
    for sample in samples(name):
        check(reader, sample)


@pytest.mark.parametrize("name", READERS)
def test_no_two_readers_recognise_one_file(name: str) -> None:
    for sample in samples(name):
        knowing = [r for r in READERS if reader_of(r).recognises(sample.name, sample.data[:4096])]
        assert knowing == [name]


@pytest.mark.soak
@pytest.mark.parametrize("name", READERS)
def test_thousands_of_damaged_files_are_refused_or_harmless(name: str) -> None:
    reader = reader_of(name)
    for sample in samples(name):
        survive_damage(reader, sample, n=2_000, seed=1)
