"""baluarte ledger, witness, keys: what is handed over is checked far from here."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from workspace_ground import Ground, Shell

from baluarte.adapters.witness_folder import WitnessFolder
from baluarte.apps.cli.main import main
from baluarte.apps.cli.witness import cosigner
from baluarte.apps.proving import verifier_source
from baluarte.apps.witness_server import WitnessServer
from baluarte.core.decision import ActRecord, Record
from baluarte.testing.bundles import sample_events
from baluarte.wiring import open_given_keys


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "w")


@pytest.fixture
def shell(ground: Ground, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(ground.root, capsys)


@pytest.fixture
def ids(ground: Ground) -> list[str]:
    version = ground.seal()
    ground.promote(version)
    return ground.decide(version, sample_events(40), reasons="none")


def verify(folder: Path, *words: str | Path) -> tuple[int, str]:
    """Run the verifier in a folder of its own, without site packages, environment or project."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", *map(str, words)],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def handed(ground: Ground, shell: Shell, ids: list[str], tmp_path: Path) -> Path:
    """What somebody got who asked for the proof of a decision, on a machine of their own."""
    assert shell.text("ledger", "checkpoint")[0] == 0
    assert shell.text("ledger", "proof", ids[17], "--out", str(tmp_path / "out"))[0] == 0
    clean = tmp_path / "elsewhere"
    clean.mkdir()
    for name in ("checkpoint", "record.json", "proof", "keys.txt", "verify.py"):
        shutil.copy(tmp_path / "out" / name, clean / name)
    return clean


FILES = ("checkpoint", "record.json", "proof", "keys.txt")


def test_the_verifier_is_one_small_file_that_names_no_module_of_ours() -> None:
    source = verifier_source().decode()
    assert len(source.splitlines()) < 300
    imports = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert not [line for line in imports if "baluarte" in line or "cryptography" in line]
    assert not [word for word in ("socket", "urllib", "http") if f"import {word}" in source]


def test_a_record_is_proved_on_another_machine_with_python_alone(
    handed: Path, ids: list[str]
) -> None:
    status, said = verify(handed, *FILES)
    assert status == 0, said
    assert said.startswith("HOLDS: record ")
    assert json.loads((handed / "record.json").read_bytes())["id"] == ids[17]


