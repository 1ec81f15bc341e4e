"""baluarte.adapters.stores.folder: a bundle is there whole or not, and is nothing but files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from baluarte.adapters.stores.folder import FolderBundles, read_folder
from baluarte.core.bundle import MAX_FILE_BYTES
from baluarte.errors import DataError, OutsideError, TrustError

DIGEST = "sha256:" + "ab" * 32
FILES = {"manifest.json": b"{}", "program.bin": bytes(range(256)), "model.sig": b"s"}


@pytest.fixture
def kept(tmp_path: Path) -> tuple[FolderBundles, Path]:
    store = FolderBundles(tmp_path / "bundles")
    store.put(FILES, DIGEST)
    return store, tmp_path / "bundles" / DIGEST.replace(":", "-")


def test_what_is_put_is_got_and_listed(kept: tuple[FolderBundles, Path]) -> None:
    store, folder = kept
    assert store.get(DIGEST) == FILES == read_folder(folder)
    assert store.digests() == [DIGEST]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "a" * 32, "../x"],
)
def test_what_is_no_digest_is_no_path(tmp_path: Path, digest: str) -> None:
    store = FolderBundles(tmp_path)
    with pytest.raises(DataError):
        store.get(digest)
    with pytest.raises(DataError):
        store.put(FILES, digest)


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/b", "/etc/x", ".hidden", "a\\b", "A.json", "a\x00b", "x.", "a%2e"]
)
def test_a_file_name_outside_the_grammar_is_never_written(tmp_path: Path, name: str) -> None:
    store = FolderBundles(tmp_path / "bundles")
    with pytest.raises(ValueError, match="no such file"):
        store.put({name: b"x"}, DIGEST)
    assert store.digests() == []


def test_other_files_under_a_known_digest_are_refused(kept: tuple[FolderBundles, Path]) -> None:
    store, _ = kept
    with pytest.raises(TrustError, match="other files"):
        store.put({**FILES, "program.bin": b"other"}, DIGEST)
    assert store.get(DIGEST) == FILES


def test_a_link_in_a_bundle_is_refused(kept: tuple[FolderBundles, Path]) -> None:
    store, folder = kept
    os.chmod(folder, 0o700)
    (folder / "card.md").symlink_to("/etc/hostname")
    with pytest.raises(TrustError, match="a link"):
        store.get(DIGEST)


def test_a_bundle_that_is_a_link_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "manifest.json").write_bytes(b"{}")
    link = tmp_path / "link"
    link.symlink_to(real)
    with pytest.raises(TrustError, match="expected a folder"):
        read_folder(link)


def test_a_folder_or_a_device_in_a_bundle_is_refused(kept: tuple[FolderBundles, Path]) -> None:
    store, folder = kept
    (folder / "sub").mkdir()
    with pytest.raises(TrustError, match="expected a file"):
        store.get(DIGEST)
    (folder / "sub").rmdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(TrustError, match="expected a file"):
        store.get(DIGEST)


@pytest.mark.parametrize("name", [".git", ".gitignore", "evil.PY", "__init__.py~"])
def test_a_strange_name_is_refused_and_nothing_is_ignored(
    kept: tuple[FolderBundles, Path], name: str
) -> None:
    store, folder = kept
    (folder / name).write_bytes(b"x")
    with pytest.raises(TrustError, match="no such file"):
        store.get(DIGEST)


def test_a_huge_file_is_refused_before_it_is_read(kept: tuple[FolderBundles, Path]) -> None:
    store, folder = kept
    os.truncate(folder / "manifest.json", MAX_FILE_BYTES["manifest.json"] + 1)
    with pytest.raises(TrustError, match="at most"):
        store.get(DIGEST)


def test_a_crash_while_writing_leaves_no_bundle(tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    (root / ".aside-0123456789abcdef").mkdir(parents=True)
    (root / ".aside-0123456789abcdef" / "manifest.json").write_bytes(b"{")
    store = FolderBundles(root)
    assert store.digests() == []
    with pytest.raises(DataError):
        store.get(DIGEST)
    store.put(FILES, DIGEST)
    assert store.get(DIGEST) == FILES


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutsideError):
        FolderBundles(tmp_path / "file" / "bundles").put(FILES, DIGEST)
