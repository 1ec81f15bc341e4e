"""What can be switched: every Protocol, on one page.

A plug-in meets one of these and has one entry-point line in ``pyproject.toml``; a port's
conformance suite lives in :mod:`baluarte.testing` and runs over every registered plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from baluarte.core.reading import PLAIN, BadRow, Reading

if TYPE_CHECKING:  # who knows a port need not load all that its methods speak of
    import numpy as np
    from numpy.typing import NDArray

    from baluarte.core.accounts import Account, ApiKey, Failures, Session
    from baluarte.core.adopted import LibraryOutput, ModelInput, Scale
    from baluarte.core.contract import Contract, Gate
    from baluarte.core.counterfactual import Answer, Question
    from baluarte.core.decision_index import IndexedDecision, IndexMark
    from baluarte.core.drift import Alarm, ViewValue
    from baluarte.core.envelope import Subject
    from baluarte.core.erasure import Erasure
    from baluarte.core.event import Events
    from baluarte.core.evidence import Finding, GateResult
    from baluarte.core.keys import Algorithm, PublicKey
    from baluarte.core.note_keys import NoteKey
    from baluarte.core.program.draft import Draft
    from baluarte.core.proof_rows import ProofRows
    from baluarte.core.raw_column import RawColumn
    from baluarte.core.registry import (
        LabelIntake,
        LabelRow,
        Promotion,
        Shadowing,
        Version,
        WorkerState,
    )
    from baluarte.core.retention import Dropped, RecordClass
    from baluarte.core.schema import Schema
    from baluarte.core.search import FitTask, SearchBudget, Trial
    from baluarte.core.tiles import Tree
    from baluarte.core.windows import Seen, Told, WindowCounts

Matrix: TypeAlias = "NDArray[np.float64]"  #: (n, d) encoded columns; NaN is missing
Target: TypeAlias = "NDArray[np.int8]"  #: (n,) 1 attack, 0 not
Params = Mapping[str, int | float | str | bool]
#: asked with the folds judged so far and the value over their rows: whether to break a trial off
Behind = Callable[[int, float], bool]


# --- time, entropy, progress -------------------------------------------------------------------


class Clock(Protocol):
    """The time."""

    def now_us(self) -> int:
        """Microseconds of UTC since 1970."""
        ...


class Entropy(Protocol):
    """Unpredictable bytes, for ids and keys; never for anything that must be repeatable."""

    def token(self, n_bytes: int) -> bytes:
        """``n_bytes`` fresh random bytes."""
        ...


class Progress(Protocol):
    """Where long work says how far it is."""

    def step(self, done: int, total: int, note: str = "") -> None:
        """``done`` of ``total`` steps are complete."""
        ...


# --- learning ----------------------------------------------------------------------------------


class Suggest(Protocol):
    """What a search offers a model to draw its parameters from."""

    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number in [low, high]."""
        ...

    def number(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number in [low, high]."""
        ...

    def choice(
        self, name: str, options: Sequence[str | int | float | bool]
    ) -> str | int | float | bool:
        """One of the options."""
        ...

    def option(
        self, name: str, options: Sequence[str | int | float | bool]
    ) -> str | int | float | bool:
        """The first of the options, unless the contract names another: it is not searched."""
        ...


class Fitted(Protocol):
    """A fitted model: the library's own output, and its compiled form."""

    def margin(self, X: Matrix) -> NDArray[np.float64]:
        """(n,) the library's own float64 output, on the additive scale."""
        ...

    def compile(self) -> Draft:
        """The same function as a draft program (float64 leaves and weights, not yet rounded)."""
        ...


class Model(Protocol):
    """A learner: one file in ``methods/models``.

    One that fits on some of the rows gives what it fitted a ``sample``: (m,) their numbers. One
    whose library adds up in float32 gives it ``margin_in_float32``, for the evidence. One that
    refuses parameters of its library has them in ``refuses``, each with the reason.
    """

    @property
    def name(self) -> str:
        """As contracts call it."""
        ...

    @property
    def needs_labels(self) -> bool:
        """Whether it learns from labels."""
        ...

    def defaults(self) -> Params:
        """Parameters of trial 0: sound without any search."""
        ...

    def suggest(self, suggest: Suggest) -> Params:
        """Parameters of a further trial, drawn from the model's space."""
        ...

    def fit(self, X: Matrix, y: Target, *, params: Params, task: FitTask) -> Fitted:
        """Fit on (n, d) rows; deterministic for equal arguments. ``y`` is unused without labels."""
        ...


class Search(Protocol):
    """A resumable, deterministic search over a model's space; one trial at a time."""

    def size(self, models: Sequence[Model], *, budget: SearchBudget) -> int:
        """How many trials it runs, unless the clock stops it.

        Raises:
            ContractError: fewer than it needs are allowed.
        """
        ...

    def run(
        self, models: Sequence[Model], *, budget: SearchBudget, evaluate: Evaluate, key: str
    ) -> list[Trial]:
        """Run (or resume) up to the budget's trials and return all of them, oldest first.

        Args:
            key: what the trials are made on; trials kept under another key are not resumed.
        """
        ...


class Evaluate(Protocol):
    """Scores one parameter set of one model."""

    def __call__(
        self, model: Model, params: Params, *, seed: int, behind: Behind | None = None
    ) -> tuple[float, dict[str, float]]:
        """The value to maximise and the figures to record.

        Args:
            behind: asked after each fold but the last; where it says yes the trial ends, and value
                and figures are those of the folds that were judged.
        """
        ...


# --- adopting ----------------------------------------------------------------------------------


class ForeignModel(Protocol):
    """A model that people already have, read from its file as data.

    Rows for it are (n, inputs), in the order of its inputs; a category's column holds codes (see
    :class:`~baluarte.core.adopted.ModelInput`).
    """

    @property
    def read_as(self) -> str:
        """The format, and its version where the file says it."""
        ...

    @property
    def scale(self) -> Scale:
        """Of the draft's sum."""
        ...

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """What it is fed, in its own order."""
        ...

    def draft(self, rows: Matrix) -> Draft:
        """The model over its inputs.

        Args:
            rows: (n, inputs), n at least 1; ranges of linear terms, their means, and covers of
                trees that bring none are taken from them.

        Raises:
            DataError: it can't be put as a program; says why, and what to do.
        """
        ...

    def by_library(self, rows: Matrix) -> LibraryOutput | None:
        """What the model's own library says of (n, inputs) rows; None where it isn't there."""
        ...


class ModelReader(Protocol):
    """Reads one format of models, without running anything: one file in ``methods/readers``."""

    name: ClassVar[str]

    def recognises(self, name: str, head: bytes) -> bool:
        """Whether a file of this name that starts with these bytes (up to 4 KiB) is one."""
        ...

    def read(self, data: bytes, *, positive: str | None, where: str) -> ForeignModel:
        """The model in the file.

        Args:
            positive: the class that is the attack, for a model of more than two.
            where: the file's name, for messages.

        Raises:
            DataError: no model of this format, damaged, or one that can't be put as a program.
        """
        ...


# --- checks, gates -----------------------------------------------------------------------------


class Check(Protocol):
    """A check of the data before training: one file in ``methods/checks``."""

    name: ClassVar[str]

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """What it found in the events, worst first."""
        ...


class GatePlugin(Protocol):
    """A gate: one file in ``methods/gates``."""

    name: ClassVar[str]

    def judge(
        self, gate: Gate, contract: Contract, rows: ProofRows, *, alpha: float
    ) -> list[GateResult]:
        """One result, or one a segment where ``gate.by`` is set.

        Args:
            alpha: error probability this look may spend on this gate.
        """
        ...

    def needed(self, gate: Gate, contract: Contract, *, alpha: float) -> tuple[int, int]:
        """Positives and negatives that the proof rows need for power .8, for ``plan``."""
        ...


# --- watching ----------------------------------------------------------------------------------


class DriftMonitor(Protocol):
    """An armed drift detector: one writer, events in the order they were decided."""

    def update(self, X: Matrix, scores: NDArray[np.int64]) -> list[Alarm]:
        """See (n, d) further events and their scores; the alarms that they raised, oldest first."""
        ...

    def state(self) -> bytes:
        """JSON to go on from later; it holds counts, and no event."""
        ...


class DriftDetector(Protocol):
    """Watches inputs with a promise on false alarms: one file in ``methods/drift``."""

    name: ClassVar[str]
    kind: ClassVar[Literal["detector"]]

    def arm(
        self,
        X: Matrix,
        scores: NDArray[np.int64],
        *,
        names: Sequence[str],
        categorical: Sequence[bool],
        arl: float,
    ) -> bytes:
        """Learn the baseline from (n, d) rows in the order of time, rehearse it, and seal it.

        Args:
            names: (d,) of the columns.
            categorical: (d,) whether a column holds category codes.
            arl: events between false alarms, on average, at least.

        Returns:
            The baseline as JSON.

        Raises:
            DataError: too few rows, or it alarms on held-out baseline more than it may.
        """
        ...

    def open(self, baseline: bytes, state: bytes | None = None) -> DriftMonitor:
        """A monitor on a sealed baseline, from the start or from a state.

        Raises:
            TrustError: bytes that :meth:`arm` or :meth:`DriftMonitor.state` didn't make.
        """
        ...


class DriftView(Protocol):
    """A familiar distance between baseline and current, to look at: no promise.

    One file in ``methods/drift``.
    """

    name: ClassVar[str]
    kind: ClassVar[Literal["view"]]

    def values(
        self,
        baseline: Matrix,
        current: Matrix,
        *,
        names: Sequence[str],
        categorical: Sequence[bool],
    ) -> list[ViewValue]:
        """One value a column, in the columns' order."""
        ...


# --- explaining --------------------------------------------------------------------------------


class CounterfactualSearch(Protocol):
    """Finds a change that makes a decision come out otherwise: one file in ``methods/explain``."""

    name: ClassVar[str]
    proves: ClassVar[bool]  #: whether it says what no change can cost less than

    def find(
        self, question: Question, *, known: Answer | None, stop: Callable[[int], bool]
    ) -> Answer | None:
        """A change of the axes' columns to values of theirs that reaches the goal.

        Deterministic for equal arguments, but for where ``stop`` ends it.

        Args:
            known: an answer that was found before; what is returned is no worse.
            stop: asked now and then, with the nodes looked at so far, whether to end with what
                there is.

        Returns:
            None where it found nothing; of one that proves, without a stop: there is nothing.

        Raises:
            DataError: this search can't do this program.
        """
        ...


# --- state -------------------------------------------------------------------------------------


class WindowState(Protocol):
    """What is remembered for window features: one file in ``adapters/states``.

    The rules are those of :mod:`baluarte.core.windows`; a state keeps what they say to keep.
    """

    name: ClassVar[str]
    shared: ClassVar[bool]  #: whether several processes can hold it, and it keeps itself

    def see(self, events: Sequence[Seen]) -> None:
        """Remember events, in order, and write the window features into their records.

        Raises:
            OutsideError: the state is away; no event was remembered in part.
        """
        ...

    def learn(self, labels: Sequence[Told]) -> int:
        """Take labels in; how many changed something that can still matter.

        Raises:
            OutsideError: the state is away.
        """
        ...

    def forget(self, field: str, names: Collection[str]) -> int:
        """Forget the subjects that ``field`` names; of how many entities something was held.

        Raises:
            OutsideError: the state is away.
        """
        ...

    def clear(self) -> None:
        """Forget everything.

        Raises:
            OutsideError: the state is away.
        """
        ...

    def count(self) -> WindowCounts:
        """What the rules did so far, and what is held."""
        ...

    @property
    def mark(self) -> Mapping[str, int]:
        """How many records of each shard of the ledger the state knew when it was kept last."""
        ...

    def snapshot(self, mark: Mapping[str, int]) -> bytes:
        """The state as it is now, for :meth:`keep`; nothing where the state keeps itself."""
        ...

    def keep(self, snapshot: bytes) -> None:
        """Make a snapshot durable in the place of the one before.

        Raises:
            OutsideError: it can't be written; the one before stands.
        """
        ...

    def close(self) -> None:
        """Let go of it; nothing is written."""
        ...


# --- the world ---------------------------------------------------------------------------------


class Quarantine(Protocol):
    """Where rows go that can't be read, so that the others can be used."""

    def put(self, row: BadRow) -> None:
        """Keep a row.

        Raises:
            DataError: there are more of them than may be.
        """
        ...


class Source(Protocol):
    """A place events come from: one file in ``adapters/sources``; opened by address.

    A file's name ends with one of ``suffixes``; any other place's address begins with one of
    ``schemes`` and a colon.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    schemes: ClassVar[tuple[str, ...]]

    def profile(self, address: str, *, max_rows: int, reading: Reading = PLAIN) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows."""
        ...

    def read(
        self,
        address: str,
        schema: Schema,
        *,
        batch_rows: int,
        reading: Reading = PLAIN,
        quarantine: Quarantine | None = None,
    ) -> Iterator[Events]:
        """Canonical events in batches, in file order.

        Args:
            quarantine: takes the rows that do not conform; the others are yielded. Without it
                nothing is yielded from the first fault on.

        Raises:
            DataError: values do not conform; faults up to a stated number, with row and field.
        """
        ...

    def digest(self, address: str) -> str:
        """``sha256:…`` of the content: which data it was."""
        ...


class Sink(Protocol):
    """Where decisions of a batch go: one file in ``adapters/sinks``; all of it or nothing."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    schemes: ClassVar[tuple[str, ...]]

    def write(self, address: str, batches: Iterator[Mapping[str, Sequence[object]]]) -> int:
        """Write all batches of columns and return the number of rows; all of it or nothing."""
        ...


class PrivateKey(Protocol):
    """A private key that was opened."""

    public_key: bytes  #: raw

    def sign(self, message: bytes) -> bytes:
        """The signature over the message."""
        ...


class SignatureKind(Protocol):
    """One algorithm of signatures: one file in ``adapters/signers``."""

    name: ClassVar[Algorithm]

    def generate(self) -> tuple[bytes, bytes]:
        """A new private key as PEM (PKCS 8), and its raw public key."""
        ...

    def open(self, pem: bytes, *, where: str) -> PrivateKey:
        """The private key in a PEM.

        Raises:
            TrustError: it is none, or of another kind.
        """
        ...

    def holds(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature over the message is by this key; False for what is malformed."""
        ...


class Signer(Protocol):
    """Makes signatures with one key."""

    name: ClassVar[str]

    @property
    def key(self) -> PublicKey:
        """The public half: its name, id and validity."""
        ...

    @property
    def key_id(self) -> str:
        """Stable id of the public key, hex SHA-256 of its raw bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature over the message."""
        ...


class Verifier(Protocol):
    """Checks signatures by trusted public keys."""

    def verify(self, message: bytes, signature: bytes, *, key_id: str, at_us: int) -> None:
        """Return if the signature holds and the key was valid at that time.

        Raises:
            TrustError: unknown, revoked or expired key, or a wrong signature.
        """
        ...

    def public_keys(self) -> list[PublicKey]:
        """All trusted keys, revoked and expired ones too, by name."""
        ...


class Disk(Protocol):
    """What a ledger asks of a file system: few operations, so that each can be made to fail.

    Only what was synced survives a power cut: a file's bytes by ``datasync`` or ``sync`` of it, its
    name by ``sync_folder`` of its folder. Every method raises OSError as the operating system does.
    """

    def open_existing(self, path: PurePath, *, write: bool = False) -> int:
        """A descriptor of a regular file that is there; never through a link."""
        ...

    def open_new(self, path: PurePath) -> int:
        """A descriptor of a file that wasn't there, readable by its owner only."""
        ...

    def open_or_new(self, path: PurePath) -> int:
        """A descriptor of a file, made where it wasn't there; never through a link."""
        ...

    def close(self, descriptor: int, /) -> None:
        """Give the descriptor back, and the lock with it."""
        ...

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write all of ``data`` at ``offset``."""
        ...

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        """Up to ``length`` bytes at ``offset``; fewer only at the file's end."""
        ...

    def truncate(self, descriptor: int, length: int, /) -> None:
        """End the file at ``length``; zeros where it was shorter."""
        ...

    def reserve(self, descriptor: int, length: int) -> None:
        """Reserve room for ``length`` bytes where the file system can."""
        ...

    def datasync(self, descriptor: int, /) -> None:
        """Make the file's bytes durable (fdatasync)."""
        ...

    def sync(self, descriptor: int, /) -> None:
        """Make the file durable (fsync)."""
        ...

    def lock(self, descriptor: int) -> bool:
        """Lock the file for this process alone; False where another holds it."""
        ...

    def size(self, path: PurePath) -> int:
        """Bytes of a file."""
        ...

    def names(self, folder: PurePath) -> list[str]:
        """What stands in a folder, in no order."""
        ...

    def is_folder(self, path: PurePath) -> bool:
        """Whether a folder is there, itself and no link."""
        ...

    def make_folder(self, path: PurePath) -> None:
        """Make a folder for its owner only, whose parent is there."""
        ...

    def rename(self, old: PurePath, new: PurePath) -> None:
        """Give a file another name, in the place of what had it."""
        ...

    def unlink(self, path: PurePath) -> None:
        """Take a file's name away."""
        ...

    def sync_folder(self, folder: PurePath) -> None:
        """Make the folder's list of names durable."""
        ...

    def free_bytes(self, folder: PurePath) -> int:
        """Room that this process may still fill."""
        ...


class Spill(Protocol):
    """Where whole numbers go that are too many to be held; it is empty when work begins."""

    def append(self, values: NDArray[np.uint64]) -> int:
        """Keep these; the number of those kept before."""
        ...

    def read(self, at: int, n: int) -> NDArray[np.uint64]:
        """(n,) those from ``at`` on, as they were appended."""
        ...


class WitnessStore(Protocol):
    """What a witness knows of logs and saw of each."""

    def keys_of(self, origin: str) -> tuple[NoteKey, ...]:
        """The keys of one log; none where it isn't known."""
        ...

    def last(self, origin: str) -> bytes | None:
        """The checkpoint that was cosigned last, as a note."""
        ...

    def keep(self, origin: str, note: bytes) -> None:
        """Remember a checkpoint, durably before this returns."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Within, nobody else replaces what was seen."""
        ...


class Room(NamedTuple):
    """The room that a shard has, and the disk beside it."""

    free_bytes: int  #: of the disk
    reserved_bytes: int  #: for this shard, not used yet
    next_is_reserved: bool  #: whether a whole further segment is among it


class LedgerShard(Protocol):
    """An append-only Merkle log with one writer: one shard a worker."""

    @property
    def tag(self) -> str:
        """The shard's stable tag: six hex digits."""
        ...

    @property
    def size(self) -> int:
        """Records so far, durable or not; the next record's index."""
        ...

    def append(self, records: Sequence[bytes]) -> int:
        """Queue records and return the first one's index. Not durable until :meth:`commit`."""
        ...

    def commit(self) -> None:
        """Make everything appended durable (fdatasync).

        Raises:
            OutsideError: no room or the disk failed; nothing after this is acknowledged.
        """
        ...

    def root(self) -> bytes:
        """32 bytes: the RFC 9162 tree head over all records."""
        ...

    def room(self) -> Room:
        """The room that is left; where the next segment is not reserved, this tries again.

        Raises:
            OSError: the disk can't be asked.
        """
        ...

    def close(self) -> None:
        """Commit and give up the writer's lock."""
        ...


class LedgerReader(Protocol):
    """Reads all shards beside their writers; never writes a record."""

    def shards(self) -> list[str]:
        """Tags of all shards, sorted."""
        ...

    def size(self, tag: str) -> int:
        """Durable records of a shard."""
        ...

    def entries(
        self, tag: str, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes | Dropped]:
        """The records' bytes in order, and of each dropped one what stays of it.

        Raises:
            TrustError: a committed record is missing or damaged.
        """
        ...

    def records(self, tag: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of the records that are kept, in order.

        Raises:
            TrustError: a committed record is missing or damaged.
        """
        ...

    def record(self, tag: str, index: int) -> bytes:
        """One record, without reading the others.

        Raises:
            DataError: there is no such record, or a sweep dropped it.
            TrustError: it is missing or damaged.
        """
        ...

    def leaf_hashes(self, tag: str, stop: int | None = None, *, start: int = 0) -> Sequence[bytes]:
        """Leaf hashes of the records from ``start`` up to ``stop`` (all when None)."""
        ...

    def tree(self, tag: str, *, fresh: bool = False) -> Tree:
        """The Merkle tree over a shard's durable records; a proof reads a few of its hashes.

        Args:
            fresh: make what is kept of it for speed again from the leaves.
        """
        ...

    def heads(self) -> list[bytes]:
        """Entries of the log of heads, in order: what was signed of the shards, line by line."""
        ...

    def add_heads(self, entries: Sequence[bytes], *, after: int) -> None:
        """Append to the log of heads, durably, where it has ``after`` entries.

        Raises:
            OutsideError: it has another number by now: somebody else signs at this moment.
        """
        ...

    def notes(self, tag: str | None) -> list[bytes]:
        """Signed checkpoints of a shard, or (None) over all shards' heads; oldest first."""
        ...

    def put_note(self, tag: str | None, number: int, note: bytes) -> None:
        """Keep a signed checkpoint under its size (of a shard) or time (over all heads).

        It stands beside the records and needs no lock.
        """
        ...


class SegmentInfo(NamedTuple):
    """A closed segment of a shard."""

    first: int  #: index of its first record
    stop: int  #: index after its last
    is_cold: bool
    oldest: Mapping[RecordClass, int] | None  #: earliest time by class, where it says so itself


class LedgerKeeper(Protocol):
    """Rewrites closed segments, beside readers and writers; one keeper at a time."""

    def reserve(self) -> bool:
        """Keep room for acts and checkpoints on a disk that others fill; whether it is kept."""
        ...

    def settle(self) -> list[str]:
        """Recover every shard that nobody holds and that was not closed cleanly; their tags.

        Raises:
            TrustError: one of them lost committed records.
        """
        ...

    def end_segments(self, older_than: Mapping[RecordClass, int]) -> None:
        """End the last segment of each free shard whose records are older than these times."""
        ...

    def closed(self, tag: str) -> list[SegmentInfo]:
        """The segments of a shard that no writer will touch again, in order."""
        ...

    def cool(self, tag: str, first: int, drop: Mapping[int, str]) -> None:
        """Compress a closed segment; records at these indexes are dropped by these sweeps.

        Every leaf hash stays. The segment changes whole or not at all.
        """
        ...

    def close(self) -> None:
        """Let another keeper begin."""
        ...


class DataKey(Protocol):
    """The key of one subject, at hand."""

    @property
    def id(self) -> str:
        """32 random hex digits, as records name it."""
        ...

    @property
    def compiled(self) -> object | None:
        """The key as compiled code seals many texts with it; None: each by :meth:`seal`."""
        ...

    def nonces(self, n: int) -> bytes:
        """Fresh random bytes for ``n`` texts that compiled code seals, 12 each."""
        ...

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate, bound to the context."""
        ...

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed.

        Raises:
            TrustError: it was not sealed by this key in this context, or was changed.
        """
        ...

    def digest(self, data: bytes) -> str:
        """``hmac-sha256:…``: nobody without the key can tell whether a guess has this digest."""
        ...


class SubjectKeys(Protocol):
    """Keys that personal values are sealed under, one a subject: one file in ``keystores``.

    A key is durable before it is handed out. Whoever destroys it erases what it sealed, everywhere.
    """

    name: ClassVar[str]

    def at_hand(self, subjects: Sequence[Subject]) -> list[DataKey] | None:
        """The subjects' keys if all are in memory: nothing is waited for."""
        ...

    def keys(self, subjects: Sequence[Subject]) -> list[DataKey]:
        """The key of each subject, made and durable where there was none.

        Raises:
            OutsideError: the store is away.
        """
        ...

    def by_id(self, ids: Collection[str]) -> dict[str, DataKey | None]:
        """Keys by id; None for one that an erasure destroyed; unknown ones are left out.

        Raises:
            OutsideError: the store is away.
        """
        ...

    def find(self, subjects: Sequence[Subject]) -> list[str]:
        """Ids of the keys that these subjects have; none is made."""
        ...

    def destroy(self, subjects: Sequence[Subject], *, erasure: Erasure) -> tuple[str, ...]:
        """Destroy the subjects' keys for good, beginning an erasure; ids of those there were.

        All or nothing, even if the machine stops; when it returns no byte of them is in the store.
        """
        ...

    def destroy_ids(self, ids: Collection[str], *, at: int) -> int:
        """Destroy keys that an erasure destroyed elsewhere, and remember it; how many were here."""
        ...

    def unfinished(self) -> list[Erasure]:
        """Erasures whose keys are destroyed and of which something is left to do."""
        ...

    def forgotten(self, erasure: str, place: str) -> None:
        """A place that holds personal values outside of records forgot the subject."""
        ...

    def finish(self, erasure: str) -> None:
        """Nothing is left to do: what the erasure knew of the subject goes, too."""
        ...

    def refresh(self) -> None:
        """Let go of keys in memory that were destroyed by another process."""
        ...

    def close(self) -> None:
        """Let go of the store and of all keys in memory."""
        ...


class DecisionIndex(Protocol):
    """Finds decisions by event and by time; made from the ledger, and can be made again."""

    def marks(self) -> dict[str, IndexMark]:
        """How far each shard was read."""
        ...

    def add(
        self, tag: str, *, start: int, mark: IndexMark, decisions: Sequence[IndexedDecision]
    ) -> bool:
        """Take in what a shard holds from ``start`` to the mark: all of it or nothing.

        False where another process was quicker, and nothing was done.
        """
        ...

    def forget(self, tag: str) -> None:
        """Drop all that is known of a shard."""
        ...

    def of_events(
        self, event_ids: Sequence[str], *, detector: str | None = None
    ) -> dict[str, list[IndexedDecision]]:
        """The decisions of each of these events that has any, oldest first."""
        ...

    def spans(
        self, since: int | None, until: int | None, *, detector: str | None = None
    ) -> dict[str, tuple[int, int]]:
        """Of each shard with decisions made in [since, until): the first, and the one after."""
        ...

    def outcomes(
        self, since: int | None, until: int | None, *, detector: str
    ) -> dict[tuple[int, str], int]:
        """How many events a champion decided in [since, until), by band and outcome."""
        ...

    def beside(
        self, since: int | None, until: int | None, *, detector: str, version: int
    ) -> dict[tuple[str, str], int]:
        """How many events a challenger scored in [since, until): champion's outcome and its own."""
        ...

    def count(self) -> int:
        """Decisions that are known."""
        ...


class Remembers(Protocol):
    """A place outside of records that may hold personal values: window state, bad rows."""

    @property
    def name(self) -> str:
        """What it is called in an erasure; stable."""
        ...

    def forget(self, erasure: Erasure) -> bool:
        """Forget the erasure's subjects, durably; False where another process holds the place.

        Forgetting again is nothing.

        Raises:
            OutsideError: the place is away.
        """
        ...


class BundleStore(Protocol):
    """Sealed bundles by digest."""

    def put(self, files: Mapping[str, bytes], digest: str) -> None:
        """Keep a bundle's files under its digest; the whole bundle or nothing."""
        ...

    def get(self, digest: str) -> dict[str, bytes]:
        """A bundle's files; the caller verifies them.

        Raises:
            DataError: there is no such bundle.
        """
        ...


class Registry(Protocol):
    """Versions, champions and looks at the holdout; where the two planes meet."""

    def add(self, version: Version) -> None:
        """Record a sealed version; its number must be the next one."""
        ...

    def versions(self, detector: str) -> list[Version]:
        """All versions, oldest first."""
        ...

    def detectors(self) -> list[str]:
        """Names of all detectors, sorted."""
        ...

    def set_champion(self, promotion: Promotion) -> None:
        """Make a version the one that decides."""
        ...

    def champion(self, detector: str) -> Version | None:
        """The version that decides, or None."""
        ...

    def promotions(self, detector: str) -> list[Promotion]:
        """All changes of champion, oldest first."""
        ...

    def approve(self, detector: str, version: int, *, actor: str, at: int, reason: str) -> None:
        """Record a person's approval of a version."""
        ...

    def approvals(self, detector: str, version: int) -> list[tuple[str, int, str]]:
        """(actor, at, reason) of each approval, oldest first."""
        ...

    def decline(self, detector: str, version: int, *, actor: str, at: int, reason: str) -> None:
        """Record that a person declined a version."""
        ...

    def declines(self, detector: str, version: int) -> list[tuple[str, int, str]]:
        """(actor, at, reason) of each time it was declined, oldest first."""
        ...

    def spend_look(
        self, holdout: str, *, detector: str, actor: str, at: int, candidate: str
    ) -> int:
        """Record a look at a holdout (by its data digest) before it happens; its number, from 1."""
        ...

    def looks(self, holdout: str) -> int:
        """Looks spent on a holdout so far."""
        ...

    def champion_epoch(self, detector: str) -> int:
        """Rises by every change of champion, 0 before the first: cheap to poll for a hot swap."""
        ...

    def shadow(self, change: Shadowing) -> None:
        """Let a version score beside the one that decides, or end it."""
        ...

    def challengers(self, detector: str) -> list[Version]:
        """The versions that score beside the one that decides, oldest first."""
        ...

    def beat(self, state: WorkerState) -> None:
        """Keep what a worker says of itself, in the place of what it said before."""
        ...

    def leave(self, worker: str) -> None:
        """A worker ends."""
        ...

    def workers(self) -> list[WorkerState]:
        """What workers said last, by name; one that was killed stays for a day."""
        ...

    def add_labels(self, detector: str, rows: Sequence[LabelRow]) -> LabelIntake:
        """Keep what sources said about events: all rows or none; nothing is ever overwritten."""
        ...

    def labels(self, detector: str) -> dict[str, LabelRow]:
        """The label of each event: what was said last (by its time) counts."""
        ...

    def labels_of(self, detector: str, event_ids: Sequence[str]) -> dict[str, LabelRow]:
        """The labels of these events, where they have any; as :meth:`labels`."""
        ...

    def label_conflicts(self, detector: str) -> list[LabelRow]:
        """The newest word of each source about the events on which sources differ."""
        ...


# --- access ------------------------------------------------------------------------------------


class Passwords(Protocol):
    """Makes and checks what is kept of a password."""

    def keep(self, password: str) -> str:
        """The text to keep: salted, and costly to try."""
        ...

    def matches(self, password: str, kept: str | None) -> bool:
        """Whether it is the one; without one that is kept it costs the same, and it isn't."""
        ...


class IdentityProvider(Protocol):
    """Signs people in elsewhere; what it says of them is verified before it is told."""

    def authorize(self, *, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        """Where to send the person."""
        ...

    def redeem(
        self, code: str, *, issuer: str | None, redirect_uri: str, verifier: str, nonce: str
    ) -> Mapping[str, object]:
        """The verified claims of the token that a code stands for.

        Raises:
            TrustError: the token isn't by this provider, for us, in time, and for this request.
        """
        ...


class Accounts(Protocol):
    """Accounts, their keys, passwords and sessions; every guard follows it."""

    def generation(self) -> int:
        """Rises by every change that a guard must know: cheap to poll."""
        ...

    def put(self, account: Account) -> None:
        """Keep an account in the place of the one of its name, or as a new one."""
        ...

    def account(self, name: str) -> Account | None:
        """The account of this name."""
        ...

    def accounts(self) -> list[Account]:
        """All accounts, disabled ones too, by name."""
        ...

    def put_password(self, name: str, kept: str) -> None:
        """Keep a person's password; sessions of theirs end, failures are forgotten.

        Raises:
            DataError: there is no such account.
        """
        ...

    def password(self, name: str) -> str | None:
        """What is kept of a person's password."""
        ...

    def failures(self, name: str) -> Failures:
        """Failed sign-ins in a row, of any name that was tried."""
        ...

    def fail(self, name: str, *, at: int) -> Failures:
        """Count one more; what there is then."""
        ...

    def forgive(self, name: str) -> None:
        """Forget failures."""
        ...

    def add_key(self, key: ApiKey) -> None:
        """Keep a new key.

        Raises:
            DataError: its id is known, or there is no such account.
        """
        ...

    def api_keys(self) -> list[ApiKey]:
        """All keys, revoked and expired ones too, oldest first."""
        ...

    def revoke_key(self, key: str, *, at: int) -> None:
        """Take a key back, for good.

        Raises:
            DataError: there is no such key, or it was revoked before.
        """
        ...

    def open_session(self, session: Session) -> None:
        """Keep a new session; those that have ended go."""
        ...

    def session(self, mac: bytes) -> Session | None:
        """The session, whether it still holds or not."""
        ...

    def see_session(self, mac: bytes, *, at: int) -> None:
        """Note that a session was used."""
        ...

    def end_session(self, mac: bytes) -> None:
        """End one session."""
        ...

    def end_sessions(self, account: str) -> None:
        """End every session of an account."""
        ...

    def use(self, tenant: str, *, day: int, n: int) -> int:
        """Count ``n`` events of a tenant on a day (of UTC since 1970); all that it had by then."""
        ...
