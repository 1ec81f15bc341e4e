"""Every registered kind of signature, and the one in memory, does what the ports say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from baluarte.adapters.key_files import TrustedKeys, create_key, open_signer
from baluarte.core.keys import RAW_BYTES, Algorithm
from baluarte.testing.signers import (
    MemorySigner,
    MemoryVerifier,
    check_signature_kind,
    check_signer,
)
from baluarte.wiring import signature_kind

KINDS: tuple[Algorithm, ...] = ("ed25519", "ml-dsa-44")


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_does_what_its_port_says(name: Algorithm) -> None:
    other = next(one for one in KINDS if one != name)
    check_signature_kind(signature_kind(name), other=signature_kind(other))


@pytest.mark.parametrize("name", KINDS)
def test_a_signer_of_this_kind_does_what_its_port_says(name: Algorithm, tmp_path: Path) -> None:
    folders = tmp_path / "keys", tmp_path / "trusted"
    create_key(*folders, "demo", signature_kind(name), not_before=10, not_after=20)
    signer = open_signer(*folders, "demo", signature_kind)
    check_signer(signer, TrustedKeys(folders[1], signature_kind))
    assert len(signer.key.public_key) == RAW_BYTES[name]


def test_the_signer_in_memory_does_what_its_port_says() -> None:
    signer = MemorySigner()
    check_signer(signer, MemoryVerifier(signer.key))


def test_every_registered_kind_is_tried_here() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    assert set(project["project"]["entry-points"]["baluarte.signers"]) == set(KINDS)
