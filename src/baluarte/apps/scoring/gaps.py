"""The worker's gaps: decisions that were answered without a record, until a signed act says so."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence

import msgspec

from baluarte.apps.scoring.counts import Counts
from baluarte.apps.scoring.recorder import Recorder
from baluarte.core.gap import GAP_INDEX, Gap, act_of, payload, with_signature
from baluarte.core.ids import format_ids
from baluarte.errors import BaluarteError, OutsideError
from baluarte.ports import Clock, Signer
from baluarte.stages.score import Scorer

LOG = logging.getLogger("baluarte.scoring")
MARK_EVERY_S = 5.0  #: a gap that lasts while acts can be written is marked so often
_NO_SHARD = "000000"
_RANDOM_BITS = 48


class Gaps:
    """Counts what was decided without a record, and marks it when the ledger takes acts.

    Args:
        signer: of the gap records; its key is trusted.
    """

    def __init__(self, recorder: Recorder, *, signer: Signer, clock: Clock, counts: Counts) -> None:
        self._recorder, self._signer, self._clock, self._counts = recorder, signer, clock, counts
        self._open: dict[tuple[str, int], Gap] = {}
        self._ended: list[Gap] = []  #: whose act could not be written yet
        self._next = GAP_INDEX | secrets.randbits(_RANDOM_BITS)
        self._tag = _NO_SHARD
        self._marked_s = 0.0

    def ids(self, now_us: int, n: int) -> list[str]:
        """Ids that lead to no record, and say so."""
        shard = self._recorder.shard
        self._tag = self._tag if shard is None else shard.tag
        first, self._next = self._next, self._next + n
        return format_ids(now_us // 1000, self._tag, first, n)

    def add(self, scorer: Scorer, records: Sequence[bytes], now_us: int) -> None:
        """Decisions were answered without these records."""
        gap = self._open.setdefault(
            (scorer.detector, scorer.version),
            Gap(detector=scorer.detector, version=scorer.version, bundle=scorer.digest),
        )
        gap.add(records, now_us)
        self._counts.gap(scorer.detector, len(records))

    def mark(self) -> None:
        """Append the acts if there is something to mark and a shard that takes them."""
        recorder = self._recorder
        if not (self._open or self._ended) or recorder.shard is None:
            return
        now_s = time.monotonic()
        if not recorder.accepts and now_s - self._marked_s < MARK_EVERY_S:
            return
        self._marked_s = now_s
        self._append()

    def mark_last(self) -> None:
        """The server stops: append what is left, or say how much can't be marked."""
        if self._recorder.shard is not None:
            self._append()
        for gap in (*self._ended, *self._open.values()):
            LOG.error(
                "%d decisions of %s@%d stand in no ledger and no gap record",
                gap.count,
                gap.detector,
                gap.version,
            )

    def _append(self) -> None:
        gaps = [*self._ended, *self._open.values()]
        self._ended, self._open = [], {}
        if not gaps:
            return
        failure = self._recorder.last_failure
        why = "the disk is nearly full" if failure is None else str(failure)

        def done(failure: OutsideError | None) -> None:
            if failure is not None:
                self._ended = [*gaps, *self._ended]

        try:
            self._recorder.append([self._signed(gap, why) for gap in gaps], done)
        except BaluarteError as error:
            LOG.error("a gap was not marked yet: %s", error)  # noqa: TRY400 - said, not a crash
            self._ended = [*gaps, *self._ended]

    def _signed(self, gap: Gap, why: str) -> bytes:
        act = act_of(gap, at=self._clock.now_us(), why=why)
        signature = self._signer.sign(payload(act))
        signed = with_signature(act, key_id=self._signer.key_id, signature=signature)
        return msgspec.json.encode(signed)
