"""baluarte.adapters.stores.sqlite: one registry, many processes, nothing lost or overwritten."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from baluarte.adapters.sqlite_file import SqliteFile
from baluarte.adapters.stores import accounts
from baluarte.adapters.stores.sqlite import SqliteRegistry
from baluarte.core.registry import LabelRow, Promotion, Version
from baluarte.errors import DataError, OutsideError


def version(number: int, detector: str = "flows", epoch: int = 0) -> Version:
    return Version(
        detector=detector,
        version=number,
        digest=f"sha256:{detector}{number}",
        epoch=epoch or number,
        sealed_at=number,
        sealed_by="ada",
        provisional=False,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry" / "registry.db"


def test_everything_is_there_after_opening_again(path: Path) -> None:
    promotion = Promotion(detector="flows", version=1, at=1, actor="a", reason="b", kind="promote")
    with SqliteRegistry(path) as registry:
        registry.add(version(1))
        registry.set_champion(promotion)
        registry.approve("flows", 1, actor="bea", at=3, reason="fine")
        registry.spend_look("h", detector="flows", actor="a", at=1, candidate="c")
        registry.add_labels("flows", [LabelRow(event_id="e", label=1, at=1, source="s")])
    with SqliteRegistry(path) as registry:
        assert registry.champion("flows") == version(1)
        assert registry.promotions("flows") == [promotion]
        assert registry.approvals("flows", 1) == [("bea", 3, "fine")]
        assert registry.looks("h") == 1
        assert registry.labels("flows")["e"].label == 1


def test_the_file_is_its_owners_alone(path: Path) -> None:
    with SqliteRegistry(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_change_by_another_process_is_seen_at_the_next_poll(path: Path) -> None:
    with SqliteRegistry(path) as here, SqliteRegistry(path) as there:
        there.add(version(1))
        before = here.champion_epoch("flows")
        there.set_champion(
            Promotion(detector="flows", version=1, at=1, actor="a", reason="", kind="promote")
        )
        assert here.champion_epoch("flows") > before
        assert here.champion("flows") == version(1)


def test_looks_spent_at_the_same_time_have_different_numbers(path: Path) -> None:
    numbers: list[int] = []

    def spend(registry: SqliteRegistry) -> None:
        numbers.extend(
            registry.spend_look("h", detector="flows", actor="a", at=1, candidate="c")
            for _ in range(25)
        )

    with SqliteRegistry(path) as one, SqliteRegistry(path) as two:
        threads = [threading.Thread(target=spend, args=(r,)) for r in (one, one, two, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(numbers) == list(range(1, 101))


def test_of_two_that_seal_the_same_number_one_is_refused(path: Path) -> None:
    with SqliteRegistry(path) as one, SqliteRegistry(path) as two:
        one.add(version(1))
        with pytest.raises(DataError, match="next version"):
            two.add(version(1))
        with pytest.raises(DataError, match="epoch"):
            two.add(version(2, epoch=1))


def test_a_digest_is_sealed_once(path: Path) -> None:
    with SqliteRegistry(path) as registry:
        registry.add(version(1))
        same = Version(
            detector="cards",
            version=1,
            digest="sha256:flows1",
            epoch=1,
            sealed_at=1,
            sealed_by="ada",
            provisional=False,
        )
        with pytest.raises(DataError, match="already"):
            registry.add(same)


def test_a_delivery_of_labels_is_kept_whole_or_not_at_all(path: Path) -> None:
    good = LabelRow(event_id="e", label=1, at=1, source="s")
    bad = LabelRow(event_id="f", label=1, at=2**70, source="s")
    with SqliteRegistry(path) as registry:
        with pytest.raises(DataError, match="64 bits"):
            registry.add_labels("flows", [good, bad])
        assert registry.labels("flows") == {}


def test_an_earlier_word_that_arrives_late_does_not_overrule_a_later_one(path: Path) -> None:
    with SqliteRegistry(path) as registry:
        registry.add_labels("flows", [LabelRow(event_id="e", label=1, at=9, source="s")])
        registry.add_labels("flows", [LabelRow(event_id="e", label=0, at=3, source="s")])
        assert registry.labels("flows")["e"].label == 1


def test_a_newer_programs_registry_is_left_alone(path: Path) -> None:
    SqliteRegistry(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(OutsideError, match="schema 99"):
        SqliteRegistry(path)


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"hello " * 1000)
    with pytest.raises(OutsideError, match="registry"):
        SqliteRegistry(path)
    assert path.read_bytes() == b"hello " * 1000


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutsideError):
        SqliteRegistry(path)
    assert not (tmp_path / "elsewhere").exists()


def test_accounts_of_an_earlier_version_stay_and_its_sessions_end(tmp_path: Path) -> None:
    path = tmp_path / "accounts.db"
    old = SqliteFile(path, what="store of accounts", migrations=accounts._MIGRATIONS[:1])
    with old, old.transaction():
        old.rows(
            "INSERT INTO accounts VALUES ('ana', 'person', 'ana', x'5b5d', x'5b5d', 1, 'root', "
            "NULL, NULL, 'kept')"
        )
        old.rows("INSERT INTO sessions VALUES (x'00', 'ana', 1, 2000000000000000, 'password')")
    with accounts.SqliteAccounts(path) as store:
        assert [account.name for account in store.accounts()] == ["ana"]
        assert store.password("ana") == "kept"
        assert store.session(b"\0") is None
