"""The control plane over HTTP: people sign in, approve and promote versions, hand out keys."""

from __future__ import annotations

import argparse

from baluarte.apps.cli.screen import Screen
from baluarte.apps.console.server import serve
from baluarte.apps.console.settings import ConsoleSettings, ProviderSettings
from baluarte.apps.logs import configure
from baluarte.apps.place import Place, find_workspace
from baluarte.apps.scoring.server import Serving
from baluarte.apps.session import texts_of
from baluarte.core.workspace_doors import Provider, grants_by_group
from baluarte.errors import ContractError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``baluarte console``."""
    parser.add_argument("--port", type=int, help="another port than console.address says")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal says stop."""
    screen = Screen(as_json=args.json)
    place = find_workspace(args)
    texts = screen.speaks(texts_of(args, place))
    configure(place.workspace.serve.log)

    def ready(serving: Serving) -> None:
        seconds = round(serving.seconds, 1)
        said = texts.get("screen.console_ready", url=serving.url, seconds=seconds)
        screen.item(texts.get("screen.console"), said, "kept")
        screen.data(url=serving.url, seconds=serving.seconds)
        screen.next(texts.get("screen.sign_in"), texts.get("screen.stops"))
        screen.end()

    serve(console_settings(place, port=args.port), ready=ready)
    return 0


def console_settings(place: Place, *, port: int | None = None) -> ConsoleSettings:
    """The control plane's settings as the workspace says.

    Raises:
        ContractError: nobody made an account yet, or a secret is not where it should be.
    """
    said, tls = place.workspace.console, place.workspace.console.tls
    if not place.has_accounts:
        raise ContractError(
            "a console needs a person who can sign in; found no account",
            where="stores.accounts",
            hint="`baluarte users add NAME --role admin@'*'`",
        )
    address, _, written = said.address.rpartition(":")
    return ConsoleSettings(
        host=address.strip("[]"),
        port=int(written) if port is None else port,
        hosts=said.hosts,
        workers=1,
        tls_cert=str(place.at(tls.certificate)) if tls else "",
        tls_key=str(place.at(tls.key)) if tls else "",
        tls_client_ca=str(place.at(tls.client_ca)) if tls and tls.client_ca else "",
        registry=place.registry,
        stores_password=place.stores_password(),
        bundles=str(place.bundles),
        ledger=str(place.ledger),
        trusted=str(place.trusted),
        accounts=place.accounts,
        pepper=place.pepper(),
        tenants={name: entry.tenant for name, entry in place.workspace.detectors.items()},
        approvals=place.workspace.approvals,
        passwords=said.passwords,
        providers=tuple(_provider(place, name, one) for name, one in said.providers.items()),
        language=place.workspace.language,
    )


def _provider(place: Place, name: str, said: Provider) -> ProviderSettings:
    secret = said.client_secret
    where = f"console.providers.{name}.client_secret"
    return ProviderSettings(
        name=name,
        issuer=said.issuer,
        client_id=said.client_id,
        client_secret=None if secret is None else place.secret(secret, where=where),
        algorithms=said.algorithms,
        hosts=said.hosts,
        scopes=said.scopes,
        name_claim=said.name,
        groups_claim=said.groups,
        by_group=grants_by_group(said),
        ca=None if said.ca is None else str(place.at(said.ca)),
    )
