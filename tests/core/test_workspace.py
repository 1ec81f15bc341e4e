"""baluarte.core.workspace: an empty file is enough; overrides are typed and name their origin."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from baluarte.core.workspace import (
    Checkpoints,
    DetectorEntry,
    Secret,
    Workspace,
    parse_overrides,
    parse_workspace,
    workspace_json_schema,
)
from baluarte.core.workspace_doors import Provider
from baluarte.errors import ContractError

ROOT = Path(__file__).parents[2]


def faults(text: str, **given: dict[str, str]) -> list[str]:
    with pytest.raises(ContractError) as refused:
        parse_workspace(text, where="workspace.toml", **given)
    return [str(fault) for fault in refused.value.faults]


def test_an_empty_file_is_a_complete_workspace_on_loopback() -> None:
    workspace = parse_workspace("", where="workspace.toml")
    assert workspace == Workspace()
    assert workspace.serve.address == "127.0.0.1:8317"
    assert workspace.serve.durability == "commit"
    assert workspace.approvals == 0


def test_many_detectors_stand_side_by_side() -> None:
    text = (
        '[detectors.flows]\npath = "flows"\nevents = "flows.parquet"\n'
        '[detectors.cards]\npath = "cards"\nholdout = "later.parquet"\nlabels = "chargebacks.csv"\n'
    )
    detectors = parse_workspace(text, where="workspace.toml").detectors
    assert detectors["flows"] == DetectorEntry(path="flows", events="flows.parquet")
    assert detectors["cards"].labels == "chargebacks.csv"


def test_set_is_stronger_than_the_environment_and_that_than_the_file() -> None:
    text = "[serve]\nworkers = 2\n[watch]\nbatch = 100\n[limits]\nmax_rows = 5\n"
    workspace = parse_workspace(
        text,
        where="workspace.toml",
        overrides={"serve.workers": "8"},
        environment={
            "BALUARTE_SERVE__WORKERS": "4",
            "BALUARTE_WATCH__BATCH": "500",
            "BALUARTE_DETECTORS__CARDS__PATH": "cards",
        },
    )
    assert (workspace.serve.workers, workspace.watch.batch, workspace.limits.max_rows) == (
        8,
        500,
        5,
    )
    assert workspace.detectors == {"cards": DetectorEntry(path="cards")}


def test_text_stays_text_whatever_it_looks_like() -> None:
    workspace = parse_workspace(
        "",
        where="w",
        overrides={"stores.bundles": "2", "detectors.a.path": "true", "language": "es"},
    )
    assert workspace.stores.bundles == "2"
    assert workspace.detectors["a"].path == "true"
    assert workspace.language == "es"


def test_a_secret_is_set_by_reference() -> None:
    workspace = parse_workspace("", where="w", overrides={"serve.token": '{env = "TOKEN"}'})
    assert workspace.serve.token == Secret(env="TOKEN")


def test_other_variables_of_the_environment_are_left_alone() -> None:
    environment = {
        "BALUARTE_DATA": "/data",
        "BALUARTE_KERNEL": "c",
        "HOME": "/",
        "SERVE__WORKERS": "9",
    }
    assert parse_workspace("", where="w", environment=environment) == Workspace()


def test_all_faults_come_at_once_each_with_its_origin() -> None:
    found = faults(
        '[serve]\nworkers = 0\nadress = "x:1"\n[keys]\nsigning = { env = "A", file = "b" }\n',
        overrides={"limits.max_rows": "many", "serve.address": "8317"},
        environment={"BALUARTE_LANGUAGE": "fr", "BALUARTE_SERV__X": "1"},
    )
    assert sorted(found) == [
        '--set limits.max_rows: limits.max_rows: expected a whole number ≥ 1; found "many"',
        (
            "--set serve.address: serve.address: expected host and port, "
            'such as "127.0.0.1:8317"; found "8317"'
        ),
        'BALUARTE_LANGUAGE: language: expected one of en, es; found "fr"',
        "BALUARTE_SERV__X: serv: unknown key. Did you mean serve?",
        "workspace.toml:2: serve.workers: expected a whole number in [1, 1024]; found 0",
        "workspace.toml:3: serve.adress: unknown key. Did you mean address?",
        'workspace.toml:5: keys.signing: expected one of {env = "NAME"} and {file = "PATH"}',
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "approvals = 3",
            "workspace.toml:1: approvals: expected a whole number in [0, 2]; found 3",
        ),
        (
            '[keys]\nsigning = "hunter2"',
            "workspace.toml:2: keys.signing: expected a table; found text",
        ),
        (
            "[serve.token]",
            'workspace.toml:1: serve.token: expected one of {env = "NAME"} and {file = "PATH"}',
        ),
        (
            "[detectors.a]",
            "workspace.toml:1: detectors.a.path: missing; expected text that is not empty",
        ),
        (
            '[detectors."a/b"]\npath = "x"',
            (
                "workspace.toml:1: detectors.a/b: the name must be a name: a lower-case letter, "
                "then at most 62 of a-z, 0-9, - and _"
            ),
        ),
        (
            '[serve]\ndurability = "never"',
            'workspace.toml:2: serve.durability: expected one of commit, interval; found "never"',
        ),
        ("[watch]\narl = 0", "workspace.toml:2: watch.arl: expected a number > 0; found 0"),
    ],
)
def test_a_faulty_workspace_says_where_and_what(text: str, fault: str) -> None:
    assert faults(text) == [fault]


def test_a_setting_without_a_value_is_refused() -> None:
    assert parse_overrides(["serve.workers=2", "a.b=c=d"]) == {"serve.workers": "2", "a.b": "c=d"}
    with pytest.raises(ContractError, match="expected key=value"):
        parse_overrides(["serve.workers"])


def test_a_setting_under_a_plain_value_is_refused() -> None:
    assert faults("", overrides={"language": "en", "language.x": "1"}) == [
        "--set language.x: language.x: there is no table of that name to set it in"
    ]


def test_the_guide_shows_a_workspace_with_every_default_named() -> None:
    guide = (ROOT / "docs/guides/workspace-toml.md").read_text("utf-8")
    shown = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)[0]
    workspace = parse_workspace(shown, where="guide")
    plain = msgspec.structs.replace(
        workspace,
        detectors={},
        serve=msgspec.structs.replace(
            workspace.serve,
            token=None,
            tls=None,
            detector=None,
            grpc=None,
            telemetry=None,
            max_workers=None,
        ),
        stores=msgspec.structs.replace(workspace.stores, password=None),
        keys=msgspec.structs.replace(workspace.keys, gap=None, second=None),
        checkpoints=Checkpoints(),
        console=msgspec.structs.replace(workspace.console, tls=None, providers={}),
    )
    assert plain == Workspace()
    for section in ("stores", "keys", "checkpoints", "limits", "watch", "serve", "console"):
        keys = set(msgspec.structs.asdict(getattr(Workspace(), section)))
        assert keys == set(tomllib.loads(shown)[section])
    (provider,) = tomllib.loads(shown)["console"]["providers"].values()
    assert set(provider) == set(Provider.__struct_fields__)


VKEY = (  # made for this test
    "witness.example/w1+f7b7c82d+BJ44odNVOGyFGFm3ZXx4SadNFanMNrob/0xz+M6xaxQb"
)


def test_witnesses_are_read_with_their_keys() -> None:
    text = f"""
