"""Window features in a detector's life: trained on history, warmed, served, killed, replayed.

Every value that the ledger holds is compared with a state that saw the same events and was never
stopped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baluarte.apps.cli.main import main
from baluarte.core.contract_toml import parse_contract
from baluarte.core.event import Events
from baluarte.core.window_plan import compile_windows
from baluarte.core.windows import Seen, Told, WindowMemory

N_HISTORY, N_LATER = 4_000, 360
START_S = 1_700_000_000
HOUR, DAY = 3_600, 86_400

CONTRACT = """
name = "cards"
purpose = "Find cards that were stolen"
owner = "test"
[events]
label = "fraud"
positive = ["1"]
id = "id"
time = "at"
entity = "card"
[types]
integer = ["fraud"]
text = ["id"]
time = ["at"]
number = ["amount"]
category = ["card", "shop"]
[objective]
max_fpr = 0.05
min_recall = 0.3
confidence = 0.9
label_delay_days = 1
[learner]
families = ["lightgbm"]
trials = 1
folds = 2
[windows.n_hour]
op = "count"
by = "card"
window_s = 3600
[windows.usual]
op = "mean"
by = "card"
field = "amount"
decimals = 2
window_s = 864000
[windows.shops]
op = "distinct"
by = "card"
field = "shop"
window_s = 86400
[windows.pause]
op = "since_last"
by = "card"
window_s = 864000
[windows.risk]
op = "mean"
by = "shop"
field = "fraud"
window_s = 604800
lag_s = 86400
empty = 0
"""


def make_events(n: int, *, seed: int, start_s: float) -> list[dict[str, Any]]:
    """Payments, in which a stolen card is used quickly and for more than usual."""
    rng = np.random.default_rng(seed)
    events, at = [], start_s
    while len(events) < n:
        at += float(rng.exponential(900))
        card = f"c{rng.integers(60)}"
        stolen = rng.random() < 0.03
        for _ in range(int(rng.integers(4, 8)) if stolen else 1):
            at += 30 * stolen
            events.append(
                {
                    "id": f"{seed}-{len(events)}",
                    "at": round(at, 3),
                    "card": card,
                    "shop": f"s{rng.integers(20)}",
                    "amount": round(float(rng.lognormal(4.5 if stolen else 3.0, 0.5)), 2),
                    "fraud": int(stolen),
                }
            )
    return events[:n]


def with_disorder(events: Sequence[dict[str, Any]], *, seed: int) -> list[dict[str, Any]]:
    """The same events as a network delivers them: some late, some twice, some at one instant."""
    rng = np.random.default_rng(seed)
    out = [dict(event) for event in events]
    for i in range(1, len(out)):
        if rng.random() < 0.1:
            out[i]["at"] = out[i - 1]["at"]
        if rng.random() < 0.1:
            out[i - 1], out[i] = out[i], out[i - 1]
    again = [dict(out[int(i)]) for i in sorted(rng.integers(len(out), size=len(out) // 20))]
    for event in again:
        out.insert(out.index(event) + 1, dict(event))
    return out


class Reference:
    """A state that is never stopped."""

    def __init__(self, history: Sequence[dict[str, Any]]) -> None:
        plan = compile_windows(parse_contract(CONTRACT, where="detector.toml"))
        assert plan is not None
        self.names = plan.names
        self._memory = WindowMemory(plan)
        for event in history:
            self._memory.see([Seen(record=self.record(event), label=event["fraud"])])

    def values(self, event: dict[str, Any]) -> dict[str, Any]:
        record = self.record(event)
        self._memory.see([Seen(record=record)])
        return {name: record.get(name) for name in self.names}

    def hear(self, events: Sequence[dict[str, Any]]) -> None:
        first = {event["id"]: event for event in reversed(events)}
        self._memory.learn(
            [
                Told(event_id=name, record=self.record(event), label=event["fraud"])
                for name, event in first.items()
            ]
        )

    @staticmethod
    def record(event: dict[str, Any]) -> dict[str, Any]:
        kept = {name: event[name] for name in ("id", "card", "shop", "amount")}
        return {**kept, "at": round(event["at"] * 1_000_000)}


class Server:
    """``baluarte serve`` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "baluarte.apps.cli.main", "serve", "--port", "0", "--json"]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.url, self.token = said["url"], said["token"]

    def ask(self, path: str, body: object = None) -> bytes:
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            content: bytes = answer.read()
        return content

    def decide(self, events: Sequence[dict[str, Any]]) -> None:
        for event in events:
            sent = {name: value for name, value in event.items() if name != "fraud"}
            self.ask("/v1/detectors/cards/decisions", sent)

    def wait_for_labels(self, least: int) -> None:
        """Until the state has heard as many labels, by its own figures."""
        stop = time.monotonic() + 30
        wanted = 'baluarte_windows{detector="cards",what="labels"}'
        while time.monotonic() < stop:
            for line in self.ask("/metrics").decode().splitlines():
                if line.startswith(wanted) and float(line.split()[-1]) >= least:
                    return
            time.sleep(0.1)
        raise AssertionError("the labels were not heard")


