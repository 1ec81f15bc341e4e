"""Fields that travel sealed: opened by who decides, seen by nobody else."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_ground import Server, Workplace

from baluarte import FieldSealer
from baluarte.adapters.field_keys import FieldKeys, create_field_key, read_field_key, seal
from baluarte.apps.scoring.opening import Opener
from baluarte.core.field_sealing import SEALED_KEY, NotSealedError, read_sealed, take_out
from baluarte.errors import ContractError, DataError, TrustError
from baluarte.testing.bundles import personal_schema, sample_contract, sample_parts

CANARY = "Zoraida Quiroga"
NUMBER = 8_761_239  # bytes_out of an alert
SEALED = ("bytes_out", "user", "full_name")
PATHS = ("flow.bytes_out", "user", "full_name")
EVENT = {
    "id": "e1", "service": "ssh", "failures": 3, "user": "zquiroga77", "full_name": CANARY,
    "flow": {"bytes_out": NUMBER},
}  # fmt: skip
CONTRACT = msgspec.structs.replace(sample_contract(), events=personal_schema())


def sealer_of(folder: Path, detector: str = "flows", now_us: int = 1) -> FieldSealer:
    public = create_field_key(folder, now_us=now_us)
    return FieldSealer(detector, fields=PATHS, key=msgspec.json.encode(public))


class Proxy:
    """Passes bytes on, and keeps what it saw."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.to = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        while data := one.recv(65_536):
            self.seen += data
            other.sendall(data)
        other.close()

    def close(self) -> None:
        self._listening.close()


def test_no_proxy_log_answer_or_disk_sees_a_sealed_value(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal(sample_parts(schema=personal_schema())))
    sealer = sealer_of(tmp_path / "fields")
    master, proxy = secrets.token_hex(32), Proxy()
    with Server(
        place, log="json", people=f"sqlite:{tmp_path / 'people.sqlite'}", people_master=master,
        field_keys=str(tmp_path / "fields"), sealed={"flows": SEALED},
        hosts=(f"127.0.0.1:{proxy.port}",),
    ) as server:  # fmt: skip
        proxy.to, server.port = server.port, proxy.port
        event = sealer.seal(EVENT)
        status, answer = server.decide(event, "?reasons=all")
        assert status == 200, answer
        reasons = {reason["field"]: reason for reason in answer["reasons"]}
        assert reasons["bytes_out"]["value"] is None
        assert reasons["bytes_out"]["score"] != 0
        assert answer["base"] + sum(r["score"] for r in answer["reasons"]) == answer["score"]
        wrong = sealer.seal(EVENT | {"flow": {"bytes_out": CANARY}})
        status, refusal = server.decide(wrong)
        assert status == 422
        assert refusal["faults"][0]["path"] == "$[0].flow.bytes_out"
        server.decide(sealer.seal(EVENT | {"id": "other"}) | {"id": "e1"})
        _, record = server.ask("GET", f"/v1/decisions/{answer['id']}")
        assert record["score"] == answer["score"]
        _, page = server.ask("GET", "/metrics")
        _, said = server.stop()
        proxy.close()
    seen = bytes(proxy.seen) + said.encode() + page
    for path in tmp_path.rglob("*"):
        if path.is_file():
            seen += path.read_bytes()
    for canary in (CANARY, "zquiroga77", str(NUMBER), "8,761,239"):
        assert canary.encode() not in seen
    assert b"e1" in seen  # the search finds what is in the clear


def test_a_sealed_event_gets_the_score_of_the_same_event_in_the_clear(tmp_path: Path) -> None:
    sealer = sealer_of(tmp_path)
    opener = Opener(CONTRACT, SEALED, FieldKeys(tmp_path))
    row = sealer.seal(EVENT)
    assert json.loads(json.dumps(row)).keys() == {"id", "service", "failures", "flow", SEALED_KEY}
    opener.rows([row])
    assert row == {
        "id": "e1", "service": "ssh", "failures": 3, "flow": {}, "flow.bytes_out": NUMBER,
        "user": "zquiroga77", "full_name": CANARY,
    }  # fmt: skip
    assert EVENT["full_name"] == CANARY  # what was given stays as it was


def faults_of(opener: Opener, row: dict[str, Any]) -> list[tuple[str | None, str]]:
    with pytest.raises(DataError) as info:
        opener.rows([row])
    assert CANARY not in str(info.value)
    return [(fault.where, fault.message) for fault in info.value.faults]


