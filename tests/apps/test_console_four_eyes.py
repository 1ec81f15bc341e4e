"""A search for a way to approve one's own version by the console, through whatever account."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from console_ground import PEPPER, Browser, Console
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from baluarte.core.accounts import parse_grant
from baluarte.stages.access import Door
from baluarte.testing.clock import CountingEntropy

HUMANS = ("ana", "bea", "eva")
CHANGES = ("password", "grants", "keys", "disable", "me/password")
ROLES = ("engineer", "approver", "admin", "viewer")


class ByHttp(RuleBasedStateMachine):
    """Three humans, each with an account that a provider signs them in to, and whatever they make.

    A human signs in to an account of their own, or with a password that they know to hold, or shows
    a key that they were given at its issue. Versions are trained and sealed by any account that the
    human can open. Everything else goes by HTTP, as the HTTP layer would hand it on.
    """

    folder: tempfile.TemporaryDirectory[str]

    @initialize(order=st.permutations(["admin@*", "engineer@cards", "approver@cards"]))
    def begin(self, order: list[str]) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.console = Console(Path(self.folder.name), tenants={"flows": "cards"})
        self.doors = Door(
            accounts=self.console.accounts, passwords=self.console.passwords,
            clock=self.console.clock, entropy=CountingEntropy("idp"), pepper=PEPPER,
        )  # fmt: skip
        self.knows: dict[str, dict[str, str]] = {human: {} for human in HUMANS}
        self.keys: dict[str, list[str]] = {human: [] for human in HUMANS}
        self.authors: list[str] = []  # the human behind version n + 1
        self.approved: dict[int, set[str]] = {}
        self.numbers = itertools.count()
        for human, grants in zip(HUMANS, order, strict=True):
            self.console.by("setup").add(
                human, kind="person", grants=[parse_grant(grants)], subject=f"idp#{human}"
            )

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    # --- what a human can open ----------------------------------------------------------------

    def opens(self, human: str) -> list[str]:
        return [human, *sorted(self.knows[human])]

    def browser(self, human: str, account: str) -> Browser | None:
        """A session of the account, if the human gets one."""
        made = Browser(self.console)
        if account == human:
            known = self.console.accounts.account(human)
            assert known is not None
            secret = self.doors.open(known, how="idp")
            made.cookies["__Host-baluarte"] = secret
            made.token = self.doors.token_of(secret)
            return made
        return made if made.sign_in(account, self.knows[human][account]).status == 200 else None

    # --- what they do with it -----------------------------------------------------------------

    @rule(human=st.sampled_from(HUMANS), data=st.data(), role=st.sampled_from(ROLES),
          kind=st.sampled_from(["person", "service"]))  # fmt: skip
    def make_an_account(self, human: str, data: st.DataObject, role: str, kind: str) -> None:
        browser = self.browser(human, data.draw(st.sampled_from(self.opens(human))))
        if browser is None:
            return
        name, password = f"made{next(self.numbers)}", f"secret of {human} {next(self.numbers)}"
        new = {"name": name, "kind": kind, "grants": [f"{role}@cards"], "password": password}
        if kind == "service":
            new = {"name": name, "kind": kind, "grants": ["service@cards"], "owner": human}
        if browser.ask("POST", "/v1/accounts", new).status == 200 and kind == "person":
            self.knows[human][name] = password

    @rule(human=st.sampled_from(HUMANS), data=st.data(), role=st.sampled_from(ROLES),
          act=st.sampled_from(CHANGES))  # fmt: skip
    def change_an_account(self, human: str, data: st.DataObject, role: str, act: str) -> None:
        through = data.draw(st.sampled_from(self.opens(human)))
        browser = self.browser(human, through)
        if browser is None:
            return
        target = data.draw(st.sampled_from([a.name for a in self.console.accounts.accounts()]))
        password = f"secret of {human} {next(self.numbers)}"
        if act == "me/password":
            current = self.knows[human].get(through, "")
            body: dict[str, object] = {"current": current, "password": password}
            target, path = through, "/v1/me/password"
        else:
            path = f"/v1/accounts/{target}/{act}"
            body = {
                "password": {"password": password},
                "grants": {"grants": [f"{role}@cards"]},
            }.get(act, {})
        answer = browser.ask("POST", path, body)
        if answer.status == 200 and act.endswith("password"):
            self.knows[human][target] = password
        if answer.status == 200 and act == "keys":
            self.keys[human].append(answer.json["key"])
            self.console.keys._again(self.console.accounts)

    @rule(human=st.sampled_from(HUMANS), data=st.data())
    def train(self, human: str, data: st.DataObject) -> None:
        account = data.draw(st.sampled_from(self.opens(human)))
        if account != human and self.browser(human, account) is None:
            return
        self.authors.append(human)
        self.console.seal(by=account, number=len(self.authors))

    @precondition(lambda self: self.authors)
    @rule(human=st.sampled_from(HUMANS), data=st.data(),
          act=st.sampled_from(["approve", "approve", "approve", "decline"]))  # fmt: skip
    def judge(self, human: str, data: st.DataObject, act: str) -> None:
        number = data.draw(st.integers(1, len(self.authors)))
        path = f"/v1/detectors/flows/versions/{number}/{act}"
        through = data.draw(st.sampled_from([*self.opens(human), *self.keys[human]]))
        if through.startswith("blt_"):
            shown = [("authorization", f"Bearer {through}")]
            status = self.console.ask("POST", path, {"reason": "x"}, shown).status
        else:
            browser = self.browser(human, through)
            status = browser.ask("POST", path, {"reason": "x"}).status if browser else 401
        if status == 200:
            author = self.authors[number - 1]
            assert human != author, f"{human} did it by {through} and judged it"
            if act == "approve":
                self.approved.setdefault(number, set()).add(human)

    @precondition(lambda self: self.authors)
    @rule(human=st.sampled_from(HUMANS), data=st.data(),
          act=st.sampled_from(["promote", "promote", "rollback"]))  # fmt: skip
    def let_decide(self, human: str, data: st.DataObject, act: str) -> None:
        number = data.draw(st.integers(1, len(self.authors)))
        path = f"/v1/detectors/flows/versions/{number}/promote"
        browser = self.browser(human, data.draw(st.sampled_from(self.opens(human))))
        if browser is not None:
            browser.ask("POST", path if act == "promote" else "/v1/detectors/flows/rollback", {})

    @invariant()
    def what_decides_was_approved_by_another_human(self) -> None:
        if not hasattr(self, "console"):
            return
        champion = self.console.registry.champion("flows")
        if champion is not None:
            others = self.approved.get(champion.version, set())
            assert others - {self.authors[champion.version - 1]}


def test_nobody_finds_a_way_to_judge_their_own_version() -> None:
    run_state_machine_as_test(
        ByHttp, settings=settings(max_examples=30, stateful_step_count=40, deadline=None)
    )


@pytest.mark.soak
def test_nobody_finds_one_in_a_thousand_lives_either() -> None:
    run_state_machine_as_test(
        ByHttp, settings=settings(max_examples=1_000, stateful_step_count=50, deadline=None)
    )


def test_another_human_does_find_the_way_that_is_meant() -> None:
    """The search above would also pass where nobody could approve anything."""
    machine = ByHttp()
    machine.begin(["admin@*", "viewer@cards", "engineer@cards"])
    console = machine.console
    ana = machine.browser("ana", "ana")
    assert ana is not None
    assert ana.ask("POST", "/v1/accounts/bea/grants", {"grants": ["approver@cards"]}).status == 200
    machine.authors.append("eva")
    console.seal(by="eva")
    bea, eva = machine.browser("bea", "bea"), machine.browser("eva", "eva")
    assert bea is not None
    assert eva is not None
    assert bea.ask("POST", "/v1/detectors/flows/versions/1/approve", {}).status == 200
    assert eva.ask("POST", "/v1/detectors/flows/versions/1/promote", {}).status == 200
    machine.approved[1] = {"bea"}
    machine.what_decides_was_approved_by_another_human()
    machine.teardown()
