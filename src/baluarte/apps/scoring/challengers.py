"""Which versions score beside those that decide, followed in the registry like these."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from baluarte.apps.scoring.champions import Champion, Champions
from baluarte.apps.scoring.counts import Counts
from baluarte.apps.windowed import Windowed
from baluarte.core.contract import Contract
from baluarte.core.event import Values
from baluarte.core.registry import Version
from baluarte.core.window_plan import compile_windows
from baluarte.errors import BaluarteError, OutsideError, TrustError
from baluarte.ports import Registry
from baluarte.stages.reread import Gaps, Reading, reading_of
from baluarte.stages.score import Scorer

LOG = logging.getLogger("baluarte.scoring")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    """A version that scores beside the one that decides.

    Attributes:
        beside: the bundle whose reading of the events it reads.
        windows: its own, where it computes them by other rules than the version that decides.
    """

    version: Version
    scorer: Scorer
    beside: str
    reading: Reading
    windows: Windowed | None
    gaps: Gaps

    @property
    def reads_alike(self) -> bool:
        """Whether it takes the events exactly as they are."""
        return not self.reading.kinds and self.windows is None

    def read(self, event: Values) -> Values:
        """The event as it reads it; what its own windows derive is not in it yet."""
        return event if self.reads_alike else dict(self.reading.read(event, self.gaps))


class Challengers:
    """The challengers of every detector, kept up to date by :meth:`refresh`.

    Args:
        open_windows: of a contract: window state that nobody else has, or None.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        champions: Champions,
        open_windows: Callable[[Contract], Windowed | None],
        counts: Counts,
    ) -> None:
        self._registry, self._champions = registry, champions
        self._open_windows, self._counts = open_windows, counts
        self._distrusted: set[str] = set()
        self._said: dict[tuple[str, int], str] = {}
        self.current: dict[str, tuple[Challenger, ...]] = {}  #: replaced whole, never changed

    def refresh(self) -> None:
        """Ask the registry once; where it is away the last ones go on."""
        current: dict[str, tuple[Challenger, ...]] = {}
        for name, champion in self._champions.current.items():
            try:
                wanted = self._registry.challengers(name)
            except OutsideError:
                return
            found = [
                self._opened(version, champion)
                for version in wanted
                if version.version != champion.version.version
            ]
            if any(found):
                current[name] = tuple(one for one in found if one is not None)
        kept = {id(one) for ones in current.values() for one in ones}
        before, self.current = self.current, current
        for one in (one for ones in before.values() for one in ones):
            if id(one) not in kept and one.windows is not None:
                one.windows.close()

    def windows(self) -> list[Windowed]:
        """The window state that challengers have for themselves."""
        ones = (one for ones in self.current.values() for one in ones)
        return [one.windows for one in ones if one.windows is not None]

    def _opened(self, version: Version, champion: Champion) -> Challenger | None:
        for known in self.current.get(version.detector, ()):
            if known.version == version and known.beside == champion.version.digest:
                return known
        if version.digest in self._distrusted:
            return None
        try:
            bundle, scorer = self._champions.open_verified(version)
            asked, decided = bundle.contract, champion.scorer.contract
            plan = compile_windows(asked)
            mine = compile_windows(decided)
            apart = plan is not None and (mine is None or plan.digest != mine.digest)
            found = Challenger(
                version=version,
                scorer=scorer,
                beside=champion.version.digest,
                reading=reading_of(asked, decided),
                windows=self._open_windows(asked) if apart else None,
                gaps=Gaps(),
            )
        except BaluarteError as error:
            if isinstance(error, TrustError):
                self._distrusted.add(version.digest)
            key = (version.detector, version.version)
            if self._said.get(key) != str(error):
                self._said[key] = str(error)
                self._counts.champion_refused(type(error).__name__)
                LOG.error("%s@%s doesn't shadow: %s", *key, error)  # noqa: TRY400 - no crash
            return None
        return found
