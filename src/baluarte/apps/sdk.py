"""The SDK: load a sealed detector and decide, or fit one as scikit-learn's estimators are fitted.

``import baluarte`` costs nothing; these names are loaded when they are first used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte import wiring
from baluarte.adapters.frames import columns_of, is_table
from baluarte.adapters.stores.folder import read_folder
from baluarte.adapters.system import SystemClock
from baluarte.apps.catalogue import Texts
from baluarte.apps.estimator import Detector
from baluarte.apps.html import Html, tag
from baluarte.apps.numerals import Language
from baluarte.apps.otherwise import SECONDS, counterfactuals_of, deadline
from baluarte.apps.pseudonyms import sealed_pseudonyms
from baluarte.apps.reason_words import ReasonWords, reason_words
from baluarte.apps.scoring.answer import Reason, reasons_of
from baluarte.core.bundle import SealedBundle, open_bundle
from baluarte.core.contract import Contract
from baluarte.core.event import Events, event_digest, event_id, event_values
from baluarte.core.event_columns import from_columns
from baluarte.core.event_rows import RowReader
from baluarte.core.evidence import Evidence
from baluarte.core.window_plan import compile_windows
from baluarte.core.windows import WindowMemory
from baluarte.errors import DataError, TrustError
from baluarte.stages.counterfactual import Counterfactual, Counterfactuals
from baluarte.stages.derive import derive_in_order
from baluarte.stages.score import Decisions, Reasons, Scorer

__all__ = ["Detector", "LoadedDetector", "Result", "Results", "load", "read_events"]

_SHOWN = 10  #: rows that a notebook shows


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided of one event; nothing was recorded.

    Attributes:
        base: with the reasons' scores it adds up to the score, exactly.
    """

    event_id: str
    detector: str
    version: int
    outcome: str
    points: int
    score: int
    probability: float
    base: int | None = None
    reasons: tuple[Reason, ...] | None = None

    def _repr_html_(self) -> str:
        head = tag("p", tag("b", self.outcome), f" · {self.points} points · {self.detector}")
        rows = [(r.text, f"{r.score:+,}") for r in self.reasons or ()]
        return Html(head + (_table(("reason", "score units"), rows) if rows else ""))


