"""What commands say of witnesses."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.apps.cli.screen import Screen
from baluarte.apps.cosigning import Answer, newest_note
from baluarte.apps.numerals import spoken_instant
from baluarte.apps.proving import anchor_of
from baluarte.apps.session import Session
from baluarte.stages.verify import Witnessed


def tell_witnessed(
    witnessed: Witnessed | None, session: Session, screen: Screen, texts: Texts
) -> None:
    """How far witnesses saw the ledger, where any are asked for."""
    if witnessed is None:
        return
    known = len(session.witnesses.keys)
    names = ", ".join(sorted(witnessed.newest)) or texts.get("witness.nobody")
    enough = len(witnessed.newest) >= witnessed.quorum
    said = texts.get("witness.newest", n=len(witnessed.newest), known=known, names=names)
    if not enough and witnessed.at_us is not None:
        said = texts.get(
            "witness.older",
            newest=said,
            quorum=witnessed.quorum,
            at=spoken_instant(witnessed.at_us),
            later=witnessed.n_later,
        )
    screen.item(texts.get("witness.many"), said, "kept" if enough else "unsure")
    screen.data(
        witnesses={
            "quorum": witnessed.quorum,
            "newest": dict(witnessed.newest),
            "witnessed_at": witnessed.at_us,
            "later": witnessed.n_later,
        }
    )


def tell_answers(answers: list[Answer], session: Session, screen: Screen, texts: Texts) -> bool:
    """What the witnesses said; whether the newest checkpoint has enough of them now."""
    for answer in answers:
        if answer.at_s is None:
            why = texts.get("witness.by_files") if answer.by_files else answer.said
            screen.item(texts.get("witness.label"), f"{answer.name}: {why}", "unsure")
        else:
            at = spoken_instant(answer.at_s * 1_000_000)
            said = texts.get("witness.cosigned_at", name=answer.name, at=at)
            screen.item(texts.get("witness.label"), said, "kept")
    anchor = anchor_of(session)
    quorum = session.witnesses.quorum
    enough = anchor.note == newest_note(session) and len(anchor.witnesses) >= quorum
    screen.data(
        answers=[{"name": a.name, "at": a.at_s, "said": a.said} for a in answers],
        enough=enough,
    )
    if quorum:
        said = texts.get("witness.enough" if enough else "witness.not_enough", n=quorum)
        screen.item(texts.get("witness.quorum"), said, "kept" if enough else "unsure")
    return enough
