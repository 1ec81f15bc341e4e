#!/usr/bin/env python3
"""Check what Baluarte recorded, on any machine, with nothing but Python 3.9 or later.

    python3 verify.py CHECKPOINT RECORD PROOF KEYS       one record is in the ledger
    python3 verify.py --ledger FOLDER CHECKPOINT KEYS    every record of an exported ledger
    python3 verify.py --append OLD NEW PROOF KEYS        NEW only added to OLD: nothing was changed
    python3 verify.py --pack FOLDER CHECKPOINT KEYS      every record of an audit pack
    --witnesses N           demand the cosignatures of N witnesses whose keys are in KEYS
    --range TAG FROM TO     of --ledger: only these records of one shard, by their tiles

KEYS is a text file with a verifier key a line: get it from whom you trust, by another road than the
rest. CHECKPOINT is best one that you kept. Exit status: 0 it holds, 1 it does not, 2 usage.
Source: RFC 9162 (2.1), RFC 8032 (5.1), C2SP signed-note, tlog-cosignature, tlog-tiles.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

P = 2**255 - 19  # Ed25519: the field, the group's order, the curve's d, a square root of -1
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
TILE = 256  # hashes of a full tile, entries of a full bundle
dropped: list[bytes] = []  # records of which only the hash was there


def need(holds: bool, otherwise: str) -> None:
    """Go on only if this holds."""
    if not holds:
        raise ValueError(otherwise)


def add(p: tuple[int, ...], q: tuple[int, ...]) -> tuple[int, ...]:
    """The sum of two points, each as (X, Y, Z, T) with x = X/Z, y = Y/Z and x*y = T/Z."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n: int, p: tuple[int, ...]) -> tuple[int, ...]:
    """The point n times."""
    total: tuple[int, ...] = (0, 1, 1, 0)
    while n:
        total, p, n = add(total, p) if n & 1 else total, add(p, p), n >> 1
    return total


def point(data: bytes) -> tuple[int, ...]:
    """A point from its 32 bytes."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    x = x if v * x * x % P == u else x * ROOT_OF_MINUS_1 % P
    there = len(data) == 32 and y < P and v * x * x % P == u and not (sign and x == 0)
    need(there, "a key or a signature has a point that is none")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature holds."""
    s, base = int.from_bytes(signature[32:], "little"), point(b"\x58" + b"\x66" * 31)
    need(len(signature) == 64 and s < L, "a signature is none")
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = times(s, base), add(point(signature[:32]), times(k, point(public)))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def read_keys(text: str) -> dict[tuple[str, bytes], bytes]:
    """Verifier keys by name and id: type (1 log, 4 witness; others are not checked), then key."""
    keys = {}
    for line in text.split():
        name, key_id, encoded = line.split("+", 2)
        material = base64.b64decode(encoded)
        hashed = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
        need(hashed.hex() == key_id, f"the id of the key {name} is not its own")
        keys[name, hashed] = material
    return keys


class Checkpoint:
    """How large a log was, and its head; each known signature is checked."""

    def __init__(self, data: bytes, keys: dict[tuple[str, bytes], bytes]) -> None:
        text, mark, tail = data.decode().rpartition("\n\n")
        lines = text.split("\n")
        need(bool(mark) and len(lines) >= 3, "this is no checkpoint")
        self.origin, self.size, self.root = lines[0], int(lines[1]), base64.b64decode(lines[2])
        self.signed, self.witnesses = False, set[str]()
        for line in tail.splitlines():
            name, blob = line.split(" ")[1], base64.b64decode(line.split(" ")[2])
            key = keys.get((name, blob[:4]), b"\x00")
            message, signature = (text + "\n").encode(), blob[4:]
            if key[0] == 4:
                time, signature = int.from_bytes(blob[4:12], "big"), blob[12:]
                message = b"cosignature/v1\ntime %d\n" % time + message
                self.witnesses.add(name)
            held = key[0] not in (1, 4) or ed25519(key[1:], message, signature)
            need(held, f"the signature of {name} does not hold")
            self.signed |= key[0] == 1 and name == self.origin
        need(self.signed, f"no key that you trust signed for {self.origin}")


def sha(*parts: bytes) -> bytes:
    """SHA-256; over two subtrees their hashes stand after a byte 1."""
    return hashlib.sha256(b"".join(parts)).digest()


def leaf(record: bytes) -> bytes:
    """The hash of a record, after a byte 0."""
    return sha(b"\x00", record)