class Results(Sequence[Result]):
    """What was decided of many events, in their order: columns, and rows when asked for."""

    def __init__(self, scorer: Scorer, events: Events, decisions: Decisions, say: ReasonWords):
        self._scorer, self._events, self._decisions, self._say = scorer, events, decisions, say
        self._reasons = decisions.reasons()

    @property
    def scores(self) -> NDArray[np.int64]:
        """(n,) fixed point; higher is more suspicious."""
        return self._decisions.scores

    @property
    def points(self) -> NDArray[np.int64]:
        """(n,) 0-999."""
        return self._decisions.points

    @property
    def probability(self) -> NDArray[np.float64]:
        """(n,) monotone in the score."""
        return self._decisions.probability

    @property
    def outcomes(self) -> list[str]:
        """(n,) names of the contract's bands."""
        names = self._decisions.outcomes
        return [names[band] for band in self._decisions.bands.tolist()]

    @property
    def alerts(self) -> NDArray[np.bool_]:
        """(n,) whether the event is above the lowest band."""
        return self._decisions.bands > 0

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns by name, such as a DataFrame is made of."""
        return {
            "outcome": self.outcomes,
            "points": self.points.tolist(),
            "score": self.scores.tolist(),
            "probability": self.probability.tolist(),
        }

    def __len__(self) -> int:
        return self._decisions.n

    @overload
    def __getitem__(self, at: int) -> Result: ...
    @overload
    def __getitem__(self, at: slice) -> list[Result]: ...
    def __getitem__(self, at: int | slice) -> Result | list[Result]:
        if isinstance(at, slice):
            return [self._row(i) for i in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(f"expected a row below {len(self)}, found {at}")
        return self._row(at % len(self))

    def __iter__(self) -> Iterator[Result]:
        return (self._row(i) for i in range(len(self)))

    def _row(self, i: int) -> Result:
        decided, scorer = self._decisions, self._scorer
        values = event_values(self._events, i)
        digest = event_digest(values)
        phi = self._reasons.get(i)
        return Result(
            event_id=event_id(scorer.contract.events, values, digest=digest, ordinal=i),
            detector=scorer.detector,
            version=scorer.version,
            outcome=decided.outcomes[int(decided.bands[i])],
            points=int(decided.points[i]),
            score=int(decided.scores[i]),
            probability=float(decided.probability[i]),
            base=None if phi is None else decided.base,
            reasons=None if phi is None else reasons_of(phi, values, decided.fields, self._say),
        )

    def __repr__(self) -> str:
        return f"Results({len(self)} events, {int(self.alerts.sum())} alerts)"

    def _repr_html_(self) -> str:
        rows = [
            (row.event_id, row.outcome, str(row.points), f"{row.probability:.4f}")
            for row in self[:_SHOWN]
        ]
        more = f"{len(self)} events, {int(self.alerts.sum())} alerts"
        return Html(tag("p", more) + _table(("event", "outcome", "points", "probability"), rows))


class LoadedDetector:
    """A sealed detector that was opened with every check, ready to decide.

    Nothing is recorded here: decisions that count are made by ``baluarte score`` and
    ``baluarte serve``, with the same bits. Window features are computed from the events that this
    object was given before, in the order given, from nothing at first.
    """

    def __init__(
        self, bundle: SealedBundle, *, language: Language = "en", pseudonym_key: str = ""
    ) -> None:
        self._bundle = bundle
        self._pseudonyms = sealed_pseudonyms(pseudonym_key, bundle)
        self._scorer = Scorer(bundle, kernel=wiring.kernel_choice())
        self._say = reason_words(bundle, language)
        self._otherwise: Counterfactuals | None = None
        self._plan = compile_windows(bundle.contract)
        self._windows = WindowMemory(self._plan) if self._plan is not None else None

    @property
    def name(self) -> str:
        """The detector's name."""
        return self._bundle.manifest.name

    @property
    def version(self) -> int:
        """The sealed version's number."""
        return self._bundle.manifest.version

    @property
    def digest(self) -> str:
        """``sha256:…`` of the bundle."""
        return self._bundle.digest

    @property
    def contract(self) -> Contract:
        """What the detector promises."""
        return self._bundle.contract

    @property
    def evidence(self) -> Evidence:
        """What was measured when it was proved."""
        return self._bundle.evidence

    @overload
    def decide(
        self, events: Mapping[str, object], *, reasons: Reasons = ..., threads: int = ...
    ) -> Result: ...
    @overload
    def decide(
        self, events: object, *, reasons: Reasons = ..., threads: int = ...
    ) -> Result | Results: ...
    def decide(
        self, events: object, *, reasons: Reasons = "alerts", threads: int = 1
    ) -> Result | Results:
        """Decide one event (a dict) or many (a list of dicts, or a table).

        Raises:
            DataError: every fault, by row and field.
        """
        found = self._read(events)
        decisions = self._scorer.decide(found, reasons=reasons, threads=threads)
        results = Results(self._scorer, found, decisions, self._say)
        return results[0] if isinstance(events, Mapping) else results

    def score(self, events: object, *, threads: int = 1) -> NDArray[np.int64]:
        """(n,) scores alone.

        Raises:
            DataError: every fault, by row and field.
        """
        return self._scorer.score(self._read(events), threads=threads)

    def counterfactual(
        self,
        event: Mapping[str, object],
        *,
        to: str | None = None,
        exact: bool = False,
        seconds: float = SECONDS,
    ) -> Counterfactual | None:
        """The least change found of one event that makes its outcome another, or None.

        Args:
            to: the outcome wanted; by default the next lower, or of the lowest the next higher.
            exact: prove that no smaller change does it, or say by how much one may be smaller.
            seconds: that the search may take.

        Raises:
            DataError: faults of the event, no such outcome, or a version sealed without ranges.
        """
        if self._otherwise is None:
            self._otherwise = counterfactuals_of(self._bundle, self._scorer)
        values = event_values(self._given(event), 0)
        return self._otherwise.find(values, to=to, exact=exact, stop=deadline(seconds))

    def _read(self, events: object) -> Events:
        """The events with their window features, if the contract declares any."""
        found = self._given(events)
        if self._plan is None or self._windows is None:
            return found
        now = SystemClock().now_us()
        return derive_in_order(self._windows.see, self._plan, found, arrived_at=now)

    def _given(self, events: object) -> Events:
        """The events as they were read, with pseudonyms where the contract has them."""
        found = read_events(self.contract, events)
        return found if self._pseudonyms is None else self._pseudonyms.events(found)

    def __repr__(self) -> str:
        return f"LoadedDetector({self.name}@{self.version}, {self.digest[:19]}…)"

    def _repr_html_(self) -> str:
        texts = Texts("en").numerals
        rows = [
            (
                figure.name,
                texts.number(figure.value),
                "–" if figure.low is None else f"≥ {texts.number(figure.low)}",
            )
            for figure in self.evidence.figures
        ]
        head = tag("p", tag("b", f"{self.name}@{self.version}"), f" · {self.contract.purpose}")
        return Html(head + _table(("figure", "value", "bound"), rows) + tag("p", self.digest))


