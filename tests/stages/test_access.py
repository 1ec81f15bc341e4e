"""baluarte.stages.access: accounts, keys, sign-in, and that nobody approves their own version."""

from __future__ import annotations

import contextlib
import itertools

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from baluarte.adapters.passwords import Argon2Passwords
from baluarte.core.accounts import (
    IDLE_US,
    LOCK_US,
    MAX_ADDRESS_FAILURES,
    MAX_FAILURES,
    SESSION_US,
    eyes_behind,
    id_of_key,
    mac_of,
    parse_grant,
)
from baluarte.core.decision import ActRecord
from baluarte.core.policy import Resource, permits
from baluarte.errors import DataError
from baluarte.stages.access import Access, Door, principal_of
from baluarte.testing.accounts import MemoryAccounts, PlainPasswords
from baluarte.testing.clock import CountingEntropy, FixedClock
from baluarte.testing.stores import MemoryLedger

PEPPER = b"p" * 32
PASSWORD = "correct horse battery"


class Place:
    """Accounts in memory with everything around them."""

    def __init__(self) -> None:
        self.accounts, self.passwords = MemoryAccounts(), PlainPasswords()
        self.ledger, self.clock, self.entropy = MemoryLedger(), FixedClock(), CountingEntropy()
        self.shard = self.ledger.open_shard()

    def by(self, actor: str) -> Access:
        return Access(
            accounts=self.accounts, passwords=self.passwords, ledger=self.shard, clock=self.clock,
            entropy=self.entropy, pepper=PEPPER, actor=actor,
        )  # fmt: skip

    @property
    def door(self) -> Door:
        return Door(
            accounts=self.accounts, passwords=self.passwords, clock=self.clock,
            entropy=self.entropy, pepper=PEPPER,
        )  # fmt: skip

    def acts(self) -> list[ActRecord]:
        records = self.ledger.records(self.shard.tag)
        return [msgspec.json.decode(record, type=ActRecord) for record in records]


@pytest.fixture
def place() -> Place:
    made = Place()
    made.by("root").add("ana", kind="person", grants=[parse_grant("analyst@cards")])
    made.by("root").set_password("ana", PASSWORD)
    return made


def test_every_change_is_in_the_ledger_and_none_holds_a_secret(place: Place) -> None:
    root = place.by("root")
    root.grant("ana", [parse_grant("viewer@*")], reason="moved")
    key, text = root.issue_key("ana", note="notebook", days=30)
    root.withdraw_key(key.id, reason="lost")
    root.add("bea", kind="person", grants=[parse_grant("admin@*")])
    root.disable("ana", reason="left")
    said = [(act.actor, act.details["what"], act.details["subject"]) for act in place.acts()]
    assert said == [
        ("root", "account made", "ana"),
        ("root", "password set", "ana"),
        ("root", "grants changed", "ana"),
        ("root", "key issued", "ana"),
        ("root", "key withdrawn", key.id),
        ("root", "account made", "bea"),
        ("root", "account disabled", "ana"),
    ]
    kept = b"".join(place.ledger.records(place.shard.tag))
    assert text.encode() not in kept
    assert PASSWORD.encode() not in kept


def test_a_key_holds_256_random_bits_of_which_only_an_hmac_is_kept(place: Place) -> None:
    key, text = place.by("root").issue_key("ana", note="", days=1, rate_per_s=5, burst=9)
    assert id_of_key(text) == key.id
    assert len(text.split("_", 2)[2]) == 43  # 32 bytes in base64url
    assert place.accounts.api_keys() == [key]
    assert key.mac == mac_of(PEPPER, text.encode())
    assert text not in repr(key)


