"""Answer decisions over HTTP, on this machine's loopback, with a token that holds for a day."""

from __future__ import annotations

import argparse
import os
from typing import Any

import msgspec

from baluarte import wiring
from baluarte.adapters.system import SystemClock
from baluarte.apps.cli.screen import Screen
from baluarte.apps.logs import configure
from baluarte.apps.numerals import Language
from baluarte.apps.place import Place, find_workspace
from baluarte.apps.scoring.reach import Token, make_token, token_of
from baluarte.apps.scoring.server import Serving, serve
from baluarte.apps.scoring.settings import Limits, ServeSettings
from baluarte.errors import ContractError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte serve``."""
    parser.add_argument("--port", type=int, help="0 takes a free one (default: serve.address)")
    parser.add_argument("--workers", type=int, help="default: serve.workers")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal says stop."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    configure(place.workspace.serve.log)
    if place.has_people:  # what an erasure left to do comes before all else
        _finish_erasures(args, place)
    token = workspace_token(place)
    settings = serve_settings(place, token, port=args.port, workers=args.workers)

    def ready(serving: Serving) -> None:
        _tell(screen, serving, token, place, language=args.lang or place.workspace.language)

    serve(settings, ready=ready)
    return 0


def _finish_erasures(args: argparse.Namespace, place: Place) -> None:
    from baluarte.apps.erasing import finish_what_was_begun  # noqa: PLC0415 - see starting.py
    from baluarte.apps.session import session_of  # noqa: PLC0415 - likewise

    with session_of(args, place) as session:
        finish_what_was_begun(session)


def workspace_token(place: Place) -> Token:
    """The token that ``serve.token`` refers to, or a new one for a day.

    Raises:
        ContractError: it refers to something that isn't there.
    """
    secret = place.workspace.serve.token
    now = SystemClock().now_us()
    if secret is None:
        return make_token(now_us=now)
    named = os.environ.get(secret.env) if secret.env else None
    if secret.file:
        path = place.at(secret.file)
        named = path.read_text("utf-8").strip() if path.exists() else None
    if not named:
        raise ContractError(
            f"expected a token in {secret.env or secret.file}; found none",
            where="workspace.toml: serve.token",
        )
    return token_of(named, now_us=now)


def serve_settings(
    place: Place, token: Token, *, port: int | None = None, workers: int | None = None
) -> ServeSettings:
    """The data plane's settings as the workspace says."""
    serving, limits = place.workspace.serve, place.workspace.limits
    host, _, written = serving.address.rpartition(":")
    known, tls = place.has_accounts, serving.tls
    return ServeSettings(
        registry=place.registry,
        registry_password=place.stores_password(),
        bundles=str(place.bundles),
        ledger=str(place.ledger),
        trusted=str(place.trusted),
        token_hash=token.token_hash,
        token_pepper=token.pepper,
        token_until_us=token.until_us,
        host=host.strip("[]"),
        port=int(written) if port is None else port,
        hosts=serving.hosts,
        sole=serving.detector or "",
        platform=serving.platform != "none",
        tls_cert=str(place.at(tls.certificate)) if tls else "",
        tls_key=str(place.at(tls.key)) if tls else "",
        tls_client_ca=str(place.at(tls.client_ca)) if tls and tls.client_ca else "",
        accounts=place.accounts if known else "",
        pepper=place.pepper() if known else b"",
        tenants={name: entry.tenant for name, entry in place.workspace.detectors.items()},
        quotas={
            name: tenant.events_per_day
            for name, tenant in place.workspace.tenants.items()
            if tenant.events_per_day is not None
        },
        grpc=serving.grpc or "",
        **_telemetry(place),
        workers=serving.workers if workers is None else workers,
        spare=serving.spare,
        max_workers=serving.max_workers or 0,
        state=place.workspace.state.url,
        state_folder=str(place.state_folder),
        state_password=place.state_password(),
        snapshot_s=place.workspace.state.snapshot_s,
        people=place.people,
        people_master=place.people_master(),
        people_master_file=place.people_master_file or "",
        field_keys=str(place.field_keys),
        sealed={
            name: entry.sealed for name, entry in place.workspace.detectors.items() if entry.sealed
        },
        pseudonym_key=place.known_pseudonym_key(),
        durability=serving.durability,
        interval_ms=max(1, round(serving.interval_ms)),
        on_ledger_failure=serving.on_ledger_failure,
        repeat_window_s=serving.repeat_window_s,
        repeat_events=serving.repeat_events,
        gap_key=str(place.gap_key) if serving.on_ledger_failure != "refuse" else "",
        shed_below_bytes=place.workspace.ledger.shed_below_mb << 20,
        kernel=wiring.kernel_choice(),
        require_kernel=serving.require_kernel,
        log=serving.log,
        language=place.workspace.language,
        limits=Limits(
            max_body_bytes=limits.max_body_bytes,
            max_rows=limits.max_rows,
            max_inflight=limits.max_inflight,
            reasons_above=serving.reasons_above,
        ),
    )


def _telemetry(place: Place) -> dict[str, Any]:
    said = place.workspace.serve.telemetry
    return (
        {}
        if said is None
        else {
            "collector": said.collector,
            "trace_ratio": said.trace_ratio,
            "telemetry_s": said.every_s,
        }
    )


def _tell(
    screen: Screen, serving: Serving, token: Token, place: Place, *, language: Language
) -> None:
    from baluarte.apps.catalogue import Texts  # noqa: PLC0415 - the workers start first

    texts = screen.speaks(Texts(language))
    is_ready = serving.readiness.status == "ready"
    said = texts.get(
        "screen.serving" if is_ready else "screen.serving_unready",
        url=serving.url,
        workers=serving.workers,
        seconds=round(serving.seconds, 1),
    )
    screen.item(texts.get("screen.serve"), said, "kept" if is_ready else "unsure")
    if serving.readiness.kernel == "numpy" and wiring.kernel_choice() == "auto":
        screen.item("", texts.get("screen.no_kernel"), "unsure")
    names = sorted(place.workspace.detectors) or ["NAME"]
    screen.line(texts.get("screen.token", token=token.text))
    screen.line(texts.get("screen.try_it"))
    screen.line(f"curl -s {serving.url}/v1/detectors/{names[0]}/decisions \\")
    screen.line(f"  -H 'Authorization: Bearer {token.text}' \\")
    screen.line("  -H 'Content-Type: application/json' -d '{…}'")
    screen.data(
        url=serving.url,
        workers=serving.workers,
        seconds=serving.seconds,
        token=token.text,
        readiness=msgspec.to_builtins(serving.readiness),
    )
    screen.next("baluarte watch --once", texts.get("screen.stops"))
    screen.end()
