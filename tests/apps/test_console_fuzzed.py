"""Whatever is asked of a console is answered once, without a fault of ours and without a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from console_ground import HOST, ORIGIN, PASSWORD, PEPPER, Browser, Console
from hypothesis import given, settings
from hypothesis import strategies as st

from baluarte.apps.console.routes import ROUTES
from baluarte.apps.console.settings import ConsoleSettings
from baluarte.apps.place import open_place
from baluarte.errors import ContractError

NAMES = st.one_of(
    st.sampled_from(["flows", "ana", "bea", "switch", "1", "2", "99", "idp", "..", "%00", ""]),
    st.text(max_size=20),
)
TEXTS = st.one_of(st.sampled_from(["viewer@nets", "admin@*", PASSWORD, "x" * 3_000]), st.text())
KEYS = ("name", "password", "reason", "version", "kind", "grants", "current", "owner", "subject",
        "days", "note", "rate_per_s", "burst")  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)  # fmt: skip
BODIES = st.one_of(
    st.none(), st.binary(max_size=200), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6)
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["origin", "cookie", "authorization", "content-type", "content-encoding",
             "content-length", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest",
             "x-baluarte-token", "host", "transfer-encoding", "x-forwarded-for"]
        ),
        st.one_of(st.sampled_from([ORIGIN, HOST, "application/json", "same-origin", "Bearer x",
                                   "__Host-baluarte=00", "__Host-baluarte-flow=ff"]),
                  st.text(max_size=60)),
    ),
    max_size=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> tuple[Console, dict[str, Browser]]:
    console = Console(tmp_path_factory.mktemp("fuzzed"))
    console.person("ana", "admin@*")
    console.person("bea", "approver@nets")
    console.person("eve", "engineer@nets")
    for number in (1, 2):
        console.seal(number=number)
    return console, {}


def browser_of(console: Console, kept: dict[str, Browser], name: str) -> Browser:
    """A session of that person; whatever was fuzzed away is made again."""
    browser = kept.setdefault(name, Browser(console))
    if name and browser.ask("GET", "/v1/me").status != 200:
        console.accounts.forgive(name)
        console.accounts.forgive("address:127.0.0.1")
        account = console.accounts.account(name)
        assert account is not None
        browser.sign_in(name)
    return browser


def ask(ground: tuple[Console, dict[str, Browser]], data: st.DataObject) -> None:
    console, kept = ground
    browser = browser_of(console, kept, data.draw(st.sampled_from(["", "ana", "bea", "eve"])))
    route = data.draw(st.sampled_from(ROUTES))
    path = route.path.replace("{name}", data.draw(NAMES)).replace(
        "{version}", data.draw(st.sampled_from(["1", "2", "3", "0", "-1", "x", "9" * 30]))
    )
    query = data.draw(st.sampled_from(["", "?", "?after=a", "?code=x&state=y", "?" + "&" * 40]))
    method = data.draw(st.sampled_from([route.method] * 6 + ["GET", "POST", "PUT", "BREW"]))
    more = data.draw(HEADERS)
    if more:
        given = [*more, ("cookie", "; ".join(f"{k}={v}" for k, v in browser.cookies.items()))]
        answer = console.ask(method, path + query, data.draw(BODIES), given)
    else:
        answer = browser.ask(method, path + query, data.draw(BODIES))
    assert answer.status < 500 or answer.status == 503, answer.body
    assert ("cache-control", "no-store") in answer.headers
    assert PASSWORD.encode() not in answer.body
    assert PEPPER not in answer.body
    assert b"Traceback" not in answer.body
    if answer.status >= 400 and route.name != "provider_callback":
        assert answer.json["code"]


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_five_hundred_requests_are_each_answered(
    ground: tuple[Console, dict[str, Browser]], data: st.DataObject
) -> None:
    ask(ground, data)


@pytest.mark.soak
@settings(max_examples=50_000, deadline=None)
@given(data=st.data())
def test_fifty_thousand_requests_are_each_answered(
    ground: tuple[Console, dict[str, Browser]], data: st.DataObject
) -> None:
    ask(ground, data)


# --- from the workspace ---------------------------------------------------------------------------


def test_a_console_is_what_the_workspace_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from baluarte.apps.cli.console import console_settings

    (tmp_path / "workspace.toml").write_text(
        'approvals = 2\nlanguage = "es"\n'
        '[detectors.fraud]\npath = "fraud"\ntenant = "cards"\n'
        '[stores]\naccounts = "postgresql://b@db.example/b"\npassword = { env = "DB" }\n'
        '[keys]\npepper = { env = "PEPPER" }\n'
        '[console]\naddress = "[::]:8443"\nhosts = ["c.example"]\npasswords = false\n'
        'tls = { certificate = "c.pem", key = "c.key" }\n'
        '[console.providers.bank]\nissuer = "https://id.example"\nclient_id = "b"\n'
        'client_secret = { env = "OIDC" }\nhosts = ["keys.example"]\nca = "ca.pem"\n'
        'grants = { f = ["approver@cards"] }\n'
    )
    for name, value in (("DB", "d"), ("PEPPER", PEPPER.hex()), ("OIDC", "s3cret")):
        monkeypatch.setenv(name, value)
    place = open_place(tmp_path / "workspace.toml", overrides=[])
    said: ConsoleSettings = console_settings(place, port=9)
    assert (said.host, said.port, said.hosts, said.approvals) == ("::", 9, ("c.example",), 2)
    assert (said.passwords, said.language, said.workers) == (False, "es", 1)
    assert said.tls_cert == str(tmp_path / "c.pem")
    assert (said.accounts, said.stores_password) == ("postgresql://b@db.example/b", "d")
    assert (said.tenants, said.pepper) == ({"fraud": "cards"}, PEPPER)
    (provider,) = said.providers
    assert (provider.client_secret, provider.ca) == ("s3cret", str(tmp_path / "ca.pem"))
    assert [grant.role for grant in provider.by_group["f"]] == ["approver"]
    monkeypatch.delenv("OIDC")
    with pytest.raises(ContractError, match=r"console\.providers\.bank\.client_secret"):
        console_settings(place)
