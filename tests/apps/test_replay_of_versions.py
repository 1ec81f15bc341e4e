"""baluarte replay: whatever decided, whenever: the same bits again, and every change has a name."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from versions_ground import Life
from workspace_ground import Shell

from baluarte.apps.session import Session
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import event_digest
from baluarte.stages.replay import Replayed, Replayer, damaged

Json = dict[str, Any]
Corrupt = Callable[[Json, np.random.Generator], str | None]  #: changes it; the field, if it has one


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    return Life(tmp_path_factory.mktemp("life") / "w", n=1_000)


@pytest.mark.usefixtures("kernel")
def test_a_thousand_decisions_of_five_versions_come_out_the_same(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(life.ground.root, capsys)
    status, said = shell.json("replay", "--kernel", "both")
    assert status == 0
    assert (said["replayed"], said["identical"], said["differences"]) == (1_000, 1_000, [])
    assert said["kernels"] == ["c", "numpy"]
    assert len(said["supplied"]) == life.n_deferred > 0
    assert said["reasons"] > 1_000


def test_left_out_reasons_are_supplied_and_add_up(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(life.ground.root, capsys)
    supplied = shell.json("replay")[1]["supplied"]
    for name, reasons in list(supplied.items())[:5]:
        _, story = shell.json("explain", name)
        assert reasons["base"] + sum(reasons["reasons"]) == story["score"]
        assert story["reasons_deferred"]


# --- corruptions ---------------------------------------------------------------------------------


def _moved(name: str) -> Corrupt:
    def corrupt(record: Json, rng: np.random.Generator) -> None:
        record[name] += int(rng.integers(1, 1_000)) * int(rng.choice([-1, 1]))

    return corrupt


def _feature(record: Json, rng: np.random.Generator) -> str:
    at = int(rng.integers(len(record["features"])))
    value = record["features"][at]
    other = (
        1.0 if value is None else None if rng.random() < 0.2 else float(np.nextafter(value, 1e9))
    )
    record["features"][at] = other
    return f"column {at}"


def _reason(record: Json, rng: np.random.Generator) -> str:
    at = int(rng.integers(len(record["reasons"])))
    record["reasons"][at] += int(rng.choice([-1, 1]))
    return f"reason {at}"


def _base(record: Json, rng: np.random.Generator) -> str:
    record["base"] += 1
    return "base"


def _digest(name: str) -> Corrupt:
    def corrupt(record: Json, rng: np.random.Generator) -> None:
        at = int(rng.integers(7, 71))
        letter = record[name][at]
        record[name] = f"{record[name][:at]}{'0' if letter != '0' else '1'}{record[name][at + 1 :]}"

    return corrupt


def _event_value(record: Json, rng: np.random.Generator) -> str:
    name = str(rng.choice(sorted(record["event"])))
    value = record["event"][name]
    if name == "source":
        record["event"][name] = "192.0.2.77"
    else:
        record["event"][name] = f"{value}x" if isinstance(value, str) else value + 86_400_000_001
    return f"value {name}"


def _event_and_digest(record: Json, rng: np.random.Generator) -> str:
    record["event"]["bytes_out"] = record["event"].get("bytes_out", 0) + 1.5
    record["event_digest"] = event_digest(record["event"])
    return "column bytes_out"


def _decided_at(record: Json, rng: np.random.Generator) -> str:
    record["decided_at"] += 1_000 * int(rng.integers(1, 10**9))
    return "decided_at"


def _event_at(record: Json, rng: np.random.Generator) -> str:
    record["event_at"] += int(rng.choice([-1, 1]))
    return "event_at"


def _event_id(record: Json, rng: np.random.Generator) -> str:
    record["event_id"] += "0"
    return "event_id"


def _band(record: Json, rng: np.random.Generator) -> None:
    record["band"] = 1 - record["band"]


def _outcome(record: Json, rng: np.random.Generator) -> None:
    record["outcome"] = "pass" if record["outcome"] == "alert" else "alert"


def _threshold(record: Json, rng: np.random.Generator) -> None:
    record["threshold"] = None if rng.random() < 0.3 and record["threshold"] else 12_345


def _version(record: Json, rng: np.random.Generator) -> None:
    record["version"] = record["version"] % 5 + 1


def _detector(record: Json, rng: np.random.Generator) -> None:
    record["detector"] = "flaws"


def _another_kind(record: Json, rng: np.random.Generator) -> str:
    record["score"] = str(record["score"])
    return "score"


def _dropped_reasons(record: Json, rng: np.random.Generator) -> None:
    del record["reasons"][-1]


CORRUPTIONS: tuple[tuple[str, Corrupt], ...] = (
    ("score", _moved("score")), ("points", _moved("points")), ("band", _band),
    ("outcome", _outcome), ("threshold", _threshold), ("features", _feature),
    ("features", _event_and_digest), ("reasons", _reason), ("reasons", _base),
    ("reasons", _dropped_reasons), ("version", _version), ("version", _detector),
    ("bundle", _digest("bundle")), ("event", _digest("event_digest")), ("event", _event_value),
    ("time", _event_at), ("time", _decided_at), ("id", _event_id), ("record", _another_kind),
)  # fmt: skip


def every_corruption_is_named(life: Life, *, n: int) -> None:
    with life.ground.session() as session:
        replayer = Replayer(session.bundle)
        sound = [
            msgspec.json.decode(data)
            for tag in session.reader.shards()
            for data in session.reader.records(tag)
            if b'"decision"' in data[:20]
        ]
        explained = [record for record in sound if record["reasons"]]
        rng = np.random.default_rng(3)
        for turn in range(n):
            component, corrupt = CORRUPTIONS[turn % len(CORRUPTIONS)]
            record = copy.deepcopy(explained[int(rng.integers(len(explained)))])
            field = corrupt(record, rng)
            found = read_and_replay(replayer, record)
            assert found.difference is not None, (component, field)
            assert found.difference.component == component, (field, found.difference)
            assert found.difference.recorded != found.difference.computed
            expect_field(found.difference.field, field, record, session)


def expect_field(found: str | None, wanted: str | None, record: Json, session: Session) -> None:
    kind, _, which = (wanted or "").partition(" ")
    if kind == "column" and which.isdecimal():
        assert found == session.bundle(record["bundle"]).encoder.columns[int(which)].name
    elif kind == "reason":
        contract = session.bundle(record["bundle"]).contract
        assert found == contract.events.features[int(which)].name
    elif kind == "value":  # a change that is not seen in what was computed has no name
        assert found in {which, None}
    elif wanted is not None:
        assert found == (which or wanted)


def read_and_replay(replayer: Replayer, record: Json) -> Replayed:
    try:
        read = msgspec.json.decode(msgspec.json.encode(record), type=DecisionRecord)
    except msgspec.MsgspecError as error:
        return damaged("shard/0", error)
    (found,) = replayer.replay([read])
    return found


def test_two_hundred_corruptions_are_named_with_their_component_and_field(life: Life) -> None:
    every_corruption_is_named(life, n=200)


def test_the_command_names_what_is_wrong_and_ends_with_one(
    life: Life, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(life.ground.root, root)
    with life.ground.session() as session:
        tag = session.reader.shards()[0]
        records = [msgspec.json.decode(data) for data in session.reader.records(tag)][-9:]
    records[0]["score"] += 1
    records[2]["kind"] = "decision"
    records[2]["points"] = "many"
    other = Life.__new__(Life)
    other.ground = copy.copy(life.ground)
    other.ground.root = root
    other.put(records, root)
    shell = Shell(root, capsys)
    status, said = shell.json("replay")
    assert status == 1
    assert said["replayed"] == 9
    # In this ledger all of them stand at other places than their ids say, which is told.
    found = {one["component"] for one in said["differences"]}
    assert found == {"id", "record"}
    status, text = shell.text("replay", "--lang", "es")
    assert status == 1
    assert "registro (points)" in text


def test_a_sample_is_the_same_by_the_same_seed(
    life: Life, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(life.ground.root, capsys)
    assert shell.json("replay", "--sample", "50", "--seed", "4")[1]["identical"] == 50
    assert shell.json("replay", "--since", "1h")[1]["replayed"] == 1_000
    assert shell.json("replay", "--until", "2020-01-01")[1]["replayed"] == 0
    assert shell.json("replay", "e17")[1]["identical"] == 1
    status, said = shell.text("replay", "nobody")
    assert status == 3
    assert "no event of that id" in said
    assert shell.text("replay", "--since", "yesterday")[0] == 3


@pytest.mark.soak
def test_ten_thousand_decisions_come_out_the_same_and_two_thousand_corruptions_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life = Life(tmp_path / "w", n=10_000)
    status, said = Shell(life.ground.root, capsys).json("replay", "--kernel", "both")
    assert (status, said["identical"], said["different"]) == (0, 10_000, 0)
    every_corruption_is_named(life, n=2_000)
