"""Every registered signer, and the one in memory, does what the port says."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from baluarte.adapters.signers.ed25519 import TrustedKeys, create_key, open_signer
from baluarte.ports import Signer, Verifier
from baluarte.testing.signers import MemorySigner, MemoryVerifier, check_signer


def memory(_: Path) -> tuple[Signer, Verifier]:
    signer = MemorySigner()
    return signer, MemoryVerifier(signer.key)


def ed25519(place: Path) -> tuple[Signer, Verifier]:
    create_key(place / "keys", place / "trusted", "demo", not_before=10, not_after=20)
    return open_signer(place / "keys", place / "trusted", "demo"), TrustedKeys(place / "trusted")


SIGNERS: dict[str, Callable[[Path], tuple[Signer, Verifier]]] = {
    "memory": memory,
    "ed25519": ed25519,
}


@pytest.mark.parametrize("name", SIGNERS)
def test_the_signer_does_what_its_port_says(name: str, tmp_path: Path) -> None:
    check_signer(*SIGNERS[name](tmp_path))


def test_every_registered_signer_is_tried_here() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    registered = set(project["project"]["entry-points"]["baluarte.signers"])
    assert registered == SIGNERS.keys() - {"memory"}
