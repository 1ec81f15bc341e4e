"""The HTTP door of the control plane: check who asks, find the route, read the body, answer.

No framework, as in the data plane. Answers come from stores and hashes, so they are made in
threads; no more at a time than a console needs, and of passwords no more than memory has room for.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import msgspec

from baluarte.apps.console.asked import Asked, Reply
from baluarte.apps.console.flow import Flows
from baluarte.apps.console.guard import Caller, Guard
from baluarte.apps.console.headers import HTML, JSON, secured
from baluarte.apps.console.lane import Lane
from baluarte.apps.console.pages import Pages
from baluarte.apps.console.people import People
from baluarte.apps.console.problem import Refused, of_error
from baluarte.apps.console.routes import ROUTES, find
from baluarte.apps.console.sessions import (
    FLOW,
    SESSION,
    cookie,
    flow_cookie,
    gone,
    session_cookie,
)
from baluarte.apps.console.settings import ConsoleSettings
from baluarte.apps.console.versions import Versions
from baluarte.apps.console.wire import Done, Me, ProviderRow, SignIn, Ways, read
from baluarte.apps.http.exchange import HTTPProtocol, Scope
from baluarte.apps.scoring.body import form_of, parse_object
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.routes import Route
from baluarte.core.accounts import format_grant
from baluarte.core.policy import Action
from baluarte.errors import BaluarteError
from baluarte.ports import Accounts
from baluarte.stages import access as stages

T = TypeVar("T")
LOG = logging.getLogger("baluarte.console")
_HASHING = ("sign_in", "my_password", "account_add", "account_password")
_OUTWARD = ("provider_start", "provider_callback")


class Door:
    """Answers requests by the parts of the console."""

    def __init__(
        self,
        settings: ConsoleSettings,
        *,
        guard: Guard,
        versions: Versions,
        people: People,
        flows: Flows,
        pages: Pages,
        sessions: stages.Door,
        accounts: Accounts,
        access_for: Callable[[str], stages.Access],
        openapi: bytes,
        pool: Executor,
    ) -> None:
        self._settings, self._guard, self._pool = settings, guard, pool
        self._versions, self._people, self._flows = versions, people, flows
        self._pages, self._sessions, self._accounts = pages, sessions, accounts
        self._access_for = access_for
        self._n_open = 0
        hashing = Lane(settings.max_hashing, waiting=settings.max_waiting)
        outward = Lane(settings.max_outward, waiting=settings.max_waiting)
        self._lanes = dict.fromkeys(_HASHING, hashing) | dict.fromkeys(_OUTWARD, outward)
        self._handlers: dict[str, Callable[[Asked], Reply]] = {
            "page": self._page,
            "script": lambda _: (200, list(pages.script_type), pages.script),
            "style": lambda _: (200, list(pages.style_type), pages.style),
            "healthz": lambda _: (200, JSON, b'{"status":"alive"}'),
            "readyz": lambda _: self._readyz(),
            "openapi": lambda _: (200, JSON, openapi),
            "providers": lambda _: _json(self._ways()),
            "provider_start": self._provider_start,
            "provider_callback": self._provider_callback,
            "sign_in": self._sign_in,
            "sign_out": self._sign_out,
            "me": lambda asked: _json(self._me(asked.caller)),
            "my_password": lambda asked: _json(people.my_password(asked)),
            "approvals": lambda asked: _json(versions.waiting(asked)),
            "detectors": lambda asked: _json(versions.detectors(asked)),
            "versions": lambda asked: _json(versions.of_detector(asked)),
            "version": lambda asked: _json(versions.page(asked)),
            "approve": lambda asked: _json(versions.approve(asked)),
            "decline": lambda asked: _json(versions.decline(asked)),
            "promote": lambda asked: _json(versions.promote(asked)),
            "rollback": lambda asked: _json(versions.rollback(asked)),
            "accounts": lambda asked: _json(people.accounts(asked)),
            "account_add": lambda asked: _json(people.add(asked)),
            "account_grants": lambda asked: _json(people.grant(asked)),
            "account_password": lambda asked: _json(people.set_password(asked)),
            "account_disable": lambda asked: _json(people.disable(asked)),
            "keys": lambda asked: _json(people.keys(asked)),
            "key_issue": lambda asked: _json(people.issue_key(asked)),
            "key_withdraw": lambda asked: _json(people.withdraw_key(asked)),
        }
        if self._handlers.keys() != {route.name for route in ROUTES}:
            raise ValueError("the inventory of routes and what the door answers differ")

    async def handle(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request; whatever happens, it gets exactly one answer."""
        try:
            status, headers, body = await self._reply(scope, protocol)
        except Refusal as refusal:
            status, headers, body = refusal.status, refusal.head(), refusal.body()
        except BaluarteError as error:
            told = of_error(error)
            if told.code != "conflict":  # who asked can't do anything about it
                LOG.error("a request was refused: %s", error)  # noqa: TRY400 - no crash
            status, headers, body = told.status, told.head(), told.body()
        except Exception:  # our bug: the log has it, the caller learns nothing of the inside
            LOG.exception("a request failed")
            failure = Refused("internal")
            status, headers, body = failure.status, failure.head(), failure.body()
        headers = secured(headers, tls=bool(self._settings.tls_cert))
        protocol.response_bytes(status, headers, body)

    async def _reply(self, scope: Scope, protocol: HTTPProtocol) -> Reply:
        headers = scope.headers
        self._guard.names.check(headers.get_all("host"), scope.authority)
        route, name, version = find(scope.method, scope.path)
        caller = await self._in_thread(self._admitted, route, scope)
        asked = Asked(
            route=route,
            name=name,
            version=int(version or 0),
            caller=caller,
            headers=headers,
            query=scope.query_string,
            body={},
            address=scope.client.rpartition(":")[0],
        )
        await self._in_thread(self._check, asked)
        if route.method == "POST":
            try:
                body = await asyncio.wait_for(self._body(scope, protocol), self._settings.body_s)
            except TimeoutError:
                raise Refused("too_slow", "send it at once") from None
            except RuntimeError:  # it ends too soon
                raise Refused("incomplete_body", "expected the whole of it") from None
            asked = asked._replace(body=parse_object(body, self._settings.limits) if body else {})
        lane = self._lanes.get(route.name)
        if lane is None:
            return await self._in_thread(self._handlers[route.name], asked)
        async with lane:
            return await self._in_thread(self._handlers[route.name], asked)

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        """What a function returns; whose body is still on its way takes no place here.

        Raises:
            Refused: 503, too much is asked at the same time.
        """
        if self._n_open >= self._settings.max_open:
            raise Refused("overloaded", "try again", retry_after_s=1)
        self._n_open += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, functools.partial(function, *args))
        finally:
            self._n_open -= 1

    def _admitted(self, route: Route, scope: Scope) -> Caller | None:
        """Who asks; nothing is changed for another site's page."""
        if route.scope == "open" and route.name not in ("page", "sign_in"):
            return None
        caller = self._guard.caller(scope.headers)
        self._guard.check_site(route, scope.headers, caller)
        return caller

    def _check(self, asked: Asked) -> None:
        """Whether the caller may use the route, before its body is looked at."""
        route, guard = asked.route, self._guard
        if route.scope == "open":
            return
        who = guard.require_caller(asked.caller)
        if route.action is None:
            return
        action: Action = route.action
        if route.scope == "tenants":
            guard.check_somewhere(who, action)
        elif route.scope in ("account", "key"):
            self._people.check(asked, action)
        elif action == "versions.approve":
            guard.check_role(who, action, asked.name)
            self._versions.require_another(asked)
        else:
            guard.check(who, action, guard.resource(asked.name))
            self._versions.require_known(asked.name)

    async def _body(self, scope: Scope, protocol: HTTPProtocol) -> bytes:
        """The body, if it stays within the limit; of a longer one no more than that is kept.

        Raises:
            Refusal: 413 or 415.
        """
        headers, limits = scope.headers, self._settings.limits
        if headers.get("content-encoding") not in (None, "identity"):
            raise Refused("unsupported_media_type", "expected a body without content coding")
        length = headers.get("content-length")
        too_large = Refused("body_too_large", f"expected at most {limits.max_body_bytes} bytes")
        if length is not None and (not length.isdecimal() or int(length) > limits.max_body_bytes):
            raise too_large
        parts: list[bytes] = []
        size = 0
        async for part in protocol:
            size += len(part)
            parts.append(part)
            if size > limits.max_body_bytes or len(parts) > limits.max_body_parts:
                raise too_large
        if size and form_of(headers.get("content-type")) != "json":
            raise Refused("unsupported_media_type", "expected application/json, in UTF-8")
        return b"".join(parts)

    # --- signing in and out -------------------------------------------------------------------

    def _sign_in(self, asked: Asked) -> Reply:
        if not self._settings.passwords:
            raise Refused("not_found", "people sign in by a provider here")
        given = read(asked.body, SignIn)
        if self._sessions.must_wait(asked.address):
            raise Refused("too_many_tries", "try again later", retry_after_s=900)
        account = self._sessions.proves(given.name, given.password, address=asked.address)
        if account is None:
            raise Refused("not_let_in", "the name and the password don't fit")
        return self._let_in(asked, account.name, how="password")

    def _let_in(self, asked: Asked, name: str, *, how: str) -> Reply:
        """A fresh session, in the place of the one that the browser had."""
        account = self._accounts.account(name)
        if account is None:
            raise Refused("not_let_in")
        self._access_for(name).note_sign_in(name, how=how)
        self._sessions.sign_out(cookie(asked.headers, SESSION))
        secret = self._sessions.open(account, how=how)
        principal = self._sessions.of_session(secret)
        if principal is None:
            raise Refused("not_let_in")
        body = msgspec.json.encode(self._me(Caller(principal, secret)))
        return 200, [*JSON, session_cookie(secret)], body

    def _sign_out(self, asked: Asked) -> Reply:
        if asked.caller is not None and asked.caller.secret:
            self._sessions.sign_out(asked.caller.secret)
        status, headers, body = _json(Done())
        return status, [*headers, gone(SESSION), ("clear-site-data", '"cookies", "storage"')], body

    def _provider_start(self, asked: Asked) -> Reply:
        place, sealed = self._flows.start(asked.name, origin=self._origin(asked))
        return 303, [("location", place), flow_cookie(sealed)], b""

    def _provider_callback(self, asked: Asked) -> Reply:
        """Let in who comes back, by a page that goes on by itself.

        A strict cookie isn't sent on a redirect that began elsewhere.
        """
        if self._sessions.must_wait(asked.address):
            raise Refused("too_many_tries", "try again later", retry_after_s=900)
        try:
            account = self._flows.finish(asked.name, asked.query, cookie(asked.headers, FLOW))
        except (Refusal, BaluarteError) as error:
            LOG.warning("a sign-in by %s failed: %s", asked.name, error.__cause__ or error)
            told = error if isinstance(error, Refusal) else of_error(error)
            if told.code == "not_found":
                raise told from None
            if told.code != "away":
                self._sessions.note_failure(asked.address)
            return told.status, [*HTML, gone(FLOW)], self._pages.not_let_in()
        _, headers, _ = self._let_in(asked, account.name, how=asked.name)
        kept = [pair for pair in headers if pair[0] == "set-cookie"]
        return 200, [*HTML, *kept, gone(FLOW)], self._pages.let_in()

    def _origin(self, asked: Asked) -> str:
        host = (asked.headers.get("host") or "").lower()
        https = f"https://{host}"
        return https if https in self._guard.origins else f"http://{host}"

    # --- what there is ------------------------------------------------------------------------

    def _me(self, caller: Caller | None) -> Me:
        who = self._guard.require_caller(caller)
        secret = caller.secret if caller is not None else ""
        return Me(
            name=who.name,
            kind=who.kind,
            via=who.via,
            grants=tuple(format_grant(grant) for grant in who.grants),
            token=self._sessions.token_of(secret) if secret else "",
        )

    def _ways(self) -> Ways:
        return Ways(
            passwords=self._settings.passwords,
            providers=tuple(
                ProviderRow(
                    name=one.name, issuer=one.issuer, start=f"/v1/providers/{one.name}/start"
                )
                for one in self._settings.providers
            ),
        )

    def _page(self, asked: Asked) -> Reply:
        if asked.caller is None or not asked.caller.secret:
            if asked.headers.get("sec-fetch-site") == "cross-site":
                return 200, HTML, self._pages.let_in()  # whose strict cookie wasn't sent, perhaps
            return 200, HTML, self._pages.sign_in(self._ways())
        return (
            200,
            HTML,
            self._pages.approvals(self._me(asked.caller), self._versions.shown(asked)),
        )

    def _readyz(self) -> Reply:
        self._accounts.generation()  # raises where the store is away
        return 200, JSON, b'{"status":"ready"}'


def _json(value: object) -> Reply:
    return 200, list(JSON), msgspec.json.encode(value)