def heads_at(leaves: Iterable[bytes], sizes: list[int]) -> Iterator[bytes]:
    """The head over the first n leaves, for each n of ascending sizes."""
    peaks: list[tuple[int, bytes]] = []  # (leaves, head) of the complete subtrees, largest first
    source, count = iter(leaves), 0
    for size in sizes:
        for each in itertools.islice(source, size - count):
            width, hashed, count = 1, each, count + 1
            while peaks and peaks[-1][0] == width:
                width, hashed = 2 * width, sha(b"\x01", peaks.pop()[1], hashed)
            peaks.append((width, hashed))
        need(count >= size, "records are missing")
        head = peaks[-1][1] if peaks else sha()
        for _, left in peaks[-2::-1]:
            head = sha(b"\x01", left, head)
        yield head


def steps(at: int, last: int, proof: list[str]) -> Iterator[tuple[bool, bytes]]:
    """Each hash of a proof, and whether it stands to the left."""
    for line in proof:
        need(last > 0, "the proof is too long")
        left = bool(at & 1) or at == last
        while left and at and not at & 1:
            at, last = at >> 1, last >> 1
        yield left, base64.b64decode(line, validate=True)
        at, last = at >> 1, last >> 1
    need(last == 0, "the proof is too short")


def head_by(hashed: bytes, index: int, size: int, proof: str) -> bytes:
    """The head to which an inclusion proof leads."""
    need(0 <= index < size, "the record stands outside the tree")
    for left, other in steps(index, size - 1, proof.split()):
        hashed = sha(b"\x01", other, hashed) if left else sha(b"\x01", hashed, other)
    return hashed


def check_append(old: Checkpoint, new: Checkpoint, path: list[str]) -> str:
    """The new log begins with the old one."""
    need(old.origin == new.origin, "the checkpoints are of two logs")
    need(old.size <= new.size, f"rolled back: the log had {old.size} entries, then {new.size}")
    if old.size in (0, new.size):
        same = not path and (old.size == 0 or old.root == new.root)
        need(same, f"forked: two heads over {old.size} entries")
    else:
        path = path if old.size & (old.size - 1) else [base64.b64encode(old.root).decode(), *path]
        ones = (old.size & -old.size).bit_length() - 1  # at the end of its last index
        at, last = old.size - 1 >> ones, new.size - 1 >> ones
        before = after = base64.b64decode(path[0])
        for left, other in steps(at, last, path[1:]):
            before = sha(b"\x01", other, before) if left else before
            after = sha(b"\x01", other, after) if left else sha(b"\x01", after, other)
        need((before, after) == (old.root, new.root), "forked: the new log changes the old one")
    return f"the log of {new.size} entries begins with that of {old.size}"


def check_record(checkpoint: Checkpoint, record: bytes, proof: str) -> str:
    """The record is in its shard, and the shard's head in the log that the checkpoint covers."""
    shard, _, heads = proof.partition("\n\n")
    kind, *lines = shard.split("\n")
    need(kind == "baluarte-proof/2", "this is no proof of a record")
    tag, index, size, at = (line.split(" ")[1] for line in lines[:4])
    head = head_by(leaf(record), int(index), int(size), "\n".join(lines[4:]))
    entry = f"{tag} {size} {base64.b64encode(head).decode()} {at}".encode()
    place, _, path = heads.removeprefix("heads ").partition("\n")
    root = head_by(leaf(entry), int(place), checkpoint.size, path)
    need(root == checkpoint.root, "record and proof do not lead to the checkpoint")
    return f"record {index} of shard {tag} is in the ledger that was signed"


def read_tile(folder: Path, row: str, number: int, width: int) -> bytes:
    """A tile or a bundle: the full one, or else a partial one that is wide enough."""
    name = f"{number % 1000:03d}"
    while number := number // 1000:
        name = f"x{number % 1000:03d}/{name}"
    path = folder / "tile" / row / name
    if not path.is_file():
        widest = max((int(p.name) for p in Path(f"{path}.p").glob("*")), default=0)
        need(widest >= width, f"{path} is missing: records were cut off")
        path = Path(f"{path}.p", str(widest))
    return path.read_bytes()