def test_a_password_opens_a_session_that_ends(place: Place) -> None:
    secret = place.door.sign_in("ana", PASSWORD)
    assert secret is not None
    caller = place.door.of_session(secret)
    assert caller is not None
    assert (caller.name, caller.via, caller.kind) == ("ana", "session", "person")
    for _ in range(SESSION_US // (IDLE_US - 1)):
        place.clock.advance(IDLE_US - 1)
        assert place.door.of_session(secret) is not None  # in use
    place.clock.advance(IDLE_US - 1)
    assert place.door.of_session(secret) is None  # whether in use or not


def test_a_session_that_is_not_used_ends_sooner(place: Place) -> None:
    secret = place.door.sign_in("ana", PASSWORD)
    assert secret is not None
    place.clock.advance(IDLE_US)
    assert place.door.of_session(secret) is None


def test_nobody_goes_on_in_a_session_of_other_rights(place: Place) -> None:
    secret = place.door.sign_in("ana", PASSWORD)
    assert secret is not None
    place.by("root").grant("ana", [parse_grant("approver@cards")])
    assert place.door.of_session(secret) is None
    again = place.door.sign_in("ana", PASSWORD)
    assert again not in (None, secret)


def test_every_session_has_a_secret_and_a_page_token_of_its_own(place: Place) -> None:
    secrets = [place.door.sign_in("ana", PASSWORD) for _ in range(3)]
    assert len({*secrets}) == 3
    tokens = {place.door.token_of(secret) for secret in secrets if secret}
    assert len(tokens) == 3
    kept = repr(place.accounts.__dict__)
    assert not [s for s in (*secrets, *tokens) if s in kept]


def test_signing_out_changing_the_password_and_disabling_end_sessions(place: Place) -> None:
    first, second = place.door.sign_in("ana", PASSWORD), place.door.sign_in("ana", PASSWORD)
    assert first is not None
    assert second is not None
    place.door.sign_out(first)
    assert place.door.of_session(first) is None
    place.by("ana").set_password("ana", PASSWORD + "!")
    assert place.door.of_session(second) is None
    third = place.door.sign_in("ana", PASSWORD + "!")
    assert third is not None
    place.by("root").add("bea", kind="person", grants=[parse_grant("admin@*")])
    place.by("bea").disable("ana")
    assert place.door.of_session(third) is None
    assert place.door.sign_in("ana", PASSWORD + "!") is None


def test_wrong_passwords_lock_for_a_time_whatever_comes_then(place: Place) -> None:
    for _ in range(MAX_FAILURES):
        assert place.door.sign_in("ana", "wrong") is None
    assert place.door.sign_in("ana", PASSWORD) is None
    place.clock.advance(LOCK_US)
    assert place.door.sign_in("ana", PASSWORD) is not None


def test_guesses_at_the_same_time_are_counted_before_any_is_looked_at(place: Place) -> None:
    tries: list[int] = []

    class Watched(PlainPasswords):
        def matches(self, password: str, kept: str | None) -> bool:
            tries.append(place.accounts.failures("ana").count)
            return super().matches(password, kept)

    place.passwords = Watched()
    for _ in range(MAX_FAILURES):
        place.door.sign_in("ana", "wrong")
    assert tries == [1, 2, 3, 4, 5]
    place.door.sign_in("ana", "wrong")
    assert tries[-1] == MAX_FAILURES  # looked at all the same, and not counted while locked


def test_an_address_that_fails_often_waits_whatever_names_it_tried(place: Place) -> None:
    address = "203.0.113.9"
    for n in range(MAX_ADDRESS_FAILURES):
        assert not place.door.must_wait(address)
        assert place.door.sign_in(f"guess{n}", "wrong", address=address) is None
    assert place.door.must_wait(address)
    assert not place.door.must_wait("203.0.113.10")
    assert place.door.sign_in("ana", PASSWORD, address="203.0.113.10") is not None
    place.clock.advance(LOCK_US)
    assert not place.door.must_wait(address)


def test_an_unknown_name_costs_the_same_steps_as_a_known_one(place: Place) -> None:
    steps: list[list[str]] = []

    class Watched(MemoryAccounts):
        def __getattribute__(self, name: str) -> object:
            if not name.startswith("_") and steps:
                steps[-1].append(name)
            return super().__getattribute__(name)

    class Tried(PlainPasswords):
        def matches(self, password: str, kept: str | None) -> bool:
            steps[-1].append("argon2")
            return super().matches(password, kept)

    known = place.accounts
    place.accounts, place.passwords = Watched(), Tried()
    place.accounts.__dict__.update(known.__dict__)
    for name in ("ana", "nobody"):
        steps.append([])
        assert place.door.sign_in(name, "wrong", address="203.0.113.9") is None
    assert steps[0] == steps[1]
    assert steps[0].count("argon2") == 1


def test_the_only_admin_gives_the_role_up_to_nobody(place: Place) -> None:
    place.by("root").add("bea", kind="person", grants=[parse_grant("admin@*")])
    with pytest.raises(DataError, match="only admin"):
        place.by("bea").grant("bea", [parse_grant("viewer@*")])


def test_the_only_admin_can_not_be_disabled(place: Place) -> None:
    place.by("root").add("bea", kind="person", grants=[parse_grant("admin@*")])
    with pytest.raises(DataError, match="only admin"):
        place.by("bea").disable("bea")


@pytest.mark.parametrize("weak", ["short", "aaaaaaaaaaaaaaaa", "my name is ana 1", "x" * 2000])
def test_weak_passwords_are_refused(place: Place, weak: str) -> None:
    before = place.accounts.password("ana")
    with pytest.raises(DataError, match="password"):
        place.by("root").set_password("ana", weak)
    assert place.accounts.password("ana") == before


@pytest.mark.parametrize(
    "text", ["analyst@", "analyst@cards:", "chief@cards", "analyst@Cards!", "@cards", ""]
)
def test_what_is_no_grant_is_refused(text: str) -> None:
    if text == "analyst@":
        assert parse_grant(text).tenant == "default"
    else:
        with pytest.raises(DataError, match="expected"):
            parse_grant(text)


def test_argon2id_takes_the_password_and_no_other_and_salts_each() -> None:
    passwords = Argon2Passwords()
    kept = passwords.keep(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert kept != passwords.keep(PASSWORD)
    assert passwords.matches(PASSWORD, kept)
    assert not passwords.matches(PASSWORD + " ", kept)
    assert not passwords.matches(PASSWORD, None)
    assert not passwords.matches("\ud800", kept)


# --- four eyes, searched for a way round --------------------------------------------------------

PERSONS = ("ana", "bea", "eva")


class ByWhateverAccount(RuleBasedStateMachine):
    """Three humans, each with every credential that they ever made or set, try to approve.

    A human acts through any account that they can open. Whoever made an account, set its password
    or issued a key for it can open it; setting a password shuts the others out, which no rule here
    relies on. A version's true author is the human, whatever account they used.
    """

    @initialize(admin=st.sampled_from(PERSONS))
    def begin(self, admin: str) -> None:
        self.place = Place()
        self.opens: dict[str, set[str]] = {name: {name} for name in PERSONS}  # human -> accounts
        self.versions: list[tuple[str, str]] = []  # (true author, account)
        self.numbers = itertools.count()
        for name in PERSONS:
            grants = "admin@*" if name == admin else "engineer@cards"
            self.place.by("setup").add(
                name, kind="person", grants=[parse_grant(grants)], subject=f"idp#{name}"
            )

    def role(self, account: str, role: str) -> bool:
        known = self.place.accounts.account(account)
        return known is not None and role in {grant.role for grant in known.grants}

    @rule(
        human=st.sampled_from(PERSONS), data=st.data(),
        role=st.sampled_from(["engineer", "approver", "admin"]),
        kind=st.sampled_from(["person", "service"]),
    )  # fmt: skip
    def make_an_account(self, human: str, data: st.DataObject, role: str, kind: str) -> None:
        admins = sorted(a for a in self.opens[human] if self.role(a, "admin"))
        if not admins:
            return
        name = f"made{next(self.numbers)}"
        grant = "service@cards" if kind == "service" else f"{role}@cards"
        self.place.by(data.draw(st.sampled_from(admins))).add(
            name, kind=kind, grants=[parse_grant(grant)]
        )
        self.opens[human].add(name)

    @rule(
        human=st.sampled_from(PERSONS), data=st.data(),
        role=st.sampled_from(["engineer", "approver", "admin"]),
    )  # fmt: skip
    def take_an_account_over_or_change_its_role(
        self, human: str, data: st.DataObject, role: str
    ) -> None:
        admins = sorted(a for a in self.opens[human] if self.role(a, "admin"))
        persons = [a.name for a in self.place.accounts.accounts() if a.kind == "person"]
        if not admins:
            return
        actor = self.place.by(data.draw(st.sampled_from(admins)))
        target = data.draw(st.sampled_from(persons))
        match data.draw(st.sampled_from(["password", "grant", "key"])):
            case "password":
                actor.set_password(target, PASSWORD)
                self.opens[human].add(target)
            case "key":
                actor.issue_key(target, note="", days=1)
                self.opens[human].add(target)
            case _:
                with contextlib.suppress(DataError):  # of the only admin
                    actor.grant(target, [parse_grant(f"{role}@cards")])

    @rule(human=st.sampled_from(PERSONS), data=st.data())
    def train(self, human: str, data: st.DataObject) -> None:
        account = data.draw(st.sampled_from(sorted(self.opens[human])))
        self.versions.append((human, account))

    @precondition(lambda self: self.versions)
    @rule(human=st.sampled_from(PERSONS), data=st.data())
    def approve(self, human: str, data: st.DataObject) -> None:
        author, account = data.draw(st.sampled_from(self.versions))
        through = data.draw(st.sampled_from(sorted(self.opens[human])))
        accounts = {a.name: a for a in self.place.accounts.accounts()}
        version = Resource(
            tenant="cards", detector="fraud", authors=eyes_behind([account], accounts)
        )
        caller = principal_of(accounts[through])
        if permits(caller, "versions.approve", version):
            assert human != author, f"{human} trained by {account} and approved by {through}"


TestNobodyApprovesTheirOwnVersion = ByWhateverAccount.TestCase
TestNobodyApprovesTheirOwnVersion.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None
)
