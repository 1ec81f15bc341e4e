"""Every route of the control plane, and what a caller must be allowed to do to use it.

As in the data plane the door answers what stands here and nothing else. What is not open to anyone
needs a session or a key, and says whose resource it is and which action.
"""

from __future__ import annotations

from baluarte.apps.scoring.routes import Inventory, Route, Scope
from baluarte.core.policy import Action


def _get(name: str, path: str, scope: Scope, action: Action | None = None) -> Route:
    return Route(name=name, method="GET", path=path, scope=scope, action=action)


def _post(name: str, path: str, scope: Scope, action: Action | None = None) -> Route:
    return Route(name=name, method="POST", path=path, scope=scope, action=action)


_VERSION = "/v1/detectors/{name}/versions/{version}"

ROUTES: tuple[Route, ...] = (
    _get("page", "/", "open"),
    _get("script", "/console.js", "open"),
    _get("style", "/console.css", "open"),
    _get("healthz", "/healthz", "open"),
    _get("readyz", "/readyz", "open"),
    _get("openapi", "/openapi.json", "open"),
    _get("providers", "/v1/providers", "open"),
    _get("provider_start", "/v1/providers/{name}/start", "open"),
    _get("provider_callback", "/v1/providers/{name}/callback", "open"),
    _post("sign_in", "/v1/sign-in", "open"),
    _post("sign_out", "/v1/sign-out", "own"),
    _get("me", "/v1/me", "own"),
    _post("my_password", "/v1/me/password", "own"),
    _get("approvals", "/v1/approvals", "tenants", "detectors.read"),
    _get("detectors", "/v1/detectors", "tenants", "detectors.read"),
    _get("versions", "/v1/detectors/{name}/versions", "detector", "detectors.read"),
    _get("version", _VERSION, "detector", "evidence.read"),
    _post("approve", f"{_VERSION}/approve", "detector", "versions.approve"),
    _post("decline", f"{_VERSION}/decline", "detector", "versions.approve"),
    _post("promote", f"{_VERSION}/promote", "detector", "versions.promote"),
    _post("rollback", "/v1/detectors/{name}/rollback", "detector", "versions.rollback"),
    _get("accounts", "/v1/accounts", "tenants", "accounts.read"),
    _post("account_add", "/v1/accounts", "tenants", "accounts.change"),
    _post("account_grants", "/v1/accounts/{name}/grants", "account", "accounts.change"),
    _post("account_password", "/v1/accounts/{name}/password", "account", "accounts.change"),
    _post("account_disable", "/v1/accounts/{name}/disable", "account", "accounts.change"),
    _get("keys", "/v1/keys", "tenants", "keys.read"),
    _post("key_issue", "/v1/accounts/{name}/keys", "account", "keys.change"),
    _post("key_withdraw", "/v1/keys/{name}/withdraw", "key", "keys.change"),
)

find = Inventory(ROUTES).find