def test_no_byte_of_what_was_handed_over_can_be_changed(handed: Path) -> None:
    for name in FILES:
        path = handed / name
        good = path.read_bytes()
        for at in range(0, len(good), max(1, len(good) // 3)):
            path.write_bytes(good[:at] + bytes([good[at] ^ 16]) + good[at + 1 :])
            status, said = verify(handed, *FILES)
            assert (status, said[:4]) == (1, "DOES"), (name, at, said)
        path.write_bytes(good)
    assert verify(handed, *FILES)[0] == 0


def test_another_key_a_missing_file_or_a_wrong_question_is_no_yes(
    handed: Path, tmp_path: Path
) -> None:
    main(["witness", "create", str(tmp_path / "stranger"), "baluarte/heads"])
    shutil.copy(tmp_path / "stranger" / "witness.txt", handed / "other.txt")
    status, said = verify(handed, *FILES[:3], "other.txt")
    assert (status, "no key that you trust" in said) == (1, True)
    assert verify(handed, "checkpoint", "record.json", "proof", "nothing.txt")[0] == 1
    assert verify(handed, "checkpoint")[0] == 2
    assert verify(handed, *FILES, "--witnesses", "1")[0] == 1


def test_a_proof_is_also_one_document(shell: Shell, ids: list[str]) -> None:
    assert "no checkpoint" in shell.text("ledger", "proof", ids[0])[1]
    shell.text("ledger", "checkpoint")
    status, said = shell.text("ledger", "proof", "LAST")
    document = json.loads(said)
    assert (status, document["format"]) == (0, "baluarte-proof/2")
    assert json.loads(base64.b64decode(document["record"]))["detector"] == "flows"


def test_acts_are_in_the_same_tree_and_proved_alike(
    ground: Ground, shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    shell.text("keys", "create", "later", "--algorithm", "ml-dsa-44", "--actor", "eve")
    shell.text("keys", "revoke", "later", "--reason", "lost")
    shell.text("ledger", "checkpoint")
    with ground.session() as session:
        (tag,) = session.reader.shards()
        found = [msgspec.json.decode(data, type=Record) for data in session.reader.records(tag)]
    acts = {n: one for n, one in enumerate(found) if isinstance(one, ActRecord)}
    assert [one.act for one in acts.values()] == ["key", "seal", "promote", "key", "key"]
    assert [one.details["done"] for one in acts.values() if one.act == "key"] == [
        "create",
        "create",
        "revoke",
    ]
    for index in acts:
        out = tmp_path / f"act-{index}"
        assert shell.text("ledger", "proof", f"{tag}/{index}", "--out", str(out))[0] == 0
        assert verify(out, *FILES)[0] == 0
    assert "expected TAG/INDEX" in shell.text("ledger", "proof", "x/y")[1]


def test_an_older_checkpoint_is_shown_to_be_the_beginning_of_a_newer_one(
    ground: Ground, shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shell.text("ledger", "checkpoint", "--out", str(old))
    for n in range(3):
        shell.text("keys", "create", f"k{n}")
        shell.text("ledger", "checkpoint")
        ground.decide(ground.seal(), sample_events(3), reasons="none")
        shell.text("ledger", "checkpoint")
    out = tmp_path / "out"
    status, said = shell.json("ledger", "proof", "--since", str(old), "--out", str(out))
    assert (status, said["old"], said["new"]) == (0, 1, 7), said
    shell.text("keys", "verifier", "--out", str(out / "keys.txt"))
    assert verify(out, "--append", old, "checkpoint", "append-proof", "keys.txt")[0] == 0
    (out / "append-proof").write_text("\n".join(["A" * 43 + "="] * 3))
    assert verify(out, "--append", old, "checkpoint", "append-proof", "keys.txt")[0] == 1
    status, said = verify(out, "--append", "checkpoint", old, "append-proof", "keys.txt")
    assert (status, "rolled back" in said) == (1, True)
    assert shell.text("ledger", "verify", "--against", str(old))[0] == 0


def test_tail_shows_decisions_and_acts(shell: Shell, ids: list[str]) -> None:
    status, said = shell.text("ledger", "tail", "-n", "3")
    assert (status, said.count("flows@1")) == (0, 3)
    status, document = shell.json("ledger", "tail", "-n", "100")
    assert [len(rows) for rows in document["shards"].values()] == [43]


# --- tiles ---------------------------------------------------------------------------------------


@pytest.fixture
def exported(ground: Ground, shell: Shell, ids: list[str], tmp_path: Path) -> Path:
    ground.decide(ground.seal(), sample_events(700), reasons="none")
    shell.text("ledger", "checkpoint")
    folder = tmp_path / "tiles"
    assert shell.text("ledger", "export", "--tiles", str(folder))[0] == 0
    shell.text("keys", "verifier", "--out", str(folder / "keys.txt"))
    shell.text("ledger", "verifier", "--out", str(folder / "verify.py"))
    return folder


def ledger(folder: Path, *words: str) -> tuple[int, str]:
    return verify(folder, "--ledger", ".", "heads/checkpoint", "keys.txt", *words)


def test_an_exported_ledger_is_whole_and_in_the_layout_of_tiles(exported: Path) -> None:
    (shard,) = (exported / "shards").iterdir()
    files = {str(path.relative_to(shard)) for path in shard.rglob("*") if path.is_file()}
    assert {"checkpoint", "tile/0/000", "tile/0/001", "tile/1/000.p/2"} <= files
    assert {"tile/entries/000", "tile/entries/001", "tile/entries/002.p/232"} <= files
    status, said = ledger(exported)
    assert (status, "all 744 records of 1 shards" in said) == (0, True), said
    assert ledger(exported, "--range", shard.name, "500", "520")[0] == 0
    assert ledger(exported, "--range", shard.name, "740", "745")[0] == 1


def test_an_export_grows_by_what_is_new(exported: Path, ground: Ground, shell: Shell) -> None:
    (shard,) = (exported / "shards").iterdir()
    before = (shard / "tile/entries/000").stat().st_mtime_ns
    ground.decide(ground.seal(), sample_events(30), reasons="none")
    shell.text("ledger", "checkpoint")
    shell.text("ledger", "export", "--tiles", str(exported))
    assert (shard / "tile/entries/000").stat().st_mtime_ns == before
    status, said = ledger(exported)
    assert (status, "all 775 records" in said) == (0, True), said


def test_a_record_too_large_for_a_bundle_is_exported_all_the_same(
    exported: Path, ground: Ground, shell: Shell
) -> None:
    with ground.session() as session:
        act = ActRecord(at=1, act="label", actor="a", detector="flows", reason="x" * 70_000)
        session.record_act(act)
    shell.text("ledger", "checkpoint")
    shell.text("ledger", "export", "--tiles", str(exported))
    assert ledger(exported)[0] == 0
    (shard,) = (exported / "shards").iterdir()
    assert (shard / "tile/entries-u32/000").is_file()
    assert ledger(exported, "--range", shard.name, "740", "745")[0] == 0


# --- witnesses -----------------------------------------------------------------------------------


class Witnesses:
    """Three witnesses over HTTP, each with a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.folders = [root / f"w{n}" for n in range(3)]
        self.servers: list[WitnessServer] = []
        for n, folder in enumerate(self.folders):
            assert main(["witness", "create", str(folder), f"witness.example/w{n}"]) == 0
        self.keys = [(folder / "witness.txt").read_text().strip() for folder in self.folders]

    def serve(self) -> None:
        for folder in self.folders:
            known = WitnessFolder(folder)
            server = WitnessServer(("127.0.0.1", 0), cosigner(known), known.last_by_hash)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers.append(server)

    def trust(self, key: str) -> None:
        for folder in self.folders:
            assert main(["witness", "trust", str(folder), key]) == 0

    def settings(self, *, quorum: int = 2, reached: int = 3) -> str:
        rows = []
        for n, key in enumerate(self.keys):
            port = self.servers[n].server_address[1]
            url = f', url = "http://127.0.0.1:{port}"' if n < reached else ""
            rows.append(f'{{ key = "{key}"{url} }}')
        return f"[checkpoints]\nquorum = {quorum}\nwitnesses = [{', '.join(rows)}]\n"

    def stop(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Witnesses]:
    witnesses = Witnesses(tmp_path)
    witnesses.serve()
    yield witnesses
    witnesses.stop()


def witnessed(ground: Ground, shell: Shell, three: Witnesses, **said: int) -> None:
    """Let the workspace know the witnesses, and the witnesses the workspace's key."""
    three.trust(shell.text("keys", "verifier")[1].splitlines()[0])
    path = ground.root / "workspace.toml"
    path.write_text(three.settings(**said) + path.read_text())


def test_a_checkpoint_is_cosigned_by_all_witnesses_that_answer(
    ground: Ground, shell: Shell, ids: list[str], three: Witnesses, tmp_path: Path
) -> None:
    witnessed(ground, shell, three)
    for _ in range(3):
        ground.decide(ground.seal(), sample_events(3), reasons="none")
        status, said = shell.json("ledger", "checkpoint")
        assert (status, said["enough"]) == (0, True), said
    status, said = shell.json("ledger", "verify")
    assert (status, sorted(said["witnesses"]["newest"])) == (
        0,
        [f"witness.example/w{n}" for n in range(3)],
    )
    assert "3 of 3 cosigned" in shell.text("ledger", "verify")[1]
    out = tmp_path / "out"
    shell.text("ledger", "proof", ids[3], "--out", str(out))
    status, text = verify(out, *FILES, "--witnesses", "3")
    assert (status, "3 witnesses cosigned" in text) == (0, True), text
    assert verify(out, *FILES, "--witnesses", "4")[0] == 1


def test_two_of_three_are_enough_and_one_is_not(
    ground: Ground, shell: Shell, ids: list[str], three: Witnesses
) -> None:
    witnessed(ground, shell, three)
    three.servers[0].shutdown()
    three.servers[0].server_close()
    status, said = shell.json("ledger", "checkpoint")
    assert (status, said["enough"]) == (0, True)
    assert [a["at"] is None for a in said["answers"]] == [True, False, False]
    three.servers[1].shutdown()
    three.servers[1].server_close()
    ground.decide(ground.seal(), sample_events(3), reasons="none")
    status, said = shell.json("ledger", "checkpoint")
    assert said["enough"] is False
    assert shell.json("ledger", "witness")[0] == 1
    status, said = shell.json("ledger", "verify")  # the one before is witnessed, and says so
    assert (status, said["witnesses"]["later"]) == (0, 1)
    assert "2 are asked for" in shell.text("ledger", "verify")[1]


def test_a_ledger_that_nobody_witnessed_does_not_verify_where_witnesses_are_asked_for(
    ground: Ground, shell: Shell, ids: list[str], three: Witnesses
) -> None:
    shell.text("ledger", "checkpoint")
    assert shell.json("ledger", "verify")[0] == 0
    witnessed(ground, shell, three)
    status, said = shell.json("ledger", "verify")
    assert (status, "no checkpoint has the cosignatures of 2 of 3" in said["faults"][0]) == (
        4,
        True,
    )
    assert shell.json("ledger", "witness")[0] == 0
    assert shell.json("ledger", "verify")[0] == 0


def test_a_fork_is_never_witnessed_by_two_of_three_twice(
    ground: Ground, shell: Shell, ids: list[str], three: Witnesses, tmp_path: Path
) -> None:
    """The operator keeps two ledgers with one key, and shows each to those who ask for it."""
    shell.text("ledger", "checkpoint")
    witnessed(ground, shell, three)
    shell.text("ledger", "witness")
    other = tmp_path / "other"
    shutil.copytree(ground.root, other)
    ground.decide(ground.seal(), sample_events(3), reasons="none")
    assert shell.json("ledger", "checkpoint")[1]["enough"] is True
    fork = Shell(other, shell._capsys)
    for n in range(2):
        assert fork.text("keys", "create", f"fork{n}")[0] == 0
        status, said = fork.json("ledger", "checkpoint")
        assert (status, said["enough"]) == (0, False)
        assert all(answer["at"] is None for answer in said["answers"])
    assert "422" in said["answers"][0]["said"] or "signed none of that size" in str(said["answers"])
    assert "2 of 3" not in fork.text("ledger", "verify")[1].replace("3 of 3", "")


def test_a_checkpoint_is_cosigned_by_files_that_somebody_carries(
    ground: Ground, shell: Shell, ids: list[str], three: Witnesses, tmp_path: Path
) -> None:
    witnessed(ground, shell, three, reached=0)
    shell.text("ledger", "checkpoint")
    request, answer = str(tmp_path / "request"), str(tmp_path / "answer")
    for folder in three.folders[:2]:
        assert shell.text("ledger", "witness", "--request", request)[0] == 0
        assert main(["witness", "sign", str(folder), request, "--out", answer]) == 0
        status, said = shell.json("ledger", "witness", "--add", answer)
    assert (status, said["enough"]) == (0, True)
    assert main(["witness", "sign", str(three.folders[0]), request]) == 4  # saw it: --old is not 0
    assert main(["witness", "status", str(three.folders[0])]) == 0
    Path(answer).write_text("— stranger AAAAAAAA\n")
    assert shell.text("ledger", "witness", "--add", answer)[0] == 4


def test_a_checkpoint_signed_by_both_kinds_of_keys_is_held_by_both(
    ground: Ground, shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    assert shell.text("keys", "create", "later", "--algorithm", "ml-dsa-44")[0] == 0
    path = ground.root / "workspace.toml"
    path.write_text(f'[keys]\nsecond = {{ file = ".baluarte/keys/later.key" }}\n{path.read_text()}')
    assert shell.text("ledger", "checkpoint")[0] == 0
    with ground.session() as session:
        note = session.reader.notes(None)[-1]
    assert note.count(b"\n\xe2\x80\x94 baluarte/heads ") == 2
    assert shell.text("ledger", "verify")[0] == 0
    out = tmp_path / "out"
    shell.text("ledger", "proof", ids[0], "--out", str(out))
    assert len((out / "keys.txt").read_text().splitlines()) == 2
    assert verify(out, *FILES)[0] == 0
    text, _, tail = note.partition(b"\n\n")
    broken = text + b"\n\n" + tail[: len(tail) - 60] + b"AAAA" + tail[len(tail) - 56 :]
    with ground.session() as session:
        at = int(text.rpartition(b" ")[2])
        session.reader.put_note(None, at, broken)
    assert shell.text("ledger", "verify")[0] == 4


def test_a_bundle_is_sealed_and_verified_with_an_ml_dsa_key(tmp_path: Path) -> None:
    ground = Ground(tmp_path / "pq")
    named = str(ground.root / "workspace.toml")
    words = ["keys", "create", "--algorithm", "ml-dsa-44", "--workspace", named]
    assert main(words) == 0
    version = ground.seal()
    ground.promote(version)
    with ground.session() as session:
        assert session.verifier.public_keys()[0].algorithm == "ml-dsa-44"
        assert session.bundle(version.digest).manifest.name == "flows"
    assert main(["ledger", "checkpoint", "--workspace", named]) == 0
    assert main(["ledger", "verify", "--workspace", named]) == 0


def test_a_witness_over_http_answers_as_the_specification_says(
    ground: Ground, shell: Shell, ids: list[str], three: Witnesses
) -> None:
    import hashlib
    import http.client

    from baluarte.core.checkpoint import read_note, read_signatures
    from baluarte.core.note_keys import read_vkey
    from baluarte.stages.notes import check_cosignature

    shell.text("ledger", "checkpoint")
    with ground.session() as session:
        note = session.reader.notes(None)[-1]
    port = three.servers[0].server_address[1]

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        found = answer.status, answer.read(), answer.headers["Content-Type"]
        connection.close()
        return found

    asked = b"old 0\n\n" + note
    assert ask("POST", "/add-checkpoint", asked)[0] == 404  # unknown log
    three.trust(shell.text("keys", "verifier")[1].splitlines()[0])
    assert ask("POST", "/add-checkpoint", b"nonsense")[0] == 400
    assert ask("POST", "/add-checkpoint", b"old 9\n\n" + note)[0] == 400
    flipped = note[:-10] + (b"A" if note[-10:-9] != b"A" else b"B") + note[-9:]
    assert ask("POST", "/add-checkpoint", b"old 0\n\n" + flipped)[0] == 403
    assert ask("POST", "/add-checkpoint", b"old 0\n" + b"A" * 43 + b"=\n\n" + note)[0] == 422
    origin_hash = hashlib.sha256(b"baluarte/heads").hexdigest()
    assert ask("GET", f"/{origin_hash}/checkpoint")[0] == 404
    status, body, _ = ask("POST", "/add-checkpoint", asked)
    key = read_vkey(three.keys[0], where="x")
    checkpoint, _ = read_note(note, where="x")
    (line,) = read_signatures(body, where="x")
    assert status == 200
    assert check_cosignature(checkpoint, line, key, open_given_keys([key.as_public()])) > 0
    assert ask("POST", "/add-checkpoint", asked) == (409, b"1\n", "text/x.tlog.size")
    assert ask("POST", "/add-checkpoint", b"old 1\n\n" + note)[0] == 200
    status, kept, _ = ask("GET", f"/{origin_hash}/checkpoint")
    assert (status, kept.startswith(note)) == (200, True)
    assert len(read_note(kept, where="x")[1]) == 2
    for path in ("/../witness.key/checkpoint", "/x/checkpoint", "/"):
        assert ask("GET", path)[0] == 404
    assert ask("POST", "/other", b"x")[0] == 404
    assert ask("POST", "/add-checkpoint", b"x" * (1 << 17))[0] == 413
    assert ask("PUT", "/add-checkpoint", b"x")[0] == 501
