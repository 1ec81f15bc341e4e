"""Findings by name: which of them the author has accepted, and which stand in the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from baluarte.core.contract import Contract
from baluarte.core.evidence import Finding

_RANK = {"block": 0, "warn": 1, "note": 2}


def finding_name(finding: Finding) -> str:
    """The name by which ``[plan.accept]`` accepts a finding.

    >>> finding_name(Finding(check="constant", level="note", field="num_outbound_cmds"))
    'constant_num_outbound_cmds'
    >>> finding_name(Finding(check="balance.rare", level="warn"))
    'balance_rare'
    """
    check = finding.check.replace(".", "_")
    return check if finding.field is None else f"{check}_{finding.field}"


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Blocks, then warnings, then notes; otherwise in the order given."""
    return sorted(findings, key=lambda finding: _RANK[finding.level])


def blocking(findings: Sequence[Finding], contract: Contract) -> list[Finding]:
    """The findings that stop the road until they are cured: blocks that nobody accepted."""
    accepted = {accept.finding for accept in contract.accept}
    return [f for f in findings if f.level == "block" and finding_name(f) not in accepted]
