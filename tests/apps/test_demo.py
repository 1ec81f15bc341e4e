"""The demo in small: the same life on fewer simulated flows, its report, and its parts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.main import main
from baluarte.apps.cli.screen import Screen
from baluarte.apps.demo import events as demo_events
from baluarte.apps.demo import run as demo_run
from baluarte.apps.demo.events import DemoEvents, find
from baluarte.apps.demo.later import read_later
from baluarte.apps.demo.page import demo_page
from baluarte.apps.demo.run import Demo, Options, Story
from baluarte.apps.demo.stage_set import MARK, claim, prepare, server
from baluarte.apps.place import Place
from baluarte.core.native import native
from baluarte.errors import OutsideError
from baluarte.testing.simulate_flows import KNOWN_CAMPAIGNS, LATER_CAMPAIGNS, flows
from baluarte.testing.simulate_payments import payments

pytestmark = pytest.mark.xdist_group("demo")  # one run of the demo serves all of them

SHRINK = 5  #: how many times smaller than the demo itself
VOID = {"meta", "link", "br", "hr", "img", "input"}


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo without network and real data, on a fifth of its events, with two trials.

    The budget is eased, because fewer events certify less, and so is the latency: other tests run
    on this machine at the same time.
    """
    monkeypatch.delenv("BALUARTE_DATA", raising=False)
    monkeypatch.setenv("BALUARTE_OFFLINE", "1")
    for name, simulate in (("flows", flows), ("payments", payments)):

        def fewer(n: int, *, simulate: Any = simulate, **more: Any) -> Any:
            return simulate(n // SHRINK, **more)

        monkeypatch.setattr(demo_events, name, fewer)

    def eased(folder: Path, events: DemoEvents, *, workers: int) -> Place:
        place = prepare(folder, events, workers=workers)
        (contract,) = folder.glob("*/detector.toml")
        text = contract.read_text("utf-8")
        for pattern, new in (
            (r"max_fpr = .*", "max_fpr = 0.05"),
            (r"max_latency_ms = .*", "max_latency_ms = 2_000"),
            (r"families = .*", 'families = ["lightgbm"]'),
            (r"trials = .*", "trials = 2"),
        ):
            text, n = re.subn(pattern, new, text)
            assert n == 1
        contract.write_text(text, "utf-8")
        return place

    monkeypatch.setattr(demo_run, "prepare", eased)
    for name in ("_STEP", "_FIRST_LABELS", "_ALL_LABELS"):
        monkeypatch.setattr(demo_run, name, getattr(demo_run, name) // SHRINK)


@dataclass(frozen=True, slots=True)
class Run:
    """One whole demo: what it showed, and its story."""

    story: Story
    said: str
    folder: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The demo, once for all tests of this file."""
    folder = tmp_path_factory.mktemp("demo")
    said: list[str] = []

    class Kept(Screen):
        def line(self, text: str = "", tone: Any = "plain") -> None:
            said.append(text)

        def item(self, label: str, text: str, tone: Any = "plain") -> None:
            said.append(f"{label}  {text}  [{tone}]")

    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        story = Demo(Options(out=folder), Kept(as_json=False), Texts("en")).run()
    return Run(story, "\n".join(said), folder)


class Opened(HTMLParser):
    """A page's tags, its text, and whether everything that opens closes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [v or "" for k, v in attrs if k in {"src", "href", "xlink:href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


# --- the whole ------------------------------------------------------------------------------------


def test_the_demo_lives_through_train_break_drift_and_retrain(run: Run) -> None:
    story = run.story
    assert (story.events.key, story.events.origin) == ("flows", "simulated")
    assert "no real traffic" in run.said
    assert [version.version for version in story.versions] == [1, 2]
    assert [proof.verdict for proof in story.proofs] == ["pass", "pass"]
    assert story.alarms, "campaigns that training never saw raise no alarm"
    assert story.first_promise is not None
    assert story.first_promise.broken, "the budget of training traffic holds on later traffic"
    assert "[broken]" in run.said


def test_no_event_of_the_demo_is_lost_or_answered_twice(run: Run) -> None:
    ids = [answer.event_id for answer in run.story.answers]
    assert ids == run.story.later.ids
    assert len({answer.id for answer in run.story.answers}) == len(ids)
    versions = [answer.version for answer in run.story.answers]
    assert versions[0] == 1
    assert versions[-1] == 2


def test_the_second_version_is_judged_on_what_gave_no_label_to_it(run: Run) -> None:
    second = run.story.second_promise
    assert second is not None
    own = sum(answer.version == 2 for answer in run.story.answers)
    assert second.n_labelled == own
    assert own <= len(run.story.answers) - demo_run._ALL_LABELS // SHRINK


def test_the_five_promises_hold_on_the_run_and_name_the_command_that_checks_them(run: Run) -> None:
    checks = run.story.checks
    assert [check.key for check in checks] == [
        "same_bits",
        "reasons",
        "proof",
        "replay",
        "guarantee",
    ]
    assert [check.key for check in checks if not check.held] == []
    assert all(check.command for check in checks)


def test_the_commands_of_the_demo_check_its_folder_again(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for check in run.story.checks[:4]:
        if check.key == "same_bits" and native("program._kernel") is None:
            continue  # there is nothing to compare with, and the command says so
        words = check.command.split()
        words = words[next(i for i, word in enumerate(words) if word.endswith("baluarte")) + 1 :]
        here = ["--workspace", str(run.folder / "workspace.toml"), "--json"]
        assert main([*words, *here]) == 0, check.command
        assert json.loads(capsys.readouterr().out)["next"]


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_report_is_one_whole_page_that_loads_nothing(run: Run, language: str) -> None:
    page = str(demo_page(run.story, Texts(language)))
    opened = Opened(page)
    assert opened.open == []
    assert not opened.tags & {"script", "iframe", "img", "object", "embed"}
    assert [a for a in opened.addresses if not a.startswith("#")] == []
    assert f'lang="{language}"' in page
    for check in run.story.checks:
        assert check.command in opened.text
    for version in run.story.versions:
        assert f"{version.detector}@{version.version}" in opened.text


@pytest.mark.parametrize("language", ["en", "es"])
def test_what_comes_from_data_is_text_in_the_report_and_never_markup(
    run: Run, language: str
) -> None:
    hostile = "<script>alert('&\")</script>"
    story = run.story
    families = [None if f is None else hostile for f in story.later.families]
    marked = replace(
        story,
        later=replace(story.later, families=families),
        alarms=[(n, alarm, hostile) for n, alarm, _ in story.alarms],
        checks=[replace(check, command=hostile) for check in story.checks],
    )
    page = str(demo_page(marked, Texts(language)))
    assert "<script" not in page
    assert hostile in Opened(page).text


def test_a_server_that_does_not_come_up_says_why(run: Run) -> None:
    with (
        pytest.raises(OutsideError, match="did not come up"),
        server(run.story.place, port=-1),
    ):
        pass


# --- its parts ------------------------------------------------------------------------------------


def test_a_folder_with_the_work_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("keep me")
    with pytest.raises(OutsideError, match="not empty"):
        claim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_new_an_empty_and_the_demos_own_folder_are_taken(tmp_path: Path) -> None:
    for folder in (tmp_path / "new" / "deep", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        claim(folder)
        (folder / "left.txt").write_text("of the last run")
        claim(folder)
        assert (folder / MARK).exists()


def test_without_data_and_network_the_simulator_is_used_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    found = find(tmp_path / "data", fraud=False, seed=3)
    assert (found.key, found.origin) == ("flows", "simulated")
    paid = find(tmp_path / "data", fraud=True, seed=3)
    assert (paid.key, paid.origin) == ("payments", "simulated")
    for one in (found, paid):
        assert one.train.exists()
        assert one.later.exists()


def test_the_real_files_are_read_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "nsl-kdd"
    folder.mkdir()
    monkeypatch.setenv("BALUARTE_DATA", str(tmp_path))
    monkeypatch.setenv("BALUARTE_OFFLINE", "1")
    for name in ("KDDTrain+", "KDDTest+"):
        (folder / f"{name}.parquet").write_bytes(b"")
    found = find(tmp_path / "own", fraud=False, seed=3)
    assert (found.key, found.origin) == ("nsl_kdd", "local")
    assert found.train.parent == found.later.parent == folder
    assert list((tmp_path / "own").iterdir()) == []


def test_later_events_come_in_time_order_with_ids_and_their_truth_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    found = find(tmp_path / "data", fraud=False, seed=3)
    claim(tmp_path / "demo")
    place = prepare(tmp_path / "demo", found, workers=1)
    contract = place.detector(next(iter(place.workspace.detectors))).contract()
    later = read_later(str(found.later), contract, seed=3)
    assert len(later) == len(later.labels) == len(set(later.ids))
    assert all("label" not in row for row in later.rows)
    times = [row["ts"] for row in later.rows]
    assert times == sorted(times)  # type: ignore[type-var]
    assert {f for f in later.families if f} == {*KNOWN_CAMPAIGNS, *LATER_CAMPAIGNS}
    assert [label == 1 for label in later.labels] == [f is not None for f in later.families]