def load(
    bundle: str | Path,
    *,
    trusted: str | Path | None = None,
    language: Language = "en",
    pseudonym_key: str = "",
) -> LoadedDetector:
    """Open a sealed bundle's folder: every check first, then something that decides.

    Args:
        bundle: the bundle's folder.
        trusted: folder of the public keys that are believed; by default the one of the workspace
            that the bundle stands in.
        pseudonym_key: text of the key that its pseudonyms are made with, where it has any.

    Raises:
        ContractError: it needs a key, and none was brought.
        OutsideError: the folder can't be read.
        TrustError: anything about the bundle doesn't hold.
    """
    folder = Path(bundle)
    keys = _trusted_beside(folder) if trusted is None else Path(trusted)
    opened = open_bundle(
        read_folder(folder), wiring.open_verifier(keys), at_us=SystemClock().now_us()
    )
    return LoadedDetector(opened, language=language, pseudonym_key=pseudonym_key)


def _trusted_beside(folder: Path) -> Path:
    """The trusted keys of the workspace above a bundle.

    Raises:
        TrustError: there is no workspace above: whose keys to believe is for the caller to say.
    """
    for above in folder.resolve().parents:
        keys = above / "keys" / "trusted"
        if keys.is_dir():
            return keys
    raise TrustError(
        "no trusted keys were named, and the bundle is in no workspace",
        where=str(folder),
        hint="baluarte.load(bundle, trusted=FOLDER_OF_PUBLIC_KEYS)",
    )


def read_events(contract: Contract, events: object) -> Events:
    """One dict, a list of dicts or a table as canonical events; NaN is missing.

    Raises:
        DataError: every fault, by row and field.
    """
    if isinstance(events, Events):
        return events
    if is_table(events):
        return from_columns(contract.events, columns_of(events, contract.events))
    if isinstance(events, Mapping):
        events = [events]
    if isinstance(events, Sequence) and not isinstance(events, str | bytes):
        return RowReader(contract.events, nan="missing").read(events)
    raise DataError(
        f"expected an event, a list of events or a table; found a {type(events).__name__}",
        hint="Bring a dict, a list of dicts, or a pandas, polars or Arrow table.",
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    return tag(
        "table",
        tag("thead", tag("tr", *[tag("th", text) for text in head])),
        tag("tbody", *[tag("tr", *[tag("td", text) for text in row]) for row in rows]),
    )
