"""Infer: from the columns of a file to a ``detector.toml`` of at most 40 lines and its workspace.

The file written is plain and short; everything guessed is said, the least sure first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from baluarte.core.bounds import chosen_alpha, fewest_negatives, look_alpha
from baluarte.core.contract import Budget, Contract
from baluarte.core.contract_surface import NAME_PATTERN
from baluarte.core.contract_toml import parse_contract
from baluarte.core.nearest import did_you_mean
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import PLAIN, Reading
from baluarte.core.ready import ReadySchema
from baluarte.core.schema import FieldType
from baluarte.core.shares import solve_shares
from baluarte.errors import ContractError, DataError
from baluarte.stages.infer_roles import QUESTIONS, Guess, guess, settle

MAX_LINES = 40
WIDTH = 100
BUDGETS = (0.01, 0.05, 0.1)  #: from the usual one to the loosest worth promising
TIGHTER = 0.001  #: what is said about the next tighter budget
GUESSED_RECALL = 0.5
MICROSECONDS_PER_DAY = 86_400e6
TYPE_ORDER: tuple[FieldType, ...] = (
    "time", "category", "number", "integer", "boolean", "ip", "text"
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetChoice:
    """The budget that was picked, and whether the data can certify it."""

    max_fpr: float
    certifiable: bool
    tighter: float
    tighter_missing: int  #: negatives still missing to certify the tighter one; 0 is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """What ``init`` writes, and what it should say about it."""

    contract_text: str
    workspace_text: str
    contract: Contract
    n_rows: int
    n_positives: int | None  #: estimated from the rows looked at; None without a label
    budget: BudgetChoice | None  #: None without a label
    doubts: tuple[tuple[str, str], ...]  #: (field, question), the least sure first
    odd: Mapping[str, tuple[int, str]]  #: by field: how many of its values are none, and the first


def infer(
    columns: Sequence[RawColumn],
    *,
    name: str,
    events: str,
    n_rows: int,
    label: str | None = None,
    owner: str = "name who answers for it",
    purpose: str = "Say which events are attacks",
    ready: ReadySchema | None = None,
    reading: Reading = PLAIN,
) -> Inferred:
    """The files of a new detector.

    Args:
        name: of the detector; brought to its grammar.
        events: address of the events as the workspace should name it.
        n_rows: rows of the file, of which the columns may have seen only the first.
        purpose: of the detector, for those who read what it decided.
        label: the label's column where it is known.
        ready: what the fields of this kind of events are; other columns are no fields then.
        reading: how the file is read; the workspace says so where it isn't plain.

    Raises:
        ContractError: there is no such column.
        DataError: there are no columns or no rows.
    """
    if not columns or n_rows == 0:
        raise DataError("expected columns with values; found none", where=events)
    names = [column.name for column in columns]
    if label is not None and label not in names:
        message = f"no column {label}."
        raise ContractError(message, where="--label", hint=did_you_mean(label, names))
    guessed = guess(columns, label=label)
    if ready is not None:
        columns = settle(guessed, columns, ready)
    plain = plain_name(name)
    head = _head(plain, purpose, owner, guessed, open_ended=ready is not None)
    n_positives = _positives(guessed, n_rows)
    budget = None
    if n_positives is None:
        objective = _unlabelled_objective(columns, guessed, n_rows)
    else:
        budget = _budget(head + _types(columns, guessed, WIDTH), n_rows, n_positives)
        guessed.doubts.append(("objective.min_recall", "recall"))
        objective = [
            "[objective]",
            f"min_recall = {GUESSED_RECALL}  # a guess: `baluarte train` rehearses what it reaches",
            f"max_fpr = {budget.max_fpr}",
        ]
    text = _fit_lines(head, columns, guessed, objective)
    return Inferred(
        contract_text=text,
        workspace_text=_workspace(plain, events, reading),
        contract=parse_contract(text, where=f"{plain}/detector.toml"),
        n_rows=n_rows,
        n_positives=n_positives,
        budget=budget,
        odd={column.name: (column.n_odd, column.odd[0]) for column in columns if column.n_odd},
        doubts=tuple(sorted(guessed.doubts, key=lambda doubt: QUESTIONS.index(doubt[1]))),
    )


def plain_name(name: str) -> str:
    """A name in the grammar of detectors.

    >>> plain_name("My Detector.2"), plain_name("2nd")
    ('my-detector-2', 'd-2nd')
    """
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:61] or "detector"
    return plain if re.match(NAME_PATTERN, plain) else f"d-{plain}"


def quoted(text: str) -> str:
    """The text as a TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _head(name: str, purpose: str, owner: str, guessed: Guess, *, open_ended: bool) -> list[str]:
    lines = [
        f"name = {quoted(name)}",
        f"purpose = {quoted(purpose)}  # say for whom",
        f"owner = {quoted(owner)}",
        "",
    ]
    roles = list(_roles(guessed))
    if open_ended:
        roles.append('unknown = "ignore"  # such events have more keys than any list')
    return [*lines, "[events]", *roles, ""] if roles else lines


def _roles(guessed: Guess) -> Iterator[str]:
    label = guessed.label.name if guessed.label else None
    single = {
        "label": label,
        "family": guessed.family,
        "id": guessed.id,
        "time": guessed.time,
        "entity": guessed.entity,
    }
    several = {
        "positive": guessed.positive,
        "negative": guessed.negative,
        "ignored": guessed.ignored,
        "sensitive": guessed.sensitive,
    }
    for key in (
        "label",
        "positive",
        "negative",
        "family",
        "id",
        "time",
        "entity",
        "ignored",
        "sensitive",
    ):
        one, many = single.get(key), several.get(key)
        if one is not None:
            yield f"{key} = {quoted(one)}"
        elif many:
            yield f"{key} = [{', '.join(quoted(each) for each in many)}]"


