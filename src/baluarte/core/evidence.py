"""Evidence: what a proof measured. A figure, its bound, the method, the sample, the verdict."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.certificate import Certificate

Verdict = Literal["pass", "fail", "not_enough_data"]
Level = Literal["block", "warn", "note"]  #: of a finding


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured figure with its interval.

    Attributes:
        low: lower confidence bound, None where the method gives none.
        high: upper confidence bound, likewise.
        confidence: of the interval, in (0, 1).
        method: how the interval was made, such as ``clopper-pearson one-sided``.
        n: rows (or positives, or negatives) the figure stands on.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    method: str = ""
    n: int = 0


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One gate's answer. It passes on the bound, never on the point.

    Attributes:
        bound: the confidence bound that was compared with ``limit``.
        needed: rows that a planned pass still lacks, whatever the verdict; it follows from the
            number of rows alone.
    """

    gate: str
    verdict: Verdict
    limit: float
    figure: Figure
    bound: float | None = None
    segment: str | None = None
    needed: int = 0


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Bars that show a finding: a value for each label, or two of them.

    Attributes:
        name: what is shown; the key of its words in the catalogue.
        others: as many as ``values``, or none.
    """

    name: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    others: tuple[float, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of ``plan``: how bad, about what, on which evidence, and the cure.

    Attributes:
        check: the plug-in's name, such as ``constant``; also the text's key in the catalogue.
        values: what the text's placeholders are filled with.
        fix: the argument of ``baluarte plan --fix`` that cures it, if any.
        evidence: the figures that it stands on, with their intervals or probabilities by chance.
        picture: where one helps.
    """

    check: str
    level: Level
    field: str | None = None
    values: dict[str, str | int | float] = {}
    fix: str | None = None
    evidence: tuple[Figure, ...] = ()
    picture: Picture | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured of a candidate, as the seal keeps it.

    Attributes:
        verdict: over all gates: fail if one fails, else not enough data if one lacks data.
        gates: on the proof rows; empty for a provisional bundle whose look failed to certify.
        figures: on the proof rows.
        rehearsal: the same kind of figures on the tuning rows, which cost no look.
        faithfulness: the sealed program against the library's own output, by name of the figure.
        look: number of the look at the holdout that this was, from 1; 0 where there was none.
        holdout: digest of the proof rows.
        at: when it was measured, microseconds of UTC.
        certificate: of an adopted model's likeness; absent for a trained one.
    """

    verdict: Verdict
    gates: tuple[GateResult, ...] = ()
    figures: tuple[Figure, ...] = ()
    rehearsal: tuple[Figure, ...] = ()
    faithfulness: dict[str, float | int | str] = {}
    look: int = 0
    holdout: str = ""
    at: int = 0
    certificate: Certificate | msgspec.UnsetType = msgspec.UNSET
    format: Literal["baluarte-evidence/1"] = "baluarte-evidence/1"


class DataSource(msgspec.Struct, frozen=True, kw_only=True):
    """Data that were read: their version is the digest of their content.

    Attributes:
        address: where they were; a file's name, or a URL without its user and parameters.
        digest: ``sha256:…`` of the file's bytes, or of the rows that a query gave.
        rows: that could be read.
        quarantined: rows that were left out since they could not.
    """

    address: str
    digest: str
    rows: int
    quarantined: int = 0


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a candidate comes from: enough to make it again.

    Attributes:
        data: digest of the rows of each part (fit, tune, calibrate, threshold, proof).
        rows: how many rows each part has.
        code: version of this package that trained it.
        environment: versions of the interpreter and of the libraries that trained it.
        seed: of everything that draws.
        trials: what the search did, such as how many trials and which won.
        parent: digest of the bundle that this one was retrained from.
        sources: the data's versions; absent in what earlier releases sealed.
        spans: first and last time of each part's events, microseconds of UTC; absent where events
            have no time, and in what earlier releases sealed.
    """

    data: dict[str, str]
    rows: dict[str, int] = {}
    code: str = ""
    environment: dict[str, str] = {}
    seed: int = 0
    trials: dict[str, str | int | float | bool | None] = {}
    trained_by: str = ""
    trained_at: int = 0
    parent: str | None = None
    sources: tuple[DataSource, ...] | UnsetType = UNSET
    spans: dict[str, tuple[int, int]] | UnsetType = UNSET
    format: Literal["baluarte-lineage/1"] = "baluarte-lineage/1"
