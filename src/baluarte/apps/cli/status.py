"""How the detectors of this workspace stand: what there is, what blocks, what next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import msgspec

from baluarte.apps.catalogue import Texts
from baluarte.apps.channel_words import channel_name
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.gate_words import outcome_name
from baluarte.apps.numerals import spoken_instant
from baluarte.apps.place import find_workspace
from baluarte.apps.session import Session, session_of, texts_of
from baluarte.apps.standing import Standing, State, standing_of
from baluarte.apps.story import instant

_TONES: dict[State, Tone] = {"live": "kept", "provisional": "unsure", "failed": "broken",
                             "broken": "broken"}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte status``."""
    parser.add_argument("detector", nargs="?", help="default: all of the workspace")


def run(args: argparse.Namespace) -> int:
    """Tell how each detector stands; exit 1 where something blocks."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    names = [args.detector] if args.detector else sorted(place.workspace.detectors)
    with session_of(args, place) as session:
        found = [standing_of(session, place.detector(name)) for name in names]
        records = sum(session.reader.size(tag) for tag in session.reader.shards())
        lately = _lately(session, [standing.name for standing in found])
        beside = {standing.name: _beside(session, standing.name) for standing in found}
    for standing in found:
        tell(screen, texts, standing)
        if standing.champion is not None:
            screen.item(texts.get("status.lately"), lately_line(texts, lately[standing.name]))
        for version, moves in beside[standing.name].items():
            named = f"{standing.name}@{version}"
            screen.item(texts.get("status.shadow"), shadow_line(texts, named, moves))
    screen.data(
        detectors=[
            document(standing)
            | {
                "last_day": dict(_counted(lately[standing.name])),
                "challengers": [
                    {
                        "version": version,
                        "moves": [
                            {"champion": old, "challenger": new, "events": n}
                            for (old, new), n in sorted(moves.items())
                        ],
                    }
                    for version, moves in beside[standing.name].items()
                ],
            }
            for standing in found
        ],
        records=records,
    )
    screen.item(texts.get("status.ledger"), texts.get("status.records", n=records))
    screen.next(*dict.fromkeys(standing.next for standing in found))
    if not found:
        screen.next("baluarte init FOLDER --events FILE")
    return screen.end(1 if any(blocks(texts, standing) for standing in found) else 0)


def tell(screen: Screen, texts: Texts, standing: Standing) -> None:
    """One detector in a few lines."""
    for n, line in enumerate(state_lines(texts, standing)):
        label = f"{standing.name:<10}"[:10] if n == 0 and len(standing.name) <= 10 else ""
        if n == 0 and not label:
            screen.line(standing.name)
        screen.item(label, line, _TONES.get(standing.state, "plain") if n == 0 else "plain")
    for line in blocks(texts, standing):
        screen.item(texts.get("status.blocks"), line, "broken")
    if standing.champion is not None:
        screen.item(texts.get("status.inputs"), inputs_line(texts, standing), _inputs(standing))
        screen.item(texts.get("status.labels"), texts.get("status.n_labels", n=standing.labels))


_DAY_US = 86_400_000_000
Lately = dict[tuple[int, str], int]  #: band and outcome to events


def _lately(session: Session, names: list[str]) -> dict[str, Lately]:
    """What each detector decided in the last day, by the index over the ledger."""
    if not session.reader.shards():
        return {name: {} for name in names}
    index, since = session.indexed(), session.clock.now_us() - _DAY_US
    return {name: index.outcomes(since, None, detector=name) for name in names}


Moves = dict[tuple[str, str], int]  #: a champion's and a challenger's outcome to events


def _beside(session: Session, name: str) -> dict[int, Moves]:
    """What each challenger said in the last day beside the champion."""
    challengers = session.registry.challengers(name)
    if not challengers or not session.reader.shards():
        return {one.version: {} for one in challengers}
    index, since = session.indexed(), session.clock.now_us() - _DAY_US
    return {
        one.version: index.beside(since, None, detector=name, version=one.version)
        for one in challengers
    }


def shadow_line(texts: Texts, version: str, moves: Moves) -> str:
    """How often a challenger said something else, and what."""
    n = sum(moves.values())
    if not n:
        return texts.get("status.shadow_quiet", version=version)
    otherwise = sorted(
        ((k, old, new) for (old, new), k in moves.items() if old != new), reverse=True
    )
    said = [
        f"{outcome_name(texts, old)} → {outcome_name(texts, new)} {texts.numerals.count(k)}"
        for k, old, new in otherwise
    ]
    same = texts.get("status.shadow_same")
    return texts.get("status.shadow_day", version=version, n=n, moves=", ".join(said) or same)


def _counted(lately: Lately) -> Iterator[tuple[str, int]]:
    return ((outcome, n) for (_, outcome), n in sorted(lately.items()))


def lately_line(texts: Texts, lately: Lately) -> str:
    """How many events were decided in the last day, and how."""
    said = [
        f"{outcome_name(texts, name)} {texts.numerals.count(n)}" for name, n in _counted(lately)
    ]
    return texts.get("status.last_day", n=sum(lately.values()), outcomes=", ".join(said) or "–")


def state_lines(texts: Texts, standing: Standing) -> list[str]:
    """What decides, and what is on its way."""
    lines = []
    newest, champion = standing.newest, standing.champion
    if champion is not None:
        at = champion.sealed_at if standing.since is None else standing.since.at
        version = f"{standing.name}@{champion.version}"
        lines.append(texts.get("status.live", version=version, at=spoken_instant(at)))
    if newest is not None and newest != champion:
        version = f"{standing.name}@{newest.version}"
        if newest.provisional:
            lines.append(texts.get("status.provisional", version=version))
        elif champion is None or newest.version > champion.version:
            lines.append(texts.get("status.sealed", version=version))
    if standing.pending is not None:
        evidence = standing.pending.evidence
        key = "candidate" if evidence is None else f"candidate_{evidence.verdict}"
        lines.append(texts.get(f"status.{key}"))
    if newest is None:
        lines.insert(0, texts.get("status.none"))
    return lines


def blocks(texts: Texts, standing: Standing) -> list[str]:
    """What stands in the way of the next step."""
    lines = [str(fault) for fault in standing.faults]
    newest = standing.newest
    if newest is not None and standing.missing_approvals and not newest.provisional:
        version = f"{standing.name}@{newest.version}"
        n = standing.missing_approvals
        lines.append(texts.get("status.waiting", version=version, n=n))
    if standing.needs is not None:
        needs = standing.needs
        lines.append(
            texts.get(
                "status.needs",
                look=needs.look,
                positives=needs.positives,
                negatives=needs.negatives,
            )
        )
    if standing.state == "failed":
        lines.append(texts.get("gate.blind"))
    return lines


def inputs_line(texts: Texts, standing: Standing) -> str:
    """Whether drift is watched, and the last alarm."""
    if not standing.armed:
        return texts.get("status.not_armed")
    if not standing.alarms:
        return texts.get("status.quiet", n=standing.events_watched)
    alarm = standing.last_alarm
    moved = "" if alarm is None else str(alarm.details.get("channels") or "")
    names = [channel_name(texts, channel) for channel in moved.split(", ") if channel]
    return texts.get(
        "status.alarms",
        n=standing.alarms,
        at="–" if alarm is None else spoken_instant(alarm.at),
        channels=", ".join(names) or "–",
    )


def _inputs(standing: Standing) -> Tone:
    if not standing.armed:
        return "unsure"
    return "broken" if standing.moved else "kept"


def document(standing: Standing) -> dict[str, object]:
    """A detector's standing for a program; its keys never translate."""
    pending, champion, since = standing.pending, standing.champion, standing.since
    evidence = None if pending is None else pending.evidence
    return {
        "detector": standing.name,
        "state": standing.state,
        "champion": None if champion is None else champion.version,
        "since": None if since is None else instant(since.at),
        "versions": [
            {
                "version": v.version,
                "digest": v.digest,
                "sealed_at": instant(v.sealed_at),
                "sealed_by": v.sealed_by,
                "provisional": v.provisional,
            }
            for v in standing.versions
        ],
        "candidate": None
        if pending is None
        else {
            "digest": pending.candidate,
            "verdict": None if evidence is None else evidence.verdict,
        },
        "missing_approvals": standing.missing_approvals,
        "needs": None
        if standing.needs is None
        else {
            "look": standing.needs.look,
            "positives": standing.needs.positives,
            "negatives": standing.needs.negatives,
        },
        "faults": [str(fault) for fault in standing.faults],
        "labels": standing.labels,
        "drift_armed": standing.armed,
        "events_watched": standing.events_watched,
        "alarms": standing.alarms,
        "moved": standing.moved,
        "last_alarm": None
        if standing.last_alarm is None
        else msgspec.to_builtins(standing.last_alarm) | {"at": instant(standing.last_alarm.at)},
        "next": standing.next,
    }