def _types(columns: Sequence[RawColumn], guessed: Guess, width: int) -> list[str]:
    lines = ["[types]"]
    for kind in TYPE_ORDER:
        names = [quoted(c.name) for c in columns if guessed.types[c.name] == kind]
        if names:
            lines += _list(kind, names, width)
    if guessed.time is not None and guessed.time_unit not in (None, "s"):
        lines += ["", f"[fields.{quoted(guessed.time)}]", f'unit = "{guessed.time_unit}"']
    return [*lines, ""]


def _list(key: str, items: list[str], width: int) -> list[str]:
    """``key = [ … ]`` on one line if it fits, else in lines of at most this width."""
    line = f"{key} = [{', '.join(items)}]"
    if len(line) <= width:
        return [line]
    lines, row = [f"{key} = ["], "  "
    for item in items:
        if len(row) + len(item) + 1 > width and row.strip():
            lines.append(row.rstrip())
            row = "  "
        row += f"{item}, "
    return [*lines, row.rstrip(), "]"]


def _fit_lines(
    head: list[str], columns: Sequence[RawColumn], guessed: Guess, objective: list[str]
) -> str:
    """The whole file, its lists wrapped at 100 columns, or wider if 40 lines are not enough."""
    width = WIDTH
    while True:
        lines = [*head, *_types(columns, guessed, width), *objective]
        if len(lines) <= MAX_LINES:
            return "\n".join(lines) + "\n"
        width *= 2


def _positives(guessed: Guess, n_rows: int) -> int | None:
    """Attacks in all rows, as the counts of the rows looked at suggest."""
    label = guessed.label
    if label is None:
        return None
    counts = dict(zip(label.examples, label.counts, strict=False))
    known = label.n - label.n_missing
    listed = sum(counts.get(value, 0) for value in guessed.positive or guessed.negative)
    positives = listed if guessed.positive else known - listed
    return round(n_rows * positives / label.n) if label.n else 0


def _budget(text: list[str], n_rows: int, n_positives: int) -> BudgetChoice:
    """The usual budget if the split's threshold and proof rows can certify it, else a looser."""
    lines = [*text, "[objective]", f"max_fpr = {BUDGETS[0]}"]
    contract = parse_contract("\n".join(lines), where="detector.toml")
    negatives = n_rows - n_positives
    chosen = next((b for b in BUDGETS if _certifies(contract, b, negatives, n_positives)), None)
    return BudgetChoice(
        max_fpr=chosen or BUDGETS[-1],
        certifiable=chosen is not None,
        tighter=TIGHTER,
        tighter_missing=_missing(contract, TIGHTER, negatives, n_positives),
    )


def _certifies(contract: Contract, max_fpr: float, negatives: int, positives: int) -> bool:
    """Whether train's own split would give rows enough to set and prove this budget."""
    if not negatives:
        return False
    budget = Budget(kind="max_fpr", value=max_fpr)
    asked = replace(
        contract,
        objective=replace(contract.objective, budget=budget),
        bands=(contract.bands[0], replace(contract.bands[1], budget=budget)),
    )
    shares = solve_shares(asked, n_negatives=negatives, n_positives=positives)
    rows = {share.part: int(share.share * negatives) for share in shares}
    try:
        chosen = chosen_alpha(
            max_fpr=max_fpr,
            n_cal=rows["threshold"],
            n_proof=rows["proof"],
            confidence=contract.objective.confidence,
            alpha_gate=look_alpha(1 - contract.objective.confidence, 1),
        )
    except DataError:
        return False
    return chosen is not None


def _missing(contract: Contract, max_fpr: float, negatives: int, positives: int) -> int:
    """Negatives that are missing to certify a budget, to within 2 %; 0 if none are."""
    if _certifies(contract, max_fpr, negatives, positives):
        return 0
    few = negatives
    enough = max(negatives, fewest_negatives(max_fpr, contract.objective.confidence))
    while not _certifies(contract, max_fpr, enough, positives):
        few, enough = enough, 2 * enough
    while enough - few > enough // 50:
        middle = (few + enough) // 2
        if _certifies(contract, max_fpr, middle, positives):
            enough = middle
        else:
            few = middle
    return enough - negatives


def _unlabelled_objective(columns: Sequence[RawColumn], guessed: Guess, n_rows: int) -> list[str]:
    """Without labels only a number of alerts can be promised: one event in a hundred."""
    per_day = float(n_rows)
    time = next((c for c in columns if c.name == guessed.time), None)
    if time is not None and time.physical == "time" and time.high and time.low is not None:
        days = max((time.high - time.low) / MICROSECONDS_PER_DAY, 1.0)
        per_day = time.n / days
    guessed.doubts.append(("objective.events_per_day", "events_per_day"))
    return [
        "[objective]",
        f"events_per_day = {max(round(per_day), 1)}",
        f"max_alerts_per_day = {max(per_day / 100, 0.01):.6g}",
    ]


def _workspace(name: str, events: str, reading: Reading) -> str:
    lines = [f"[detectors.{name}]", 'path = "detector.toml"', f"events = {quoted(events)}", ""]
    said = {
        key: value
        for key, value in msgspec.structs.asdict(reading).items()
        if value != getattr(PLAIN, key)
    }
    if said:
        lines += [f"[detectors.{name}.reading]"]
        lines += [
            f"{key} = [{', '.join(map(quoted, value))}]"
            if isinstance(value, tuple)
            else f"{key} = {quoted(value)}"
            for key, value in said.items()
        ]
        lines.append("")
    return "\n".join(lines)
