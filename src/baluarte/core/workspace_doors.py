"""What stands at the doors in ``workspace.toml``: secrets by reference, TLS, who lets people in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from baluarte.core.accounts import parse_grant
from baluarte.core.contract_surface import Name, Said
from baluarte.core.policy import Grant, faults_of_grants
from baluarte.core.toml_lines import KeyPath
from baluarte.errors import DataError

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"
]
_HERE = ("localhost", "127.0.0.1", "::1")


class Secret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a secret is found: exactly one of an environment variable and a file."""

    env: (
        Annotated[str, Meta(min_length=1, description="name of an environment variable")] | None
    ) = None
    file: (
        Annotated[str, Meta(min_length=1, description="path from the workspace's folder")] | None
    ) = None


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS 1.3, and nothing below; files in PEM. A changed file is taken up without a restart."""

    certificate: Annotated[Said, Meta(description="the certificate and its chain")]
    key: Annotated[Said, Meta(description="its private key")]
    client_ca: (
        Annotated[Said, Meta(description="only clients with a certificate of this authority")]
        | None
    ) = None


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenID provider that signs people in: code flow with PKCE, state and nonce."""

    issuer: Annotated[Said, Meta(description="its address, exactly as its tokens name it")]
    client_id: Annotated[Said, Meta(description="what it knows this console by")]
    client_secret: (
        Annotated[Secret, Meta(description="of a confidential client; PKCE is used either way")]
        | None
    ) = None
    algorithms: Annotated[
        tuple[Algorithm, ...],
        Meta(min_length=1, description="that its ID tokens may be signed by; no other is taken"),
    ] = ("ES256", "RS256")
    hosts: Annotated[
        tuple[Said, ...],
        Meta(description="further hosts that its endpoints stand on; no other is ever asked"),
    ] = ()
    scopes: Annotated[tuple[Said, ...], Meta(description="asked for, beside openid")] = ()
    name: Annotated[
        Said,
        Meta(description="claim that an account is named by; one that people can't change"),
    ] = "sub"
    groups: Annotated[Said, Meta(description="claim that lists a person's groups")] = "groups"
    grants: Annotated[
        dict[Said, tuple[Said, ...]],
        Meta(
            description="roles by group, ROLE@TENANT[:DETECTOR]; empty: accounts are made by hand"
        ),
    ] = {}
    ca: Annotated[Said, Meta(description="file of the authorities it is believed by")] | None = None


class Console(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The control plane: people sign in, approve, promote, hand out keys."""

    address: Annotated[
        str,
        Meta(
            pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$",
            extra={"expected": 'host and port, such as "127.0.0.1:8318"'},
        ),
    ] = "127.0.0.1:8318"
    hosts: Annotated[
        tuple[Said, ...], Meta(description="names that browsers call it by, beside loopback's")
    ] = ()
    tls: Annotated[Tls, Meta(description="needed on an address that others reach")] | None = None
    providers: Annotated[
        dict[Name, Provider], Meta(description="who signs people in, beside passwords")
    ] = {}
    passwords: Annotated[
        bool, Meta(description="whether people sign in by passwords that are kept here")
    ] = True


def grants_by_group(provider: Provider) -> dict[str, tuple[Grant, ...]]:
    """The grants that a provider's groups stand for.

    Raises:
        DataError: one is none.
    """
    return {
        group: tuple(parse_grant(text) for text in texts)
        for group, texts in provider.grants.items()
    }


def provider_faults(console: Console) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with the providers: the key's place beneath theirs, and what."""
    for name, provider in console.providers.items():
        parts = urlsplit(provider.issuer)
        local = parts.scheme == "http" and parts.hostname in _HERE
        if not (parts.scheme == "https" or local) or not parts.hostname:
            yield (name, "issuer"), f"expected an address of https; found {provider.issuer!r}"
        if not provider.algorithms:
            yield (name, "algorithms"), "expected one at least"
        if parts.query or parts.fragment:
            yield (name, "issuer"), "expected an address without ? and #"
        for group, texts in provider.grants.items():
            place: KeyPath = (name, "grants", group)
            try:
                grants = [parse_grant(text) for text in texts]
            except DataError as error:
                yield place, error.faults[0].message
                continue
            for fault in faults_of_grants("person", grants):
                yield place, fault
