"""The control plane's own description, OpenAPI 3.1, made from its routes and the very types."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import msgspec

from baluarte import __version__
from baluarte.apps.console import wire
from baluarte.apps.console.problem import CODES
from baluarte.apps.console.routes import ROUTES
from baluarte.apps.console.sessions import SESSION, TOKEN_HEADER
from baluarte.apps.scoring.problem import CONTENT_TYPE, Problem
from baluarte.apps.scoring.routes import Route

#: route -> (what it does, the body's type, the answer's type, whether it is a list of them)
_SAID: dict[str, tuple[str, type | None, type | None, bool]] = {
    "page": ("The page of a browser: sign in, or what waits for approval", None, None, False),
    "script": ("The pages' script", None, None, False),
    "style": ("The pages' style", None, None, False),
    "healthz": ("The process lives", None, None, False),
    "readyz": ("The store of accounts answers", None, None, False),
    "openapi": ("This document", None, None, False),
    "providers": ("The ways to sign in", None, wire.Ways, False),
    "provider_start": ("Begin a sign-in at a provider", None, None, False),
    "provider_callback": ("Where a provider sends people back", None, None, False),
    "sign_in": ("Sign in with a password; the answer sets the cookie", wire.SignIn, wire.Me, False),
    "sign_out": ("End the session", None, wire.Done, False),
    "me": ("Who asks, and the session's token", None, wire.Me, False),
    "my_password": ("Change one's own password", wire.MyPassword, wire.Done, False),
    "approvals": ("Versions that wait", None, wire.VersionRow, True),
    "detectors": ("Detectors that the caller sees", None, wire.DetectorRow, True),
    "versions": ("Versions of a detector, newest first", None, wire.VersionRow, True),
    "version": ("A version with its evidence", None, wire.VersionPage, False),
    "approve": ("Approve another's version", wire.Reason, wire.VersionRow, False),
    "decline": ("Decline another's version", wire.Why, wire.VersionRow, False),
    "promote": ("Let an approved version decide", wire.Reason, wire.Changed, False),
    "rollback": ("Let an earlier version decide again", wire.Back, wire.Changed, False),
    "accounts": ("Accounts, 200 at a time", None, wire.AccountRow, True),
    "account_add": ("Make an account", wire.NewAccount, wire.AccountRow, False),
    "account_grants": ("Give an account other roles", wire.NewGrants, wire.AccountRow, False),
    "account_password": ("Set somebody's password", wire.NewPassword, wire.Done, False),
    "account_disable": ("Let nobody in by an account", wire.Reason, wire.AccountRow, False),
    "keys": ("Keys without their secrets, 200 at a time", None, wire.KeyRow, True),
    "key_issue": ("Issue a key; it is shown once", wire.NewKey, wire.KeyIssued, False),
    "key_withdraw": ("Take a key back", wire.Reason, wire.Done, False),
}
_PAGES = frozenset({"page", "script", "style", "provider_callback"})
_PAGED = frozenset({"accounts", "keys"})


@cache
def openapi_bytes() -> bytes:
    """The document as it is served, and as ``docs/reference/console.openapi.json`` keeps it."""
    return msgspec.json.format(msgspec.json.encode(openapi()), indent=2) + b"\n"


def openapi() -> dict[str, Any]:
    """The document; the same for every console of this release."""
    types = {kind for _, *two, _ in _SAID.values() for kind in two if kind is not None}
    ordered = sorted(types, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(
        [*ordered, Problem], ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Baluarte control plane",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Who decides, and who may: every change is in the ledger first. A "
            f"change in a session repeats its token in the header {TOKEN_HEADER} and comes from "
            f"the console's own origin. A problem carries one of the codes {', '.join(CODES)}.",
        },
        "security": [{"session": []}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION},
                "key": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    summary, asked, answered, many = _SAID[route.name]
    operation: dict[str, Any] = {"operationId": route.name, "summary": summary}
    if route.action is not None:
        operation["x-action"] = route.action
    if route.scope == "open":
        operation["security"] = []
    parameters = [_parameter(name) for name in ("name", "version") if f"{{{name}}}" in route.path]
    if route.name in _PAGED:
        parameters.append({**_parameter("after"), "in": "query", "required": False})
    if parameters:
        operation["parameters"] = parameters
    if asked is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(asked)}},
        }
    operation["responses"] = {**_answer(route, answered, many=many), **_problems(route)}
    return operation


def _parameter(name: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1} if name == "version" else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _answer(route: Route, answered: type | None, *, many: bool) -> dict[str, Any]:
    if route.name == "provider_start":
        return {"303": {"description": "Where the provider signs people in"}}
    if route.name in _PAGES:
        kind = {"script": "text/javascript", "style": "text/css"}.get(route.name, "text/html")
        return {"200": {"description": "OK", "content": {kind: {"schema": {"type": "string"}}}}}
    schema: dict[str, Any] = {"type": "object"} if answered is None else _ref(answered)
    schema = {"type": "array", "items": schema} if many else schema
    return {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}


def _problems(route: Route) -> dict[str, Any]:
    """What each route may refuse."""
    statuses = {400, 421, 503}
    if route.method == "POST":
        statuses |= {403, 408, 413, 415}
    if route.scope != "open":
        statuses |= {401, 403, 429}
    if route.name in ("sign_in", "provider_callback"):
        statuses |= {401, 429}
    if route.action is not None and route.method == "POST":
        statuses.add(409)
    if "{" in route.path or route.name == "sign_in":
        statuses.add(404)
    if route.name in ("version", "provider_start", "provider_callback"):
        statuses.add(409)
    said = {
        status: " ".join(title for of, title in CODES.values() if of == status)
        for status in sorted(statuses)
    }
    return {
        str(status): {
            "description": title,
            "content": {CONTENT_TYPE: {"schema": _ref(Problem)}},
        }
        for status, title in said.items()
    }


def _ref(kind: type) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


if __name__ == "__main__":
    sys.stdout.buffer.write(openapi_bytes())
