"""The stores of a workspace, opened when first used and closed together."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Self

import msgspec

from baluarte import wiring
from baluarte.adapters.system import SystemClock, SystemEntropy
from baluarte.apps.catalogue import LANGUAGES, Texts
from baluarte.apps.numerals import Language
from baluarte.apps.place import Place, find_workspace
from baluarte.core.accounts import Account
from baluarte.core.bundle import SealedBundle, open_bundle
from baluarte.core.decision import ActRecord, DecisionRecord, Record
from baluarte.core.gap import GAP_INDEX
from baluarte.core.ids import parse_id
from baluarte.core.keys import PublicKey, only_key
from baluarte.core.note_keys import read_vkey
from baluarte.errors import BaluarteError, DataError
from baluarte.ports import Progress
from baluarte.stages.checkpoint import Signed, checkpoint
from baluarte.stages.index import refresh
from baluarte.stages.notes import WitnessPolicy
from baluarte.stages.unseal import Unsealer

if TYPE_CHECKING:
    from baluarte.adapters.key_files import FileSigner, TrustedKeys
    from baluarte.adapters.keystores.sqlite import SqliteKeys
    from baluarte.adapters.ledger.keeper import SegmentKeeper
    from baluarte.adapters.ledger.reader import SegmentReader
    from baluarte.adapters.ledger.shard import SegmentShard
    from baluarte.adapters.sql_accounts import SqlAccounts
    from baluarte.adapters.sql_index import SqlIndex
    from baluarte.adapters.sql_registry import SqlRegistry
    from baluarte.adapters.stores.folder import FolderBundles
    from baluarte.stages.access import Access


class Session:
    """What a command works with.

    Args:
        actor: who is acting, as the ledger will say.
    """

    def __init__(self, place: Place, *, actor: str) -> None:
        self.place, self.actor = place, actor
        self.clock = SystemClock()
        self._opened = ExitStack()
        self._bundles: dict[str, SealedBundle] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @cached_property
    def registry(self) -> SqlRegistry:
        """Versions, champions, looks, labels."""
        return self._opened.enter_context(
            wiring.open_registry(self.place.registry, password=self.place.stores_password)
        )

    @cached_property
    def index(self) -> SqlIndex:
        """The index over the ledger, as far as it was read; :meth:`indexed` reads on."""
        return self._opened.enter_context(
            wiring.open_index(self.place.index, password=self.place.stores_password)
        )

    @cached_property
    def accounts(self) -> SqlAccounts:
        """Who may ask."""
        return self._opened.enter_context(
            wiring.open_accounts(self.place.accounts, password=self.place.stores_password)
        )

    def accounts_by_name(self) -> dict[str, Account]:
        """Every account by its name; none where nobody made any."""
        if not self.place.has_accounts:
            return {}
        return {account.name: account for account in self.accounts.accounts()}

    @cached_property
    def access(self) -> Access:
        """What changes who may ask; with the first account comes the pepper, if it is missing.

        Raises:
            ContractError: there are accounts, and the pepper that keeps them is gone.
        """
        from baluarte.adapters.passwords import Argon2Passwords  # noqa: PLC0415 - loads cryptography
        from baluarte.stages.access import Access  # noqa: PLC0415 - likewise

        if not self.place.has_accounts or not self.accounts.accounts():
            self.place.make_pepper()
        return Access(
            accounts=self.accounts,
            passwords=Argon2Passwords(),
            ledger=self.shard,
            clock=self.clock,
            entropy=SystemEntropy(),
            pepper=self.place.pepper(),
            actor=self.actor,
        )

    @cached_property
    def bundles(self) -> FolderBundles:
        """Sealed bundles."""
        return wiring.open_bundles(self.place.bundles)

    @cached_property
    def drafts(self) -> FolderBundles:
        """Candidates that are not sealed yet."""
        return wiring.open_bundles(self.place.drafts)

    @cached_property
    def verifier(self) -> TrustedKeys:
        """The keys that are believed."""
        return wiring.open_verifier(self.place.trusted)

    @cached_property
    def signer(self) -> FileSigner:
        """The key that seals."""
        return wiring.open_signer(self.place.signing, self.place.trusted)

    @cached_property
    def also(self) -> tuple[FileSigner, ...]:
        """The further key that signs checkpoints, where the workspace names one."""
        second = self.place.second_key
        return () if second is None else (wiring.open_signer(second, self.place.trusted),)

    @cached_property
    def witnesses(self) -> WitnessPolicy:
        """Whose cosignatures count, and how many a checkpoint needs."""
        said = self.place.workspace.checkpoints
        keys = tuple(read_vkey(one.key, where="checkpoints.witnesses") for one in said.witnesses)
        verifier = wiring.open_given_keys([key.as_public() for key in keys]) if keys else None
        return WitnessPolicy(keys=keys, quorum=said.quorum, verifier=verifier)

    def sign_checkpoint(self) -> Signed:
        """Sign how far the ledger is, with every key that signs checkpoints.

        Raises:
            TrustError: the ledger's past was changed, or a key isn't valid.
        """
        return checkpoint(
            self.reader,
            signer=self.signer,
            also=self.also,
            verifier=self.verifier,
            clock=self.clock,
            origin=self.place.workspace.checkpoints.origin,
        )

    @cached_property
    def shard(self) -> SegmentShard:
        """A ledger shard of this process's own."""
        return self._opened.enter_context(wiring.open_ledger_shard(self.place.ledger))

    @cached_property
    def people(self) -> SqliteKeys:
        """Keys of personal values; the store is made where there is none."""
        master = self.place.people_master()
        return self._opened.enter_context(wiring.open_people(self.place.people, master))

    @cached_property
    def unsealer(self) -> Unsealer:
        """Puts personal values back into records, where their subject was not erased."""
        return Unsealer(self.people if self.place.has_people else None)

    def new_shard(self) -> SegmentShard:
        """A ledger shard whose caller closes it."""
        return wiring.open_ledger_shard(self.place.ledger)

    def keeper(self) -> SegmentKeeper:
        """Settles, compresses and drops; its caller closes it."""
        return wiring.open_ledger_keeper(self.place.ledger)

    @cached_property
    def reader(self) -> SegmentReader:
        """All records."""
        return wiring.open_ledger_reader(self.place.ledger)

    def record_act(self, act: ActRecord) -> None:
        """Write one act, durably."""
        self.shard.append([msgspec.json.encode(act)])
        self.shard.commit()

    def record_key(self, done: str, key: PublicKey, *, reason: str) -> None:
        """Write who changed whose signatures are believed: keys are of the whole workspace."""
        details: dict[str, str | int | float | bool | None] = {
            "done": done,
            "name": key.name,
            "key_id": key.key_id,
            "algorithm": key.algorithm,
            "not_after": key.not_after,
        }
        act = ActRecord(
            at=self.clock.now_us(),
            act="key",
            actor=self.actor,
            detector="",
            reason=reason,
            details=details,
        )
        self.record_act(act)

    def bundle(self, digest: str, at_us: int | None = None) -> SealedBundle:
        """A checked bundle by digest, as of a time (now by default); kept once opened."""
        at_us = self.clock.now_us() if at_us is None else at_us
        known = self._bundles.get(digest)
        if known is not None:  # all of it was checked; whether the key was valid then was not
            only_key(self.verifier.public_keys(), known.key_id).check_valid(at_us)
            return known
        opened = open_bundle(
            self.bundles.get(digest), self.verifier, at_us=at_us, expect_digest=digest
        )
        self._bundles[digest] = opened
        return opened

    def decision(self, decision_id: str) -> DecisionRecord:
        """The record of a decision, personal values in their places.

        Raises:
            DataError: it is no id, or there is no such decision.
            TrustError: its personal values can't be opened.
        """
        return self.unsealer.one(self.sealed_decision(decision_id))

    def sealed_decision(self, decision_id: str) -> DecisionRecord:
        """The record of a decision as the ledger holds it.

        Raises:
            DataError: it is no id, or there is no such decision.
        """
        place = parse_id(decision_id)
        if place.index >= GAP_INDEX:
            raise DataError(
                f"decision {decision_id} was answered while the ledger was away: it has no record",
                hint="A signed gap record says how many there were: baluarte ledger tail.",
            )
        record = msgspec.json.decode(self.reader.record(place.tag, place.index), type=Record)
        if not isinstance(record, DecisionRecord) or record.id != decision_id:
            raise DataError(f"there is no decision {decision_id}", where=str(self.place.ledger))
        return record

    def decisions_named(self, text: str) -> list[DecisionRecord]:
        """The decisions that an id means, oldest first, as the ledger holds them.

        Args:
            text: a decision's own id, or an event's.

        Raises:
            DataError: there is none.
        """
        try:
            return [self.sealed_decision(text)]
        except DataError as error:
            found = self.indexed().of_events([text]).get(text)
            if not found:
                raise DataError(
                    f"there is no decision {text}, and no event of that id was decided",
                    where=str(self.place.ledger),
                    hint=error.faults[0].hint,
                ) from None
        return [self.sealed_decision(one.id) for one in found]

    def indexed(self, progress: Progress | None = None) -> SqlIndex:
        """The index over the ledger, with all that the ledger holds now."""
        refresh(self.index, self.reader, progress=progress)
        return self.index

    def decisions(
        self, detector: str | None = None, *, newest_first: bool = False
    ) -> Iterator[DecisionRecord]:
        """Every decision of a detector (of all when None), shard by shard.

        Personal values are in their places; the record of an erased person keeps its envelope.
        """
        yield from self.unsealer.stream(self.sealed_decisions(detector, newest_first=newest_first))

    def sealed_decisions(
        self, detector: str | None = None, *, newest_first: bool = False
    ) -> Iterator[DecisionRecord]:
        """As :meth:`decisions`, as they stand."""
        decode = msgspec.json.Decoder(Record).decode
        for tag in self.reader.shards():
            records = self.reader.records(tag)
            rows = reversed(list(records)) if newest_first else records
            for data in rows:
                record = decode(data)
                if isinstance(record, DecisionRecord) and detector in {None, record.detector}:
                    yield record

    def last_decision(self) -> DecisionRecord:
        """The decision that was made last, an alert if one of the last thousand is.

        Raises:
            DataError: nothing was decided yet.
        """
        newest: list[DecisionRecord] = []
        decode = msgspec.json.Decoder(Record).decode
        for tag in self.reader.shards():
            size = self.reader.size(tag)
            for data in self.reader.records(tag, max(0, size - 1000)):
                record = decode(data)
                if isinstance(record, DecisionRecord):
                    newest.append(record)
        if not newest:
            raise DataError(
                "the ledger has no decision yet",
                where=str(self.place.ledger),
                hint="baluarte serve, or baluarte score FILE.",
            )
        newest.sort(key=lambda record: record.decided_at)
        last = next((r for r in reversed(newest) if r.band > 0), newest[-1])
        return self.unsealer.one(last)


