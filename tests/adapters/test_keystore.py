"""baluarte.adapters.keystores.sqlite and sealing: what is destroyed is in no byte of the store."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from baluarte.adapters.keystores.sqlite import SqliteKeys
from baluarte.adapters.sealing import MasterKeys, new_master
from baluarte.core.envelope import person
from baluarte.errors import ContractError, TrustError
from baluarte.testing.keystores import sample_erasure, sample_subjects


def raw(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def wrapped(path: Path) -> dict[str, bytes]:
    db = sqlite3.connect(path)
    try:
        return {i.hex(): w for i, w in db.execute("SELECT id, wrapped FROM keys")}
    finally:
        db.close()


def test_no_byte_of_a_destroyed_key_is_left_however_pages_were_split_and_merged(
    tmp_path: Path,
) -> None:
    path, master = tmp_path / "people.sqlite", MasterKeys(new_master(), where="here")
    draw = random.Random(3)
    everyone = sample_subjects(3_000)
    gone: dict[str, bytes] = {}
    with SqliteKeys(path, master) as keys, SqliteKeys(path, master) as other:
        for round_ in range(6):
            keys.keys(everyone[round_ * 500 : (round_ + 1) * 500])
            before = wrapped(path)
            known = everyone[: (round_ + 1) * 500]
            some = draw.sample(known, 180)
            for subject in some[:5]:  # one by one, as requests come
                done = keys.destroy([subject], erasure=sample_erasure(draw.randbytes(16).hex()))
                gone |= {key_id: before[key_id] for key_id in done}
            name = draw.randbytes(16).hex()
            done = other.destroy(some[5:], erasure=sample_erasure(name))
            gone |= {key_id: before[key_id] for key_id in done}
            other.finish(name)
            content = raw(tmp_path)
            assert not [key_id for key_id, key in gone.items() if key[16:] in content]
            assert not [key_id for key_id, key in gone.items() if key[20:52] in content]
        kept = wrapped(path)
        assert not kept.keys() & gone.keys()
        assert all(key in raw(tmp_path) for key in kept.values()), "the search would find them"


def test_the_store_holds_no_name(tmp_path: Path) -> None:
    master = MasterKeys(new_master(), where="here")
    with SqliteKeys(tmp_path / "people.sqlite", master) as keys:
        keys.keys([person("card", "Señora Ñandú 4711")])
        name = sample_erasure("a" * 32, person("card", "Señora Ñandú 4711"))
        keys.destroy(name.subjects, erasure=name)
        content = raw(tmp_path)
    assert "Ñandú".encode() not in content
    assert b"4711" not in content


def test_a_new_master_key_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path, old, new = tmp_path / "people.sqlite", new_master(), new_master()
    people = sample_subjects(1_200)
    with SqliteKeys(path, MasterKeys(old, where="here")) as keys:
        first = keys.keys(people)
        sealed = first[7].seal(b"values", b"here")
        asked = sample_erasure("a" * 32, people[0])
        keys.destroy(people[:1], erasure=asked)
    with SqliteKeys(path, MasterKeys(f"{new}\n{old}\n", where="here")) as keys:
        assert keys.rewrap() == 1_199
        assert keys.rewrap() == 0
    with pytest.raises(TrustError, match="another master key"):
        SqliteKeys(path, MasterKeys(old, where="here"))
    with SqliteKeys(path, MasterKeys(new, where="here")) as keys:
        assert [key.id for key in keys.keys(people[1:])] == [key.id for key in first[1:]]
        assert keys.keys(people[7:8])[0].open(sealed, b"here") == b"values"
        assert keys.unfinished()[0].subjects == (people[0],)


@pytest.mark.parametrize("text", ["", "short", "zz" * 32, "AAAA"])
def test_a_master_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        MasterKeys(text, where="here")


def test_keys_in_memory_are_bounded(tmp_path: Path) -> None:
    master = MasterKeys(new_master(), where="here")
    with SqliteKeys(tmp_path / "people.sqlite", master, cached=10) as keys:
        people = sample_subjects(40)
        ids = [key.id for key in keys.keys(people)]
        assert keys.at_hand(people) is None
        assert [key.id for key in keys.at_hand(people[-10:]) or []] == ids[-10:]
        assert [key.id for key in keys.keys(people)] == ids


def test_a_digest_is_hmac_sha256_under_a_key_of_its_own() -> None:
    import hmac

    from baluarte.adapters.sealing import SealingKey

    secret = bytes(range(32))
    mac = hmac.digest(secret, b"baluarte digest", "sha256")
    for data in (b"", b"x", b"values" * 50):
        expected = "hmac-sha256:" + hmac.digest(mac, data, "sha256").hex()
        assert SealingKey("0" * 32, secret).digest(data) == expected


def test_a_process_that_knows_only_the_old_master_key_makes_no_key_and_reads_the_new_one(
    tmp_path: Path,
) -> None:
    path, old, new = tmp_path / "people.sqlite", new_master(), new_master()
    both = MasterKeys(f"{new}\n{old}", where="here")
    stale = SqliteKeys(path, MasterKeys(old, where="here"))
    serving = SqliteKeys(path, MasterKeys(old, where="here"), reload=lambda: both)
    (before,) = stale.keys(sample_subjects(1))
    with SqliteKeys(path, both) as keys:
        keys.rewrap()
    with pytest.raises(TrustError, match="another master key by now"):
        stale.keys(sample_subjects(2)[1:])
    assert serving.keys(sample_subjects(1))[0].id == before.id
    made = serving.keys(sample_subjects(3))[2]
    with SqliteKeys(path, MasterKeys(new, where="here")) as keys:
        assert keys.keys(sample_subjects(3))[2].id == made.id
        assert keys.rewrap() == 0
    stale.close()
    serving.close()
