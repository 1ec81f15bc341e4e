"""The one flow: encode, score, decide, record. Requests, files and streams all call it.

One event is a batch of one. What is sealed is the only thing that scores: no library's own
``predict`` is called here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.bundle import SealedBundle
from baluarte.core.decision import Decision
from baluarte.core.decision_bytes import Decided, RecordWriter
from baluarte.core.envelope import (
    PersonalPlan,
    Subject,
    contexts_of,
    digested,
    plan_personal,
)
from baluarte.core.event import Events, Value, Values
from baluarte.core.leaves import Records, text_digests
from baluarte.core.program.evaluate import Evaluator
from baluarte.errors import OutsideError
from baluarte.ports import DataKey

if TYPE_CHECKING:  # a serving process has no use for what training needs
    from baluarte.core.candidate import Candidate

Reasons = Literal["alerts", "all", "none"]
Kernel = Literal["auto", "c", "numpy"]

_ENCODE = msgspec.json.Encoder()
_SORTED = msgspec.json.Encoder(order="sorted")


class Decisions(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """What was decided about ``n`` events, in columns."""

    n: int
    features: NDArray[np.float64]  #: (n, d) the encoded columns that were scored
    scores: NDArray[np.int64]  #: (n,)
    points: NDArray[np.int64]  #: (n,) 0-999
    probability: NDArray[np.float64]  #: (n,)
    bands: NDArray[np.int64]  #: (n,) index of the outcome
    outcomes: tuple[str, ...]  #: names of the bands, lowest first
    fields: tuple[str, ...]  #: the f schema features that reasons speak of, in contract order
    base: int  #: with a row's reasons it adds up to the row's score, exactly
    explained: NDArray[np.int64]  #: (k,) ascending row numbers that have reasons
    phi: NDArray[np.int64]  #: (k, f) score units a schema feature

    def reasons(self) -> dict[int, tuple[int, ...]]:
        """Row number to (f,) reasons, for the rows that have them."""
        return {
            row: tuple(phi)
            for row, phi in zip(self.explained.tolist(), self.phi.tolist(), strict=True)
        }


class Identity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which event it was: its id and time, its own or derived, and its record form."""

    event_id: str
    event_at: int  #: microseconds of UTC
    digest: str
    event: bytes  #: the record's JSON with sorted keys, which the digest is over
    key: DataKey | None = None  #: of the subject, where some of it is personal
    personal: bytes = b""  #: JSON of the personal values, which are then not in ``event``


