"""Write detector.toml and workspace.toml for a file of events, by looking at it."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import msgspec

from baluarte import wiring
from baluarte.adapters import dvc
from baluarte.adapters.detect import detect_reading
from baluarte.adapters.disk import write_aside
from baluarte.adapters.parts import largest_part
from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.place import DETECTOR_FILE, WORKSPACE_FILE
from baluarte.apps.ready import ready_schema, ready_schemas
from baluarte.apps.session import texts_anywhere
from baluarte.core.reading import PLAIN
from baluarte.core.ready import recognised
from baluarte.core.workspace import parse_workspace
from baluarte.errors import ContractError
from baluarte.stages.infer import Inferred, infer

_MAX_ROWS = 2_000_000
_PLAIN = msgspec.to_builtins(PLAIN)
_SHOWN_DOUBTS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte init``."""
    parser.add_argument("folder", help="the detector's folder; its name becomes the detector's")
    parser.add_argument(
        "--events", required=True, metavar="FILE", help="a file, an object or a database"
    )
    parser.add_argument(
        "--schema",
        metavar="NAME",
        help="a ready schema: cloudtrail, ecs, ocsf, suricata-eve, zeek-conn; none guesses "
        "(default: the one that the file looks like)",
    )
    parser.add_argument("--label", metavar="COLUMN", help="the label's column (default: guessed)")
    parser.add_argument("--owner", default=os.environ.get("USER", "you"), help="who answers for it")


def run(args: argparse.Namespace) -> int:
    """Look, infer, write; nothing that is there already is overwritten."""
    screen = Screen(as_json=args.json)
    folder = Path(args.folder)
    contract_path = folder / DETECTOR_FILE
    if contract_path.exists():
        raise ContractError(
            "there is a detector.toml already", where=str(contract_path), hint="Take another name."
        )
    events = dvc.resolved(args.events)
    source = wiring.source_for(events)
    reading = detect_reading(largest_part(events))
    columns = source.profile(events, max_rows=_MAX_ROWS, reading=reading)
    chosen = args.schema or recognised([c.name for c in columns], ready_schemas())
    ready = ready_schema(chosen) if chosen and chosen != "none" else None
    workspace_path = Path.cwd() / WORKSPACE_FILE
    texts = screen.speaks(texts_anywhere(args))
    file = args.events.replace("\\", "/").rsplit("/", 1)[-1]
    found = infer(
        columns,
        name=folder.resolve().name,
        events=_address(args.events, workspace_path.parent),
        n_rows=max((column.n for column in columns), default=0),
        label=args.label,
        owner=args.owner,
        purpose=texts.get("init.purpose", file=file),
        ready=ready,
        reading=reading,
    )
    workspace_text = _workspace(workspace_path, found, folder, language=args.lang)
    folder.mkdir(parents=True, exist_ok=True)
    write_aside(contract_path, found.contract_text.encode())
    write_aside(workspace_path, workspace_text.encode())
    if ready is not None:
        screen.line(texts.get("init.ready", title=ready.title))
    if reading != PLAIN:
        said = {k: v for k, v in msgspec.to_builtins(reading).items() if v != _PLAIN[k]}
        shown = ", ".join(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in said.items())
        screen.line(texts.get("init.reading", said=shown, workspace=WORKSPACE_FILE))
    screen.data(schema=chosen if ready else None, reading=msgspec.to_builtins(reading))
    _tell(screen, texts, found, contract_path)
    screen.next(f"cd {args.folder} && baluarte plan")
    return screen.end()


def _address(events: str, folder: Path) -> str:
    """A file's name from the workspace's folder; other addresses as they are."""
    scheme, mark, path = events.partition(":")
    if "://" in events:
        return events
    if mark and scheme == "sqlite":
        return f"{scheme}:{os.path.relpath(path, folder)}"
    return os.path.relpath(events, folder)


def _workspace(path: Path, found: Inferred, folder: Path, *, language: str | None) -> str:
    """The workspace's text with this detector in it; what stood there stays as it was.

    A new one speaks the language that was asked for.
    """
    beside = f'path = "{DETECTOR_FILE}"'
    entry = found.workspace_text.replace(
        beside, f"path = {json.dumps(os.path.relpath(folder, path.parent))}"
    )
    if not path.exists():
        return entry if language is None else f'language = "{language}"\n\n{entry}'
    before = path.read_text("utf-8")
    known = parse_workspace(before, where=path.name)
    if found.contract.name in known.detectors:
        raise ContractError(
            f"there is a detector {found.contract.name!r} already",
            where=path.name,
            hint="Take another folder name.",
        )
    return before.rstrip("\n") + "\n\n" + entry


def _tell(screen: Screen, texts: Texts, found: Inferred, path: Path) -> None:
    schema = found.contract.events
    said: list[str] = []
    for role in ("id", "time", "entity"):
        field = schema.by_role(role)
        if field is not None:
            said.append(texts.get("init.role", role=role, field=field.name))
    label = found.contract.label
    if label is not None and found.n_positives is not None:
        values = ", ".join(label.positive) or "≠ " + ", ".join(label.negative)
        share = found.n_positives / max(found.n_rows, 1)
        said.append(texts.get("init.label", field=label.field, values=values, share=share))
    else:
        said.append(texts.get("init.no_label"))
    n_fields = texts.get("init.fields", n=len(schema.fields))
    screen.line(f"{n_fields} {' · '.join(said)}")
    if found.budget is not None:
        _budget(screen, texts, found)
    if found.doubts:
        doubts = [
            texts.get(f"init.doubt.{question}", field=field, n=n, example=example)
            for field, question in found.doubts[:_SHOWN_DOUBTS]
            for n, example in (found.odd.get(field, (0, "")),)
        ]
        screen.line(f"{texts.get('init.least_sure')} {' · '.join(doubts)}")
    lines = found.contract_text.count("\n")
    screen.line(texts.get("init.wrote", contract=str(path), lines=lines, workspace=WORKSPACE_FILE))
    screen.data(
        detector=found.contract.name,
        fields=len(schema.fields),
        rows=found.n_rows,
        positives=found.n_positives,
        lines=lines,
        least_sure=[{"field": f, "question": q} for f, q in found.doubts],
    )


def _budget(screen: Screen, texts: Texts, found: Inferred) -> None:
    budget = found.budget
    if budget is None or found.n_positives is None:
        return
    key = "init.budget" if budget.certifiable else "init.budget_open"
    negatives = found.n_rows - found.n_positives
    said = texts.get(key, budget=budget.max_fpr, negatives=negatives)
    further = (
        texts.get("init.tighter_missing", budget=budget.tighter, n=budget.tighter_missing)
        if budget.tighter_missing
        else texts.get("init.tighter_possible", budget=budget.tighter)
    )
    screen.line(f"{said}; {further}")
    screen.data(max_fpr=budget.max_fpr, certifiable=budget.certifiable)
