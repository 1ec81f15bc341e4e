"""Ready schemas: well-known events are recognised, declared and read as they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from baluarte.apps.cli.main import main
from baluarte.apps.ready import ready_schemas
from baluarte.apps.sdk import read_events
from baluarte.core.contract_toml import parse_contract
from baluarte.core.event import records
from baluarte.core.event_rows import RowReader
from baluarte.core.workspace import parse_workspace

EVE = {
    "timestamp": "2026-07-31T12:00:00.123456+0200", "flow_id": 1893457612345678,
    "event_type": "flow", "src_ip": "192.0.2.7", "src_port": 40112,
    "dest_ip": "198.51.100.9", "dest_port": 443,
    "proto": "TCP", "app_proto": "tls", "in_iface": "eth0", "metadata": {"flowbits": ["a"]},
    "flow": {"pkts_toserver": 9, "pkts_toclient": 7, "bytes_toserver": 1200, "bytes_toclient": 4096,
             "start": "2026-07-31T11:59:58.000000+0200", "age": 2, "state": "closed",
             "reason": "timeout", "alerted": False},
    "tls": {"sni": "example.org", "version": "TLS 1.3"}, "community_id": "1:x",
}  # fmt: skip
CONN = {
    "ts": 1785492000.123456, "uid": "CHhAvVGS1DHFjwGM9", "id.orig_h": "192.0.2.7",
    "id.orig_p": 40112, "id.resp_h": "198.51.100.9", "id.resp_p": 53, "proto": "udp",
    "service": "dns", "duration": 0.05, "orig_bytes": 62, "resp_bytes": 141, "conn_state": "SF",
    "local_orig": True, "missed_bytes": 0, "history": "Dd", "orig_pkts": 1, "resp_pkts": 1,
    "orig_ip_bytes": 90, "resp_ip_bytes": 169, "tunnel_parents": [],
}  # fmt: skip
OCSF = {
    "class_uid": 4001, "category_uid": 4, "activity_id": 6, "type_uid": 400106, "severity_id": 1,
    "time": 1785492000123, "metadata": {"uid": "a1", "version": "1.9.0", "product": {"name": "fw"}},
    "src_endpoint": {"ip": "192.0.2.7", "port": 40112},
    "dst_endpoint": {"ip": "198.51.100.9", "port": 443},
    "traffic": {"bytes_in": 10, "bytes_out": 20}, "connection_info": {"protocol_name": "tcp"},
    "unmapped": {"x": 1},
}  # fmt: skip
ECS = {
    "@timestamp": "2026-07-31T12:00:00.000Z", "ecs": {"version": "9.1.0"},
    "event": {"id": "e1", "kind": "event", "action": "logon", "outcome": "failure", "duration": 9},
    "source": {"ip": "192.0.2.7", "port": 40112, "bytes": 120}, "user": {"name": "ana"},
    "destination": {"ip": "198.51.100.9", "port": 22}, "network": {"transport": "tcp"},
    "tags": ["x"], "labels": {"site": "a"},
}  # fmt: skip
TRAIL = {
    "eventVersion": "1.11", "eventID": "8b1c", "eventTime": "2026-07-31T12:00:00Z",
    "eventSource": "iam.amazonaws.com", "eventName": "CreateAccessKey", "awsRegion": "us-east-1",
    "sourceIPAddress": "192.0.2.7", "userAgent": "aws-cli/2", "readOnly": False,
    "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/ana",
                     "accountId": "123456789012",
                     "sessionContext": {"attributes": {"mfaAuthenticated": "false"}}},
    "requestParameters": {"userName": "eve"}, "responseElements": None,
}  # fmt: skip

EVENTS: dict[str, dict[str, Any]] = {
    "suricata-eve": EVE,
    "zeek-conn": CONN,
    "ocsf": OCSF,
    "ecs": ECS,
    "cloudtrail": TRAIL,
}
IDS = {"suricata-eve": "flow_id", "zeek-conn": "uid", "ocsf": "metadata.uid", "ecs": "event.id",
       "cloudtrail": "eventID"}  # fmt: skip


def events(folder: Path, name: str, n: int = 300) -> Path:
    path = folder / "events.ndjson"
    with path.open("w") as file:
        for i in range(n):
            row = json.loads(json.dumps(EVENTS[name]))
            holder, keys = row, IDS[name].split(".")
            for key in keys[:-1]:
                holder = holder[key]
            holder[keys[-1]] = 10**9 + i if name == "suricata-eve" else f"e{i}"
            file.write(json.dumps({**row, "verdict": "attack" if i % 10 == 0 else "benign"}) + "\n")
    return path


@pytest.mark.parametrize("name", EVENTS)
def test_init_recognises_them_and_reads_every_event(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = events(tmp_path, name)
    assert main(["init", "mine", "--events", str(path), "--label", "verdict", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == name
    text = (tmp_path / "mine" / "detector.toml").read_text()
    assert text.count("\n") <= 40
    contract = parse_contract(text, where="detector.toml")
    schema, ready = contract.events, ready_schemas()[name]
    assert contract.label is not None
    assert (contract.label.field, contract.label.positive) == ("verdict", ("attack",))
    assert {f.name for f in schema.fields} - {"verdict"} <= set(ready.fields)
    for role, wanted in (("id", ready.id), ("time", ready.time), ("entity", ready.entity)):
        field = schema.by_role(role)  # type: ignore[arg-type]
        assert field is not None
        assert field.name == wanted
    # A request may bring the event as it is: keys that are no field are read past.
    (record,) = RowReader(schema).records([EVENTS[name]])
    assert int(record[ready.time]) // 1_000_000 in (1785492000, 1785499200)  # type: ignore[arg-type]
    assert records(read_events(contract, [EVENTS[name]]))[0] == record
    assert len(record) >= 12


def test_a_named_schema_is_taken_none_guesses_and_an_unknown_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = str(events(tmp_path, "zeek-conn"))
    for schema, status in (("zeek-conn", 0), ("none", 0), ("zeek-con", 2)):
        folder = f"d-{schema}"
        assert main(["init", folder, "--events", path, "--schema", schema]) == status
    assert "Did you mean zeek-conn?" in capsys.readouterr().err
    assert "unknown" not in (tmp_path / "d-none" / "detector.toml").read_text()


def test_init_writes_down_how_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(
        f"{i};{i % 7}{i % 10},25;Perú;{'NA' if i % 9 == 0 else i};{i % 2}\n" for i in range(300)
    )
    (tmp_path / "tx.csv").write_bytes(f"id;importe;país;n;is_fraud\n{rows}".encode("latin-1"))
    assert main(["init", "mine", "--events", "tx.csv"]) == 0
    told = capsys.readouterr().out
    assert 'encoding = "windows-1252"' in told
    workspace = parse_workspace((tmp_path / "workspace.toml").read_text(), where="workspace.toml")
    reading = workspace.detectors["mine"].reading
    assert (reading.encoding, reading.decimal, reading.missing) == ("windows-1252", ",", ("NA",))
    contract = parse_contract((tmp_path / "mine/detector.toml").read_text(), where="detector.toml")
    assert contract.events["n"].type == "integer"
    assert contract.events["país"].type == "category"
