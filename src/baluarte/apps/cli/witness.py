"""Be a witness of others' ledgers: see that they only grow, and cosign what you saw.

Needs no workspace: one folder holds the key, the logs that are known, and what was seen of each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from baluarte import wiring
from baluarte.adapters.disk import write_aside
from baluarte.adapters.system import SystemClock
from baluarte.adapters.witness_folder import WitnessFolder, create_witness
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.session import texts_anywhere
from baluarte.apps.witness_server import Cosign, WitnessServer
from baluarte.core.checkpoint import read_note
from baluarte.core.note_keys import read_vkey
from baluarte.core.witnessing import Refused
from baluarte.errors import ContractError, OutsideError, TrustError
from baluarte.stages.witness import cosign

_ADDRESS = "127.0.0.1:8319"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte witness``."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a witness: a folder with a key of its own")
    trust = verbs.add_parser("trust", help="know a log, by its verifier key")
    sign = verbs.add_parser("sign", help="cosign the request in a file")
    serve = verbs.add_parser("serve", help="cosign over HTTP")
    status = verbs.add_parser("status", help="which logs are known, and what was seen of each")
    for verb in (create, trust, sign, serve, status):
        verb.add_argument("folder", help="the witness's folder")
    create.add_argument("name", help="best an address of yours: witness.example/w1")
    create.add_argument(
        "--algorithm", choices=("ed25519", "ml-dsa-44"), default="ed25519",
        help="of the cosignatures (default: ed25519)",
    )  # fmt: skip
    trust.add_argument("key", help="NAME+ID+KEY, as `baluarte keys verifier` shows it")
    trust.add_argument("--origin", help="of the log, where its key has another name")
    sign.add_argument("request", help="a file that `baluarte ledger witness --request` made")
    sign.add_argument("--out", help="a file for the cosignature (default: standard output)")
    serve.add_argument("--address", default=_ADDRESS, help=f"default: {_ADDRESS}")


def run(args: argparse.Namespace) -> int:
    """Do one verb."""
    screen = Screen(as_json=args.json)
    texts = screen.speaks(texts_anywhere(args))
    verbs = {
        "create": _create,
        "trust": _trust,
        "sign": _sign,
        "serve": _serve,
        "status": _status,
    }
    return screen.end(verbs[args.verb](args, WitnessFolder(Path(args.folder)), screen, texts))


def _create(args: argparse.Namespace, _: WitnessFolder, screen: Screen, texts: Texts) -> int:
    key = create_witness(Path(args.folder), args.name, wiring.signature_kind(args.algorithm))
    screen.data(name=key.name, key=key.vkey)
    screen.item(texts.get("witness.label"), texts.get("witness.made", folder=args.folder))
    screen.item(texts.get("witness.key"), key.vkey)
    screen.next(f"baluarte witness trust {args.folder} KEY_OF_A_LOG")
    return 0


def _trust(args: argparse.Namespace, folder: WitnessFolder, screen: Screen, texts: Texts) -> int:
    key = read_vkey(args.key, where="the log's key")
    origin = args.origin or key.name
    new = folder.add_log(key, origin=origin)
    screen.data(log=origin, new=new)
    said = texts.get("witness.new_log" if new else "witness.old_log", log=origin)
    screen.item(texts.get("witness.log"), said)
    screen.next(f"baluarte witness serve {args.folder}")
    return 0


def _sign(args: argparse.Namespace, folder: WitnessFolder, screen: Screen, texts: Texts) -> int:
    try:
        body = Path(args.request).read_bytes()
    except OSError as error:
        raise OutsideError(
            f"the request can't be read: {error.strerror}", where=args.request
        ) from error
    answer = cosigner(folder)(body)
    if isinstance(answer, Refused):
        raise TrustError(
            f"not cosigned: {answer.message}",
            where=args.request,
            hint=f"Ask again with --old {answer.size}." if answer.kind == "conflict" else None,
        )
    if not args.out:
        sys.stdout.write(answer.decode())
        screen.as_json = False
        return 0
    write_aside(Path(args.out), answer)
    screen.data(out=args.out)
    screen.item(texts.get("witness.cosigned_label"), args.out, "kept")
    screen.next(f"baluarte ledger witness --add {args.out}")
    return 0


def _serve(args: argparse.Namespace, folder: WitnessFolder, screen: Screen, texts: Texts) -> int:
    host, _, port = args.address.rpartition(":")
    if not host or not port.isdecimal():
        raise ContractError(f"expected HOST:PORT; found {args.address!r}", where="--address")
    try:
        server = WitnessServer((host.strip("[]"), int(port)), cosigner(folder), folder.last_by_hash)
    except OSError as error:
        raise OutsideError(
            f"the address can't be used: {error.strerror}", where=args.address
        ) from error
    with server:
        said = texts.get("witness.serves", name=folder.key.name, address=args.address)
        screen.item(texts.get("witness.label"), said)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            screen.line(texts.get("witness.stopped"), "dim")
    return 0


def _status(args: argparse.Namespace, folder: WitnessFolder, screen: Screen, texts: Texts) -> int:
    screen.item(texts.get("witness.label"), folder.key.vkey)
    rows = []
    for name in folder.logs():
        note = folder.last(name)
        size = 0 if note is None else read_note(note, where=name)[0].size
        rows.append({"log": name, "size": size})
        key = "witness.nothing_seen" if note is None else "witness.seen"
        said = texts.get(key, log=name, n=size)
        screen.item(texts.get("witness.log"), said, "unsure" if note is None else "kept")
    screen.data(name=folder.key.name, key=folder.key.vkey, logs=rows)
    screen.next(f"baluarte witness serve {args.folder}")
    return 0


def cosigner(folder: WitnessFolder) -> Cosign:
    """Answers requests with this folder's key; logs that are trusted later count at once."""
    key = folder.key
    private = folder.private(wiring.signature_kind(key.algorithm))
    clock = SystemClock()

    def answer(body: bytes) -> bytes | Refused:
        keys = [one.as_public() for keys in folder.logs().values() for one in keys]
        return cosign(
            body,
            store=folder,
            verifier=wiring.open_given_keys(keys),
            key=key,
            private=private,
            clock=clock,
        )

    return answer