def test_what_was_sealed_opens_in_no_other_event_detector_or_field(tmp_path: Path) -> None:
    sealer = sealer_of(tmp_path)
    opener = Opener(CONTRACT, SEALED, FieldKeys(tmp_path))
    sealed = sealer.seal(EVENT)
    other = FieldSealer(
        "payments", fields=PATHS, key=next(tmp_path.glob("*.json")), id_field="id"
    ).seal(EVENT)
    for row in (sealed | {"id": "e2"}, other, sealed | {SEALED_KEY: 7}, sealed | {"id": 3}):
        ((where, _),) = faults_of(opener, dict(row))
        assert where == f"$[0].{SEALED_KEY}"
    record = read_field_key(next(tmp_path.glob("*.json")).read_bytes(), where="key")
    key, _ = read_sealed(sealed[SEALED_KEY])
    for inner in (b'{"service":"x"}', b'{"user":"a","user":"b"}', b"[1]", b"{"):
        raw = seal(inner, record, detector="flows", event_id="e1")
        from baluarte.core.field_sealing import write_sealed

        faults_of(opener, dict(EVENT) | {SEALED_KEY: write_sealed(key, raw)})


def test_a_declared_field_in_the_clear_is_refused_flat_or_nested(tmp_path: Path) -> None:
    create_field_key(tmp_path, now_us=1)
    opener = Opener(CONTRACT, SEALED, FieldKeys(tmp_path))
    assert {where for where, _ in faults_of(opener, dict(EVENT))} == {
        "$[0].flow.bytes_out", "$[0].user", "$[0].full_name",
    }  # fmt: skip
    assert faults_of(opener, {"id": "e", "flow.bytes_out": 1})
    opener.rows([{"id": "e", "service": "ssh"}])  # a missing value needs no seal


@settings(max_examples=60)
@given(st.integers(0, 500), st.integers(1, 255))
def test_a_damaged_seal_never_opens(at: int, change: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        public = create_field_key(folder, now_us=1)
        raw = bytearray(seal(b'{"user":"x"}', public, detector="flows", event_id="e"))
        raw[at % len(raw)] ^= change
        with pytest.raises(NotSealedError):
            FieldKeys(folder).open(public.key, bytes(raw), detector="flows", event_id="e")


def test_rotation_opens_old_and_new_until_the_old_key_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baluarte.adapters.field_keys._LOOK_S", 0.0)
    old = sealer_of(tmp_path)
    keys = FieldKeys(tmp_path)
    opener = Opener(CONTRACT, SEALED, keys)
    new = sealer_of(tmp_path, now_us=2)
    for sealer in (old, new):
        opener.rows([sealer.seal(EVENT)])
    (tmp_path / f"{old.key_id}.key").unlink()
    faults_of(opener, old.seal(EVENT))
    opener.rows([new.seal(EVENT)])
    assert keys.ids == {new.key_id}


def test_keys_that_others_read_or_under_another_id_are_refused(tmp_path: Path) -> None:
    public = create_field_key(tmp_path, now_us=1)
    path = tmp_path / f"{public.key}.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(TrustError, match="others can read"):
        FieldKeys(tmp_path)
    path.chmod(0o600)
    path.rename(tmp_path / f"{'0' * 32}.key")
    with pytest.raises(TrustError, match="its own id"):
        FieldKeys(tmp_path)
    forged = msgspec.structs.replace(public, key="0" * 32)
    with pytest.raises(DataError, match="whose id is its own"):
        read_field_key(msgspec.json.encode(forged), where="key.json")


def test_a_field_that_records_would_hold_in_the_clear_is_not_let_in(tmp_path: Path) -> None:
    keys = FieldKeys(tmp_path)
    for names, says in (
        (("service",), "to be personal"),
        (("id",), "in the clear"),
        (("nothing",), "a field that events give"),
    ):
        with pytest.raises(ContractError, match=says):
            Opener(CONTRACT, names, keys)


def test_an_event_without_an_id_or_sealed_twice_is_not_sealed(tmp_path: Path) -> None:
    sealer = sealer_of(tmp_path)
    with pytest.raises(DataError, match="expected an id"):
        sealer.seal({"user": "x"})
    with pytest.raises(DataError, match="a sealed one"):
        sealer.seal(sealer.seal(EVENT))
    assert sealer.seal({"id": "e", "service": "ssh"}) == {"id": "e", "service": "ssh"}


@given(st.dictionaries(st.sampled_from(["a", "b", "c.d"]), st.integers(), max_size=3))
def test_what_is_taken_out_is_all_there_was(flat: dict[str, int]) -> None:
    event: dict[str, Any] = dict(flat) | {"c": {"d": 1, "e": 2}}
    rest, values = take_out(event, [("a",), ("c", "d")])
    assert "a" not in rest
    assert "c.d" not in rest
    assert rest["c"] == {"e": 2}
    assert values.keys() <= {"a", "c.d"}
