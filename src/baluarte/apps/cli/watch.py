"""Has what we see now moved away from the baseline, and is the promise kept?"""

from __future__ import annotations

import argparse
import time

import msgspec

from baluarte.apps.catalogue import Texts
from baluarte.apps.channel_words import channel_name
from baluarte.apps.cli.screen import Screen, Tone
from baluarte.apps.place import find_workspace
from baluarte.apps.session import add_actor, session_of, texts_of
from baluarte.apps.watching import Watch
from baluarte.core.drift import Alarm
from baluarte.core.episodes import Episode
from baluarte.stages.watch import AT_MOST, Kept, Promise, Seen

_TONES: dict[str, Tone] = {"kept": "kept", "open": "unsure", "broken": "broken"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte watch``."""
    parser.add_argument("detector", nargs="?", help="default: the one of this folder")
    parser.add_argument("--once", action="store_true", help="look once and stop")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between looks")
    parser.add_argument("--page", metavar="FILE", help="write the watch's page there")
    add_actor(parser)


def run(args: argparse.Namespace) -> int:
    """Watch; exit 1 where something moved or the promise is broken."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    detector = place.detector(args.detector)
    texts = screen.speaks(texts_of(args, place))
    with session_of(args, place) as session:
        watch = Watch(session, detector.name)
        while True:
            seen = watch.step()
            tell_inputs(screen, texts, seen, arl=place.workspace.watch.arl)
            if args.once:
                break
            time.sleep(args.every)
        said = watch.promise(detector.contract())
        tell_promise(screen, texts, said)
        if args.page:
            from baluarte.apps.watch_page import (  # noqa: PLC0415 - only where asked for
                write_watch_page,
            )

            write_watch_page(args.page, session, detector.name, seen=seen, said=said, texts=texts)
            screen.item(texts.get("plan.page"), args.page)
    screen.data(
        events=seen.watching.events,
        armed=seen.armed,
        alarms=[msgspec.to_builtins(alarm) for alarm in seen.alarms],
        lasting=[msgspec.to_builtins(episode) for episode in seen.watching.lasting],
        labelled=said.n_labelled,
        promise=[
            {"figure": k.figure.name, "value": k.figure.value, "limit": k.limit, "state": k.state}
            for k in said.figures
        ],
    )
    broken = said.broken or bool(seen.alarms) or bool(seen.watching.lasting)
    screen.next("baluarte retrain" if said.broken else "baluarte label FILE")
    return screen.end(1 if broken else 0)


def tell_inputs(screen: Screen, texts: Texts, seen: Seen, *, arl: float) -> None:
    """Whether the inputs moved: a line for each new alarm and for each change that lasts."""
    for alarm in seen.alarms:
        screen.item(texts.get("screen.inputs"), alarm_line(texts, alarm), "broken")
    told = {alarm.at for alarm in seen.alarms}
    lasting = seen.watching.lasting
    for episode in lasting:
        if episode.first.at not in told or episode.n > 1:
            screen.item("", episode_line(texts, episode, lasts=True), "broken")
    if seen.alarms or lasting:
        return
    if not seen.armed:
        screen.item(texts.get("screen.inputs"), texts.get("screen.unarmed"), "unsure")
        return
    said = texts.get("drift.quiet", arl=arl, n=seen.watching.events)
    screen.item(texts.get("screen.inputs"), said, "kept")


def alarm_line(texts: Texts, alarm: Alarm) -> str:
    """An alarm as a sentence: after how many events, and which channels carry it."""
    channels, share = carried(texts, alarm)
    return texts.get("drift.alarm", n=alarm.at, channels=channels, share=share)


def carried(texts: Texts, alarm: Alarm) -> tuple[str, float]:
    """The channels that carry most of an alarm, and how much of it."""
    names = [_channel(texts, moved.channel, moved.direction) for moved in alarm.moved[:3]]
    return ", ".join(names), min(sum(moved.share for moved in alarm.moved[:3]), 1.0)


def episode_line(texts: Texts, episode: Episode, *, lasts: bool) -> str:
    """One change of the inputs: since when, how often it alarmed, what carries it, does it last."""
    names = [channel_name(texts, channel) for channel, _ in episode.carried()[:3]]
    return texts.get(
        "drift.lasts" if lasts else "drift.over",
        first=episode.first.at,
        last=episode.latest.at,
        n=episode.n,
        channels=", ".join(names),
    )


def _channel(texts: Texts, channel: str, direction: str) -> str:
    if direction == "unseen":
        return f"{channel} ({texts.get('word.unseen')})"
    if direction == "missing":
        return texts.get("drift.channel_missing", field=channel)
    return channel_name(texts, channel)


def tell_promise(screen: Screen, texts: Texts, said: Promise) -> None:
    """What the labels say, in a line a promised figure."""
    if not said.figures:
        screen.item(texts.get("screen.promise"), texts.get("harm.no_labels"), "unsure")
    for kept in said.figures:
        screen.item(texts.get("screen.promise"), kept_line(texts, kept), _TONES[kept.state])


def kept_line(texts: Texts, kept: Kept) -> str:
    """One promised figure with its bounds."""
    name = kept.figure.name
    sign = "≤" if name in AT_MOST else "≥"
    as_text = texts.numerals.number if name == "mean_cost" else texts.numerals.percent
    return texts.get(
        f"harm.interval_{kept.state}",
        figure=texts.get(f"figure.{name}"),
        value=as_text(kept.figure.value),
        low=as_text(kept.figure.low or 0.0),
        high=as_text(1.0 if kept.figure.high is None else kept.figure.high),
        limit=f"{sign} {as_text(kept.limit)}",
    )
