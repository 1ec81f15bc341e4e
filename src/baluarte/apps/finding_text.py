"""A finding in words: what was found, and what cures it."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.core.evidence import Finding
from baluarte.core.findings import finding_name

TRANSLATED = ("what",)  #: values that are themselves keys of the catalogue


def finding_text(texts: Texts, finding: Finding) -> str:
    """The finding as a sentence. A check that the catalogue doesn't know speaks by its values."""
    values = dict(finding.values)
    for key in TRANSLATED:
        if f"{key}.{values.get(key)}" in texts:
            values[key] = texts.get(f"{key}.{values[key]}")
    if f"check.{finding.check}" in texts:
        return texts.get(f"check.{finding.check}", **values)
    told = ", ".join(f"{key} {value}" for key, value in values.items())
    return f"{finding_name(finding)}: {told}" if told else finding_name(finding)


def cure_text(texts: Texts, finding: Finding) -> str:
    """What to do: a command where one cures it, else how to accept it by name."""
    if finding.fix is not None:
        return texts.get("cure.fix", command=fix_command(finding))
    return texts.get("cure.accept", command=accept_command(finding))


def accept_command(finding: Finding) -> str:
    """The command that accepts a finding by name; the reason is the author's to write."""
    from shlex import quote  # noqa: PLC0415 - only where a finding is shown

    return f'baluarte plan --accept {quote(finding_name(finding))} --because "…"'


def fix_command(finding: Finding) -> str:
    """The command that cures a finding, its argument quoted where a shell needs it."""
    from shlex import quote  # noqa: PLC0415 - only where a finding is shown

    return f"baluarte plan --fix {quote(finding.fix or '')}"
