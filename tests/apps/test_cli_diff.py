"""baluarte diff: two versions by name or folder, in lines, JSON and a page, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from workspace_ground import Ground, Shell

from baluarte.apps.catalogue import LANGUAGES
from baluarte.core import bands as band_format
from baluarte.core.bundle import BundleParts
from baluarte.testing.bundles import sample_bands, sample_events, sample_parts

EVENTS = sample_events(80)


def stricter() -> BundleParts:
    found = sample_parts()
    bands = msgspec.structs.replace(sample_bands(), thresholds=(900,))
    contract = msgspec.structs.replace(found.contract, purpose="Find <b>fewer</b> flows.")
    names = [n for n in BundleParts.__slots__ if n not in ("bands_json", "contract")]
    return BundleParts(
        bands_json=band_format.dumps(bands),
        contract=contract,
        **{name: getattr(found, name) for name in names},
    )


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    ground = Ground(tmp_path / "w")
    first = ground.seal()
    ground.seal(stricter())
    ground.decide(first, EVENTS)
    return ground


@pytest.fixture
def shell(ground: Ground, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(ground.root, capsys)


def test_the_ledgers_events_are_decided_by_both(shell: Shell) -> None:
    status, said = shell.json("diff", "flows@1", "flows@2", "--by", "service")
    assert status == 0
    assert (said["old"], said["new"]) == ("flows@1", "flows@2")
    assert [change["path"] for change in said["contract"]] == ["purpose"]
    assert said["events"]["n"] == len(EVENTS)
    assert said["events"]["changed"] > 0
    assert {segment["field"] for segment in said["events"]["segments"]} == {"service"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_fits_a_hundred_columns(shell: Shell, language: str) -> None:
    status, said = shell.text("diff", "flows@1", "flows@2", "--lang", language)
    assert status == 0
    assert max(map(len, said.splitlines())) <= 100


def test_folders_do_as_well_as_versions(ground: Ground, shell: Shell) -> None:
    with ground.session() as session:
        digests = [version.digest for version in session.registry.versions("flows")]
    folders = [str(ground.root / ".baluarte/bundles" / d.replace(":", "-")) for d in digests]
    _, by_folder = shell.json("diff", *folders)
    _, by_name = shell.json("diff", "flows@1", "flows@2")
    assert by_folder == by_name


def test_without_events_there_is_what_they_are_made_of(shell: Shell) -> None:
    _, said = shell.json("diff", "flows@1", "flows@2", "--sample", "0")
    assert said["events"] is None
    assert said["contract"]


@pytest.mark.parametrize("words", [("flows", "flows@2"), ("flows@1", "flows@9")])
def test_what_is_no_version_is_said(shell: Shell, words: tuple[str, str]) -> None:
    status, _ = shell.text("diff", *words)
    assert status == 3


def test_a_field_that_is_none_is_refused(shell: Shell) -> None:
    status, said = shell.text("diff", "flows@1", "flows@2", "--by", "nothing")
    assert status == 3
    assert "--by" in said


def test_the_page_is_escaped_and_asks_nothing_of_the_network(shell: Shell, tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    status, _ = shell.text("diff", "flows@1", "flows@2", "--page", str(page))
    assert status == 0
    html = page.read_text("utf-8")
    assert "<b>fewer</b>" not in html
    assert "&lt;b&gt;fewer" in html
    assert "<script" not in html
    assert not re.search(r"""(src|href)=["']""", html)