class Scorer:
    """Decides events by one sealed bundle.

    Args:
        bundle: that was opened with every check. A candidate may score, too: it is version 0 of
            its detector and has no digest, so nothing can be recorded of it.
        kernel: which evaluator; both give the same bits.

    Raises:
        OutsideError: the kernel that was asked for is not there.
    """

    def __init__(self, bundle: SealedBundle | Candidate, *, kernel: Kernel = "auto") -> None:
        self.contract = bundle.contract
        self.detector = bundle.contract.name
        self.version, self.digest = 0, ""
        if isinstance(bundle, SealedBundle):
            self.version, self.digest = bundle.manifest.version, bundle.digest
        self.encoder = bundle.encoder
        self.bands = bundle.bands
        self.outcomes: tuple[str, ...] = bundle.bands.names
        self.thresholds: tuple[int | None, ...] = (None, *bundle.bands.thresholds)
        self.fields = tuple(field.name for field in bundle.contract.events.features)
        try:
            self._evaluator = Evaluator(bundle.program, kernel=kernel)
        except RuntimeError as error:
            raise OutsideError(
                str(error),
                hint="Reinstall baluarte where a C compiler is, or set BALUARTE_KERNEL=numpy: the "
                "same bits, more slowly.",
            ) from error
        self._no_reasons = np.zeros((0, len(self.fields)), dtype=np.int64)
        # The columns of a field stand together, the fields in the contract's order.
        fields = [column.field for column in bundle.encoder.columns]
        self._first_column = np.array([fields.index(name) for name in self.fields], dtype=np.intp)
        schema = bundle.contract.events
        id_field, time_field = schema.by_role("id"), schema.by_role("time")
        self.id_field = id_field.name if id_field else None
        self._time_field = time_field.name if time_field else None
        self.personal = plan_personal(self.detector, schema, fields)
        self._writers: dict[str, RecordWriter] = {}

    @property
    def kernel(self) -> Literal["c", "numpy"]:
        """The evaluator in use."""
        return self._evaluator.kernel

    @property
    def evaluator(self) -> Evaluator:
        """What scores the encoded columns."""
        return self._evaluator

    def reason_errors(self, row: Values) -> dict[str, float] | None:
        """The standard error of each field's reason, in score units; None where all are exact.

        Where several columns are of one field their errors are added, which is on the safe side.
        """
        if not self._evaluator.estimates:
            return None
        X = np.array([self.encoder.encode_row(row)], dtype=np.float64)
        _, _, errors = self._evaluator.reasons_and_errors(X)
        of_fields = np.add.reduceat(errors[0], self._first_column)
        return dict(zip(self.fields, of_fields.tolist(), strict=True))

    def score(self, events: Events, *, threads: int = 1) -> NDArray[np.int64]:
        """(n,) scores alone."""
        return self._evaluator.score(self.encoder.encode(events), threads=threads)

    def decide(
        self, events: Events, *, reasons: Reasons | NDArray[np.bool_] = "alerts", threads: int = 1
    ) -> Decisions:
        """Decide events in columns.

        Args:
            reasons: for which rows; a mask (n,) asks for single rows beside every alert.
        """
        return self._decide(self.encoder.encode(events), reasons, threads)

    def decide_records(
        self, rows: Sequence[Values], *, reasons: Reasons | NDArray[np.bool_] = "alerts"
    ) -> Decisions:
        """Decide events in record form, such as the few rows of a request: the same bits."""
        return self._decide(self.encoder.encode_rows(rows), reasons, 1)

    def decide_encoded(
        self, X: NDArray[np.float64], *, reasons: Reasons | NDArray[np.bool_] = "alerts"
    ) -> Decisions:
        """Decide events whose (n, d) columns are encoded already: the same bits."""
        return self._decide(X, reasons, 1)

    def _decide(
        self, X: NDArray[np.float64], reasons: Reasons | NDArray[np.bool_], threads: int
    ) -> Decisions:
        scores = self._evaluator.score(X, threads=threads)
        bands, points, probability = self.bands.read(scores)
        rows = _rows_to_explain(bands, reasons)
        base, phi = self.explain(X[rows], threads=threads) if len(rows) else (0, self._no_reasons)
        return Decisions(
            n=len(X),
            features=X,
            scores=scores,
            points=points,
            probability=probability,
            bands=bands,
            outcomes=self.outcomes,
            fields=self.fields,
            base=base,
            explained=rows,
            phi=phi,
        )

    def explain(self, X: NDArray[np.float64], *, threads: int = 1) -> tuple[int, NDArray[np.int64]]:
        """The base and (k, f) reasons of k encoded rows, in score units; 0 where there is none."""
        if not len(X):
            return 0, self._no_reasons
        base, columns = self._evaluator.reasons(X, threads=threads)
        return base, np.add.reduceat(columns, self._first_column, axis=1)

    # --- identity, answers, records ---------------------------------------------------------

    def subjects(self, rows: Sequence[Values], token: Callable[[], str]) -> list[Subject] | None:
        """Whose values each event's are; None where nothing is personal.

        Args:
            token: a fresh name for an event that has neither subject nor id.
        """
        plan = self.personal
        return None if plan is None else [plan.subject_of(values, token) for values in rows]

    def identify(
        self,
        values: Values,
        *,
        ordinal: int,
        arrival_us: int,
        subject: Subject | None = None,
        key: DataKey | None = None,
    ) -> Identity:
        """The event's id, time and digest; stated derived ones where it has none of its own.

        Args:
            ordinal: of the event in its request or file.
            arrival_us: microseconds of UTC at which it came.
            subject: whose values these are, where some are personal.
            key: of the subject; without it the event can be decided, and not recorded.
        """
        personal = b""
        if self.personal is not None and key is not None:
            clear, about = self.personal.split(values)
            event, personal = _ENCODE.encode(clear), _ENCODE.encode(about)  # sorted already
            digest = key.digest(digested(event, personal))
        else:
            event = _SORTED.encode(values)
            digest = "sha256:" + hashlib.sha256(event).hexdigest()  # as core.event.event_digest
        own_id = values.get(self.id_field) if self.id_field else None
        own_at = values.get(self._time_field) if self._time_field else None
        if own_id is not None:
            event_id = str(own_id)
        elif subject is not None and subject.is_event:
            event_id = subject.name  # by which its key can be found again
        else:
            event_id = f"{digest.partition(':')[2][:32]}-{ordinal}"
        return Identity(
            event_id=event_id,
            event_at=int(own_at) if own_at is not None else arrival_us,
            digest=digest,
            event=event,
            key=key,
            personal=personal,
        )

    def identify_all(
        self,
        rows: Sequence[Values],
        *,
        ordinals: Iterable[int],
        arrival_us: int,
        subjects: Sequence[Subject] | None = None,
        keys: Sequence[DataKey] | None = None,
    ) -> list[Identity]:
        """The identity of every event in record form; as :meth:`identify`.

        Args:
            ordinals: of each in its request or file.
        """
        if subjects is None or keys is None:
            return self._identify_plain(rows, ordinals, arrival_us)
        return [
            self.identify(values, ordinal=i, arrival_us=arrival_us, subject=subject, key=key)
            for i, values, subject, key in zip(ordinals, rows, subjects, keys, strict=True)
        ]

    def _identify_plain(
        self, rows: Sequence[Values], ordinals: Iterable[int], arrival_us: int
    ) -> list[Identity]:
        """The identities of events without anything personal."""
        id_field, time_field = self.id_field, self._time_field
        return self.identify_encoded(
            _SORTED.encode_lines(rows).split(b"\n")[:-1],  # a text's line ends are escaped
            ids=[values.get(id_field) if id_field else None for values in rows],
            times=[values.get(time_field) if time_field else None for values in rows],
            ordinals=ordinals,
            arrival_us=arrival_us,
        )

    def identify_encoded(
        self,
        events: Sequence[bytes],
        *,
        ids: Sequence[Value | None],
        times: Sequence[Value | None],
        ordinals: Iterable[int],
        arrival_us: int,
    ) -> list[Identity]:
        """The identities of events whose records are JSON already; as :meth:`identify_all`.

        Args:
            ids: of each its own, if it has one.
            times: likewise.
        """
        digests = text_digests(events)  # as core.event.event_digest
        columns = zip(ids, times, events, digests, ordinals, strict=True)
        return [
            Identity(
                event_id=f"{digest[7:39]}-{ordinal}" if own_id is None else str(own_id),
                event_at=arrival_us if own_at is None else int(own_at),
                digest=digest,
                event=event,
            )
            for own_id, own_at, event, digest, ordinal in columns
        ]

    def answers(
        self,
        decisions: Decisions,
        identities: Sequence[Identity],
        ids: Sequence[str],
        *,
        rows: Sequence[int] | None = None,
    ) -> list[Decision]:
        """The decisions as rows, in order.

        Args:
            rows: which of them; None: all.
        """
        detector, version, base = self.detector, self.version, decisions.base
        columns = zip(
            ids,
            identities,
            decisions.scores.tolist(),
            decisions.points.tolist(),
            decisions.probability.tolist(),
            decisions.bands.tolist(),
            map(decisions.reasons().get, range(decisions.n)),
            strict=True,
        )
        if rows is not None:
            columns = map(list(columns).__getitem__, rows)  # type: ignore[assignment]
        return [
            Decision(
                id=own_id,
                event_id=identity.event_id,
                detector=detector,
                version=version,
                score=score,
                points=points,
                probability=probability,
                band=band,
                outcome=self.outcomes[band],
                base=None if reasons is None else base,
                reasons=reasons,
            )
            for own_id, identity, score, points, probability, band, reasons in columns
        ]

    def records(
        self,
        decisions: Decisions,
        ids: list[str],
        identities: Sequence[Identity],
        *,
        decided_at: int,
        role: Literal["champion", "challenger"] = "champion",
        deferred: Sequence[bool] | None = None,
        cells: bytes | None = None,
    ) -> Records:
        """The ledger's bytes of each decision: with them it can be computed again.

        Args:
            ids: of the decisions.
            deferred: of which rows reasons were due and left to replay; None: of none.
            cells: the JSON of all encoded columns, where it is there already.
        """
        plan, writer = self.personal, self._writer(role)
        decided = Decided(
            ids=ids,
            scores=decisions.scores,
            points=decisions.points,
            bands=decisions.bands,
            base=decisions.base,
            features=decisions.features,
            reasons=list(map(decisions.reasons().get, range(decisions.n))),
            deferred=[False] * decisions.n if deferred is None else list(deferred),
            cells=cells,
        )
        if plan is None:
            return writer.write_all(decided, identities, decided_at=decided_at)
        columns = decisions.features[:, list(plan.columns)]
        clear = msgspec.structs.replace(
            decided, features=_without(decisions.features, plan.columns), cells=None
        )
        nonces = _nonces(identities)
        if nonces is not None:
            records = writer.seal_all(
                clear, identities, decided_at=decided_at, plan=plan, columns=columns, nonces=nonces
            )
            if records is not None:
                return records
        sealed = self._seal(plan, decided, identities, columns)
        shows = not plan.seals_reasons
        return writer.write_all(
            clear, identities, decided_at=decided_at, sealed=sealed, tells_reasons=shows
        )

    def _writer(self, role: Literal["champion", "challenger"]) -> RecordWriter:
        """What writes the records of this version in a role."""
        if role not in self._writers:
            self._writers[role] = RecordWriter(
                detector=self.detector,
                version=self.version,
                bundle=self.digest,
                role=role,
                outcomes=self.outcomes,
                thresholds=self.thresholds,
            )
        return self._writers[role]

    def _seal(
        self,
        plan: PersonalPlan,
        decided: Decided,
        identities: Sequence[Identity],
        columns: NDArray[np.float64],
    ) -> list[tuple[str, bytes] | None]:
        """Seal what is personal: the event's values, (n, k) columns made of them, and reasons."""
        values = [b""] * len(decided.ids)
        if plan.columns:
            values = _ENCODE.encode_lines(columns.tolist()).split(b"\n")[:-1]
        reasons = [b""] * len(decided.ids)
        if plan.seals_reasons:
            reasons = [
                b"" if told is None else b',"reasons":' + _ENCODE.encode(told)
                for told in decided.reasons
            ]
        plain = [  # the JSON of PersonalValues, of parts that are encoded already
            b"".join((b'{"event":', identity.personal, plan.before_columns, value, why, b"}"))
            for identity, value, why in zip(identities, values, reasons, strict=True)
        ]
        contexts = contexts_of(decided.ids, self.detector, self.version)
        keys = [identity.key for identity in identities]
        return [
            (key.id, key.seal(text, context)) if key is not None else _no_key()
            for key, text, context in zip(keys, plain, contexts, strict=True)
        ]


def _without(features: NDArray[np.float64], columns: Sequence[int]) -> NDArray[np.float64]:
    """The same with NaN in these columns."""
    clear = features.copy()
    clear[:, list(columns)] = np.nan
    return clear


def _nonces(identities: Sequence[Identity]) -> bytes | None:
    """Fresh ones for all, where compiled code can seal under their keys."""
    key = identities[0].key if identities else None
    return None if key is None or key.compiled is None else key.nonces(len(identities))


def _no_key() -> NoReturn:
    raise ValueError("a record with personal values needs its subject's key")


def _rows_to_explain(
    bands: NDArray[np.int64], reasons: Reasons | NDArray[np.bool_]
) -> NDArray[np.int64]:
    """(k,) ascending row numbers."""
    if isinstance(reasons, np.ndarray):
        return (reasons | (bands > 0)).nonzero()[0]
    if reasons == "alerts":
        return bands.nonzero()[0]
    return np.arange(len(bands) if reasons == "all" else 0)