@contextmanager
def server(folder: Path, how: signal.Signals) -> Iterator[Server]:
    """A server that is ended by a signal: SIGTERM drains, SIGKILL is a crash."""
    running = Server(folder)
    try:
        yield running
        if how == signal.SIGKILL:
            os.killpg(running.process.pid, signal.SIGKILL)
        else:
            running.process.send_signal(how)
            running.process.wait(30)
    finally:
        if running.process.poll() is None:
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(30)
        assert running.process.stdout is not None
        running.process.stdout.close()


def write(path: Path, events: Sequence[dict[str, Any]], *, labelled: bool) -> str:
    lines = [
        json.dumps({k: v for k, v in event.items() if labelled or k != "fraud"}) for event in events
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path.name


def run(*words: str) -> None:
    assert main(list(words)) == 0, words


def recorded(folder: Path) -> list[dict[str, Any]]:
    """All decisions in the order in which they were made."""
    run("ledger", "export", "--out", str(folder / "ledger.ndjson"))
    lines = (folder / "ledger.ndjson").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    decisions = [record for record in found if record.get("kind") == "decision"]
    return sorted(decisions, key=lambda record: record["decided_at"])


def test_values_are_the_same_bits_across_backfill_crash_restart_labels_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    history = make_events(N_HISTORY, seed=1, start_s=START_S)
    later = with_disorder(make_events(N_LATER, seed=2, start_s=history[-1]["at"] + HOUR), seed=3)
    first, second, third = later[:120], later[120:240], later[240:]
    (tmp_path / "detector.toml").write_text(CONTRACT, "utf-8")
    (tmp_path / "workspace.toml").write_text(
        '[detectors.cards]\npath = "detector.toml"\nevents = "history.ndjson"\n', "utf-8"
    )
    write(tmp_path / "history.ndjson", history, labelled=True)
    run("build")
    run("promote")
    run("backfill", "history.ndjson")
    reference = Reference(history)

    asked: set[str] = set()

    def values_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of what the server decided: an event that is sent again gets its first decision."""
        new = [event for event in events if event["id"] not in asked and not asked.add(event["id"])]
        return [reference.values(event) for event in new]

    with server(tmp_path, signal.SIGKILL) as running:
        running.decide(first)
        expected = values_of(first)
        said = "".join(f"{event['id']},{event['fraud']}\n" for event in first)
        (tmp_path / "labels.csv").write_text("event_id,label\n" + said, "utf-8")
        run("label", "labels.csv")
        n = len({event["id"] for event in first})
        running.wait_for_labels(n)
        reference.hear(first)
        running.decide(second[:60])
        expected += values_of(second[:60])
    with server(tmp_path, signal.SIGTERM) as running:
        running.wait_for_labels(n)
        running.decide(second[60:])
        expected += values_of(second[60:])
    run("score", write(tmp_path / "rest.ndjson", third, labelled=False))
    expected += [reference.values(event) for event in third]

    decisions = recorded(tmp_path)
    found = [{name: record["event"].get(name) for name in reference.names} for record in decisions]
    ids = [*dict.fromkeys(event["id"] for event in first + second), *(e["id"] for e in third)]
    assert [record["event_id"] for record in decisions] == ids
    assert found == expected
    assert any(values["risk"] for values in found)
    run("replay")
    assert len(ids) < len(later)
    assert f"{len(ids):,} of {len(ids):,} identical" in capsys.readouterr().out


def test_windows_of_proof_events_look_back_at_the_others_in_the_plan_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from baluarte.apps.intake import intake_of
    from baluarte.apps.making import survey_events
    from baluarte.apps.place import open_place
    from baluarte.stages.derive import derive_for_training

    monkeypatch.chdir(tmp_path)
    events = make_events(1_200, seed=8, start_s=START_S)
    write(tmp_path / "first.ndjson", events[:800], labelled=True)
    write(tmp_path / "last.ndjson", events[800:], labelled=True)
    (tmp_path / "detector.toml").write_text(CONTRACT, "utf-8")
    (tmp_path / "workspace.toml").write_text(
        '[detectors.cards]\npath = "detector.toml"\nevents = "first.ndjson"\n'
        'holdout = "last.ndjson"\n',
        "utf-8",
    )
    place = open_place(tmp_path / "workspace.toml", overrides=[])
    detector = place.detector("cards")
    contract = detector.contract()
    seen = survey_events(place, detector, intake_of(place, detector))
    columns = {
        name: np.array([event[name] for event in events], dtype=object) for name in ("card", "shop")
    }
    for name in ("amount", "fraud", "at"):
        columns[name] = np.array([event[name] for event in events], dtype=np.float64)
    columns["at"] = np.round(columns["at"] * 1_000_000)
    whole = derive_for_training(contract, Events(n=len(events), columns=columns))
    assert seen.holdout is not None
    for name in ("usual", "pause", "risk"):
        wanted = whole.columns[name][800:]
        np.testing.assert_array_equal(np.sort(seen.holdout.columns[name]), np.sort(wanted))
    assert not np.isnan(whole.columns["pause"][800:]).any()
