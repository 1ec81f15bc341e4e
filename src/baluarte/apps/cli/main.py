"""The command line's door: find the command, parse, run it, render what went wrong.

Only the module of the command that was typed is imported: ``baluarte --help`` loads no numpy.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NoReturn

from baluarte import __version__
from baluarte.errors import BaluarteError


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its group and line in ``--help``, and the module that holds it."""

    name: str
    group: str
    summary: str

    def load(self) -> ModuleType:
        """The command's module: it has ``add_arguments(parser)`` and ``run(args) -> int``."""
        return importlib.import_module(f"baluarte.apps.cli.{self.name}")


COMMANDS = (
    Command("init", "Build", "write detector.toml and workspace.toml from a file of events"),
    Command("plan", "Build", "look at the data before anyone trains; --fix writes a cure"),
    Command("data", "Build", "which data it is: digest, size; DVC's files read and written"),
    Command("train", "Build", "train a candidate and rehearse its gates on tuning rows"),
    Command("prove", "Build", "spend a look at the proof rows: pass, fail or not enough data"),
    Command("seal", "Build", "sign the proved candidate as the next version"),
    Command("build", "Build", "plan, train, prove and seal; stops at the first no"),
    Command("adopt", "Build", "seal a model that another tool made, with a certificate"),
    Command("approve", "Decide", "approve a version, as another person than its authors"),
    Command("promote", "Decide", "make a version the champion"),
    Command("rollback", "Decide", "make the champion before this one the champion again"),
    Command("shadow", "Decide", "let a version score beside the champion and decide nothing"),
    Command("score", "Decide", "score a file of events"),
    Command("backfill", "Decide", "warm the memory of window features with events of the past"),
    Command("serve", "Decide", "answer decisions over HTTP"),
    Command("status", "Understand", "what there is, what blocks, what next"),
    Command("explain", "Understand", "the whole story of one decision"),
    Command("diff", "Understand", "what changed between two versions, and for which events"),
    Command("replay", "Understand", "compute past decisions again, bit for bit"),
    Command("watch", "Watch", "has what we see now moved away from the baseline?"),
    Command("label", "Watch", "take labels in from a file or a database"),
    Command("retrain", "Watch", "a challenger by the same road, from decisions and their labels"),
    Command("subject", "People", "what is recorded about a person, to hand over"),
    Command("erase", "People", "erase people for good; every proof stays valid"),
    Command("verify", "Prove to others", "check a bundle: signature, digests, --bits"),
    Command("ledger", "Prove to others", "verify, prove, show or export the ledger"),
    Command("witness", "Prove to others", "see that others' ledgers only grow, and cosign them"),
    Command("report", "Prove to others", "evidence and guarantees as a page"),
    Command("console", "Run", "people sign in, approve, promote, hand out keys, over HTTP"),
    Command("backup", "Run", "copy everything that counts, while it runs"),
    Command("restore", "Run", "bring a backup back, checked by its proofs"),
    Command("keys", "Run", "keys that sign: make, trust, revoke; API keys: issue, withdraw"),
    Command("users", "Run", "who may ask: accounts, their roles in tenants, passwords"),
    Command("doctor", "Run", "is this machine fit to run Baluarte?"),
    Command("demo", "Run", "the whole life of a detector in two minutes"),
)


def _help() -> str:
    lines = [
        f"Baluarte {__version__}: a detection model from plan to proof to production.",
        "",
        "Usage: baluarte COMMAND …        baluarte COMMAND --help        baluarte --version",
    ]
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines += ["", group]
        lines += [f"  {c.name:<10} {c.summary}" for c in COMMANDS if c.group == group]
    lines += ["", "Next: baluarte demo, or baluarte init mine --events YOUR_FILE"]
    return "\n".join(lines)


class _Parser(argparse.ArgumentParser):
    """argparse with our exit: a wrong word is a fault of who typed it (2), with the cure."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"  {message}\n  Next: {self.prog} --help\n")
        raise SystemExit(2)


def _common(parser: argparse.ArgumentParser, *, verb: bool = False) -> None:
    """Arguments of every command; of a verb again, where they only override what stood before."""
    absent = argparse.SUPPRESS if verb else None
    group = parser.add_argument_group("everywhere")
    group.add_argument(
        "--json",
        action="store_true",
        default=absent or False,
        help="one JSON document instead of text",
    )
    group.add_argument(
        "--lang",
        choices=("en", "es"),
        default=absent,
        help="language of texts (default: workspace)",
    )
    group.add_argument(
        "--workspace",
        metavar="FILE",
        default=absent,
        help="workspace.toml (default: searched upwards)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=absent or [],
        metavar="KEY=VALUE",
        help="override a key of workspace.toml, such as serve.workers=4",
    )
    for action in parser._actions:  # noqa: SLF001 - argparse keeps no other list of the verbs
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            for under in action.choices.values():
                _common(under, verb=True)


def parser_of(command: Command) -> argparse.ArgumentParser:
    """The full parser of one command; the reference is generated from it."""
    module = command.load()
    parser = _Parser(prog=f"baluarte {command.name}", description=(module.__doc__ or "").strip())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(parser)
    _common(parser)
    return parser


def _unknown(word: str) -> int:
    import difflib  # noqa: PLC0415 - only on this road

    near = difflib.get_close_matches(word, [c.name for c in COMMANDS], n=1)
    cure = f" Did you mean {near[0]}?" if near else ""
    sys.stderr.write(f"  {word}: no such command.{cure}\n  Next: baluarte --help\n")
    return 2


def _fail(error: BaluarteError, *, as_json: bool) -> int:
    if as_json:
        import json  # noqa: PLC0415 - only on this road

        faults = [{"message": f.message, "where": f.where, "hint": f.hint} for f in error.faults]
        print(json.dumps({"error": type(error).__name__, "faults": faults}, ensure_ascii=False))
    else:
        for fault in error.faults:
            sys.stderr.write(f"  {fault}\n")
        if len(error.faults) > 1:
            sys.stderr.write(f"  {len(error.faults)} faults\n")
    return error.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (errors.py says which status means what)."""
    try:
        try:
            return _answer(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has read enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _answer(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_help())
        return 0
    if words[0] in {"--version", "-V"}:
        print(f"baluarte {__version__}")
        return 0
    command = next((c for c in COMMANDS if c.name == words[0]), None)
    if command is None:
        return _unknown(words[0])
    return _run(command, parser_of(command).parse_args(words[1:]))


def _say(args: argparse.Namespace, key: str) -> str:
    """A text of the catalogue in the reader's language."""
    from baluarte.apps.session import texts_anywhere  # noqa: PLC0415 - only on this road

    return texts_anywhere(args).get(key)


def _run(command: Command, args: argparse.Namespace) -> int:
    def tell_warning(message: Warning | str, *_: object, **__: object) -> None:
        """A warning as a line like others, without the place in the code where it arose."""
        from baluarte.core.program.evaluate import SlowerWarning  # noqa: PLC0415 - loads numpy

        slower = isinstance(message, SlowerWarning)
        sys.stderr.write(f"  {_say(args, 'screen.no_kernel') if slower else message}\n")

    warnings.showwarning = tell_warning
    # A race within scikit-learn, harmless and many lines long.
    warnings.filterwarnings("ignore", message="`sklearn.utils.parallel.delayed`")
    try:
        return int(command.load().run(args))
    except BaluarteError as error:
        return _fail(error, as_json=args.json)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n  {_say(args, 'screen.stopped')}\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
