"""What people do by the console: judge versions, hand out roles and keys; all in the ledger."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from console_ground import PASSWORD, Browser, Console

from baluarte.apps.console.acts import Acts
from baluarte.apps.console.people import PAGE
from baluarte.core.accounts import Account, id_of_key
from baluarte.errors import OutsideError
from baluarte.testing.stores import MemoryLedger

FIRST = "/v1/detectors/flows/versions/1"


@pytest.fixture
def console(tmp_path: Path) -> Console:
    made = Console(tmp_path)
    made.person("ana", "admin@*")
    made.person("bea", "approver@nets")
    made.person("eve", "engineer@nets")
    for number in (1, 2):
        made.seal(by="eve", number=number)
    return made


def browser(console: Console, name: str) -> Browser:
    made = Browser(console)
    assert made.sign_in(name).status == 200
    return made


# --- versions ------------------------------------------------------------------------------------


def test_another_approves_and_the_author_promotes_and_goes_back(console: Console) -> None:
    eve, bea = browser(console, "eve"), browser(console, "bea")
    refused = eve.ask("POST", f"{FIRST}/promote", {})
    assert refused.status == 409
    assert "needs 1 approvals" in refused.json["detail"]
    row = bea.ask("POST", f"{FIRST}/approve", {"reason": "read the evidence"}).json
    assert (row["lacks"], row["yours"], row["approvals"][0]["by"]) == (0, True, "bea")
    assert eve.ask("POST", f"{FIRST}/promote", {"reason": "better"}).json == {
        "detector": "flows", "version": 1, "workers": 0, "not_yet": [],
    }  # fmt: skip
    second = FIRST.replace("1", "2").replace("v2", "v1")
    bea.ask("POST", f"{second}/approve", {})
    eve.ask("POST", f"{second}/promote", {})
    assert eve.ask("POST", "/v1/detectors/flows/rollback", {"reason": "worse"}).json["version"] == 1
    said = [(act.act, act.actor, act.version, act.reason) for act in console.acts() if act.version]
    assert said[2:] == [  # after the two seals
        ("approve", "bea", 1, "read the evidence"), ("promote", "eve", 1, "better"),
        ("approve", "bea", 2, ""), ("promote", "eve", 2, ""), ("rollback", "eve", 1, "worse"),
    ]  # fmt: skip
    champion = console.registry.champion("flows")
    assert champion is not None
    assert champion.version == 1


def test_a_version_that_was_declined_waits_no_longer(console: Console) -> None:
    bea = browser(console, "bea")
    assert bea.ask("GET", "/v1/detectors").json[0]["waiting"] == [1, 2]
    assert bea.ask("POST", f"{FIRST}/decline", {}).status == 400
    assert bea.ask("POST", f"{FIRST}/decline", {"reason": "too many alarms"}).status == 200
    assert bea.ask("GET", "/v1/detectors").json[0]["waiting"] == [2]
    assert [row["version"] for row in bea.ask("GET", "/v1/approvals").json] == [2]
    assert bea.ask("POST", f"{FIRST}/approve", {}).status == 409
    refused = browser(console, "eve").ask("POST", f"{FIRST}/promote", {})
    assert "declined by bea: too many alarms" in refused.json["detail"]
    assert console.acts()[-2].act == "decline"


@pytest.mark.parametrize("act", ["approve", "decline"])
def test_nobody_judges_their_own_version_by_whatever_account(console: Console, act: str) -> None:
    console.by("eve").add("puppet", kind="person", grants=[], password=PASSWORD)
    console.person("mia", "approver@nets")
    console.by("eve").set_password("mia", PASSWORD)  # once eve's to open, always eve's
    for name in ("eve", "puppet"):
        grants = "approver@nets"
        browser(console, "ana").ask("POST", f"/v1/accounts/{name}/grants", {"grants": [grants]})
    for name in ("eve", "puppet", "mia"):
        answer = browser(console, name).ask("POST", f"{FIRST}/{act}", {"reason": "mine"})
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert console.registry.approvals("flows", 1) == []
    assert console.registry.declines("flows", 1) == []


def test_a_version_is_shown_with_its_evidence_and_a_broken_seal_is_not(console: Console) -> None:
    bea = browser(console, "bea")
    page = bea.ask("GET", FIRST).json
    assert page["purpose"] == "Find hostile flows."
    assert page["evidence"]["verdict"] == "pass"
    assert page["version"]["trained_by"] == "eve"
    digest = page["version"]["bundle"]
    console.bundles.kept[digest]["program.bin"] = b"changed"
    answer = bea.ask("GET", FIRST)
    assert (answer.status, answer.json["code"]) == (409, "not_trusted")


def test_what_is_not_there_is_404(console: Console) -> None:
    eve, bea = browser(console, "eve"), browser(console, "bea")
    for path in ("/v1/detectors/flows/versions/9", "/v1/detectors/none/versions"):
        assert bea.ask("GET", path).status == 404
    assert eve.ask("POST", "/v1/detectors/flows/versions/9/promote", {}).status == 404
    assert bea.ask("POST", "/v1/detectors/flows/versions/9/approve", {}).status == 404
    assert eve.ask("POST", "/v1/detectors/none/rollback", {}).status == 404


def test_without_room_in_the_ledger_nothing_changes(console: Console) -> None:
    bea, ana = browser(console, "bea"), browser(console, "ana")
    console.ledger.full = True
    assert bea.ask("POST", f"{FIRST}/approve", {}).status == 503
    new = {"name": "cid", "kind": "person", "grants": [], "password": PASSWORD}
    assert ana.ask("POST", "/v1/accounts", new).status == 503
    assert console.registry.approvals("flows", 1) == []
    assert console.accounts.account("cid") is None
    assert Browser(console).sign_in("bea").status == 503  # a sign-in is recorded, too


# --- accounts and keys ---------------------------------------------------------------------------


def test_an_admin_makes_accounts_changes_roles_and_lets_nobody_in(console: Console) -> None:
    ana = browser(console, "ana")
    new = {"name": "cid", "kind": "person", "grants": ["analyst@nets"], "password": PASSWORD}
    assert ana.ask("POST", "/v1/accounts", new).json["grants"] == ["analyst@nets"]
    assert ana.ask("POST", "/v1/accounts", new).status == 409
    cid = browser(console, "cid")
    row = ana.ask("POST", "/v1/accounts/cid/grants", {"grants": ["viewer@nets"], "reason": "moved"})
    assert row.json["grants"] == ["viewer@nets"]
    assert cid.ask("GET", "/v1/me").status == 401
    assert ana.ask("POST", "/v1/accounts/cid/password", {"password": PASSWORD}).status == 200
    known = console.accounts.account("cid")
    assert known is not None
    assert "ana" in known.hands
    assert (
        ana.ask("POST", "/v1/accounts/cid/disable", {"reason": "left"}).json["state"] == "disabled"
    )
    assert Browser(console).sign_in("cid").status == 401
    said = [act.details["what"] for act in console.acts() if act.details.get("subject") == "cid"]
    assert said == [
        "account made", "signed in", "grants changed", "password set", "account disabled",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("new", "status"),
    [
        ({"name": "Cid!", "kind": "person", "grants": [], "password": PASSWORD}, 400),
        ({"name": "cid", "kind": "person", "grants": [], "password": "short"}, 400),
        ({"name": "cid", "kind": "person", "grants": []}, 400),
        (
            {"name": "cid", "kind": "person", "grants": [], "password": PASSWORD, "subject": "x"},
            400,
        ),
        ({"name": "cid", "kind": "person", "grants": ["chief@*"], "password": PASSWORD}, 400),
        ({"name": "cid", "kind": "person", "grants": ["service@*"], "password": PASSWORD}, 400),
        ({"name": "cid", "kind": "robot", "grants": []}, 400),
        ({"name": "cid", "kind": "service", "grants": ["admin@*"]}, 400),
        ({"name": "cid", "kind": "service", "grants": [], "is_admin": True}, 400),
        ({"name": "cid", "kind": "service", "grants": ["service@nets"]}, 200),
    ],
)
def test_an_account_that_can_not_be_is_not_made(
    console: Console, new: dict[str, object], status: int
) -> None:
    answer = browser(console, "ana").ask("POST", "/v1/accounts", new)
    assert answer.status == status
    assert (console.accounts.account("cid") is not None) == (status == 200)
    assert PASSWORD.encode() not in answer.body


def test_who_hands_out_rights_in_one_tenant_reaches_into_no_other(console: Console) -> None:
    console.person("nia", "admin@nets")
    console.person("both", "analyst@nets", "approver@cards")
    console.person("cards", "analyst@cards")
    nia = browser(console, "nia")
    seen = {row["name"]: row["grants"] for row in nia.ask("GET", "/v1/accounts").json}
    assert "cards" not in seen
    assert seen["both"] == ["analyst@nets"]  # of the other tenant not even the role
    for name, status in (("cards", 404), ("ana", 404), ("both", 403), ("nobody", 404)):
        for act, body in (
            ("grants", {"grants": ["viewer@nets"]}), ("password", {"password": PASSWORD}),
            ("disable", {}), ("keys", {}),
        ):  # fmt: skip
            answer = nia.ask("POST", f"/v1/accounts/{name}/{act}", body)
            assert answer.status == status, (name, act)
    for grants in (["viewer@cards"], ["viewer@*"], ["viewer@nets", "viewer@cards"], []):
        new = {"name": "new", "kind": "person", "grants": grants, "password": PASSWORD}
        assert nia.ask("POST", "/v1/accounts", new).status == 403
        change = nia.ask("POST", "/v1/accounts/bea/grants", {"grants": grants})
        assert change.status == 403
    assert console.accounts.account("new") is None
    allowed = nia.ask("POST", "/v1/accounts/bea/grants", {"grants": ["viewer@nets"]})
    assert allowed.status == 200


def test_nobody_gives_roles_to_themselves(console: Console) -> None:
    ana = browser(console, "ana")
    assert ana.ask("POST", "/v1/accounts/ana/grants", {"grants": ["approver@*"]}).status == 403
    assert ana.ask("POST", "/v1/accounts/ana/password", {"password": PASSWORD}).status == 403
    answer = ana.ask("POST", "/v1/accounts/ana/disable", {})
    assert (answer.status, "only admin" in answer.json["detail"]) == (409, True)


def test_a_key_is_shown_once_and_withdrawn_for_good(console: Console) -> None:
    ana = browser(console, "ana")
    new = {"name": "switch", "kind": "service", "grants": ["service@nets"], "owner": "bea"}
    ana.ask("POST", "/v1/accounts", new)
    issued = ana.ask("POST", "/v1/accounts/switch/keys", {"note": "core", "rate_per_s": 5}).json
    assert id_of_key(issued["key"]) == issued["id"]
    listed = ana.ask("GET", "/v1/keys")
    assert [(k["id"], k["account"], k["state"]) for k in listed.json] == [
        (issued["id"], "switch", "holds")
    ]
    assert issued["key"].encode() not in listed.body
    assert issued["key"].encode() not in b"".join(console.ledger.kept[console.shard.tag])
    assert ana.ask("POST", f"/v1/keys/{issued['id']}/withdraw", {"reason": "lost"}).status == 200
    assert ana.ask("POST", f"/v1/keys/{issued['id']}/withdraw", {}).status == 409
    assert ana.ask("GET", "/v1/keys").json[0]["state"] == "withdrawn"
    assert ana.ask("POST", "/v1/keys/nokey/withdraw", {}).status == 404


def test_lists_come_a_page_at_a_time_whatever_is_asked(console: Console) -> None:
    for n in range(PAGE + 5):
        name = f"x{n:04}"
        console.accounts.put(
            Account(name=name, kind="service", owner="ana", grants=(), hands=frozenset(), made_at=1,
                    made_by="ana")
        )  # fmt: skip
    ana = browser(console, "ana")
    first = [row["name"] for row in ana.ask("GET", "/v1/accounts").json]
    rest = [row["name"] for row in ana.ask("GET", f"/v1/accounts?after={first[-1]}").json]
    assert len(first) == PAGE
    assert first + rest == [account.name for account in console.accounts.accounts()]
    for query in (
        "limit=1000000",
        "after=a&after=b",
        "after=a&x=1",
        "&" * 5_000,
        "a=" + "x" * 9_000,
    ):
        assert ana.ask("GET", f"/v1/accounts?{query}").status in (200, 400)
    assert ana.ask("GET", "/v1/accounts?limit=1000000").status == 400


@pytest.mark.parametrize("lang", ["en", "es"])
def test_the_pages_escape_what_people_named_and_say_it_in_both_languages(
    tmp_path: Path, lang: str
) -> None:
    console = Console(tmp_path, language=lang)
    console.person("bea", "approver@nets")
    console.seal(by="<script>alert(1)</script>")
    sign_in = Browser(console).ask("GET", "/").body.decode()
    assert f'<html lang="{lang}"' in sign_in
    assert ("Sign in" in sign_in) == (lang == "en")
    page = browser(console, "bea").ask("GET", "/").body.decode()
    assert "flows@1" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "onclick" not in page
    assert "style=" not in page
    assert browser(console, "bea").ask("GET", "/console.js").status == 200


# --- the shard of acts ---------------------------------------------------------------------------


def test_a_shard_that_failed_is_opened_anew_for_the_next_act() -> None:
    ledger = MemoryLedger()
    acts = Acts(ledger.open_shard)
    assert acts.append([b"one"]) == 0
    acts.commit()
    ledger.full = True
    acts.append([b"lost"])
    with pytest.raises(OutsideError):
        acts.commit()
    ledger.full = False
    acts.append([b"two"])
    acts.commit()
    assert b"two" in [record for records in ledger.kept.values() for record in records]
    acts.close()


def test_what_is_answered_is_what_the_description_says(console: Console) -> None:
    from baluarte.apps.console import wire

    bea, ana = browser(console, "bea"), browser(console, "ana")
    for asked, kind in (
        (bea.ask("GET", "/v1/me"), wire.Me), (bea.ask("GET", "/v1/providers"), wire.Ways),
        (bea.ask("GET", "/v1/detectors"), list[wire.DetectorRow]),
        (bea.ask("GET", "/v1/detectors/flows/versions"), list[wire.VersionRow]),
        (bea.ask("GET", FIRST), wire.VersionPage),
        (ana.ask("GET", "/v1/accounts"), list[wire.AccountRow]),
        (ana.ask("GET", "/v1/keys"), list[wire.KeyRow]),
    ):  # fmt: skip
        assert asked.status == 200
        msgspec.json.decode(asked.body, type=kind)
