"""Signing in by an OpenID provider: a real one on loopback, and everything that may be forged."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from console_ground import Browser, Console
from joserfc import jwk, jwt
from provider_ground import CLIENT, SECRET, Provider
from test_scoring_tls import Authority

from baluarte.adapters.oidc import OpenIdProvider
from baluarte.apps.console.settings import ProviderSettings
from baluarte.core.accounts import MAX_ADDRESS_FAILURES, parse_grant
from baluarte.core.identity import grants_of, identity_of
from baluarte.core.workspace import parse_workspace
from baluarte.errors import ContractError, OutsideError, TrustError
from baluarte.testing.clock import FixedClock

START = "/v1/providers/idp/start"


class Ground:
    """A provider, and a console that it signs people in to."""

    def __init__(self, folder: Path) -> None:
        self.console = Console(folder)  # its clock is the provider's, too
        self.provider = Provider(now_s=lambda: self.console.clock.now_us() // 1_000_000)
        self.console.person("ana", "admin@*")
        self.use()

    def use(self, **changes: Any) -> None:
        given = {
            "name": "idp", "issuer": self.provider.issuer, "client_id": CLIENT,
            "client_secret": SECRET, "algorithms": ("ES256", "RS256"), "hosts": (), "scopes": (),
            "name_claim": "preferred_username", "groups_claim": "groups", "ca": None,
            "by_group": {"f": (parse_grant("approver@nets"),), "e": (parse_grant("engineer@nets"),),
                         "a": (parse_grant("admin@*"),)},
        }  # fmt: skip
        console = self.console
        console.settings = console.settings.__class__(
            **{
                **{f: getattr(console.settings, f) for f in console.settings.__struct_fields__},
                "providers": (ProviderSettings(**{**given, **changes}),),
            }
        )
        console.door = console.open()

    def begin(self, browser: Browser) -> str:
        """Where the browser is sent back to by the provider."""
        answer = browser.ask("GET", START, mode="navigate", dest="document")
        assert answer.status == 303, answer.body
        return self.provider.authorize(dict(answer.headers)["location"])

    def come_back(self, browser: Browser, address: str) -> Any:
        target = address.split("8318", 1)[1]
        return browser.ask("GET", target, site="cross-site", mode="navigate", dest="document")

    def sign_in(self, browser: Browser | None = None) -> Any:
        browser = browser or Browser(self.console)
        return self.come_back(browser, self.begin(browser))


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    yield made
    made.provider.close()


# --- the way as it should be ---------------------------------------------------------------------


@pytest.mark.parametrize(("kid", "alg"), [("ec-1", "ES256"), ("rsa-1", "RS256")])
def test_a_person_comes_back_signed_in_by_either_algorithm(
    ground: Ground, kid: str, alg: str
) -> None:
    ground.provider.kid, ground.provider.alg = kid, alg
    browser = Browser(ground.console)
    answer = ground.sign_in(browser)
    assert answer.status == 200
    assert 'http-equiv="refresh"' in answer.body.decode()  # a strict cookie needs a page of ours
    assert set(browser.cookies) == {"__Host-baluarte"}  # the flow's own is taken back
    me = browser.ask("GET", "/v1/me").json
    assert (me["name"], me["via"], me["grants"]) == ("mia", "session", ["approver@nets"])
    account = ground.console.accounts.account("mia")
    assert account is not None
    assert account.subject == f"{ground.provider.issuer}#u-1"
    assert account.hands == frozenset()  # nobody held what opens it
    said = [act.details["what"] for act in ground.console.acts() if act.details["subject"] == "mia"]
    assert said == ["account made", "signed in"]


def test_the_cookie_of_the_way_is_sealed_short_lived_and_lax(ground: Ground) -> None:
    answer = Browser(ground.console).ask("GET", START)
    said = answer.cookies()["__Host-baluarte-flow"]
    assert {*said.split("; ")[1:]} == {
        "Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=600",
    }  # fmt: skip
    sent = dict(answer.headers)["location"]
    sealed = bytes.fromhex(said.partition("=")[2].partition(";")[0])
    for secret in ("verifier", "nonce", "state", "idp"):
        assert secret.encode() not in sealed
    assert "code_verifier" not in sent
    assert "s3cret" not in sent


def test_roles_follow_the_groups_at_every_sign_in(ground: Ground) -> None:
    browser = Browser(ground.console)
    ground.sign_in(browser)
    ground.provider.person["groups"] = ["e"]
    other = Browser(ground.console)
    ground.sign_in(other)
    assert browser.ask("GET", "/v1/me").status == 401  # begun with other rights
    assert other.ask("GET", "/v1/me").json["grants"] == ["engineer@nets"]
    ground.provider.person["groups"] = ["nothing that is mapped"]
    assert ground.sign_in().status == 401
    assert other.ask("GET", "/v1/me").status == 401
    account = ground.console.accounts.account("mia")
    assert account is not None
    assert account.grants == ()


def test_an_account_made_by_a_person_keeps_its_roles_and_needs_no_group(ground: Ground) -> None:
    ground.console.by("ana").add(
        "maria", kind="person", grants=[parse_grant("auditor@*")],
        subject=f"{ground.provider.issuer}#u-1",
    )  # fmt: skip
    ground.provider.person["groups"] = []
    browser = Browser(ground.console)
    assert ground.sign_in(browser).status == 200
    me = browser.ask("GET", "/v1/me").json
    assert (me["name"], me["grants"]) == ("maria", ["auditor@*"])


def test_without_a_mapping_and_without_an_account_nobody_is_let_in(ground: Ground) -> None:
    ground.use(by_group={})
    before = len(ground.console.accounts.accounts())
    answer = ground.sign_in()
    assert answer.status == 401
    assert "set-cookie" in dict(answer.headers)  # the flow's own goes
    assert len(ground.console.accounts.accounts()) == before


@pytest.mark.parametrize("claim", ["sub", "preferred_username", "iss"])
def test_what_a_provider_says_makes_no_line_of_the_log(
    ground: Ground, claim: str, caplog: pytest.LogCaptureFixture
) -> None:
    forged = "u-1\r\n  ERROR baluarte.console: the ledger was changed\x1b[2K\u2028x"
    if claim == "iss":
        ground.provider.said = {"issuer": forged}
        Browser(ground.console).ask("GET", START)
    else:
        ground.provider.person[claim] = forged
        ground.use(by_group={} if claim == "sub" else {"f": (parse_grant("viewer@*"),)})
        assert ground.sign_in().status in (401, 409)
    assert caplog.records
    for record in caplog.records:
        assert record.getMessage().isprintable(), record.getMessage()


def test_a_name_that_is_anothers_opens_nothing(ground: Ground) -> None:
    ground.provider.person["preferred_username"] = "ana"
    assert ground.sign_in().status == 409
    account = ground.console.accounts.account("ana")
    assert account is not None
    assert account.subject is None


def test_a_disabled_account_is_let_in_by_no_provider(ground: Ground) -> None:
    ground.sign_in()
    ground.console.by("ana").disable("mia")
    assert ground.sign_in().status == 401


def test_groups_whose_roles_can_not_stand_together_let_nobody_in(ground: Ground) -> None:
    ground.provider.person["groups"] = ["a", "e"]
    assert ground.sign_in().status == 409
    assert ground.console.accounts.account("mia") is None


def test_a_public_client_needs_no_secret_and_a_listed_way_posts_it(ground: Ground) -> None:
    ground.use(client_secret=None)
    assert ground.sign_in().status == 200
    assert "client_secret" not in ground.provider.spoken[-1]
    ground.provider.said = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    ground.use()
    assert ground.sign_in().status == 200
    assert ground.provider.spoken[-1]["client_secret"] == SECRET


def test_a_new_key_of_the_provider_is_found_when_a_token_needs_it(ground: Ground) -> None:
    assert ground.sign_in().status == 200
    fresh = jwk.ECKey.generate_key("P-256", parameters={"kid": "ec-2", "use": "sig"})
    ground.provider.keys = {"ec-2": fresh}
    ground.provider.kid = "ec-2"
    assert ground.sign_in().status == 401  # asked for a moment ago: not asked again for each token
    ground.console.clock.advance(61_000_000)
    assert ground.sign_in().status == 200


# --- forged ways back ----------------------------------------------------------------------------


def test_an_answer_counts_only_in_the_browser_that_was_sent(ground: Ground) -> None:
    victim, attacker = Browser(ground.console), Browser(ground.console)
    address = ground.begin(
        attacker
    )  # sent to a victim: a session of the attacker's would be theirs
    assert ground.come_back(victim, address).status == 401
    assert "__Host-baluarte" not in victim.cookies
    ground.begin(victim)
    assert ground.come_back(victim, address).status == 401


def test_an_answer_counts_once_and_for_ten_minutes(ground: Ground) -> None:
    browser = Browser(ground.console)
    address = ground.begin(browser)
    flow = dict(browser.cookies)
    assert ground.come_back(browser, address).status == 200
    assert ground.come_back(Browser(ground.console), address).status == 401
    again = Browser(ground.console)
    again.cookies = flow
    assert ground.come_back(again, address).status in (401, 503)  # the code is used up
    late = Browser(ground.console)
    address = ground.begin(late)
    ground.console.clock.advance(600_000_000)
    assert ground.come_back(late, address).status == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda address: address.replace("state=", "state=0"),
        lambda address: address.replace("state=", "stat="),
        lambda address: address + "&state=x",
        lambda address: address.replace("code=", "code=0"),
        lambda address: address.replace("code=", "error=access_denied&x="),
        lambda address: address.split("&iss=")[0],
        lambda address: address.split("&iss=")[0] + "&iss=https%3A%2F%2Fevil.example",
        lambda address: address + "&x=" + "y" * 9_000,
        lambda address: address + "&" * 99,
    ],
)
def test_a_changed_answer_lets_nobody_in(ground: Ground, change: Callable[[str], str]) -> None:
    browser = Browser(ground.console)
    answer = ground.come_back(browser, change(ground.begin(browser)))
    assert answer.status in (400, 401, 503)
    assert "__Host-baluarte" not in browser.cookies


def test_an_address_that_comes_back_with_nothing_again_and_again_waits(ground: Ground) -> None:
    guesser = Browser(ground.console, client="203.0.113.9:1")
    for _ in range(MAX_ADDRESS_FAILURES):
        guesser.ask("GET", "/v1/providers/idp/callback?code=x&state=y")
    asked = len(ground.provider.asked)
    assert guesser.ask("GET", "/v1/providers/idp/callback?code=x&state=y").status == 429
    assert ground.sign_in(guesser).status == 429
    assert "/token" not in ground.provider.asked[asked:]
    assert ground.sign_in().status == 200


def test_a_changed_cookie_of_the_way_is_none(ground: Ground) -> None:
    browser = Browser(ground.console)
    address = ground.begin(browser)
    sealed = bytearray.fromhex(browser.cookies["__Host-baluarte-flow"])
    sealed[20] ^= 1
    for value in (sealed.hex(), "", "zz", "00" * 40):
        browser.cookies = {"__Host-baluarte-flow": value}
        assert ground.come_back(browser, address).status == 401


# --- forged tokens -------------------------------------------------------------------------------


def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
    parts = [json.dumps({"alg": alg}).encode(), json.dumps(claims).encode()]
    coded = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts]
    return ".".join((*coded, ""))


def other(provider: Provider, **claims: Any) -> Callable[[dict[str, Any]], str]:
    return lambda given: provider.sign(
        {key: value for key, value in {**given, **claims}.items() if value is not ...}
    )


def with_its_own_key(_: Provider, claims: dict[str, Any]) -> str:
    own = jwk.ECKey.generate_key("P-256")
    head = {"alg": "ES256", "jwk": own.as_dict(private=False)}
    return jwt.encode(head, claims, own)


def hmac_under_public_key(provider: Provider, claims: dict[str, Any]) -> str:
    public = provider.keys["rsa-1"].as_pem(private=False)
    parts = [json.dumps({"alg": "HS256", "kid": "rsa-1"}).encode(), json.dumps(claims).encode()]
    head = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    mac = hmac.digest(public, head.encode(), "sha256")
    return f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


FORGED: dict[str, Callable[[Provider, dict[str, Any]], str]] = {
    "another issuer": lambda p, c: other(p, iss="https://evil.example")(c),
    "another audience": lambda p, c: other(p, aud="another client")(c),
    "no audience": lambda p, c: other(p, aud=...)(c),
    "several audiences": lambda p, c: other(p, aud=[CLIENT, "another client"])(c),
    "issued to another": lambda p, c: other(p, azp="another client")(c),
    "expired": lambda p, c: other(p, exp=c["iat"] - 61)(c),
    "no expiry": lambda p, c: other(p, exp=...)(c),
    "expiry that is no number": lambda p, c: other(p, exp="2099")(c),
    "issued later": lambda p, c: other(p, iat=c["iat"] + 61)(c),
    "not yet": lambda p, c: other(p, nbf=c["iat"] + 61)(c),
    "no subject": lambda p, c: other(p, sub=...)(c),
    "another nonce": lambda p, c: other(p, nonce="0" * 64)(c),
    "no nonce": lambda p, c: other(p, nonce=...)(c),
    "a list of nonces": lambda p, c: other(p, nonce=[c["nonce"]])(c),
    "no name": lambda p, c: other(p, preferred_username=...)(c),
    "a name that is none": lambda p, c: other(p, preferred_username=["mia"])(c),
    "groups that are none": lambda p, c: other(p, groups=[{"f": 1}])(c),
    "unsigned": lambda p, c: unsigned(c),
    "unsigned, spelt otherwise": lambda p, c: unsigned(c, "None"),
    "no token": lambda p, c: "",
    "half a token": lambda p, c: p.sign(c)[:-20],
    "another's key by the same name": lambda p, c: jwt.encode(
        {"alg": "ES256", "kid": "ec-1"}, c, jwk.ECKey.generate_key("P-256")
    ),
    "a key of its own in the head": with_its_own_key,
    "an HMAC under the public key": hmac_under_public_key,
    "an algorithm that was not named": lambda p, c: jwt.encode(
        {"alg": "RS512", "kid": "rsa-1"}, c, p.keys["rsa-1"], algorithms=["RS512"]
    ),
    "very long": lambda p, c: p.sign({**c, "x": "y" * 70_000}),
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_token_lets_nobody_in(ground: Ground, how: str) -> None:
    ground.provider.forge = lambda claims: FORGED[how](ground.provider, claims)
    browser = Browser(ground.console)
    answer = ground.sign_in(browser)
    assert answer.status == 401, how
    assert "__Host-baluarte" not in browser.cookies
    assert ground.console.accounts.account("mia") is None
    assert ground.provider.issuer not in answer.body.decode()  # why, is for the log


# --- a provider that sends us elsewhere ----------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    ["http://169.254.169.254/latest/meta-data", "http://[::ffff:169.254.169.254]/",
     "file:///etc/passwd", "http://localhost:1/keys", "https://evil.example/keys",
     "gopher://127.0.0.1/", "//evil.example",
     "http://127.0.0.1@evil.example/", "http://127.0.0.1:99999/", "", None, 7],
)  # fmt: skip
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_nothing_is_asked_where_nobody_said_that_it_stands(
    ground: Ground, name: str, place: object
) -> None:
    ground.provider.said = {name: place}
    browser = Browser(ground.console)
    if name == "authorization_endpoint":
        assert browser.ask("GET", START).status in (409, 503)
    else:
        assert ground.sign_in(browser).status == 401
    assert "__Host-baluarte" not in browser.cookies


def test_a_provider_that_failed_is_not_asked_again_by_everyone_who_comes(ground: Ground) -> None:
    ground.provider.redirect_discovery = True
    for _ in range(5):
        assert Browser(ground.console).ask("GET", START).status == 503
    assert len(ground.provider.asked) == 1
    ground.provider.redirect_discovery = False
    ground.console.clock.advance(5_000_000)
    assert ground.sign_in().status == 200


def test_a_redirect_is_not_followed_and_another_issuers_document_not_believed(
    ground: Ground,
) -> None:
    ground.provider.redirect_discovery = True
    assert Browser(ground.console).ask("GET", START).status == 503
    assert "/elsewhere" not in ground.provider.asked
    ground.provider.redirect_discovery = False
    for said in (
        {"issuer": "https://evil.example"},
        {"code_challenge_methods_supported": ["plain"]},
    ):
        ground.provider.said = said
        ground.console.clock.advance(5_000_000)
        assert Browser(ground.console).ask("GET", START).status == 409


def test_a_provider_that_is_away_or_speaks_nonsense_is_an_error_of_its_own(tmp_path: Path) -> None:
    clock = FixedClock()
    provider = OpenIdProvider(
        issuer="http://127.0.0.1:9", client_id=CLIENT, secret=None, algorithms=("ES256",),
        clock=clock,
    )  # fmt: skip
    with pytest.raises(OutsideError, match="doesn't answer"):
        provider.authorize(redirect_uri="x", state="s", nonce="n", challenge="c")
    with pytest.raises(ContractError, match="certificates"):
        OpenIdProvider(
            issuer="https://id.example", client_id=CLIENT, secret=None, algorithms=("ES256",),
            clock=clock, ca=str(tmp_path / "none.pem"),
        )  # fmt: skip


def test_a_provider_elsewhere_is_spoken_to_over_tls_1_3_with_a_verified_certificate(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    authority.issue("idp")

    def served(version: ssl.TLSVersion) -> Provider:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = version
        context.load_cert_chain(authority.path("idp.pem"), authority.path("idp.key"))
        return Provider(now_s=lambda: 0, tls=context)

    def asked(provider: Provider, ca: str | None) -> str:
        client = OpenIdProvider(
            issuer=provider.issuer, client_id=CLIENT, secret=None, algorithms=("ES256",),
            clock=FixedClock(), ca=ca,
        )  # fmt: skip
        try:
            return client.authorize(redirect_uri="x", state="s", nonce="n", challenge="c")
        finally:
            provider.close()

    assert asked(served(ssl.TLSVersion.TLSv1_3), authority.path("ca.pem")).startswith("https://")
    for version, ca in ((ssl.TLSVersion.TLSv1_2, authority.path("ca.pem")),
                        (ssl.TLSVersion.TLSv1_3, None)):  # fmt: skip
        with pytest.raises(OutsideError, match="doesn't answer"):
            asked(served(version), ca)


# --- what claims stand for -----------------------------------------------------------------------


def test_an_address_names_an_account_only_where_the_provider_verified_it() -> None:
    claims = {"iss": "https://id.example", "sub": "1", "email": "Mia@bank.example"}
    with pytest.raises(TrustError, match="email_verified"):
        identity_of(claims, name="email", groups="groups")
    verified = identity_of({**claims, "email_verified": True}, name="email", groups="groups")
    assert verified.name == "mia@bank.example"
    assert grants_of(verified, {"f": (parse_grant("viewer@*"),)}) == ()
    one = identity_of({**claims, "roles": "f"}, name="sub", groups="roles")
    assert grants_of(one, {"f": (parse_grant("viewer@*"),)}) == (parse_grant("viewer@*"),)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ('issuer = "http://id.example"', "https"),
        ('issuer = "https://id.example?x=1"', r"without \? and #"),
        ('issuer = "ftp://id.example"', "https"),
        ('issuer = "https://id.example"\ngrants = { f = ["chief@*"] }', "ROLE@TENANT"),
        ('issuer = "https://id.example"\ngrants = { f = ["admin@*", "approver@*"] }', "can't hold"),
        ('issuer = "https://id.example"\nalgorithms = ["HS256"]', "RS256"),
        ('issuer = "https://id.example"\nalgorithms = ["none"]', "RS256"),
        ('issuer = "https://id.example"\nalgorithms = []', "algorithms"),
        ('issuer = "https://id.example"\nclient_secret = { env = "A", file = "B" }', "one of"),
    ],
)
def test_a_provider_that_can_not_be_believed_is_a_fault_of_the_workspace(
    said: str, fault: str
) -> None:
    text = f'[console.providers.idp]\nclient_id = "x"\n{said}\n'
    with pytest.raises(ContractError, match=fault):
        parse_workspace(text, where="workspace.toml")


def test_a_provider_on_this_machine_may_speak_plainly() -> None:
    text = '[console.providers.idp]\nclient_id = "x"\nissuer = "http://127.0.0.1:9000"\n'
    parse_workspace(text, where="workspace.toml")
