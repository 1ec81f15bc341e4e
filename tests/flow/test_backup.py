"""Backups: taken while a server decides, brought back by proofs, and never a way around erasure."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from people_ground import PeoplePlace, Person, records_of, search
from test_about_person import decide

from baluarte.apps import restoring
from baluarte.apps.cli.main import main
from baluarte.apps.place import RESTORING
from baluarte.errors import BaluarteError
from baluarte.stages.replay import replay


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def restore(source: Path, into: Path, *words: str) -> int:
    return main(["restore", str(source), "--into", str(into), "--json", *words])


def ids_of(place: PeoplePlace) -> list[str]:
    with place.session() as session:
        return [r["id"] for r in records_of(session) if r["kind"] == "decision"]


def moved(place: PeoplePlace, root: Path) -> PeoplePlace:
    """The same workspace's commands in another folder."""
    other = object.__new__(PeoplePlace)
    other.root, other.version = root, place.version
    return other


@pytest.fixture
def place(tmp_path: Path) -> PeoplePlace:
    return PeoplePlace(tmp_path / "work")


def keys_brought(place: PeoplePlace, root: Path) -> None:
    """What is kept apart from backups: the private keys."""
    shutil.copytree(place.data / "keys", root / ".baluarte" / "keys", dirs_exist_ok=True)


