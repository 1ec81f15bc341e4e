"""Counterfactuals as the command line, the SDK and the page have them: opened, timed, in words."""

from __future__ import annotations

import time
from collections.abc import Callable

from baluarte import wiring
from baluarte.apps.catalogue import Texts
from baluarte.apps.gate_words import outcome_name
from baluarte.core.bundle import SealedBundle
from baluarte.core.candidate import Candidate
from baluarte.core.event import Value
from baluarte.stages.counterfactual import Change, Counterfactual, Counterfactuals
from baluarte.stages.score import Scorer

SECONDS = 10.0  #: that a proof may take unless it is said otherwise
MOST_NODES = 100_000  #: that it may look at


def counterfactuals_of(
    bundle: SealedBundle | Candidate, scorer: Scorer | None = None
) -> Counterfactuals:
    """The searches that are registered, for one detector.

    Raises:
        DataError: it was sealed without the spread of its fields.
    """
    return Counterfactuals(
        scorer or Scorer(bundle, kernel=wiring.kernel_choice()),
        bundle,
        quick=wiring.plugin("explain", "beam", where="explain"),
        exact=wiring.plugin("explain", "branch_and_bound", where="explain"),
    )


def deadline(seconds: float) -> Callable[[int], bool]:
    """Whether a search that starts now has had its time, or its nodes."""
    until = time.monotonic() + seconds
    return lambda nodes: nodes >= MOST_NODES or time.monotonic() >= until


def otherwise_line(texts: Texts, found: Counterfactual | None) -> str:
    """What would have made the outcome another, as a sentence without its end."""
    if found is None:
        return texts.get("counterfactual.none")
    several = len(found.changes) > 1
    said = [_change(texts, change, was=not several) for change in found.changes]
    changes = said[0] if said else ""
    if several:
        changes = f"{', '.join(said[:-1])} {texts.get('word.and')} {said[-1]}"
    key = "would_pass" if found.would_be == "pass" else "would"
    outcome = outcome_name(texts, found.would_be)
    return texts.get(f"counterfactual.{key}", outcome=outcome, changes=changes)


def proof_of_least(texts: Texts, found: Counterfactual) -> str:
    """What is known of how small the change is."""
    if found.gap is None:
        return texts.get("counterfactual.quick")
    if found.gap == 0:
        return texts.get("counterfactual.proved", n=found.nodes)
    return texts.get("counterfactual.gap", gap=found.gap, n=found.nodes)


def _change(texts: Texts, change: Change, *, was: bool) -> str:
    key = {"all_below": "at_most", "all_above": "at_least"}.get(change.reaches, "equals")
    said = texts.get(f"counterfactual.{key}", field=change.field, value=_value(texts, change.said))
    if not was:
        return said
    before = _value(texts, change.before)
    return texts.get("counterfactual.was", change=said, before=before)


def _value(texts: Texts, value: Value | None) -> str:
    if value is None:
        return texts.get("word.missing")
    return texts.numerals.number(value, 6) if isinstance(value, float) else str(value)