def entries(folder: Path, first: int, stop: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a log from ``first``, where a bundle begins, each with its hash."""
    large = (folder / "tile" / "entries-u32").is_dir()  # ours: over 65,535 bytes, or dropped
    row, prefix = ("entries-u32", 4) if large else ("entries", 2)
    for start in range(first, stop, TILE):
        width = min(TILE, stop - start)
        data, at = read_tile(folder, row, start // TILE, width), 0
        for _ in range(width):
            size, at = int.from_bytes(data[at : at + prefix], "big"), at + prefix
            entry, at = data[at : at + (size or 32)], at + (size or 32)
            need(at <= len(data), f"{folder}: records are missing")
            dropped.extend([entry] * (size == 0))  # past its retention: its hash is what stays
            yield entry, leaf(entry) if size else entry


def head_over(folder: Path, start: int, stop: int, first: int, last: int) -> bytes:
    """The head over leaves: what meets the records first to last is hashed, the rest is tiles."""
    width, touched = stop - start, start < last and first < stop
    if touched and width <= TILE:
        return next(heads_at((h for _, h in entries(folder, start, stop)), [width]))
    if not touched and width & (width - 1) == 0:
        row, above = divmod(width.bit_length() - 1, 8)
        tile, at = divmod((start // width) << above, TILE)
        data = read_tile(folder, str(row), tile, at + (1 << above))
        hashes = [data[i : i + 32] for i in range(32 * at, 32 * (at + (1 << above)), 32)]
        return next(heads_at(hashes, [len(hashes)]))
    middle = start + (1 << (width - 1).bit_length() - 1)
    halves = ((start, middle), (middle, stop))
    return sha(b"\x01", *(head_over(folder, a, b, first, last) for a, b in halves))


def check_ledger(folder: Path, checkpoint: Checkpoint, only: list[str] | None) -> str:
    """Every record, or those of a range, is the one that the checkpoint covers."""
    lines = list(entries(folder / "heads", 0, checkpoint.size))
    found = next(heads_at((h for _, h in lines), [len(lines)]))
    need(found == checkpoint.root, "the log of heads is not the one that was signed")
    shards: dict[str, dict[int, bytes]] = {}
    for entry, _ in lines:
        tag, size, root, _ = entry.decode().split(" ")
        need(int(size) > max(shards.get(tag, {0: b""})), f"shard {tag} was rolled back")
        shards.setdefault(tag, {})[int(size)] = base64.b64decode(root)
    if only is not None:
        tag, first, last = only[0], int(only[1]), int(only[2])
        n = max(shards.get(tag, {0: b""}))
        need(0 <= first < last <= n, f"shard {tag} has {n} records under the checkpoint")
        found = head_over(folder / "shards" / tag, 0, n, first, last)
        need(found == shards[tag][n], f"shard {tag} is not the one that was signed")
        return f"records {first} to {last} of shard {tag} are those that were signed"
    for tag, heads in shards.items():
        leaves = (h for _, h in entries(folder / "shards" / tag, 0, max(heads)))
        for n, found in zip(heads, heads_at(leaves, list(heads))):  # noqa: B905 - Python 3.9
            need(found == heads[n], f"the first {n} records of shard {tag} were changed")
    gone = f", {len(dropped)} of which are gone but for their hashes" if dropped else ""
    return f"all {sum(map(max, shards.values()))} records of {len(shards)} shards were signed{gone}"


def main() -> None:
    """Answer one question."""
    parser = argparse.ArgumentParser(usage=(__doc__ or "").partition("\n\n")[2])
    for question in ("--ledger", "--append", "--pack"):
        parser.add_argument(question, action="store_true")
    parser.add_argument("--witnesses", type=int, default=0)
    parser.add_argument("--range", nargs=3)
    parser.add_argument("files", nargs="+", type=Path)
    args = parser.parse_args()
    if len(args.files) != (3 if args.ledger or args.pack else 4):
        parser.error("expected other files")
    first, second, third, last = (args.files + args.files[-1:])[:4]
    try:
        keys = read_keys(last.read_text())
        given = second if args.ledger or args.append or args.pack else first
        checkpoint = Checkpoint(given.read_bytes(), keys)
        seen = f"{len(checkpoint.witnesses)} witnesses cosigned: {sorted(checkpoint.witnesses)}"
        need(len(checkpoint.witnesses) >= args.witnesses, f"expected {args.witnesses}; {seen}")
        if args.append:
            old = Checkpoint(first.read_bytes(), keys)
            said = check_append(old, checkpoint, third.read_text().split())
        elif args.ledger:
            said = check_ledger(first, checkpoint, args.range)
        elif args.pack:
            proofs = sorted(first.glob("records/*.proof"))
            for path in proofs:
                check_record(checkpoint, path.with_suffix(".json").read_bytes(), path.read_text())
            said = f"all {len(proofs)} records are in the ledger that was signed"
        else:
            said = check_record(checkpoint, second.read_bytes(), third.read_text())
    except (ValueError, LookupError, OSError) as error:
        sys.exit(f"DOES NOT HOLD: {str(error)!a}")
    sys.stdout.write(f"HOLDS: {said}\n  {checkpoint.origin}, {checkpoint.size} entries; {seen}\n")


if __name__ == "__main__":
    main()
