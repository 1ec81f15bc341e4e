"""baluarte report audit-pack: drawn by a seed, proved on another machine, legible to a person."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from workspace_ground import Ground, Shell

from baluarte.apps.catalogue import LANGUAGES
from baluarte.errors import DataError
from baluarte.stages.draw import draw
from baluarte.testing.bundles import sample_events


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "w")


@pytest.fixture
def shell(ground: Ground, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(ground.root, capsys)


@pytest.fixture
def ids(ground: Ground, shell: Shell) -> list[str]:
    version = ground.seal()
    ground.approve(version, "bea", "the evidence is enough")
    ground.promote(version, "first version")
    ids = ground.decide(version, sample_events(300))
    shell.text("ledger", "checkpoint")
    return ids


def pack(shell: Shell, out: Path, *words: str) -> dict[str, object]:
    status, said = shell.json("report", "audit-pack", "--out", str(out), *words)
    assert status == 0, said
    return said


def verify(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", *words],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_pack_is_checked_on_another_machine_and_any_change_is_found(
    shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    said = pack(shell, tmp_path / "pack", "--sample", "20", "--seed", "7")
    assert (said["identical"], said["different"]) == (20, 0)
    clean = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "pack", clean)
    shell.text("keys", "verifier", "--out", str(clean / "KEYS"))
    status, text = verify(clean, "--pack", ".", "checkpoint", "KEYS")
    assert (status, "all 24 records" in text) == (0, True), text  # and 4 acts
    for path in sorted(clean.glob("records/*"))[::9]:
        good = path.read_bytes()
        path.write_bytes(good[:60] + bytes([good[60] ^ 4]) + good[61:])
        assert verify(clean, "--pack", ".", "checkpoint", "KEYS")[0] == 1, path
        path.write_bytes(good)
    sums = (clean / "SHA256SUMS").read_text()
    assert (
        subprocess.run(
            ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=clean, check=False
        ).returncode
        == 0
    )
    assert len(sums.splitlines()) == 24 * 2 + 9


def test_the_same_seed_draws_the_same_bytes_and_another_one_others(
    shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    one, two, other = (tmp_path / f"{name}.zip" for name in ("one", "two", "other"))
    first = pack(shell, one, "--seed", "5")
    again = pack(shell, two, "--seed", "5")
    assert pack(shell, other, "--seed", "6")["decisions"] != first["decisions"]
    assert again["decisions"] == first["decisions"]
    with zipfile.ZipFile(one) as a, zipfile.ZipFile(two) as b:
        names = [name.partition("/")[2] for name in a.namelist()]
        assert names == [name.partition("/")[2] for name in b.namelist()]
        assert all(a.read(f"one/{n}") == b.read(f"two/{n}") for n in names)
    assert len(first["decisions"]) == 60


def test_that_a_pack_was_taken_along_is_in_the_ledger_with_its_digest(
    ground: Ground, shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    pack(shell, tmp_path / "pack", "--sample", "10", "--seed", "3")
    with ground.session() as session:
        (tag,) = session.reader.shards()
        act = json.loads(session.reader.record(tag, session.reader.size(tag) - 1))
    assert (act["act"], act["details"]["seed"]) == ("export", 3)
    sums = (tmp_path / "pack/SHA256SUMS").read_bytes()
    assert act["details"]["sums"] == hashlib.sha256(sums).hexdigest()


def test_the_pack_says_who_let_the_versions_decide_and_what_there_is(
    shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    pack(shell, tmp_path / "pack", "--sample", "10")
    (approved,) = json.loads((tmp_path / "pack/approvals.json").read_bytes())
    assert approved["version"] == "flows@1"
    assert [a["by"] for a in approved["approvals"]] == ["bea"]
    assert approved["approvals"][0]["why"] == "the evidence is enough"
    assert [p["why"] for p in approved["promotions"]] == ["first version"]
    assert approved["evidence"]["verdict"] == "pass"
    inventory = json.loads((tmp_path / "pack/inventory.json").read_bytes())
    assert inventory["sample"]["of_decisions"] == 300
    assert inventory["versions"][0]["bundle"].startswith("sha256:")
    assert inventory["keys"][0]["algorithm"] == "ed25519"
    replays = json.loads((tmp_path / "pack/replays.json").read_bytes())
    assert {one["result"] for one in replays} == {"identical"}
    assert (tmp_path / "pack/versions/flows@1.html").is_file()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_in_every_language(
    shell: Shell, ids: list[str], tmp_path: Path, language: str
) -> None:
    out = tmp_path / "pack"
    pack(shell, out, "--sample", "5", "--lang", language)
    page = (out / "index.html").read_text("utf-8")
    assert f'lang="{language}"' in page
    assert "src=" not in page
    assert "://" not in page
    assert all(one in page for one in ("flows@1", "bea", "verify.py --pack"))
    assert "audit." not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_a_decision_that_comes_out_otherwise_is_in_the_pack_and_makes_it_red(
    ground: Ground, shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    with ground.session() as session:
        version = session.registry.versions("flows")[0]
    ground.decide(version, sample_events(40), change={"points": 3})
    shell.text("ledger", "checkpoint")
    out = tmp_path / "pack"
    status, said = shell.json("report", "audit-pack", "--sample", "400", "--out", str(out))
    assert status == 1
    assert said["different"] > 0
    assert "✗" in (out / "index.html").read_text("utf-8")


def test_what_can_not_be_packed_is_said(shell: Shell, ground: Ground, tmp_path: Path) -> None:
    assert "no checkpoint" in shell.text("report", "audit-pack")[1]
    ground.seal()
    shell.text("ledger", "checkpoint")
    out = str(tmp_path / "pack")
    assert "no decision stands" in shell.text("report", "audit-pack", "--out", out)[1]
    assert "sample of 1 or more" in shell.text("report", "audit-pack", "--sample", "0")[1]


def test_a_folder_that_holds_something_is_left_alone(
    shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("mine")
    assert "empty or not there" in shell.text("report", "audit-pack", "--out", str(tmp_path))[1]
    assert (tmp_path / "kept").read_text() == "mine"


def test_a_draw_is_uniform_over_decisions_wherever_they_stand(
    ground: Ground, ids: list[str]
) -> None:
    with ground.session() as session:
        sizes = {tag: session.reader.size(tag) for tag in session.reader.shards()}
        drawn = [
            {index for _, index, _ in draw(session.reader, sizes, n=30, seed=seed)}
            for seed in range(200)
        ]
        every = draw(session.reader, sizes, n=10_000, seed=1)
        with pytest.raises(DataError):
            draw(session.reader, sizes, n=3, seed=1, detector="none")
    assert len(every) == 300
    counts = [sum(index in one for one in drawn) for index in {i for _, i, _ in every}]
    # Each decision is in a draw of 30 out of 300 with chance 0.1: 20 of 200, sd 4.2.
    assert min(counts) > 4
    assert max(counts) < 40
    assert all(len(one) == 30 for one in drawn)