[checkpoints]
origin = "bank.example/ledger"
quorum = 1
[[checkpoints.witnesses]]
key = "{VKEY}"
url = "http://127.0.0.1:8319"
"""
    said = parse_workspace(text, where="w").checkpoints
    assert (said.origin, said.quorum) == ("bank.example/ledger", 1)
    assert [(one.key, one.url) for one in said.witnesses] == [(VKEY, "http://127.0.0.1:8319")]


def test_witnesses_that_can_not_be_are_refused_with_their_place() -> None:
    log = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    text = f"""
[checkpoints]
origin = "a b"
quorum = 4
witnesses = [{{ key = "{VKEY}" }}, {{ key = "{VKEY}" }}, {{ key = "{log}" }}, {{ key = "x" }}]
"""
    said = "\n".join(faults(text))
    assert "checkpoints.origin" in said
    text = text.replace("a b", "ab")
    said = "\n".join(faults(text))
    for part in (
        "two witnesses named witness.example/w1",
        "expected a witness's key",
        "expected NAME+ID+KEY",
    ):
        assert part in said
    text = f"[checkpoints]\nquorum = 2\nwitnesses = [{{ key = '{VKEY}' }}]\n"
    assert "expected at most the number of witnesses, 1; found 2" in "\n".join(faults(text))


def test_the_schema_for_editors_is_the_one_committed() -> None:
    committed = json.loads((ROOT / "docs/reference/workspace.schema.json").read_text("utf-8"))
    assert committed == json.loads(msgspec.json.encode(workspace_json_schema()))
    assert "null" not in json.dumps(committed)
