"""The first page of an audit pack: what was drawn, what came of it, and how to check it alone."""

from __future__ import annotations

from baluarte import __version__
from baluarte.apps.audit import Approved, Audit, Drawn
from baluarte.apps.catalogue import Texts
from baluarte.apps.gate_words import act_name, gate_sentence, outcome_name
from baluarte.apps.html import Html, tag
from baluarte.apps.numerals import spoken_instant
from baluarte.apps.page import (
    command,
    facts,
    listing,
    notice,
    page,
    paragraph,
    section,
    table,
    verdict,
)
from baluarte.apps.replay_words import difference_text
from baluarte.core.decision import ActRecord
from baluarte.core.keys import PublicKey

_CHECK = "python3 verify.py --pack . checkpoint KEYS"


def audit_page(found: Audit, keys: list[PublicKey], texts: Texts) -> Html:
    """The whole page."""
    n, different = len(found.decisions), found.n_different
    lead = "audit.lead" if found.holds else "audit.lead_broken"
    anchor = found.anchor
    return page(
        texts.get("audit.title"),
        language=texts.language,
        eyebrow=f"Baluarte · {anchor.checkpoint.origin}",
        lead=texts.get(lead, n=n, of=found.counts["decision"], different=different),
        sections=[
            facts(
                [
                    (texts.get("audit.drawn"), texts.numerals.count(n)),
                    (texts.get("audit.identical"), texts.numerals.count(found.n_identical)),
                    (texts.get("audit.erased"), texts.numerals.count(found.n_erased)),
                    (texts.get("audit.witnesses"), texts.numerals.count(len(anchor.witnesses))),
                ]
            ),
            _check(found, texts),
            _decisions(found, texts),
            *(_version(one, texts) for one in found.versions),
            _acts(found, texts),
            _inventory(found, keys, texts),
        ],
        footer=f"baluarte report audit-pack --sample {found.asked} --seed {found.seed} · "
        f"Baluarte {__version__}",
    )


def _check(found: Audit, texts: Texts) -> Html:
    signed = texts.get(
        "audit.checkpoint",
        at=spoken_instant(found.anchor.at_us),
        size=found.anchor.checkpoint.size,
        root=found.anchor.checkpoint.root.hex(),
    )
    names = ", ".join(sorted(found.anchor.witnesses))
    seen = texts.get("audit.cosigned", names=names) if names else texts.get("audit.not_cosigned")
    return section(
        texts.get("audit.how"),
        paragraph(texts.get("audit.how_text")),
        command(_CHECK),
        paragraph(texts.get("audit.draw_text", seed=found.seed)),
        paragraph(signed),
        paragraph(seen),
    )


def _decisions(found: Audit, texts: Texts) -> Html:
    heads = [
        texts.get(f"audit.{key}")
        for key in ("id", "decided", "version", "outcome", "points", "replay", "hashes")
    ]
    rows = [_decision(one, texts) for one in found.decisions]
    return section(
        texts.get("audit.decisions"),
        paragraph(texts.get("audit.decisions_text")),
        table(heads, rows, numeric=(4, 6)),
    )


def _decision(one: Drawn, texts: Texts) -> list[str]:
    record = one.record
    if one.replayed.erased:
        said = verdict("unsure", texts.get("audit.word_erased"))
    elif one.replayed.difference is None:
        said = verdict("kept", texts.get("audit.word_identical"))
    else:
        said = verdict("broken", difference_text(texts, one.replayed.difference))
    return [
        tag("code", record.id),
        spoken_instant(record.decided_at),
        f"{record.detector}@{record.version}",
        outcome_name(texts, record.outcome),
        texts.numerals.count(record.points),
        said,
        f"{len(one.proof.path)} + {len(one.proof.head_path)}",
    ]


def _version(one: Approved, texts: Texts) -> Html:
    version = one.version
    label = f"{version.detector}@{version.version}"
    sealed = texts.get("audit.sealed", by=version.sealed_by, at=spoken_instant(version.sealed_at))
    steps = [sealed]
    steps += [_step(texts, "approve", *given) for given in one.approvals]
    steps += [_step(texts, "decline", *said) for said in one.declines]
    steps += [_step(texts, kind, actor, at, why) for kind, actor, at, why in one.promotions]
    if not one.approvals:
        steps.insert(1, texts.get("audit.no_approval"))
    gates = [] if one.bundle is None else one.bundle.evidence.gates
    return section(
        texts.get("audit.version_title", version=label),
        paragraph(tag("code", version.digest)),
        notice("broken", texts.get("audit.bundle_broken"), paragraph(one.fault))
        if one.fault
        else None,
        listing(steps),
        paragraph(texts.get("audit.evidence_text")),
        listing([gate_sentence(texts, gate) for gate in gates]) if gates else None,
    )


def _step(texts: Texts, kind: str, actor: str, at: int, why: str) -> str:
    reason = why or texts.get("audit.no_reason")
    return texts.get(f"audit.did_{kind}", by=actor, at=spoken_instant(at), why=reason)


def _acts(found: Audit, texts: Texts) -> Html:
    heads = [texts.get(f"audit.{key}") for key in ("when", "act", "who", "about", "why", "record")]
    rows = [
        [
            spoken_instant(act.record.at),
            act_name(texts, act.record.act),
            act.record.actor,
            _about(act.record),
            act.record.reason,
            tag("code", f"{act.tag}/{act.index}"),
        ]
        for act in found.acts
    ]
    return section(
        texts.get("audit.acts"), paragraph(texts.get("audit.acts_text")), table(heads, rows)
    )


def _about(act: ActRecord) -> str:
    name = act.detector or "–"
    return name if act.version is None else f"{name}@{act.version}"


def _inventory(found: Audit, keys: list[PublicKey], texts: Texts) -> Html:
    counts = [[kind, texts.numerals.count(count)] for kind, count in sorted(found.counts.items())]
    rows = [
        [
            key.name,
            key.algorithm,
            tag("code", key.key_id[:16]),
            spoken_instant(key.not_after),
            "–" if key.revoked_at is None else spoken_instant(key.revoked_at),
        ]
        for key in keys
    ]
    heads = [
        texts.get(f"audit.{key}") for key in ("key", "algorithm", "key_id", "until", "revoked")
    ]
    return section(
        texts.get("audit.inventory"),
        paragraph(texts.get("audit.inventory_text")),
        table([texts.get("audit.kind"), texts.get("audit.number")], counts, numeric=(1,)),
        table(heads, rows),
    )
