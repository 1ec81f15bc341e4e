"""Which versions decide: followed in the registry, verified and warmed before they are let in.

The registry is asked again and again, off the hot path. A new champion is opened with every check,
scores one row to warm up, and only then takes the place of the old one, between two batches. What
doesn't verify is not let in, and where the registry is away the last verified champion goes on.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from baluarte.apps.numerals import Language
from baluarte.apps.reason_words import ReasonWords, reason_words
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.opening import Opener
from baluarte.apps.windowed import Windowed
from baluarte.core.bundle import SealedBundle
from baluarte.core.contract import Contract
from baluarte.core.decision import DecisionRecord
from baluarte.core.event_rows import RowReader
from baluarte.core.plain_rows import PlainReader, plain_reader
from baluarte.core.pseudonym import Pseudonyms
from baluarte.core.quick_rows import QuickReader, quick_reader
from baluarte.core.registry import Version
from baluarte.core.window_plan import compile_windows
from baluarte.errors import BaluarteError, OutsideError, TrustError
from baluarte.ports import BundleStore, Clock, Registry, Verifier
from baluarte.stages.fetch import open_version
from baluarte.stages.promote import find_version
from baluarte.stages.score import Kernel, Scorer

MOST_PAST = 8  #: versions that decided before and are kept open, of all detectors
LOG = logging.getLogger("baluarte.scoring")


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """A version that decides, ready to do so."""

    version: Version
    scorer: Scorer
    reader: RowReader
    quick: QuickReader | None  #: of plain rows; None where all are read by ``reader``
    say: ReasonWords  #: words for its reasons
    windows: Windowed | None = None  #: its window features at work
    opener: Opener | None = None  #: of fields that come sealed
    pseudonyms: Pseudonyms | None = None  #: what stands for personal values of its events
    plain: PlainReader | None = None  #: of requests that are one plain row, where they may be so


class Champions:
    """The champion of every detector, kept up to date by :meth:`refresh`.

    Args:
        verifier: made anew for each bundle, so that a revoked key is noticed.
        pseudonyms: of a version; refuses one that was trained with another key.
        opener: of the fields of a contract that come sealed; refuses one that would not keep them.
        need_people: called before a version with personal fields decides.
        open_windows: of a contract: its window features at work, or None where it declares none.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        bundles: BundleStore,
        verifier: Callable[[], Verifier],
        clock: Clock,
        kernel: Kernel,
        language: Language,
        counts: Counts,
        open_windows: Callable[[Contract], Windowed | None] = lambda _: None,
        need_people: Callable[[], object] = lambda: None,
        pseudonyms: Callable[[SealedBundle], Pseudonyms | None] = lambda _: None,
        opener: Callable[[Contract], Opener | None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._open_windows = open_windows
        self._need_people = need_people
        self._pseudonyms = pseudonyms
        self._opener = opener
        self._bundles = bundles
        self._verifier = verifier
        self._clock = clock
        self._kernel: Kernel = kernel
        self._language: Language = language
        self._counts = counts
        self._distrusted: set[str] = set()  # digests; what didn't verify is never tried again
        self._past: OrderedDict[str, Champion] = OrderedDict()  # by digest
        self._opening = threading.Lock()
        self._said: dict[str, str] = {}  # detector -> why its champion was last not let in
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.names: frozenset[str] = frozenset()  #: all detectors that the registry knows
        self.current: dict[str, Champion] = {}  #: replaced whole, never changed
        self.registry_away = False
        self.waits = False  #: what another process still holds is no news, and is tried again
        self.followers: list[Callable[[], None]] = []  #: called after each look at the registry

    def refresh(self) -> None:
        """Ask the registry once and let new champions in."""
        try:
            names = self._registry.detectors()
            wanted = {name: self._registry.champion(name) for name in names}
        except OutsideError:
            self.registry_away = True
            return
        self.registry_away = False
        self.names = frozenset(names)
        for name, version in wanted.items():
            known = self.current.get(name)
            if version is None or (known is not None and known.version == version):
                continue
            if version.digest not in self._distrusted:
                self._let_in(version)
        for follow in self.followers:
            follow()

    def follow(self, *, every_s: float) -> None:
        """Refresh in a thread until :meth:`stop`; once begun it goes on."""
        if self._thread is not None:
            return

        def run() -> None:
            while not self._stopping.wait(every_s):
                try:
                    self.refresh()
                except Exception:  # the last verified champion goes on, and the log says why
                    LOG.exception("the registry could not be followed")
                    self.registry_away = True

        self._thread = threading.Thread(target=run, name="champions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def that_decided(self, record: DecisionRecord) -> Champion:
        """The version that made a decision, checked as of then; from any thread.

        Raises:
            BaluarteError: it can't be had now, or it doesn't verify.
        """
        current = self.current.get(record.detector)
        if current is not None and current.version.digest == record.bundle:
            return current
        with self._opening:
            known = self._past.pop(record.bundle, None)
            if known is None:
                version = find_version(self._registry, record.detector, record.version)
                if version.digest != record.bundle:
                    raise TrustError(f"{record.id} names another bundle than the registry")
                bundle = open_version(
                    version,
                    bundles=self._bundles,
                    verifier=self._verifier(),
                    at_us=record.decided_at,
                )
                known = self._ready(version, bundle, Scorer(bundle, kernel=self._kernel))
            self._keep_past(known)
        return known

    def _keep_past(self, champion: Champion) -> None:
        self._past[champion.version.digest] = champion
        while len(self._past) > MOST_PAST:
            self._past.popitem(last=False)

    def _let_in(self, version: Version) -> None:
        name = version.detector
        try:
            champion = self._open(version)
        except BaluarteError as error:
            if isinstance(error, TrustError):
                self._distrusted.add(version.digest)
            if self.waits:
                return
            if self._said.get(name) != str(error):
                self._said[name] = str(error)
                self._counts.champion_refused(type(error).__name__)
                LOG.error("%s@%s is not let in: %s", name, version.version, error)  # noqa: TRY400 - an answer, not a crash
            return
        self._said.pop(name, None)
        before = self.current.get(name)
        self.current = {**self.current, name: champion}
        if before is not None:
            with self._opening:
                self._keep_past(replace(before, windows=None))
        old = before.windows if before is not None else None
        if old is not None and old is not champion.windows:
            old.close()  # the ledger has what it knew, should it come back
        LOG.info("a champion was let in", extra={"detector": name, "version": version.version})
        self._counts.champion(name, version.version)
        self._counts.kernel(champion.scorer.kernel)

    def _open(self, version: Version) -> Champion:
        """Fetch, verify, warm; what is provisional never decides."""
        name = f"{version.detector}@{version.version}"
        if version.provisional:
            raise TrustError(f"{name} is provisional: it may score and shadow, never decide")
        bundle, scorer = self.open_verified(version)
        if bundle.manifest.provisional:
            raise TrustError(f"{name} is provisional, which the registry doesn't say")
        ready = self._ready(version, bundle, scorer)
        return replace(ready, windows=self._windows_of(bundle.contract))

    def open_verified(self, version: Version) -> tuple[SealedBundle, Scorer]:
        """Fetch a version, check all of it, and score one row to warm it.

        Raises:
            BaluarteError: it can't be had now, or it doesn't verify.
        """
        bundle = open_version(
            version, bundles=self._bundles, verifier=self._verifier(), at_us=self._clock.now_us()
        )
        scorer = Scorer(bundle, kernel=self._kernel)
        if scorer.personal is not None:
            self._need_people()
        scorer.decide_records([{}], reasons="all")
        return bundle, scorer

    def _ready(self, version: Version, bundle: SealedBundle, scorer: Scorer) -> Champion:
        schema, opener = bundle.contract.events, self._opener(bundle.contract)
        hidden: frozenset[str] = frozenset() if opener is None else opener.hidden
        pseudonyms = self._pseudonyms(bundle)
        as_they_come = opener is None and pseudonyms is None and scorer.personal is None
        return Champion(
            version=version,
            scorer=scorer,
            reader=RowReader(schema),
            quick=quick_reader(schema) if opener is None else None,
            say=reason_words(bundle, self._language, hidden),
            opener=opener,
            pseudonyms=pseudonyms,
            plain=plain_reader(schema, scorer.encoder) if as_they_come else None,
        )

    def _windows_of(self, contract: Contract) -> Windowed | None:
        """Window features of a new champion: the state of the one before, if it is the same."""
        plan = compile_windows(contract)
        known = self.current.get(contract.name)
        before = known.windows if known is not None else None
        if plan is not None and before is not None and before.plan.digest == plan.digest:
            return before
        return self._open_windows(contract)
