"""Ready schemas: well-known events are recognised, declared and read as they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from baluarte.apps.cli.main import main
from baluarte.apps.intake import Intake
from baluarte.apps.place import open_place
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


#: further events of each kind, in the shapes that the tools' documentation shows
OTHERS: dict[str, list[dict[str, Any]]] = {
    "suricata-eve": [
        {"timestamp": "2026-07-31T12:00:01.251547", "flow_id": 7, "pcap_cnt": 53381,
         "event_type": "alert", "vlan": [440], "src_ip": "192.0.2.14", "src_port": 50096,
         "dest_ip": "198.51.100.5", "dest_port": 80, "proto": "TCP", "tx_id": 4,
         "alert": {"action": "allowed", "gid": 1, "signature_id": 2018358, "rev": 10,
                   "signature": "ET HUNTING POST", "category": "Potentially Bad Traffic",
                   "severity": 2, "metadata": {"tag": ["x"]}}, "app_proto": "http",
         "http": {"hostname": "example.org", "url": "/a?b", "http_method": "POST", "status": 200,
                  "http_user_agent": "curl/8", "protocol": "HTTP/1.1", "length": 17}},
        {"timestamp": "2026-07-31T12:00:02.251547+0000", "flow_id": 8, "event_type": "dns",
         "src_ip": "2001:db8::7", "src_port": 5353, "dest_ip": "2001:db8::1", "dest_port": 53,
         "proto": "UDP", "ip_v": 6, "dns": {"version": 3, "type": "request", "tx_id": 0, "id": 9,
         "flags": "100", "rd": True, "queries": [{"rrname": "example.org", "rrtype": "A"}]}},
        {"timestamp": "2026-07-31T12:00:03.0+0000", "flow_id": 9, "event_type": "flow",
         "src_ip": "192.0.2.14", "dest_ip": "198.51.100.5", "proto": "ICMP", "icmp_type": 8,
         "icmp_code": 0, "flow": {"pkts_toserver": 1, "pkts_toclient": 0, "age": 0,
                                  "state": "new", "reason": "timeout", "alerted": False}},
    ],
    "zeek-conn": [
        {"ts": "2026-07-31T12:00:00.123456Z", "uid": "C1", "id.orig_h": "fe80::1",
         "id.orig_p": 143, "id.resp_h": "ff02::16", "id.resp_p": 0, "proto": "icmp",
         "conn_state": "OTH", "local_orig": False, "local_resp": False, "missed_bytes": 0,
         "orig_pkts": 1, "orig_ip_bytes": 76, "resp_pkts": 0, "resp_ip_bytes": 0, "ip_proto": 58},
        {"ts": 1785492001.5, "uid": "C2", "id": {"orig_h": "192.0.2.7", "orig_p": 1,
         "resp_h": "192.0.2.8", "resp_p": 22}, "proto": "tcp", "conn_state": "S0"},
    ],
    "ocsf": [
        {"class_uid": 3002, "class_name": "Authentication", "category_uid": 3, "activity_id": 1,
         "type_uid": 300201, "severity_id": 1, "status_id": 2, "status": "Failure",
         "time": 1785492000123, "time_dt": "2026-07-31T12:00:00.123Z", "is_mfa": False,
         "is_remote": True, "logon_type_id": 3, "auth_protocol_id": 2,
         "metadata": {"uid": "a2", "version": "1.3.0", "profiles": ["host"],
                      "product": {"name": "Directory", "vendor_name": "V"}},
         "user": {"name": "ana", "type_id": 1, "groups": [{"name": "g"}]},
         "src_endpoint": {"ip": "2001:db8::7", "hostname": "pc"},
         "device": {"type_id": 2, "os": {"type_id": 100}}, "observables": [{"name": "user.name"}]},
    ],
    "ecs": [
        {"@timestamp": "2026-07-31T12:00:00.000Z", "ecs.version": "8.11.0", "event.id": "e2",
         "event.category": ["network"], "event.type": ["connection", "end"],
         "event.duration": 1200000, "source.ip": "192.0.2.9", "source.port": 5000,
         "destination.ip": "198.51.100.9", "destination.port": 443, "host.ip": ["192.0.2.9"],
         "network.transport": "tcp", "event.code": 4624, "related.ip": ["192.0.2.9"]},
        {"@timestamp": "2026-07-31T12:00:00Z", "ecs": {"version": "9.1.0"},
         "event": {"id": "e3", "category": ["process"], "type": ["start"], "kind": "event"},
         "process": {"name": "sh", "args": ["sh", "-c", "id"], "args_count": 3,
                     "command_line": "sh -c id", "parent": {"name": "nginx", "pid": 3}},
         "host": {"name": "web1", "ip": ["192.0.2.9"], "os": {"type": "linux"}}},
    ],
    "cloudtrail": [
        {"eventVersion": "1.09", "eventID": "e2", "eventTime": "2026-07-31T12:00:00Z",
         "eventSource": "kms.amazonaws.com", "eventName": "Decrypt", "awsRegion": "eu-west-1",
         "sourceIPAddress": "lambda.amazonaws.com", "userAgent": "lambda.amazonaws.com",
         "userIdentity": {"type": "AWSService", "invokedBy": "lambda.amazonaws.com"},
         "requestParameters": None, "responseElements": None, "readOnly": True,
         "resources": [{"ARN": "arn:aws:kms:eu-west-1:1:key/x", "type": "AWS::KMS::Key"}],
         "managementEvent": True, "eventCategory": "Management", "eventType": "AwsApiCall"},
        {"eventVersion": "1.08", "eventID": "e3", "eventTime": "2026-07-31T12:00:01Z",
         "eventSource": "ec2.amazonaws.com", "eventName": "StartInstances",
         "awsRegion": "us-east-1", "sourceIPAddress": "192.0.2.0", "userAgent": "aws-cli/2.13.5",
         "errorCode": "Client.UnauthorizedOperation", "errorMessage": "You are not authorized",
         "userIdentity": {"type": "AssumedRole", "principalId": "AROA:s", "accountId": "1",
                          "arn": "arn:aws:sts::1:assumed-role/r/s",
                          "sessionContext": {"sessionIssuer": {"type": "Role"},
                                             "webIdFederationData": {},
                                             "attributes": {"mfaAuthenticated": "true"}}},
         "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
def test_a_file_of_their_many_shapes_is_read_without_a_bad_row(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = events(tmp_path, name, n=20)
    with path.open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in OTHERS[name])
    assert main(["init", "mine", "--events", str(path)]) == 0
    contract = parse_contract((tmp_path / "mine/detector.toml").read_text(), where="d")
    intake = Intake(open_place(tmp_path / "workspace.toml", overrides=[]), "mine", str(path))
    found = [
        row for batch in intake.read(intake.address, contract.events) for row in records(batch)
    ]
    assert (len(found), intake.n_bad) == (20 + len(OTHERS[name]), 0)
    ready = ready_schemas()[name]
    for row in found[20:]:
        assert int(row[ready.time]) // 1_000_000 in range(1785492000, 1785499210)  # type: ignore[arg-type]
        assert len(row) >= 7


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
