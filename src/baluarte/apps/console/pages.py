"""The console's two pages: sign in, and what waits for approval; nothing inline or from outside."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from baluarte.apps.catalogue import Texts
from baluarte.apps.console.wire import Me, VersionRow, Ways, Word
from baluarte.apps.gate_words import TONES, gate_sentence
from baluarte.apps.html import Html, tag
from baluarte.apps.numerals import Language, spoken_instant
from baluarte.apps.page import notice, verdict
from baluarte.core.evidence import Evidence

_HOME = "0;url=/"


class Pages:
    """Renders in one language."""

    script_type = (("content-type", "text/javascript; charset=utf-8"),)
    style_type = (("content-type", "text/css; charset=utf-8"),)

    def __init__(self, language: Language) -> None:
        self._texts = Texts(language)
        folder = files("baluarte.apps").joinpath("pages")
        self.script = folder.joinpath("console.js").read_bytes()
        self.style = b"".join(
            folder.joinpath(name).read_bytes() for name in ("style.css", "console.css")
        )

    def sign_in(self, ways: Ways) -> bytes:
        """Where people come who have no session."""
        text = self._texts.get
        providers = [
            tag("li", tag("a", text("console.sign_in_by", name=one.name), href=one.start,
                          class_="button"))
            for one in ways.providers
        ]  # fmt: skip
        form = tag(
            "form",
            self._field("name", "text", "username"),
            self._field("password", "password", "current-password"),
            tag("button", text("console.sign_in"), data_path="/v1/sign-in"),
            tag("output", role="alert"),
            class_="card",
            method="post",
            data_not_let_in=text("console.not_let_in"),
            data_too_many_tries=text("console.too_many_tries"),
        )
        return self._page(
            text("console.sign_in"),
            text("console.sign_in_lead"),
            tag("section", form) if ways.passwords else None,
            tag("section", tag("ul", *providers, class_="ways")) if providers else None,
        )

    def approvals(self, me: Me, shown: Sequence[tuple[VersionRow, Evidence | None]]) -> bytes:
        """What waits, in the order that it is given in."""
        text = self._texts.get
        n = sum(one.yours and not _has_approved(me, one) for one, _ in shown)
        lead = text("console.waiting_lead", n=n) if n else text("console.nothing_waits")
        parts = (self._version(me, one, evidence) for one, evidence in shown)
        return self._page(text("console.waiting"), lead, *parts, me=me)

    def let_in(self) -> bytes:
        """Goes on to the first page by itself, as a page of ours: so its strict cookie is sent."""
        text = self._texts.get
        link = tag("p", tag("a", text("console.go_on"), href="/"))
        return self._page(text("console.going_on"), "", link, refresh=True)

    def not_let_in(self) -> bytes:
        """Where a sign-in at a provider ends that lets nobody in."""
        text = self._texts.get
        link = tag("p", tag("a", text("console.again"), href="/", class_="button"))
        return self._page(text("console.not_in"), text("console.not_in_lead"), link)

    # --- parts --------------------------------------------------------------------------------

    def _version(self, me: Me, one: VersionRow, evidence: Evidence | None) -> Html:
        text = self._texts.get
        named = f"{one.detector}@{one.version}"
        facts = [
            (text("console.sealed"), f"{one.sealed_by}, {spoken_instant(one.sealed_at)}"),
            (text("console.trained"), one.trained_by or one.sealed_by),
            (text("console.bundle"), tag("code", one.bundle)),
            *((text("console.approved"), _said(word)) for word in one.approvals),
        ]
        pairs = [part for name, value in facts for part in (tag("dt", name), tag("dd", value))]
        state = (
            verdict("unsure", text("console.lacks", n=one.lacks))
            if one.lacks
            else verdict("kept", text("console.lacks_none"))
        )
        return tag(
            "section",
            tag("h2", named),
            tag("p", state),
            self._gates(evidence),
            tag("dl", *pairs, class_="pairs"),
            self._judgement(me, one) if one.yours else tag("p", text("console.not_yours")),
            class_="version",
        )

    def _gates(self, evidence: Evidence | None) -> Html:
        """What was proved of it, as its seal says."""
        if evidence is None:
            return notice("broken", self._texts.get("console.no_evidence"))
        gates = [
            tag("li", verdict(TONES[gate.verdict], gate_sentence(self._texts, gate)))
            for gate in evidence.gates
        ]
        return tag("ul", *gates, class_="gates")

    def _judgement(self, me: Me, one: VersionRow) -> Html:
        text = self._texts.get
        path = f"/v1/detectors/{one.detector}/versions/{one.version}"
        reason = text("console.reason")
        return tag(
            "form",
            tag(
                "div",
                tag("input", name="reason", maxlength="2000", required="", placeholder=reason,
                    aria_label=reason, autocomplete="off"),
                None
                if _has_approved(me, one)
                else tag("button", text("console.approve"), data_path=f"{path}/approve"),
                tag("button", text("console.decline"), data_path=f"{path}/decline", class_="quiet"),
                class_="actions",
            ),
            tag("output", role="alert"),
            method="post",
        )  # fmt: skip

    def _field(self, name: str, kind: str, complete: str) -> Html:
        return tag(
            "label",
            self._texts.get(f"console.{name}"),
            tag("input", name=name, type=kind, autocomplete=complete, required=""),
        )

    def _page(
        self,
        title: str,
        lead: str,
        *parts: Html | None,
        me: Me | None = None,
        refresh: bool = False,
    ) -> bytes:
        text = self._texts.get
        head = tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", http_equiv="refresh", content=_HOME) if refresh else None,
            tag("title", f"{title} · Baluarte"),
            tag("link", rel="stylesheet", href="/console.css"),
            tag("script", src="/console.js", defer=""),
        )
        out = (
            tag("form", tag("button", text("console.sign_out", name=me.name),
                            data_path="/v1/sign-out", class_="plain"), tag("output", role="alert"))
            if me is not None
            else None
        )  # fmt: skip
        header = tag(
            "header",
            tag("div", tag("p", "Baluarte", class_="eyebrow"), out, class_="who"),
            tag("h1", title),
            tag("p", lead, class_="lead") if lead else None,
        )
        script = tag("noscript", tag("p", text("console.no_script")))
        body = tag("body", tag("main", header, script, *parts))
        page = tag(
            "html",
            head,
            body,
            lang=self._texts.language,
            data_token=me.token if me is not None else None,
            data_away=text("console.away"),
        )
        return f"<!doctype html>\n{page}\n".encode()


def _has_approved(me: Me, one: VersionRow) -> bool:
    return any(word.by == me.name for word in one.approvals)


def _said(word: Word) -> str:
    return f"{word.by}, {spoken_instant(word.at)}: {word.reason}"
