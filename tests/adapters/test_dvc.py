"""baluarte.adapters.dvc: DVC's own format, checked against DVC itself where it can be had."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from baluarte.adapters.dvc import resolved, write_dvc, write_lock
from baluarte.apps.cli.main import main
from baluarte.errors import DataError, TrustError

DATA = b"amount,country\n1.5,ES\n"
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "tx.csv"
    path.write_bytes(DATA)
    return path


def named(folder: Path, text: str) -> str:
    (folder / "tx.csv.dvc").write_text(text)
    return str(folder / "tx.csv.dvc")


def test_what_is_written_reads_back_and_is_dvcs_own_form(data: Path) -> None:
    beside = write_dvc(data)
    assert beside.read_text() == (
        f"outs:\n- md5: {MD5}\n  size: {len(DATA)}\n  hash: md5\n  path: tx.csv\n"
    )
    assert resolved(str(beside)) == str(data)
    assert resolved(str(data)) == str(data)


def test_other_data_are_refused(data: Path) -> None:
    beside = write_dvc(data)
    data.write_bytes(DATA.replace(b"1.5", b"1.6"))
    with pytest.raises(TrustError, match=f"expected the MD5 {MD5}.*dvc checkout"):
        resolved(str(beside))
    data.write_bytes(DATA + b"2,FR\n")
    with pytest.raises(TrustError, match=r"expected 22 bytes, found 27"):
        resolved(str(beside))
    data.unlink()
    with pytest.raises(DataError, match=r"dvc pull tx\.csv"):
        resolved(str(beside))


def test_files_of_older_dvc_and_of_another_folder_are_read(data: Path, tmp_path: Path) -> None:
    data.write_bytes(DATA.replace(b"\n", b"\r\n"))  # DVC 2 took the MD5 of lines that end with LF
    assert resolved(named(tmp_path, f"outs:\n- md5: {MD5}\n  path: tx.csv\n")) == str(data)
    with pytest.raises(TrustError):
        resolved(named(tmp_path, f"outs:\n- md5: {MD5}\n  hash: md5\n  path: tx.csv\n"))
    data.write_bytes(DATA)
    (tmp_path / "meta").mkdir()
    said = f"wdir: ..\n# a comment\nmeta: {{owner: ana}}\nouts:\n- {{md5: {MD5}, path: tx.csv}}\n"
    assert Path(resolved(named(tmp_path / "meta", said))).samefile(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "another YAML"),
        ("outs: [\n", "expected YAML"),
        ("outs: 3\n", "one file under outs"),
        ("outs:\n- md5: a\n- md5: b\n", "one file under outs"),
        ("outs:\n- md5: 7\n  path: tx.csv\n", "path and MD5"),
        ("outs:\n- md5: 0c.dir\n  path: tx.csv\n", "found a folder that DVC keeps"),
        ("!!python/object/apply:os.system ['true']\n", "expected YAML"),
    ],
)
def test_a_damaged_file_of_dvcs_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        resolved(named(tmp_path, text))


def test_a_lock_keeps_its_other_stages_and_names_each_file(data: Path, tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text("schema: '2.0'\nstages:\n  fetch:\n    cmd: fetch\n")
    write_lock(lock, "train", command="baluarte train", deps=["tx.csv"])
    assert lock.read_text() == (
        "schema: '2.0'\nstages:\n  fetch:\n    cmd: fetch\n  train:\n    cmd: baluarte train\n"
        f"    deps:\n    - path: tx.csv\n      hash: md5\n      md5: {MD5}\n"
        f"      size: {len(DATA)}\n"
    )
    assert resolved(f"{lock}:tx.csv") == str(data)
    with pytest.raises(DataError, match="expected other"):
        resolved(f"{lock}:other.csv")
    data.write_bytes(b"")
    with pytest.raises(TrustError):
        resolved(f"{lock}:tx.csv")


def test_the_command_tells_the_version_and_refuses_other_data(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data.parent)
    assert main(["data", "tx.csv", "--dvc", "--lock", "train"]) == 0
    assert hashlib.sha256(DATA).hexdigest() in capsys.readouterr().out
    assert main(["data", "tx.csv.dvc", "dvc.lock:tx.csv"]) == 0
    data.write_bytes(b"amount\n1\n")
    assert main(["data", "tx.csv.dvc"]) == 4


# --- DVC itself ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dvc(tmp_path_factory: pytest.TempPathFactory) -> str:
    """DVC in an environment of its own: its hundred packages are not ours."""
    found = os.environ.get("BALUARTE_DVC") or shutil.which("dvc")
    if found:
        return found
    folder = tmp_path_factory.mktemp("dvc")
    python = folder / "bin" / "python"
    made = subprocess.run([sys.executable, "-m", "venv", folder, "--without-pip"], check=False)
    for install in (
        ["uv", "pip", "install", "-q", "--python", python],
        ["pip", "--python", python, "install", "-q"],
    ):
        tool = shutil.which(install[0])
        if made.returncode == 0 and tool:
            done = subprocess.run([tool, *install[1:], "dvc>=3"], check=False, capture_output=True)
            if done.returncode == 0:
                return str(folder / "bin" / "dvc")
    pytest.skip("DVC can't be installed here: set BALUARTE_DVC to its command")


@pytest.mark.soak
def test_dvc_finds_what_we_write_up_to_date_and_we_read_what_it_writes(
    dvc: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data.parent
    monkeypatch.chdir(folder)

    def type_(*arguments: str) -> str:
        done = subprocess.run(
            [dvc, *arguments], check=True, capture_output=True, text=True, timeout=120
        )
        return done.stdout

    subprocess.run(["git", "init", "-q", "."], check=True)
    type_("init", "-q")
    type_("add", "-q", "tx.csv")
    theirs = (folder / "tx.csv.dvc").read_text()
    assert resolved("tx.csv.dvc") == "tx.csv"
    write_dvc(Path("tx.csv"))
    assert (folder / "tx.csv.dvc").read_text() == theirs
    assert "up to date" in type_("status")

    (folder / "dvc.yaml").write_text("stages:\n  train:\n    cmd: echo\n    deps:\n    - tx.csv\n")
    assert "train" in type_("status")  # never run
    write_lock(Path("dvc.lock"), "train", command="echo", deps=["tx.csv"])
    ours = (folder / "dvc.lock").read_text()
    assert "up to date" in type_("status")
    (folder / "dvc.lock").unlink()
    type_("repro", "-q")
    assert (folder / "dvc.lock").read_text() == ours
    assert resolved("dvc.lock:tx.csv") == "tx.csv"

    (folder / "tx.csv").write_bytes(DATA + b"2,FR\n")
    assert "modified" in type_("status")
    with pytest.raises(TrustError):
        resolved("tx.csv.dvc")
