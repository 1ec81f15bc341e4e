"""Whatever is done to a ledger, the offline verifier finds it, with a checkpoint kept elsewhere.

The attacker holds the exported ledger and the operator's own key: records are edited, left out,
reordered and cut off, histories are forked and rolled back, and tiles, the log of heads and the
checkpoint are made to fit where that is of use.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from baluarte.adapters.ledger.tiles_export import export_log
from baluarte.adapters.stores.segments import Segments
from baluarte.apps import offline_verifier as verifier
from baluarte.core.checkpoint import ShardHead, head_entry, log_checkpoint, read_entry
from baluarte.core.ids import format_ids
from baluarte.core.merkle import leaf_hash, root_of
from baluarte.core.note_keys import log_key
from baluarte.core.tiles import TILE, Tree, entry_bundle, tile_path, tree_of
from baluarte.stages.checkpoint import checkpoint
from baluarte.stages.notes import sign_note
from baluarte.stages.proofs import Prover, append_proof, find_anchor
from baluarte.testing.clock import START_US, FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier

RECORD = (
    '{"kind":"decision","v":1,"id":"%s","event_id":"e%d","event_at":1,"decided_at":%d,'
    '"detector":"flows","version":1,"bundle":"sha256:0","event_digest":"sha256:0","event":'
    '{"amount":%d},"features":[%d],"score":%d,"points":1,"band":0,"outcome":"pass",'
    '"threshold":null}'
)
STEP = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """What an auditor is shown after an attack."""

    note: bytes  #: the checkpoint that comes with it
    touched: tuple[int, int]  #: which records were changed, from and up to


class Place:
    """A ledger of n decisions in one shard, signed at the half and at the end, exported."""

    def __init__(self, root: Path, n: int) -> None:
        self.n, self.signer, self.clock = n, MemorySigner(), FixedClock()
        self.checks = MemoryVerifier(self.signer.key)
        ledger = Segments(root / "ledger")
        self.reader = ledger.reader()
        with ledger.open_shard() as shard:
            self.tag = shard.tag
            for start in range(0, n, STEP):
                ids = format_ids(START_US // 1000, shard.tag, start, STEP)
                shard.append([self.record(i, start + k) for k, i in enumerate(ids)])
                shard.commit()
                if start + STEP == n // 2:
                    self.older = self.sign()
            self.kept = self.sign()
        self.folder = root / "export"
        self.heads = self.reader.heads()
        self.shard = self.folder / "shards" / self.tag
        self.tree = self.reader.tree(self.tag)
        read = lambda start, stop: self.reader.records(self.tag, start, stop)  # noqa: E731 - short
        export_log(self.shard, self.tree, n, read, checkpoint=None)
        self.export_heads(self.heads)
        self.keys = verifier.read_keys(log_key("baluarte/heads", self.signer.key).vkey)
        self._undo: list[Callable[[], object]] = []

    @staticmethod
    def record(decision_id: str, n: int) -> bytes:
        return (RECORD % (decision_id, n, START_US + n, n, n, n)).encode()

    def sign(self) -> bytes:
        self.clock.advance(1_000_000)
        return checkpoint(
            self.reader, signer=self.signer, verifier=self.checks, clock=self.clock
        ).note

    def export_heads(self, heads: Sequence[bytes]) -> None:
        tree = tree_of([leaf_hash(entry) for entry in heads])
        export_log(
            self.folder / "heads", tree, len(heads), lambda a, b: heads[a:b], checkpoint=None
        )

    # --- what the attacker does to files, and how it is undone ------------------------------------

    def write(self, path: Path, data: bytes) -> None:
        before = path.read_bytes() if path.exists() else None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._undo.append(path.unlink if before is None else lambda: path.write_bytes(before))

    def remove(self, path: Path) -> None:
        before = path.read_bytes()
        path.unlink()
        self._undo.append(lambda: path.write_bytes(before))

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()

    def path(self, row: str, number: int) -> Path:
        width = min(TILE, self.n - number * TILE) if row in ("0", "entries") else TILE
        path = self.shard / "tile" / row / tile_path(number)
        return path if width == TILE else Path(f"{path}.p") / str(width)

    def bundle(self, number: int) -> list[bytes]:
        data, out, at = self.path("entries", number).read_bytes(), [], 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 2], "big")
            out.append(data[at + 2 : at + 2 + size])
            at += 2 + size
        return out

    def put(self, number: int, records: Sequence[bytes]) -> None:
        self.write(self.path("entries", number), entry_bundle(records))

    def refit(self, number: int, records: Sequence[bytes]) -> Tree:
        """Make every tile above changed records fit them, and the tree that they give."""
        leaves = [leaf_hash(record) for record in records]
        changed: dict[tuple[int, int], bytes] = {
            (0, number * TILE + k): leaf for k, leaf in enumerate(leaves)
        }
        self.write(self.path("0", number), b"".join(leaves))
        row, at, hashes = 1, number, leaves
        while len(hashes) == TILE:
            changed[row, at] = root_of(hashes)
            tile = at // TILE
            width = min(TILE, (self.n >> 8 * row) - tile * TILE)
            hashes = [
                changed.get((row, tile * TILE + k), one)
                for k, one in enumerate(self.tree.hashes(row, tile * TILE, tile * TILE + width))
            ]
            path = self.shard / "tile" / str(row) / tile_path(tile)
            path = path if width == TILE else Path(f"{path}.p") / str(width)
            self.write(path, b"".join(hashes))
            row, at = row + 1, tile

        def read(row: int, start: int, stop: int) -> list[bytes]:
            kept = self.tree.hashes(row, start, stop)
            return [changed.get((row, start + k), one) for k, one in enumerate(kept)]

        return Tree(self.n, read)


# --- the attacks ---------------------------------------------------------------------------------


def edit(place: Place, chance: random.Random) -> Attacked:
    """One byte of one record; half the time every tile is made to fit."""
    index = chance.randrange(place.n)
    records = place.bundle(index // TILE)
    record = bytearray(records[index % TILE])
    record[chance.randrange(len(record))] ^= 1 << chance.randrange(8)
    records[index % TILE] = bytes(record)
    place.put(index // TILE, records)
    if chance.random() < 0.5:
        place.refit(index // TILE, records)
    return Attacked(note=place.kept, touched=(index, index + 1))


def delete(place: Place, chance: random.Random) -> Attacked:
    """One record left out; half the time a copy of its neighbour fills the gap."""
    index = chance.randrange(place.n)
    records = place.bundle(index // TILE)
    del records[index % TILE]
    if chance.random() < 0.5:
        records.append(records[-1])
        place.refit(index // TILE, records)
    place.put(index // TILE, records)
    return Attacked(note=place.kept, touched=(index, index + 1))


def reorder(place: Place, chance: random.Random) -> Attacked:
    """Two records change places, in one bundle or far apart."""
    one, two = sorted(chance.sample(range(place.n), 2))
    if chance.random() < 0.5:
        two = one + 1 if one % TILE < TILE - 1 and one + 1 < place.n else one - 1
    first, second = place.bundle(one // TILE), place.bundle(two // TILE)
    if one // TILE == two // TILE:
        second = first
    first[one % TILE], second[two % TILE] = second[two % TILE], first[one % TILE]
    place.put(one // TILE, first)
    place.put(two // TILE, second)
    return Attacked(note=place.kept, touched=(one, one + 1))


def truncate(place: Place, chance: random.Random) -> Attacked:
    """The last records are gone, and all that is left fits itself."""
    size = place.n - chance.randrange(1, place.n // 2)
    last = place.n // TILE - (place.n % TILE == 0)
    for number in range(max(size // TILE, last - 3), last + 1):
        place.remove(place.path("entries", number))
        place.remove(place.path("0", number))
    return Attacked(note=place.kept, touched=(place.n - 1, place.n))


def fork(place: Place, chance: random.Random) -> Attacked:
    """Another history since some record, signed by the operator's own key, that fits throughout."""
    index = chance.randrange(place.n)
    records = place.bundle(index // TILE)
    at = index % TILE
    records[at:] = [record.replace(b'"pass"', b'"past"') for record in records[at:]]
    place.put(index // TILE, records)
    tree = place.refit(index // TILE, records)
    heads = []
    for entry in place.heads:
        head = read_entry(entry, where="x")
        root = tree.root(head.size)
        heads.append(
            head_entry(ShardHead(tag=head.tag, size=head.size, root=root, at_us=head.at_us))
        )
    forged = tree_of([leaf_hash(entry) for entry in heads])
    bundle = Path(f"{place.folder / 'heads/tile/entries/000'}.p") / str(len(heads))
    place.write(bundle, entry_bundle(heads))
    note = sign_note(
        log_checkpoint("baluarte/heads", len(heads), forged.root(), at_us=START_US),
        [place.signer],
    )
    return Attacked(note=note, touched=(index, index + 1))


def roll_back(place: Place, chance: random.Random) -> Attacked:
    """The whole ledger as it truly was before, with the checkpoint that was signed then."""
    del chance
    heads = Path(f"{place.folder / 'heads/tile/entries/000'}.p")
    place.remove(heads / str(len(place.heads)))
    place.write(heads / "1", entry_bundle(place.heads[:1]))
    return Attacked(note=place.older, touched=(0, 1))


ATTACKS = (edit, delete, reorder, truncate, fork, roll_back)


def refused(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except ValueError:
        return True
    return False


def campaign(place: Place, rounds: int, whole: int, seed: int) -> dict[str, int]:
    """Attack after attack, each found; how many of each kind."""
    kept = verifier.Checkpoint(place.kept, place.keys)
    counts = dict.fromkeys((attack.__name__ for attack in ATTACKS), 0)
    chance = random.Random(seed)
    for number in range(rounds):
        attack = ATTACKS[number % len(ATTACKS)]
        shown = attack(place, chance)
        only = None
        if number >= whole:
            only = [place.tag, str(shown.touched[0]), str(shown.touched[1])]
        assert refused(lambda o=only: verifier.check_ledger(place.folder, kept, o)), attack
        own = verifier.Checkpoint(shown.note, place.keys)  # the operator's signature holds
        if attack in (fork, roll_back):
            ranged = [place.tag, str(shown.touched[0]), str(shown.touched[1])]
            verifier.check_ledger(place.folder, own, ranged)  # alone it fits: no fault to see
            assert refused(lambda o=own: verifier.check_append(kept, o, [])), attack
        place.undo()
        counts[attack.__name__] += 1
    verifier.check_ledger(place.folder, kept, None)  # and undone, all of it holds again
    return counts


def check_campaign(root: Path, n: int, *, rounds: int, whole: int) -> None:
    place = Place(root, n)
    kept = verifier.Checkpoint(place.kept, place.keys)
    assert f"all {n} records" in verifier.check_ledger(place.folder, kept, None)
    older = verifier.Checkpoint(place.older, place.keys)
    steps = append_proof(
        place.reader,
        log_checkpoint(older.origin, older.size, older.root, at_us=0),
        log_checkpoint(kept.origin, kept.size, kept.root, at_us=0),
    )
    import base64

    verifier.check_append(older, kept, [base64.b64encode(step).decode() for step in steps])
    counts = campaign(place, rounds, whole, seed=n)
    assert sum(counts.values()) == rounds
    anchor = find_anchor(place.reader, place.checks)
    assert anchor is not None
    _, proof = Prover(place.reader, anchor).prove(place.tag, n - 1)
    assert len(proof.path) <= 20


def test_a_hundred_attacks_on_a_ledger_of_a_hundred_thousand_are_all_found(tmp_path: Path) -> None:
    check_campaign(tmp_path, 100_000, rounds=100, whole=6)


@pytest.mark.soak
def test_a_thousand_attacks_on_a_ledger_of_a_million_are_all_found(tmp_path: Path) -> None:
    check_campaign(tmp_path, 1_000_000, rounds=1_000, whole=20)
