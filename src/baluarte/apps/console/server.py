"""Start the control plane: one worker behind a port of its own, until a signal says stop."""

from __future__ import annotations

from collections.abc import Callable

from baluarte import wiring
from baluarte.apps.console.settings import ConsoleSettings
from baluarte.apps.console.worker import load
from baluarte.apps.scoring.reach import is_loopback
from baluarte.apps.scoring.server import Serving, host
from baluarte.core.policy import EVERY
from baluarte.errors import ContractError, Fault


def serve(settings: ConsoleSettings, *, ready: Callable[[Serving], None]) -> None:
    """Serve until SIGTERM or SIGINT; then answer what is open, and return.

    Call it from the main thread: it takes over the signals.

    Args:
        ready: called once, from another thread, when the console answers.

    Raises:
        ContractError: nobody could sign in; or the address can be reached from elsewhere and isn't
            guarded for that; or the certificate and its key don't fit.
        OutsideError: the port is taken, or a store is away.
    """
    require_guarded(settings, admins=_admins(settings))
    host(settings, load, ready=ready)


def require_guarded(settings: ConsoleSettings, *, admins: int) -> None:
    """Let a console start that somebody can sign in to, on an address that is guarded.

    Raises:
        ContractError: everything that is missing, at once, each with its cure.
    """
    faults = []

    def need(holds: object, where: str, what: str, cure: str) -> None:
        if not holds:
            faults.append(Fault(f"a console needs {what}; found none", where, cure))

    need(
        admins or any(one.by_group for one in settings.providers), "stores.accounts",
        "a person who is an admin", f"`baluarte users add NAME --role admin@'{EVERY}'`",
    )  # fmt: skip
    need(
        settings.passwords or settings.providers, "workspace.toml: console",
        "a way to sign in", "Set passwords = true, or name a provider.",
    )  # fmt: skip
    if not is_loopback(settings.host):
        need(
            settings.tls_cert, "workspace.toml: console.tls",
            f"TLS on an address that others reach, such as {settings.host!r}",
            "Name certificate and key in [console.tls].",
        )  # fmt: skip
        need(
            settings.hosts, "workspace.toml: console.hosts",
            "the names that browsers call it by", 'hosts = ["console.example.org"]',
        )  # fmt: skip
    if faults:
        raise ContractError.of(faults)


def _admins(settings: ConsoleSettings) -> int:
    password = settings.stores_password
    with wiring.open_accounts(settings.accounts, password=lambda: password) as accounts:
        return sum(
            account.kind == "person"
            and account.disabled_at is None
            and any(grant.role == "admin" for grant in account.grants)
            for account in accounts.accounts()
        )
