"""baluarte.adapters.dvc: DVC's own format, checked against DVC itself where it can be had."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from baluarte.adapters.dvc import resolved, write_dvc, write_lock
from baluarte.apps.cli.main import main
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError, TrustError
from baluarte.wiring import source_for

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
        ("outs:\n- md5: 0c.dir\n  path: txs\n", "expected the data beside it"),
        ("!!python/object/apply:os.system ['true']\n", "expected YAML"),
    ],
)
def test_a_damaged_file_of_dvcs_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        resolved(named(tmp_path, text))


FILES = {"2026/tx.csv": DATA, "ñandú.csv": b"amount\n2\n", "2025.csv": b"amount\r\n3\r\n"}


def folder_of(tmp_path: Path, files: dict[str, bytes], *, older: bool = False) -> tuple[Path, str]:
    """A folder, its list in DVC's form, and the entry of both in a file of DVC's."""
    listed = []
    for name, content in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        taken = content.replace(b"\r\n", b"\n") if older else content
        listed.append({"md5": hashlib.md5(taken).hexdigest(), "relpath": name})
    text = json.dumps(sorted(listed, key=lambda each: each["relpath"]), sort_keys=True)
    md5 = hashlib.md5(text.encode()).hexdigest()
    (tmp_path / ".dvc/cache/files/md5" / md5[:2]).mkdir(parents=True)
    cached = tmp_path / ".dvc/cache/files/md5" / md5[:2] / f"{md5[2:]}.dir"
    cached.write_text(text)
    kind = "" if older else "  hash: md5\n"
    entry = f"- md5: {md5}.dir\n{kind}  size: 9\n  nfiles: {len(files)}\n  path: data\n"
    (tmp_path / "data.dvc").write_text(f"outs:\n{entry}")
    return cached, entry


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("has_list", [True, False])
def test_a_file_of_a_folder_is_read_after_it_was_compared(
    older: bool, has_list: bool, tmp_path: Path
) -> None:
    cached, _ = folder_of(tmp_path, FILES, older=older)
    if not has_list:
        cached.unlink()
    address = f"{tmp_path}/data.dvc"
    for name in FILES:
        assert resolved(f"{address}:{name}") == str(tmp_path / "data" / name)
    assert resolved(address) == str(tmp_path / "data")  # all of them
    with pytest.raises(DataError, match=r"expected 2024\.csv in the folder.*Did you mean 2025"):
        resolved(f"{address}:2024.csv")
    (tmp_path / "data/2026/tx.csv").write_bytes(DATA.replace(b"1.5", b"1.6"))
    with pytest.raises(TrustError, match="dvc checkout"):
        resolved(f"{address}:2026/tx.csv")


def test_a_whole_folder_is_read_as_one_set_after_all_its_files_were_compared(
    tmp_path: Path,
) -> None:
    files = {
        "2026/b.csv": b"amount\n2\n",
        "2025.csv": b"amount\n3\n4\n",
        "2026/a.csv": b"amount\n1\n",
    }
    _, entry = folder_of(tmp_path, files)
    lock = tmp_path / "dvc.lock"
    stage = f"  make:\n    cmd: make\n    outs:\n{textwrap.indent(entry, '    ')}"
    lock.write_text(f"schema: '2.0'\nstages:\n{stage}")
    schema = Schema(fields=(Field(name="amount", type="number"),))
    for address in (f"{tmp_path}/data.dvc", f"{lock}:data"):
        found = resolved(address)
        batches = source_for(found).read(found, schema, batch_rows=10)
        assert [b.columns["amount"].tolist() for b in batches] == [[3, 4], [1], [2]]
    more = tmp_path / "data/2026/c.csv"
    more.write_text("amount\n5\n")
    with pytest.raises(TrustError, match=r"and no others; 2026/c\.csv is in one.*dvc checkout"):
        resolved(f"{tmp_path}/data.dvc")
    more.unlink()
    (tmp_path / "data/2026/a.csv").write_text("amount\n9\n")
    with pytest.raises(TrustError, match="dvc checkout"):
        resolved(f"{tmp_path}/data.dvc")
    (tmp_path / "data/2026/a.csv").unlink()
    with pytest.raises(TrustError, match=r"2026/a\.csv is in one"):
        resolved(f"{tmp_path}/data.dvc")


def test_a_folder_of_one_file_needs_no_name_and_a_lock_names_folders_too(tmp_path: Path) -> None:
    _, entry = folder_of(tmp_path, {"tx.csv": DATA})
    assert resolved(f"{tmp_path}/data.dvc") == str(tmp_path / "data/tx.csv")
    lock = tmp_path / "dvc.lock"
    stage = f"  make:\n    cmd: make\n    outs:\n{textwrap.indent(entry, '    ')}"
    lock.write_text(f"schema: '2.0'\nstages:\n{stage}")
    assert resolved(f"{lock}:data/tx.csv") == str(tmp_path / "data/tx.csv")
    assert resolved(f"{lock}:data") == str(tmp_path / "data/tx.csv")
    with pytest.raises(DataError, match=r"expected other\.csv in the folder"):
        resolved(f"{lock}:data/other.csv")
    with pytest.raises(DataError, match="expected database among"):
        resolved(f"{lock}:database")


def test_a_list_that_is_not_the_one_is_not_believed(tmp_path: Path) -> None:
    cached, _ = folder_of(tmp_path, {"tx.csv": DATA})
    other = DATA.replace(b"1.5", b"1.6")
    (tmp_path / "data/tx.csv").write_bytes(other)
    told = [{"md5": hashlib.md5(other).hexdigest(), "relpath": "tx.csv"}]
    cached.write_text(json.dumps(told))  # as whoever changed the data might
    with pytest.raises(TrustError, match="expected the files whose list has the MD5"):
        resolved(f"{tmp_path}/data.dvc")


def test_a_list_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, {"tx.csv": DATA})
    for text in ('[{"md5": "0c", "relpath": "../tx.csv"}]', '[{"md5": "0c"}]', "{}"):
        md5 = hashlib.md5(text.encode()).hexdigest()
        cached = tmp_path / ".dvc/cache/files/md5" / md5[:2] / f"{md5[2:]}.dir"
        cached.parent.mkdir(exist_ok=True)
        cached.write_text(text)
        (tmp_path / "data.dvc").write_text(f"outs:\n- md5: {md5}.dir\n  hash: md5\n  path: data\n")
        with pytest.raises(DataError, match=r"paths within the folder|DVC's list of a folder"):
            resolved(f"{tmp_path}/data.dvc")


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

    for name, content in FILES.items():
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_bytes(content)
    type_("add", "-q", "data")
    lists = list((folder / ".dvc/cache/files/md5").rglob("*.dir"))
    for gone in (False, True):  # with DVC's own list, and without it
        if gone:
            for path in lists:
                path.unlink()
        for name in FILES:
            assert resolved(f"data.dvc:{name}") == f"data/{name}"
        assert resolved("data.dvc") == "data"
    (folder / "data" / "more.csv").write_bytes(DATA)
    assert "modified" in type_("status")
    with pytest.raises(TrustError):
        resolved("data.dvc")
