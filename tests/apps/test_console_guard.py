"""The console's guard: who is let in, for which host, and that no other site changes anything."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from console_ground import (
    HOST,
    ORIGIN,
    PASSWORD,
    PEPPER,
    Browser,
    Console,
    Protocol,
    Scope,
)

from baluarte.apps.console.lane import Lane
from baluarte.apps.console.problem import Refused
from baluarte.apps.console.routes import ROUTES
from baluarte.apps.console.server import require_guarded
from baluarte.core.accounts import (
    IDLE_US,
    LOCK_US,
    MAX_ADDRESS_FAILURES,
    MAX_FAILURES,
    SESSION_US,
    parse_grant,
)
from baluarte.errors import ContractError, OutsideError
from baluarte.testing.accounts import PlainPasswords

FILLED = {"{name}": "flows", "{version}": "1"}


def path_of(path: str) -> str:
    for mark, value in FILLED.items():
        path = path.replace(mark, value)
    return path


@pytest.fixture
def console(tmp_path: Path) -> Console:
    made = Console(tmp_path)
    made.person("ana", "admin@*")
    made.person("bea", "approver@nets")
    made.seal()
    return made


@pytest.fixture
def bea(console: Console) -> Browser:
    browser = Browser(console)
    assert browser.sign_in("bea").status == 200
    return browser


# --- signing in and out --------------------------------------------------------------------------


def test_a_password_opens_a_session_in_a_cookie_that_no_script_and_no_other_site_has(
    console: Console,
) -> None:
    answer = Browser(console).sign_in("bea")
    said = answer.cookies()["__Host-baluarte"]
    value, *attributes = said.split("; ")
    assert {*attributes} == {"Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=28800"}
    secret = value.partition("=")[2]
    assert len(bytes.fromhex(secret)) == 32
    assert secret not in answer.body.decode()
    assert secret not in repr(console.accounts.__dict__)
    assert secret.encode() not in b"".join(console.ledger.kept[console.shard.tag])
    assert answer.json["grants"] == ["approver@nets"]


def test_wrong_names_wrong_passwords_locked_and_disabled_accounts_are_answered_alike(
    console: Console,
) -> None:
    console.person("cid", "viewer@*")
    console.by("ana").disable("cid")
    console.person("dan", "viewer@*")
    for _ in range(MAX_FAILURES):
        Browser(console, client="10.0.0.9:1").sign_in("dan", "wrong wrong wrong")
    answers = {
        (answer.status, answer.body)
        for answer in (
            Browser(console).sign_in("bea", "wrong wrong wrong"),
            Browser(console).sign_in("nobody"),
            Browser(console).sign_in("cid"),
            Browser(console).sign_in("dan"),
        )
    }
    assert len(answers) == 1
    assert next(iter(answers))[0] == 401


def test_an_address_that_guessed_waits_and_others_do_not(console: Console) -> None:
    guesser = Browser(console, client="203.0.113.9:1")
    for n in range(MAX_ADDRESS_FAILURES):
        assert guesser.sign_in(f"guess{n}", "wrong").status == 401
    refused = guesser.sign_in("bea")
    assert (refused.status, refused.json["code"]) == (429, "too_many_tries")
    assert ("retry-after", "900") in refused.headers
    assert Browser(console, client="203.0.113.10:1").sign_in("bea").status == 200
    console.clock.advance(LOCK_US)
    assert guesser.sign_in("bea").status == 200


def test_an_account_that_is_locked_is_in_the_ledger_once_and_a_name_that_is_none_is_not(
    console: Console,
) -> None:
    for name in ("bea", "nobody"):
        for _ in range(MAX_FAILURES + 3):
            Browser(console, client=f"10.0.0.{len(name)}:1").sign_in(name, "wrong wrong wrong")
    said = [(act.actor, act.details["subject"]) for act in console.acts()
            if act.details.get("what") == "account locked"]  # fmt: skip
    assert said == [("console", "bea")]


def test_signing_in_gives_a_fresh_secret_and_ends_the_one_before(bea: Browser) -> None:
    first, planted = dict(bea.cookies), "00" * 32
    assert bea.sign_in("bea").status == 200
    assert bea.cookies != first
    assert bea.ask("GET", "/v1/me").status == 200
    bea.cookies = first
    assert bea.ask("GET", "/v1/me").status == 401
    bea.cookies = {"__Host-baluarte": planted}  # a secret that somebody planted is never taken on
    bea.sign_in("bea")
    assert bea.cookies["__Host-baluarte"] != planted


def test_signing_out_ends_the_session_and_takes_the_cookie_back(bea: Browser) -> None:
    kept = dict(bea.cookies)
    answer = bea.ask("POST", "/v1/sign-out")
    assert answer.status == 200
    assert ("clear-site-data", '"cookies", "storage"') in answer.headers
    assert bea.cookies == {}
    bea.cookies = kept
    assert bea.ask("GET", "/v1/me").status == 401


def test_a_session_ends_unused_and_ends_in_the_end(console: Console, bea: Browser) -> None:
    for _ in range(SESSION_US // (IDLE_US - 1)):
        console.clock.advance(IDLE_US - 1)
        assert bea.ask("GET", "/v1/me").status == 200
    console.clock.advance(IDLE_US - 1)
    assert bea.ask("GET", "/v1/me").status == 401
    bea.sign_in("bea")
    console.clock.advance(IDLE_US)
    assert bea.ask("GET", "/v1/me").status == 401


def test_other_roles_a_password_and_disabling_end_the_session(
    console: Console, bea: Browser
) -> None:
    console.by("ana").grant("bea", [parse_grant("viewer@nets")])
    assert bea.ask("GET", "/v1/me").status == 401
    bea.sign_in("bea")
    wanted = {"current": PASSWORD, "password": PASSWORD + " again"}
    assert bea.ask("POST", "/v1/me/password", {**wanted, "current": "wrong"}).status == 403
    assert bea.ask("POST", "/v1/me/password", {**wanted, "password": "short"}).status == 400
    assert bea.ask("POST", "/v1/me/password", wanted).status == 200
    assert bea.ask("GET", "/v1/me").status == 401
    assert bea.sign_in("bea").status == 401
    assert bea.sign_in("bea", PASSWORD + " again").status == 200
    console.by("ana").disable("bea")
    assert bea.ask("GET", "/v1/me").status == 401


def test_where_passwords_are_off_none_is_looked_at(tmp_path: Path) -> None:
    console = Console(tmp_path, passwords=False)
    console.person("bea", "approver@nets")
    assert Browser(console).sign_in("bea").status == 404
    assert console.accounts.failures("bea").count == 0


def test_who_signed_in_is_in_the_ledger(console: Console, bea: Browser) -> None:
    act = console.acts()[-1]
    assert (act.act, act.actor, act.details["what"]) == ("access", "bea", "signed in")


# --- other sites ---------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [r for r in ROUTES if r.method == "POST"], ids=lambda r: r.name)
def test_no_other_sites_page_changes_anything(bea: Browser, route: object) -> None:
    path = path_of(route.path)
    for given in (
        {"origin": "https://evil.example"},
        {"origin": None},
        {"origin": "null"},
        {"origin": f"{ORIGIN}.evil.example"},
        {"origin": "http://127.0.0.1:8319"},
        {"site": "cross-site"},
        {"site": "same-site"},
        *([] if route.scope == "open" else [{"token": ""}, {"token": "0" * 64}]),
    ):
        answer = bea.ask("POST", path, {}, **given)
        assert (answer.status, answer.json["code"]) == (403, "cross_site"), given
    assert bea.ask("GET", "/v1/me").status == 200  # not even signed out


def test_a_token_is_of_one_session(console: Console, bea: Browser) -> None:
    other = Browser(console)
    other.sign_in("bea")
    assert bea.ask("POST", "/v1/sign-out", token=other.token).status == 403


def test_nothing_is_shown_in_another_sites_page(bea: Browser) -> None:
    for mode, dest in (("no-cors", "script"), ("cors", "empty"), ("navigate", "iframe")):
        for site in ("cross-site", "same-site"):
            asked = bea.ask("GET", "/v1/accounts", site=site, mode=mode, dest=dest)
            assert asked.status == 403
    assert bea.ask("GET", "/v1/me", site="none", mode="navigate", dest="document").status == 200


def test_a_cookie_that_comes_twice_is_none(console: Console, bea: Browser) -> None:
    secret = bea.cookies["__Host-baluarte"]
    for cookies in (
        [f"__Host-baluarte={secret}; __Host-baluarte=00"],
        [f"__Host-baluarte={secret}", f"__Host-baluarte={secret}"],
        [f"__host-baluarte={secret}"],
        [f"baluarte={secret}"],
    ):
        answer = console.ask("GET", "/v1/me", headers=[("cookie", one) for one in cookies])
        assert answer.status == 401


def test_every_answer_says_that_it_is_kept_framed_and_guessed_nowhere(
    console: Console, bea: Browser
) -> None:
    wanted = {
        "cache-control": "no-store", "x-content-type-options": "nosniff",
        "x-frame-options": "DENY", "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }  # fmt: skip
    answers = [bea.ask(route.method, path_of(route.path), {} if route.method == "POST" else None)
               for route in ROUTES if route.name != "sign_out"]  # fmt: skip
    answers += [console.ask("GET", "/nowhere"), console.ask("BREW", "/v1/me")]
    answers.append(console.ask("GET", "/v1/me", host="evil.example"))
    for answer in answers:
        said = dict(answer.headers)
        assert wanted.items() <= said.items()
        policy = said["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert not [name for name in said if name.startswith("access-control-")]


# --- hosts, keys, bodies -------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: r.name)
def test_a_rebound_name_reaches_no_route(console: Console, route: object) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example:8318", "127.0.0.1:1", "169.254.169.254"):
        assert console.ask(route.method, path_of(route.path), host=host).status == 421
    assert console.ask(route.method, path_of(route.path), host=None).status == 400
    twice = [("host", "localhost")]
    assert console.ask(route.method, path_of(route.path), headers=twice).status == 400


def test_a_key_needs_no_cookie_and_does_nothing_that_only_a_person_does(console: Console) -> None:
    console.person("eli", "engineer@nets")
    for name in ("bea", "eli"):
        _, text = console.by("ana").issue_key(name, note="", days=1)
        console.keys._again(console.accounts)
        shown = [("authorization", f"Bearer {text}")]
        assert console.ask("GET", "/v1/detectors", headers=shown).json[0]["name"] == "flows"
        me = console.ask("GET", "/v1/me", headers=shown).json
        assert (me["via"], me["token"]) == ("key", "")
        approve = "/v1/detectors/flows/versions/1/approve"
        assert console.ask("POST", approve, {}, shown).status == 403
        assert console.ask("POST", "/v1/me/password", {}, shown).status in (400, 403)
    wrong = [("authorization", f"Bearer {text[:-1]}x")]
    assert console.ask("GET", "/v1/me", headers=wrong).status == 401
    assert console.ask("GET", "/v1/me", headers=[*shown, *shown]).status == 401
    basic = [("authorization", "Basic Ym9iOmJvYg==")]
    assert console.ask("GET", "/v1/me", headers=basic).status == 401


def test_a_key_that_asks_too_often_is_told_when_to_come_back(console: Console) -> None:
    _, text = console.by("ana").issue_key("bea", note="", days=1, rate_per_s=0.001, burst=1)
    console.keys._again(console.accounts)
    shown = [("authorization", f"Bearer {text}")]
    assert console.ask("GET", "/v1/me", headers=shown).status == 200
    assert console.ask("GET", "/v1/me", headers=shown).status == 429


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"reason": 1}', "wrong_shape"),
        (b'{"reason": "x", "more": 1}', "wrong_shape"),
        (b"[]", "wrong_shape"),
        (b'{"reason": "a", "reason": "b"}', "duplicate_key"),
        (b'{"reason": NaN}', "malformed_json"),
        (b'{"reason":', "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b'{"reason": ' + b"[" * 90 + b"]" * 90 + b"}", "too_deep"),
    ],
)
def test_a_body_that_is_none_is_refused_with_the_reason(
    bea: Browser, body: bytes, code: str
) -> None:
    answer = bea.ask("POST", "/v1/detectors/flows/versions/1/approve", body)
    assert (answer.status, answer.json["code"]) == (400, code)


def test_a_long_body_is_not_kept_and_an_unknown_type_not_guessed(
    console: Console, bea: Browser
) -> None:
    path = "/v1/detectors/flows/versions/1/approve"
    assert bea.ask("POST", path, b"x" * 70_000).status == 413
    headers = [
        ("cookie", f"__Host-baluarte={bea.cookies['__Host-baluarte']}"), ("origin", ORIGIN),
        ("x-baluarte-token", bea.token),
    ]  # fmt: skip
    chunks = [b"{"] + [b" "] * 100_000
    assert console.ask("POST", path, headers=headers, parts=chunks).status == 413
    form = [*headers, ("content-type", "application/x-www-form-urlencoded")]
    assert console.ask("POST", path, b"reason=x", form).status == 415
    pickled = [*headers, ("content-type", "application/octet-stream")]
    assert console.ask("POST", path, b"\x80\x04", pickled).status == 415
    packed = [*headers, ("content-encoding", "gzip")]
    assert console.ask("POST", path, b"{}", packed).status == 415


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_405_on_every_route(console: Console, method: str) -> None:
    for route in ROUTES:
        assert console.ask(method, path_of(route.path)).status == 405


def test_too_much_at_once_is_503_and_the_rest_is_answered(tmp_path: Path) -> None:
    console = Console(tmp_path, max_open=0)
    answer = console.ask("GET", "/healthz")
    assert (answer.status, dict(answer.headers)["retry-after"]) == (503, "1")


def test_who_waits_for_a_password_or_a_provider_leaves_room_for_the_others(tmp_path: Path) -> None:
    async def crowd() -> list[int]:
        lane = Lane(2, waiting=3)
        refused: list[int] = []
        enough = asyncio.Event()

        async def one() -> None:
            try:
                async with lane:
                    await enough.wait()
            except Refused as refusal:
                refused.append(refusal.status)

        waiting = [asyncio.ensure_future(one()) for _ in range(9)]
        await asyncio.sleep(0)
        enough.set()
        await asyncio.gather(*waiting)
        async with lane:  # there is room again
            return refused

    assert asyncio.run(crowd()) == [503] * 4


def test_a_body_that_does_not_come_is_given_up_and_takes_no_place(tmp_path: Path) -> None:
    console = Console(tmp_path, body_s=0.05, max_open=1)

    class Silent(Protocol):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(60)

    async def both() -> tuple[int, int]:
        slow, quick = Silent([]), Protocol([])
        headers = [("host", HOST), ("origin", ORIGIN), ("content-type", "application/json")]
        held = asyncio.ensure_future(
            console.door.handle(Scope("POST", "/v1/sign-in", headers, "10.0.0.1:1"), slow)
        )
        await asyncio.sleep(0.01)
        await console.door.handle(Scope("GET", "/healthz", headers, "10.0.0.2:1"), quick)
        await held
        assert slow.answer is not None
        assert quick.answer is not None
        return slow.answer[0], quick.answer[0]

    assert asyncio.run(both()) == (408, 200)


def test_no_more_passwords_are_hashed_at_once_than_memory_has_room_for(tmp_path: Path) -> None:
    console = Console(tmp_path)
    console.person("bea", "approver@nets")
    at_once: list[int] = []
    running = threading.Semaphore(99)

    class Slow(PlainPasswords):
        def matches(self, password: str, kept: str | None) -> bool:
            with running:
                at_once.append(99 - running._value)
                time.sleep(0.01)
                return super().matches(password, kept)

    console.passwords = Slow()
    with ThreadPoolExecutor(8) as pool:
        console.pool = pool
        console.door = console.open()

        async def many() -> None:
            body = b'{"name": "bea", "password": "wrong wrong wrong"}'
            headers = [("host", HOST), ("origin", ORIGIN), ("content-type", "application/json")]
            protocols = [Protocol([body]) for _ in range(12)]
            await asyncio.gather(
                *(
                    console.door.handle(Scope("POST", "/v1/sign-in", headers, "10.0.0.1:1"), one)
                    for one in protocols
                )
            )
            assert {one.answer[0] for one in protocols if one.answer} == {401}

        asyncio.run(many())
    assert len(at_once) == 12
    assert max(at_once) <= console.settings.max_hashing


def test_errors_tell_nothing_of_the_inside(console: Console, bea: Browser) -> None:
    def away() -> int:
        raise OutsideError("the disk is gone", where="/var/lib/secret/accounts.sqlite")

    console.accounts.generation = away  # type: ignore[method-assign]
    answer = console.ask("GET", "/readyz")
    assert answer.status == 503
    assert b"/var/lib" not in answer.body
    console.registry.detectors = lambda: 1 / 0  # type: ignore[assignment,return-value]
    answer = bea.ask("GET", "/v1/detectors")
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert b"ZeroDivision" not in answer.body
    assert PEPPER not in answer.body


# --- starting ------------------------------------------------------------------------------------


def test_a_console_starts_only_where_somebody_can_sign_in_and_others_reach_it_guarded(
    tmp_path: Path,
) -> None:
    def faults(admins: int, **changes: object) -> str:
        try:
            require_guarded(Console(tmp_path, **changes).settings, admins=admins)
        except ContractError as error:
            return str(error)
        return ""

    assert faults(1) == ""
    assert "admin" in faults(0)
    assert "a way to sign in" in faults(1, passwords=False)
    outside = faults(1, host="0.0.0.0")
    assert "TLS" in outside
    assert "names that browsers" in outside
    whole = {"host": "0.0.0.0", "tls_cert": "c", "tls_key": "k", "hosts": ("c.example.org",)}
    assert faults(1, **whole) == ""


def test_a_console_behind_its_own_name_takes_that_name_and_its_origin_only(tmp_path: Path) -> None:
    console = Console(
        tmp_path, host="192.0.2.1", hosts=("console.example.org",), tls_cert="c", port=443
    )
    console.person("bea", "approver@nets")
    body = {"name": "bea", "password": PASSWORD}
    for origin, status in (
        ("https://console.example.org", 200), ("https://console.example.org:443", 200),
        ("http://console.example.org", 403), (ORIGIN, 403),
    ):  # fmt: skip
        asked = console.ask(
            "POST", "/v1/sign-in", body, [("origin", origin)], host="console.example.org"
        )
        assert asked.status == status
    answer = console.ask("GET", "/healthz", host="console.example.org")
    assert "max-age=63072000" in dict(answer.headers)["strict-transport-security"]
    assert console.ask("GET", "/healthz", host=HOST).status == 421
