"""A workspace whose events are about people, with values that can be found again in any file."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from baluarte.apps.cli.main import main
from baluarte.apps.cli.seal import ensure_key
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session
from baluarte.core.contract_toml import parse_contract
from baluarte.core.encode import Encoder, EncoderTables, FieldEncoding, encoder_to_json
from baluarte.core.event import event_digest
from baluarte.core.registry import Version
from baluarte.core.sketch import value_hash
from baluarte.stages.promote import promote
from baluarte.stages.seal import seal
from baluarte.testing.bundles import sample_parts

CONTRACT = """\
name = "payments"
purpose = "Find payments that their holders did not make."
owner = "fraud"
[events]
label = "fraud"
positive = ["1"]
time = "at"
entity = "card"
personal = ["amount", "holder", "pin"]
[types]
integer = ["fraud", "pin"]
time = ["at"]
number = ["amount"]
category = ["shop"]
text = ["card", "holder"]
[fields.holder]
role = "sensitive"
[fields.pin]
role = "sensitive"
[objective]
max_fpr = 0.05
[windows.n_day]
op = "count"
by = "card"
window_s = 86400
[windows.spent]
op = "sum"
by = "card"
field = "amount"
decimals = 2
window_s = 86400
[windows.cards]
op = "distinct"
by = "shop"
field = "card"
window_s = 86400
"""
START_S = 1_700_000_000


class PeoplePlace:
    """The workspace, its version, and the commands that tests run in it."""

    def __init__(self, root: Path, *, settings: str = "") -> None:
        self.root = root
        (root / "payments").mkdir(parents=True)
        (root / "payments" / "detector.toml").write_text(CONTRACT, "utf-8")
        (root / "workspace.toml").write_text(
            f'{settings}\n[detectors.payments]\npath = "payments"\n', "utf-8"
        )
        with self.session() as session:
            ensure_key(session)
            self.version = self._seal(session)

    @property
    def data(self) -> Path:
        """Where the product keeps everything."""
        return self.root / ".baluarte"

    @contextmanager
    def session(self, actor: str = "ana") -> Iterator[Session]:
        named = argparse.Namespace(workspace=str(self.root / "workspace.toml"), set=[])
        with Session(find_workspace(named), actor=actor) as session:
            yield session

    def run(self, *words: str) -> int:
        return main([*words, "--workspace", str(self.root / "workspace.toml")])

    @contextmanager
    def server(self) -> Iterator[Server]:
        running = Server(self.root)
        try:
            yield running
        finally:
            running.process.send_signal(signal.SIGTERM)
            running.process.communicate(timeout=30)

    def _seal(self, session: Session) -> Version:
        contract = parse_contract(CONTRACT, where="detector.toml")
        encoder = Encoder(
            EncoderTables(
                fields=(
                    FieldEncoding(field="amount", type="number"),
                    FieldEncoding(field="shop", type="category", categories=("s0", "s1", "s2")),
                    FieldEncoding(field="n_day", type="number"),
                    FieldEncoding(field="spent", type="number"),
                    FieldEncoding(field="cards", type="number"),
                )
            )
        )
        import dataclasses

        from baluarte.core.program import format as program_format
        from baluarte.testing.bundles import sample_program

        program = dataclasses.replace(sample_program(), n_features=5)
        parts = dataclasses.replace(
            sample_parts(),
            contract=contract,
            encoder_json=encoder_to_json(encoder),
            program=program_format.dumps(program),
            spread=None,
        )
        stores: dict[str, Any] = {
            "registry": session.registry, "bundles": session.bundles, "ledger": session.shard,
            "verifier": session.verifier, "clock": session.clock,
        }  # fmt: skip
        version = seal(parts, actor="ana", signer=session.signer, **stores)
        promote("payments", version.version, actor="ana", reason="first", approvals=0, **stores)
        return version


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

    def decide(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        request = urllib.request.Request(
            self.url + "/v1/detectors/payments/decisions?reasons=all",
            data=json.dumps(events).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())
        return found


class Person:
    """Someone whose every value is found nowhere else."""

    def __init__(self, number: int) -> None:
        self.number = number
        token = hashlib.sha256(f"person {number}".encode()).hexdigest()
        self.card = f"card-{token[:18]}"
        self.holder = f"Zoë Quíñones {token[18:34]}"
        self.pin = int(token[34:47], 16) | 1 << 51
        self.amount = float(int(token[47:58], 16)) / 100 + 1e9

    def event(self, i: int) -> dict[str, Any]:
        """One payment."""
        return {
            "at": START_S + i,
            "card": self.card,
            "holder": self.holder,
            "pin": self.pin,
            "amount": self.amount,
            "shop": f"s{(self.number + i) % 4}",
        }

    def needles(self) -> dict[str, bytes]:
        """Every value of the person in every form that a file may hold it in."""
        found: dict[str, bytes] = {}
        texts = {"card": self.card, "holder": self.holder, "pin": str(self.pin)}
        texts["amount"] = repr(self.amount)
        for name, text in texts.items():
            plain = text.encode()
            found[f"{name} plain"] = plain
            found[f"{name} escaped"] = json.dumps(text)[1:-1].encode()
            found[f"{name} utf-16"] = text.encode("utf-16-le")
            found[f"{name} utf-16-be"] = text.encode("utf-16-be")
            found[f"{name} hex"] = plain.hex().encode()
            found[f"{name} HEX"] = plain.hex().upper().encode()
            for shift in range(3):  # the bits of base64 that the neighbours have no part in
                coded = base64.b64encode(b"\0" * shift + plain)
                start = (0, 2, 3)[shift]
                found[f"{name} base64 {shift}"] = coded[start : len(coded) // 4 * 4 - 4]
                found[f"{name} base64url {shift}"] = found[f"{name} base64 {shift}"].translate(
                    bytes.maketrans(b"+/", b"-_")
                )
            found[f"{name} hash"] = struct.pack("<Q", value_hash(text))
            found[f"{name} sha-256"] = hashlib.sha256(plain).digest()
            found[f"{name} sha-256 hex"] = hashlib.sha256(plain).hexdigest()[:24].encode()
        for name, number in (("pin", self.pin), ("amount", round(self.amount * 100))):
            for form in ("<q", ">q"):
                found[f"{name} integer {form}"] = struct.pack(form, number)
        for name, value in (("pin", float(self.pin)), ("amount", self.amount)):
            for form in ("<d", ">d"):
                found[f"{name} double {form}"] = struct.pack(form, value)
        return found

    def digests(self, events: list[dict[str, Any]]) -> dict[str, bytes]:
        """Unkeyed digests of recorded events: with them a guess could be tried."""
        found = {}
        for i, event in enumerate(events):
            digest = event_digest(event).removeprefix("sha256:")
            found[f"digest {i}"] = digest[:32].encode()
        return found


def search(root: Path, needles: dict[str, bytes]) -> dict[str, list[str]]:
    """Which needles are found in which files, links and hidden ones included."""
    found: dict[str, list[str]] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            content = path.read_bytes().rstrip(b"\0") + bytes(64)  # room reserved ahead is zeros
            for what, needle in needles.items():
                if needle in content:
                    found.setdefault(str(path.relative_to(root)), []).append(what)
    return found


def records_of(session: Session) -> list[dict[str, Any]]:
    """Every record of the ledger."""
    return [
        msgspec.json.decode(data)
        for tag in session.reader.shards()
        for data in session.reader.records(tag)
    ]
