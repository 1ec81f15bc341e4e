"""The whole life of a detector in two minutes: train, prove, serve, see it broken, retrain."""

from __future__ import annotations

import argparse
import time
import webbrowser
from pathlib import Path

from baluarte.apps.cli.screen import Screen
from baluarte.apps.session import texts_anywhere


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte demo``."""
    parser.add_argument("--fraud", action="store_true", help="on simulated card payments")
    parser.add_argument("--out", default="demo", metavar="FOLDER", help="default: demo")
    parser.add_argument("--seed", type=int, default=20, help="of order and simulation")
    parser.add_argument("--port", type=int, default=0, help="of the server (default: a free one)")
    parser.add_argument("--open", action="store_true", help="open the report in a browser")


def run(args: argparse.Namespace) -> int:
    """Run the demo; exit 1 where one of the five promises did not hold on this run."""
    started = time.monotonic()
    from baluarte.apps.demo.checks import TONES  # noqa: PLC0415 - the first line comes at once
    from baluarte.apps.demo.page import demo_page  # noqa: PLC0415 - the first line comes at once
    from baluarte.apps.demo.run import Demo, Options  # noqa: PLC0415 - likewise

    screen = Screen(as_json=args.json)
    texts = screen.speaks(texts_anywhere(args))
    out = Path(args.out)
    options = Options(out=out, fraud=args.fraud, seed=args.seed, port=args.port)
    story = Demo(options, screen, texts).run()
    report = out / "report.html"
    report.write_text(demo_page(story, texts), "utf-8")
    screen.item(texts.get("demo.report"), str(report))
    screen.line()
    screen.line(texts.get("demo.promises", folder=str(out), seconds=round(story.seconds)))
    names = {check.key: texts.get(f"promise.{check.key}") for check in story.checks}
    column = max(map(len, names.values()))
    for check in story.checks:
        state = texts.get(f"demo.{check.state}")
        line = f"{names[check.key]:<{column}} {state:<12} {check.command}"
        screen.line(line, TONES[check.state])
    held = all(check.held for check in story.checks)
    screen.data(
        report=str(report),
        seconds=time.monotonic() - started,
        promises={check.key: check.held for check in story.checks},
        alarms=len(story.alarms),
        versions=[f"{v.detector}@{v.version}" for v in story.versions],
    )
    screen.next("baluarte init mine --events YOUR_FILE")
    if args.open:
        webbrowser.open(report.resolve().as_uri())
    return screen.end(0 if held else 1)