def session_of(args: argparse.Namespace, place: Place) -> Session:
    """The session of a command line."""
    named = getattr(args, "actor", None) or os.environ.get("BALUARTE_ACTOR")
    return Session(place, actor=named or getpass.getuser())


def texts_of(args: argparse.Namespace, place: Place | None) -> Texts:
    """The catalogue in the language of the command line, or else of the workspace.

    Without a workspace it is that of ``BALUARTE_LANGUAGE``, as it would be with one.
    """
    if place is not None:
        return Texts(args.lang or place.workspace.language)
    named = os.environ.get("BALUARTE_LANGUAGE")
    known: Language = next((language for language in LANGUAGES if language == named), "en")
    return Texts(args.lang or known)


def texts_anywhere(args: argparse.Namespace) -> Texts:
    """The same for commands that need no workspace: in its language where there is one."""
    if args.lang:
        return texts_of(args, None)
    try:
        return texts_of(args, find_workspace(args))
    except BaluarteError:  # who needs it says what is wrong with it
        return texts_of(args, None)


def add_actor(parser: argparse.ArgumentParser) -> None:
    """Who acts and why, for commands that the ledger records."""
    parser.add_argument("--actor", help="who acts (default: BALUARTE_ACTOR, or your login name)")
    parser.add_argument("--reason", default="", help="why; kept in the ledger")


def named_version(text: str) -> tuple[str, int | None]:
    """``intrusion@2`` as name and number; without a number None.

    Raises:
        DataError: what follows the @ is no number.
    """
    name, mark, number = text.partition("@")
    if mark and not number.isdecimal():
        raise DataError(f"expected DETECTOR@NUMBER; found {text!r}", hint="Such as intrusion@1.")
    return name, int(number) if mark else None
