"""Monotone: the contract's promises on single fields, shown on the sealed program itself."""

from __future__ import annotations

from baluarte.core.contract import Contract
from baluarte.core.encode import Encoder
from baluarte.core.program.model import Program
from baluarte.core.program.monotone import is_monotone
from baluarte.errors import ContractError


def hold_monotone(contract: Contract, encoder: Encoder, program: Program) -> str:
    """What was shown, in words for the evidence; empty where nothing is promised.

    Raises:
        ContractError: the program is not monotone in a field, or isn't shown to be.
    """
    shown = []
    for at, column in enumerate(encoder.columns):
        promised = contract.events[column.field].monotone
        if promised not in ("up", "down"):
            continue
        if not is_monotone(program, at, 1 if promised == "up" else -1):
            raise ContractError(
                f"the score is not shown to be monotone ({promised}) in {column.field}",
                where=f"fields.{column.field}.monotone",
                hint="Train with families that promise it (lightgbm, xgboost, random_forest, "
                "extra_trees, hist_gradient_boosting), or take the promise back.",
            )
        shown.append(f"{column.field} {promised}")
    return ", ".join(shown)
