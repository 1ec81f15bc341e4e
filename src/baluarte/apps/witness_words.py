"""What commands say of witnesses."""

from __future__ import annotations

from datetime import UTC, datetime

from baluarte.apps.cli.screen import Screen
from baluarte.apps.cosigning import Answer, newest_note
from baluarte.apps.proving import anchor_of
from baluarte.apps.session import Session
from baluarte.stages.verify import Witnessed


def tell_witnessed(witnessed: Witnessed | None, session: Session, screen: Screen) -> None:
    """How far witnesses saw the ledger, where any are asked for."""
    if witnessed is None:
        return
    known = len(session.witnesses.keys)
    names = ", ".join(sorted(witnessed.newest)) or "nobody"
    enough = len(witnessed.newest) >= witnessed.quorum
    said = f"the newest checkpoint: {len(witnessed.newest)} of {known} cosigned ({names})"
    if not enough and witnessed.at_us is not None:
        when = datetime.fromtimestamp(witnessed.at_us / 1e6, UTC)
        said += (
            f"; {witnessed.quorum} are asked for, which the one of {when:%Y-%m-%d %H:%M:%S} has, "
            f"{witnessed.n_later} before the newest"
        )
    screen.item("Witnesses", said, "kept" if enough else "unsure")
    screen.data(
        witnesses={
            "quorum": witnessed.quorum,
            "newest": dict(witnessed.newest),
            "witnessed_at": witnessed.at_us,
            "later": witnessed.n_later,
        }
    )


def tell_answers(answers: list[Answer], session: Session, screen: Screen) -> bool:
    """What the witnesses said; whether the newest checkpoint has enough of them now."""
    for answer in answers:
        if answer.at_s is None:
            screen.item("Witness", f"{answer.name}: {answer.said}", "unsure")
        else:
            when = datetime.fromtimestamp(answer.at_s, UTC)
            screen.item("Witness", f"{answer.name} cosigned at {when:%Y-%m-%d %H:%M:%S}Z", "kept")
    anchor = anchor_of(session)
    quorum = session.witnesses.quorum
    enough = anchor.note == newest_note(session) and len(anchor.witnesses) >= quorum
    screen.data(
        answers=[{"name": a.name, "at": a.at_s, "said": a.said} for a in answers],
        enough=enough,
    )
    if quorum:
        said = f"{quorum} are asked for: {'there are enough' if enough else 'not enough yet'}"
        screen.item("Quorum", said, "kept" if enough else "unsure")
    return enough
