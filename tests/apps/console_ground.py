"""A console in memory that is asked as the HTTP layer would, and a real one on a free port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from scoring_ground import Server, Workplace

from baluarte.apps.console.door import Door
from baluarte.apps.console.settings import ConsoleSettings
from baluarte.apps.console.worker import door_of
from baluarte.apps.scoring.access import Access as Followed
from baluarte.core.accounts import parse_grant
from baluarte.core.decision import ActRecord
from baluarte.stages.access import Access
from baluarte.stages.access import Door as Sessions
from baluarte.stages.promote import promote
from baluarte.stages.seal import seal
from baluarte.testing.accounts import MemoryAccounts, PlainPasswords
from baluarte.testing.bundles import sample_parts
from baluarte.testing.clock import CountingEntropy, FixedClock
from baluarte.testing.signers import MemorySigner, MemoryVerifier
from baluarte.testing.stores import MemoryBundles, MemoryLedger, MemoryRegistry

PEPPER = b"p" * 32
PASSWORD = "correct horse battery"
HOST = "127.0.0.1:8318"
ORIGIN = f"http://{HOST}"


made_parts = cache(sample_parts)


class AtOnce(Executor):
    """Runs what it is given where it stands."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - as every executor does
            done.set_exception(error)
        return done


class Heads:
    """A request's headers as the HTTP layer shows them."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = [(name.lower(), value) for name, value in pairs]

    def get(self, key: str) -> str | None:
        return next(iter(self.get_all(key)), None)

    def get_all(self, key: str) -> list[str]:
        return [value for name, value in self._pairs if name == key]


class Scope:
    """A request's head."""

    def __init__(
        self, method: str, target: str, headers: list[tuple[str, str]], client: str
    ) -> None:
        self.method, self.authority, self.client = method, None, client
        self.path, _, self.query_string = target.partition("?")
        self.headers = Heads(headers)


class Protocol:
    """A request's body in parts, and the answer."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts
        self.read = 0
        self.answer: tuple[int, list[tuple[str, str]], bytes] | None = None

    async def __call__(self) -> bytes:
        return b"".join(self._parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            self.read += len(part)
            yield part

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        assert self.answer is None, "a request was answered twice"
        self.answer = status, headers, body


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def cookies(self) -> dict[str, str]:
        return {
            value.partition("=")[0]: value for name, value in self.headers if name == "set-cookie"
        }


class Console:
    """A console whose stores are in memory."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.accounts, self.registry = MemoryAccounts(), MemoryRegistry()
        self.bundles, self.ledger, self.clock = MemoryBundles(), MemoryLedger(), FixedClock()
        self.signer = MemorySigner()
        self.verifier = MemoryVerifier(self.signer.key)
        self.shard = self.ledger.open_shard()
        self.passwords = PlainPasswords()
        self.pool: Executor = AtOnce()
        self.settings = msgspec.structs.replace(
            ConsoleSettings(
                registry="", stores_password=None, bundles="", ledger="", trusted="", accounts="",
                pepper=PEPPER, tenants={"flows": "nets"}, approvals=1, port=8318,
                metrics_dir=str(folder),
            ),
            **changes,
        )  # fmt: skip
        self.keys = Followed(self.accounts, clock=self.clock, quotas={})
        self.door = self.open()

    def open(self) -> Door:
        return door_of(
            self.settings, registry=self.registry, bundles=self.bundles, verifier=self.verifier,
            accounts=self.accounts, passwords=self.passwords, acts=self.shard, keys=self.keys,
            clock=self.clock, pool=self.pool,
        )  # fmt: skip

    def by(self, actor: str) -> Access:
        return Access(
            accounts=self.accounts, passwords=self.passwords, ledger=self.shard, clock=self.clock,
            entropy=CountingEntropy(str(len(self.ledger.kept[self.shard.tag]))), pepper=PEPPER,
            actor=actor,
        )  # fmt: skip

    def person(self, name: str, *grants: str, by: str = "") -> None:
        """An account that nobody else has a hand in, with the password of all tests."""
        self.by(by or name).add(
            name, kind="person", grants=[parse_grant(one) for one in grants], password=PASSWORD
        )

    def seal(self, *, by: str = "eve", name: str = "flows", number: int = 1) -> None:
        parts = made_parts()
        lineage = msgspec.structs.replace(parts.lineage, trained_by=by)
        seal(
            replace(parts, card=f"# {name} {number}", lineage=lineage), actor=by,
            signer=self.signer, verifier=self.verifier, bundles=self.bundles,
            registry=self.registry, ledger=self.shard, clock=self.clock,
        )  # fmt: skip

    def promote(self, number: int) -> None:
        promote(
            "flows", number, actor="eve", reason="", approvals=0, registry=self.registry,
            bundles=self.bundles, verifier=self.verifier, ledger=self.shard, clock=self.clock,
        )  # fmt: skip

    def acts(self) -> list[ActRecord]:
        return [
            msgspec.json.decode(data, type=ActRecord) for data in self.ledger.kept[self.shard.tag]
        ]

    def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: list[tuple[str, str]] | None = None,
        *,
        host: str | None = HOST,
        client: str = "127.0.0.1:50000",
        parts: list[bytes] | None = None,
    ) -> Answer:
        given = list(headers or [])
        if host is not None:
            given.append(("host", host))
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            given.append(("content-length", str(len(body))))
            if not any(name == "content-type" for name, _ in given):
                given.append(("content-type", "application/json"))
        protocol = Protocol(parts if parts is not None else [body] if body else [])
        asyncio.run(self.door.handle(Scope(method, target, given, client), protocol))
        assert protocol.answer is not None
        return Answer(*protocol.answer)


