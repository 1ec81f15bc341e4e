"""Candidate: what training hands to proving and sealing, as data in files and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core import bands as band_format
from baluarte.core import spread as spread_format
from baluarte.core.bands import Bands
from baluarte.core.certificate import Certificate
from baluarte.core.contract import Contract, canonical
from baluarte.core.encode import Encoder, encoder_from_json, encoder_to_json
from baluarte.core.event import Events
from baluarte.core.evidence import Figure, GateResult, Lineage
from baluarte.core.program import format as program_format
from baluarte.core.program.model import Program
from baluarte.core.row_keys import digest, row_keys
from baluarte.core.split import Part, SplitEvidence
from baluarte.core.spread import Spread
from baluarte.errors import DataError, TrustError

T = TypeVar("T")
Param = int | float | str | bool


class TrialRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trial of the search, as evidence: see :class:`~baluarte.core.search.Trial`."""

    number: int
    model: str
    params: dict[str, Param]
    value: float
    seconds: float
    figures: dict[str, float] = {}
    pruned: bool = False
    folds: tuple[float, ...] = ()


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One family in the sealed sum: its trial's parameters and its weight on the margin.

    Attributes:
        slope: in a vote the margin goes through the logistic function of slope * margin + offset.
        rows: how many rows it was fitted on, where they are a sample of the fit rows.
        sample: digest of that sample's contents.
    """

    model: str
    weight: float
    params: dict[str, Param]
    slope: float | msgspec.UnsetType = msgspec.UNSET
    offset: float | msgspec.UnsetType = msgspec.UNSET
    rows: int | msgspec.UnsetType = msgspec.UNSET
    sample: str | msgspec.UnsetType = msgspec.UNSET


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a candidate was made and what training measured of it.

    Attributes:
        value: of the chosen sum, out of fold; what trials were compared by.
        stopped_early: whether the wall clock ended the search before its trials did.
        thresholds: the evidence for the bands' thresholds and their budgets.
        rehearsal: figures on the tuning rows; they cost no look.
        rehearsal_gates: the gates' answers there, at the whole error probability.
        faithfulness: the program against the library on the proof rows, by name of the figure.
        changed: row numbers of decisions that the library's own output would have made otherwise.
        certificate: of an adopted model's likeness; absent for a trained one.
    """

    members: tuple[Member, ...]
    value: float
    trials: tuple[TrialRow, ...]
    stopped_early: bool
    split: SplitEvidence
    thresholds: tuple[Figure, ...]
    rehearsal: tuple[Figure, ...]
    rehearsal_gates: tuple[GateResult, ...]
    faithfulness: dict[str, float | int | str]
    changed: tuple[int, ...]
    lineage: Lineage
    certificate: Certificate | msgspec.UnsetType = msgspec.UNSET
    format: Literal["baluarte-training/1"] = "baluarte-training/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trained detector that nothing has been proved of yet."""

    contract: Contract
    encoder: Encoder
    program: Program
    bands: Bands
    training: Training
    parts: NDArray[np.uint8]  #: (n,) :class:`Part` of every row it was trained from, in order
    drift_json: bytes | None  #: the armed baseline of the drift monitor
    spread: Spread | None = None  #: where the columns stood in the fit rows

    def rows(self, part: Part, events: Events) -> NDArray[np.int64]:
        """Row numbers of a part in the events that the candidate was trained from.

        Raises:
            DataError: these are other events.
        """
        names = self.contract.events.given_names
        given = self.training.split.given or self.holdout
        if len(self.parts) != events.n or given != digest(row_keys(events, names)):
            raise DataError(
                f"expected the {len(self.parts)} events that the candidate was trained from, "
                f"found {events.n} others",
                hint="Prove with the same files, or train again: `baluarte train`.",
            )
        return np.flatnonzero(self.parts == part)

    @property
    def holdout(self) -> str:
        """What looks are counted against."""
        return self.training.split.holdout


def candidate_files(candidate: Candidate) -> dict[str, bytes]:
    """The candidate's files by name: all there is of it."""
    files = {
        "contract.json": canonical(candidate.contract),
        "encoder.json": encoder_to_json(candidate.encoder),
        "program.bin": program_format.dumps(candidate.program),
        "bands.json": band_format.dumps(candidate.bands),
        "training.json": msgspec.json.encode(candidate.training, order="sorted"),
        "parts.bin": candidate.parts.astype(np.uint8).tobytes(),
    }
    if candidate.drift_json is not None:
        files["drift.json"] = candidate.drift_json
    if candidate.spread is not None:
        files["spread.json"] = spread_format.dumps(candidate.spread)
    return files


def candidate_digest(files: Mapping[str, bytes]) -> str:
    """``sha256:…`` over the names and digests of all files: what a candidate is known by."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def candidate_from_files(files: Mapping[str, bytes]) -> Candidate:
    """A candidate from its files, each checked as a bundle's would be.

    Raises:
        TrustError: a file is missing or isn't what it should be.
    """
    parts = np.frombuffer(_bytes(files, "parts.bin"), dtype=np.uint8)
    if parts.size and int(parts.max()) > max(Part):
        raise TrustError(f"expected parts 0-{max(Part):d}, found others", where="parts.bin")
    encoder, spread = encoder_from_json(_bytes(files, "encoder.json")), files.get("spread.json")
    return Candidate(
        contract=_decode(files, "contract.json", Contract),
        encoder=encoder,
        program=program_format.loads(_bytes(files, "program.bin")),
        bands=band_format.loads(_bytes(files, "bands.json")),
        training=_decode(files, "training.json", Training),
        parts=parts,
        drift_json=files.get("drift.json"),
        spread=None if spread is None else spread_format.loads(spread, encoder.columns),
    )


def _bytes(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise TrustError("the candidate lacks this file", where=name, hint="Train it again.")
    return files[name]


def _decode(files: Mapping[str, bytes], name: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(_bytes(files, name), type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise TrustError(f"expected {kind.__name__.lower()}, found: {error}", where=name) from error