def test_a_backup_under_load_has_all_that_was_answered_before_and_replays_elsewhere(
    place: PeoplePlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people, answered = [Person(i) for i in range(20)], list[str]()
    stop = threading.Event()
    with place.server() as server:

        def load() -> None:
            i = 0
            while not stop.is_set():
                answered.extend(a["id"] for a in server.decide([p.event(i) for p in people]))
                i += 1

        caller = threading.Thread(target=load)
        caller.start()
        try:
            while len(answered) < 100:
                time.sleep(0.02)
            before = list(answered)
            assert place.run("backup", str(tmp_path / "kept"), "--json") == 0
            first = said(capsys)
            assert place.run("backup", str(tmp_path / "kept"), "--json") == 0
            second = said(capsys)
        finally:
            stop.set()
            caller.join()
    assert second["new_files"] < first["files"]
    elsewhere = tmp_path / "elsewhere"
    keys_brought(place, elsewhere)
    assert restore(tmp_path / "kept", elsewhere) == 0
    assert said(capsys)["records"] == second["records"]
    there = moved(place, elsewhere)
    assert set(before) <= set(ids_of(there)) <= set(answered)
    with there.session() as session:
        found = replay(list(session.sealed_decisions()), session.bundle, unsealer=session.unsealer)
        assert not [one for one in found if one.difference or one.erased]
        assert session.registry.champion("payments") is not None
        acts = [r for r in records_of(session) if r.get("act") in ("backup", "restore")]
    assert [act["act"] for act in acts].count("restore") == 1
    with there.server() as server:
        assert server.decide([people[0].event(10_000)])[0]["outcome"]


def test_what_was_erased_after_a_backup_stays_erased_when_it_comes_back(
    place: PeoplePlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, stays = Person(1), Person(2)
    decide(place, [gone, stays], 3)
    kept, early = tmp_path / "kept", tmp_path / "early"
    assert place.run("backup", str(kept)) == 0
    shutil.copytree(kept, early)  # somebody keeps a copy of the first backup, keys and all
    assert place.run("erase", gone.card, "--reason", "asked") == 0
    assert place.run("backup", str(kept)) == 0
    assert search(kept, gone.needles()) == {}
    capsys.readouterr()

    # The disk is lost: the newest keys come back, for whichever backup.
    for at in (None, min(int(p.stem) for p in (kept / "backups").iterdir())):
        elsewhere = tmp_path / f"elsewhere{at}"
        keys_brought(place, elsewhere)
        assert restore(kept, elsewhere, *([] if at is None else ["--at", str(at)])) == 0
        assert told_of(moved(place, elsewhere), gone) == 3
        assert told_of(moved(place, elsewhere), stays) == 0
    capsys.readouterr()

    # The ledger with the act comes back, and the keys from the copy of before the erasure.
    mixed, elsewhere = tmp_path / "mixed", tmp_path / "elsewhere-mixed"
    shutil.copytree(kept, mixed)
    shutil.copy(early / "people" / "people.sqlite", mixed / "people" / "people.sqlite")
    keys_brought(place, elsewhere)
    assert restore(mixed, elsewhere) == 0
    assert said(capsys)["erased"] == 1
    assert told_of(moved(place, elsewhere), gone) == 3
    capsys.readouterr()

    # Only the ledger's folder was lost: the keys that are here know of the erasure.
    shutil.rmtree(place.data / "ledger")
    assert place.run("restore", str(early), "--json") == 0
    assert told_of(place, gone) == 3
    assert told_of(place, stays) == 0


def told_of(place: PeoplePlace, person: Person) -> int:
    return place.run("subject", person.card)


def test_nothing_is_restored_over_what_is_newer_nor_while_a_server_runs(
    place: PeoplePlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(place, [Person(1)], 2)
    assert place.run("backup", str(tmp_path / "kept")) == 0
    before = ids_of(place)
    with place.server() as server:
        assert place.run("restore", str(tmp_path / "kept")) == 5
        later = [answer["id"] for answer in server.decide([Person(3).event(7)])]
    assert "Stop it first" in capsys.readouterr().err
    assert place.run("restore", str(tmp_path / "kept")) == 3
    assert "would lose what came since" in capsys.readouterr().err
    assert sorted(ids_of(place)) == sorted(before + later)


def test_a_backup_that_was_changed_is_refused_and_nothing_is_touched(
    place: PeoplePlace, tmp_path: Path
) -> None:
    decide(place, [Person(1)], 5)
    kept = tmp_path / "kept"
    assert place.run("backup", str(kept)) == 0
    shutil.rmtree(place.data / "ledger")
    shutil.rmtree(place.data / "bundles")
    (at,) = (kept / "backups").iterdir()
    manifest = at.read_bytes()
    at.write_bytes(manifest.replace(b'"actor":"', b'"actor":"x'))
    assert place.run("restore", str(kept)) == 4
    at.write_bytes(manifest)
    objects = [p for p in (kept / "objects").rglob("*") if p.is_file()]
    for path in objects[:: max(1, len(objects) // 6)]:
        content = path.read_bytes()
        if not content:
            continue
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        assert place.run("restore", str(kept)) == 4
        path.unlink()
        assert place.run("restore", str(kept)) == 4
        path.write_bytes(content)
        assert not (place.data / "ledger").exists()
        assert not list(place.data.glob("*.restoring"))
    assert place.run("restore", str(kept)) == 0
    assert place.run("ledger", "verify") == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads
def test_a_restore_that_is_killed_at_any_rename_is_finished_by_the_next(
    place: PeoplePlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(place, [Person(1)], 3)
    kept, n = tmp_path / "kept", 0
    assert place.run("backup", str(kept)) == 0
    wanted = sorted(ids_of(place))
    while True:
        # why it is restored
        next((place.data / "ledger").rglob("*.seg")).write_bytes(bytes(1 << 20))
        (place.data / "registry.sqlite").write_bytes(b"nothing")
        if not killed_at_rename(place, kept, n):
            break
        if (place.root / RESTORING).exists():
            assert place.run("status") == 5
        assert place.run("restore", str(kept)) == 0
        assert sorted(ids_of(place)) == wanted
        assert place.run("ledger", "verify") == 0
        shutil.rmtree(place.data / "ledger")  # with the act, which makes it newer than the backup
        assert place.run("restore", str(kept)) == 0
        one_act_less(place, kept)
        n += 1
    assert n >= 6
    capsys.readouterr()


def one_act_less(place: PeoplePlace, kept: Path) -> None:
    """The ledger as the backup has it, without the act that says it was restored."""
    shutil.rmtree(place.data / "ledger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("baluarte.apps.cli.restore._record", lambda *_: None)
        assert place.run("restore", str(kept)) == 0


def killed_at_rename(place: PeoplePlace, kept: Path, n: int) -> bool:
    """Restore in a process that dies before its n-th rename; whether it came to that."""
    child = os.fork()
    if child == 0:
        rename, left = Path.rename, [n]

        def dying(self: Path, target: Path) -> Path:
            if left[0] == 0 and (".restoring" in str(self) or ".before-" in str(target)):
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= ".restoring" in str(self) or ".before-" in str(target)
            return rename(self, target)

        Path.rename = dying  # type: ignore[method-assign,assignment]
        status = 1
        try:
            status = place.run("restore", str(kept))
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_private_keys_are_in_a_backup_only_under_a_passphrase(
    place: PeoplePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(place, [Person(1)], 1)
    kept = tmp_path / "kept"
    private = [p.read_bytes() for p in (place.data / "keys").glob("*.key")]
    needles = {str(i): data[-60:-30] for i, data in enumerate(private)}
    needles |= {f"{i} whole": data.strip() for i, data in enumerate(private)}
    assert len(private) == 2
    assert place.run("backup", str(kept)) == 0
    monkeypatch.setenv("WORDS", "too short")
    assert place.run("backup", str(kept), "--passphrase-env", "WORDS") == 3
    monkeypatch.setenv("WORDS", "four words that nobody guesses")
    assert place.run("backup", str(kept), "--passphrase-env", "WORDS") == 0
    assert search(kept, needles) == {}
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("WORDS", "other words that nobody knows")
    assert restore(kept, elsewhere, "--passphrase-env", "WORDS") == 4
    monkeypatch.setenv("WORDS", "four words that nobody guesses")
    assert restore(kept, elsewhere, "--passphrase-env", "WORDS") == 0
    assert sorted(p.read_bytes() for p in (elsewhere / ".baluarte" / "keys").glob("*.key")) == (
        sorted(private)
    )
    assert told_of(moved(place, elsewhere), Person(1)) == 0


def test_old_backups_go_and_their_files_with_them(
    place: PeoplePlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    for i in range(4):
        decide(place, [Person(i)], 2)
        assert place.run("backup", str(kept), "--keep", "2", "--json") == 0
    newest = said(capsys)["at"]
    assert len(list((kept / "backups").iterdir())) == 2
    elsewhere = tmp_path / "elsewhere"
    keys_brought(place, elsewhere)
    assert restore(kept, elsewhere, "--at", str(newest)) == 0
    with restoring.BackupFolder(kept) as folder, pytest.raises(BaluarteError):
        restoring.choose(folder, 1)
    assert sorted(ids_of(moved(place, elsewhere))) == sorted(ids_of(place))