class Browser:
    """Keeps cookies and the session's token, and says where it comes from, as a browser does."""

    def __init__(self, console: Console, *, client: str = "127.0.0.1:50000") -> None:
        self.console, self.client = console, client
        self.cookies: dict[str, str] = {}
        self.token = ""

    def ask(
        self, method: str, target: str, body: object = None, *, site: str = "same-origin",
        mode: str = "cors", dest: str = "empty", origin: str | None = ORIGIN,
        token: str | None = None,
    ) -> Answer:  # fmt: skip
        headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]
        if self.cookies:
            kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            headers.append(("cookie", kept))
        if method == "POST":
            headers += [("origin", origin)] if origin is not None else []
            headers.append(("x-baluarte-token", self.token if token is None else token))
        answer = self.console.ask(method, target, body, headers, client=self.client)
        for name, cookie in answer.cookies().items():
            value = cookie.partition("=")[2].partition(";")[0]
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return answer

    def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        answer = self.ask("POST", "/v1/sign-in", {"name": name, "password": password})
        if answer.status == 200:
            self.token = answer.json["token"]
        return answer


_RUN = """
import sys, msgspec
from baluarte.apps.console.server import serve
from baluarte.apps.console.settings import ConsoleSettings
if __name__ == "__main__":
    said = msgspec.json.decode(sys.argv[1], type=ConsoleSettings)
    serve(said, ready=lambda serving: print(msgspec.json.encode(serving).decode(), flush=True))
"""


class ConsolePlace(Workplace):
    """A workplace whose settings are a console's."""

    def settings(self, **changes: Any) -> Any:
        given = ConsoleSettings(
            registry=self.registry, stores_password=None, bundles=str(self.root / "bundles"),
            ledger=str(self.root / "ledger"), trusted=str(self.root / "trusted"),
            accounts=f"sqlite:{self.root / 'accounts.sqlite'}", pepper=PEPPER,
            tenants={"flows": "nets"}, approvals=1, port=0, workers=1,
        )  # fmt: skip
        return msgspec.structs.replace(given, **changes)


class ConsoleServer(Server):
    """A console in a process of its own."""

    def __init__(self, place: ConsolePlace, **changes: Any) -> None:
        super().__init__(place, code=_RUN, **changes)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def sessions_of(place: ConsolePlace, accounts: Any) -> Sessions:
    """Opens sessions beside a running console."""
    from baluarte.adapters.system import SystemClock, SystemEntropy

    return Sessions(
        accounts=accounts, passwords=PlainPasswords(), clock=SystemClock(),
        entropy=SystemEntropy(), pepper=PEPPER,
    )  # fmt: skip
