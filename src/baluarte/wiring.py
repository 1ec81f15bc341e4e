"""Names in ``detector.toml`` and ``workspace.toml`` become objects here, and nowhere else.

Only what the configuration names is imported: a serving process never sees a learner.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from baluarte.core.nearest import did_you_mean
from baluarte.errors import ContractError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from baluarte.adapters.field_keys import FieldKeys
    from baluarte.adapters.key_files import FileSigner, GivenKeys, TrustedKeys
    from baluarte.adapters.keystores.sqlite import SqliteKeys
    from baluarte.adapters.ledger.claims import Claims
    from baluarte.adapters.ledger.keeper import SegmentKeeper
    from baluarte.adapters.ledger.reader import SegmentReader
    from baluarte.adapters.ledger.shard import SegmentShard
    from baluarte.adapters.oidc import OpenIdProvider
    from baluarte.adapters.sql_accounts import SqlAccounts
    from baluarte.adapters.sql_index import SqlIndex
    from baluarte.adapters.sql_registry import SqlRegistry
    from baluarte.adapters.stores.folder import FolderBundles
    from baluarte.core.keys import Algorithm, PublicKey
    from baluarte.core.window_plan import WindowPlan
    from baluarte.ports import Clock, ModelReader, Progress, Search, SignatureKind, WindowState

Kernel = Literal["auto", "c", "numpy"]
Password = Callable[[], str | None]  #: reads a secret when it is needed


# --- plug-ins ----------------------------------------------------------------------------------


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - looks at all that is installed

    return {point.name: point for point in entry_points(group=f"baluarte.{group}")}


@cache
def _own_points() -> dict[tuple[str, str], EntryPoint]:
    """What this package itself registers: no other package is looked at."""
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415 - as above

    try:
        return {(point.group, point.name): point for point in distribution("baluarte").entry_points}
    except PackageNotFoundError:  # a source tree that is not installed
        return {}


def plugin_names(group: str) -> list[str]:
    """Names of all registered plug-ins of a group (``models``, ``gates`` …), sorted."""
    return sorted(_points(group))


def plugin(group: str, name: str, *, where: str) -> Any:
    """A new object of the plug-in with this name.

    Raises:
        ContractError: no installed package registers it; names the nearest one.
    """
    return _point(group, name, where).load()()


def _point(group: str, name: str, where: str) -> EntryPoint:
    point = _own_points().get((f"baluarte.{group}", name)) or _points(group).get(name)
    if point is None:
        raise ContractError(
            f"expected one of {', '.join(plugin_names(group))}; found {name!r}",
            where=where,
            hint=did_you_mean(name, plugin_names(group)),
        )
    return point


def open_search(
    name: str, *, journal: Path | None, progress: Progress | None, where: str
) -> Search:
    """The search plug-in with this name, keeping its trials in a journal file.

    Raises:
        ContractError: no installed package registers it; names the nearest one.
    """
    kind = _point("searches", name, where).load()
    search: Search = kind(journal=None if journal is None else str(journal), progress=progress)
    return search


def kernel_choice() -> Kernel:
    """The evaluator that ``BALUARTE_KERNEL`` asks for.

    Raises:
        ContractError: it is neither ``auto``, ``c`` nor ``numpy``.
    """
    said = os.environ.get("BALUARTE_KERNEL", "auto")
    match said:
        case "auto" | "c" | "numpy":
            return said
        case _:
            raise ContractError(
                f"expected auto, c or numpy; found {said!r}", where="BALUARTE_KERNEL"
            )


def reader_for(name: str, head: bytes) -> ModelReader | None:
    """The reader that recognises a model's file, or None."""
    for known in plugin_names("readers"):
        reader: ModelReader = _points("readers")[known].load()()
        if reader.recognises(name, head):
            return reader
    return None


def source_for(address: str, *, password: Password | None = None) -> Any:
    """The source plug-in that reads an address, by its scheme or its suffix.

    Of a folder, that which reads all its files.

    Args:
        password: asked for by the places that need one.

    Raises:
        ContractError: nothing reads it, or several read the files of a folder.
        DataError: a folder is empty.
    """
    if not Path(address).is_dir():
        return _by_address("sources", address, password)
    from baluarte.adapters.parts import Parts, parts_of  # noqa: PLC0415 - only who reads folders

    parts = parts_of(address)
    kinds = {type(source := _by_address("sources", part, password)): part for part in parts}
    if len(kinds) > 1:
        raise ContractError(
            f"expected files of one kind, found {' and '.join(sorted(kinds.values()))}",
            where=address,
            hint="Keep those of each kind in a folder of their own.",
        )
    return Parts(source)


def sink_for(address: str, *, password: Password | None = None) -> Any:
    """The sink plug-in that writes an address, by its scheme or its suffix."""
    return _by_address("sinks", address, password)


def _by_address(group: str, address: str, password: Password | None) -> Any:
    scheme = address.partition(":")[0].lower()
    file = Path(address).name.lower()
    known: set[str] = set()
    for name in plugin_names(group):
        kind = _points(group)[name].load()
        if scheme in kind.schemes:
            return kind(password=password)
        if any(file.endswith(suffix) for suffix in kind.suffixes):
            return kind()
        known |= {*kind.suffixes, *(f"{scheme}:" for scheme in kind.schemes)}
    raise ContractError(
        f"expected a file that ends with, or an address that begins with, one of "
        f"{', '.join(sorted(known))}",
        where=address,
        hint="Name the file by its format.",
    )


# --- state -------------------------------------------------------------------------------------


def open_state(
    url: str, plan: WindowPlan, *, detector: str, folder: Path | None, password: Password | None
) -> WindowState:
    """The state of a detector's window features, by the scheme of its address.

    Args:
        folder: where state in memory keeps its snapshots; None keeps none.

    Raises:
        ContractError: another scheme.
        OutsideError: another process holds it, or it is away.
    """
    scheme = url.partition(":")[0]
    if scheme == "memory":
        from baluarte.adapters.states.memory import MemoryState  # noqa: PLC0415 - named by address

        return MemoryState(plan, detector=detector, folder=folder)
    if scheme in ("redis", "rediss", "unix"):
        from baluarte.adapters.states.redis import RedisState  # noqa: PLC0415 - named by address

        secret = password() if password is not None else None
        return RedisState(plan, detector=detector, url=url, password=secret)
    raise ContractError(
        f"expected memory: or redis://HOST:PORT/DB; found {url!r}", where="state.url"
    )


# --- stores and keys ---------------------------------------------------------------------------


def open_registry(address: str, *, password: Password | None = None) -> SqlRegistry:
    """The registry at ``sqlite:PATH`` or ``postgresql://…``; made where there is none.

    Args:
        password: of the database server, asked for when it is connected.

    Raises:
        ContractError: another scheme.
    """
    scheme, _, path = address.partition(":")
    if scheme in ("postgresql", "postgres"):
        from baluarte.adapters.stores.postgresql import PostgresqlRegistry  # noqa: PLC0415 - so named

        return PostgresqlRegistry(address, password=password)
    if scheme != "sqlite" or not path:
        raise ContractError(
            f"expected sqlite:PATH or postgresql://USER@HOST/DATABASE; found {address!r}",
            where="stores.registry",
        )
    from baluarte.adapters.stores.sqlite import SqliteRegistry  # noqa: PLC0415 - named by address

    Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return SqliteRegistry(Path(path))


def open_index(address: str, *, password: Password | None = None) -> SqlIndex:
    """The index over the ledger, at an address like the registry's; made where there is none.

    Raises:
        ContractError: another scheme.
    """
    scheme, _, path = address.partition(":")
    if scheme in ("postgresql", "postgres"):
        from baluarte.adapters.stores.postgresql_index import PostgresqlIndex  # noqa: PLC0415

        return PostgresqlIndex(address, password=password)
    if scheme != "sqlite" or not path:
        raise ContractError(
            f"expected sqlite:PATH or postgresql://USER@HOST/DATABASE; found {address!r}",
            where="stores.index",
        )
    from baluarte.adapters.stores.sqlite_index import SqliteIndex  # noqa: PLC0415 - so named

    return SqliteIndex(Path(path))


def open_accounts(address: str, *, password: Password | None = None) -> SqlAccounts:
    """The accounts, at an address like the registry's; made where there are none.

    Raises:
        ContractError: another scheme.
    """
    scheme, _, path = address.partition(":")
    if scheme in ("postgresql", "postgres"):
        from baluarte.adapters.stores.postgresql_accounts import PostgresqlAccounts  # noqa: PLC0415

        return PostgresqlAccounts(address, password=password)
    if scheme != "sqlite" or not path:
        raise ContractError(
            f"expected sqlite:PATH or postgresql://USER@HOST/DATABASE; found {address!r}",
            where="stores.accounts",
        )
    from baluarte.adapters.stores.accounts import SqliteAccounts  # noqa: PLC0415 - named by address

    return SqliteAccounts(Path(path))


def open_provider(
    *,
    issuer: str,
    client_id: str,
    secret: str | None,
    algorithms: Sequence[str],
    hosts: Sequence[str],
    scopes: Sequence[str],
    ca: str | None,
    clock: Clock,
) -> OpenIdProvider:
    """An OpenID provider that signs people in; nothing is asked of it before somebody comes.

    Raises:
        ContractError: its authorities can't be read.
        OutsideError: joserfc isn't installed.
    """
    from baluarte.adapters.oidc import OpenIdProvider  # noqa: PLC0415 - named by address

    return OpenIdProvider(
        issuer=issuer,
        client_id=client_id,
        secret=secret,
        algorithms=algorithms,
        hosts=hosts,
        scopes=scopes,
        ca=ca,
        clock=clock,
    )


def open_bundles(folder: str | Path) -> FolderBundles:
    """The store of sealed bundles."""
    from baluarte.adapters.stores.folder import FolderBundles  # noqa: PLC0415 - named by address

    return FolderBundles(Path(folder))


def open_ledger_shard(folder: str | Path) -> SegmentShard:
    """A free shard of the ledger, locked for this process."""
    from baluarte.adapters.stores.segments import open_shard  # noqa: PLC0415 - named by address

    return open_shard(Path(folder))


def open_ledger_keeper(folder: str | Path) -> SegmentKeeper:
    """Settles, compresses and drops; one at a time."""
    from baluarte.adapters.ledger.keeper import SegmentKeeper  # noqa: PLC0415 - named by address

    return SegmentKeeper(Path(folder))


def open_ledger_reader(folder: str | Path) -> SegmentReader:
    """Reads all shards of the ledger."""
    from baluarte.adapters.ledger.reader import SegmentReader  # noqa: PLC0415 - named by address

    return SegmentReader(Path(folder))


def open_claims(
    folder: str | Path, *, window_s: int, max_events: int, tenants: Mapping[str, str], now_s: int
) -> Claims:
    """Which events a ledger's workers decided lately."""
    from baluarte.adapters.ledger.claims import Claims  # noqa: PLC0415 - named by address

    return Claims(
        Path(folder), window_s=window_s, max_events=max_events, tenants=tenants, now_s=now_s
    )


def open_field_keys(folder: str) -> FieldKeys:
    """The private keys that open sealed fields.

    Raises:
        OutsideError: the folder can't be read.
        TrustError: a key is readable by others, or is none.
    """
    from baluarte.adapters.field_keys import FieldKeys as Keys  # noqa: PLC0415 - where they are used

    return Keys(Path(folder))


def open_people(
    address: str, master: str, *, reload: Callable[[], str] | None = None
) -> SqliteKeys:
    """The store of subjects' keys at an address such as ``sqlite:PATH``; made where there is none.

    Args:
        master: the master key's text.
        reload: reads it again, where another one took its place.

    Raises:
        ContractError: another scheme, or no master key.
        TrustError: the store was made with another master key.
    """
    from baluarte.adapters.keystores.sqlite import SqliteKeys  # noqa: PLC0415 - named by address
    from baluarte.adapters.sealing import MasterKeys  # noqa: PLC0415 - likewise

    scheme, _, path = address.partition(":")
    if scheme != "sqlite" or not path:
        raise ContractError(f"expected sqlite:PATH; found {address!r}", where="stores.people")
    where = "workspace.toml: keys.people"
    again = None if reload is None else lambda: MasterKeys(reload(), where=where)
    return SqliteKeys(Path(path), MasterKeys(master, where=where), reload=again)


@cache
def signature_kind(algorithm: Algorithm) -> SignatureKind:
    """Makes, opens and checks keys of an algorithm."""
    kind: SignatureKind = plugin("signers", algorithm, where="keys")
    return kind


def open_verifier(trusted: str | Path) -> TrustedKeys:
    """Checks signatures by the public keys in a folder."""
    from baluarte.adapters.key_files import TrustedKeys  # noqa: PLC0415 - named by address

    return TrustedKeys(Path(trusted), signature_kind)


def open_given_keys(keys: list[PublicKey]) -> GivenKeys:
    """Checks signatures by public keys that are at hand."""
    from baluarte.adapters.key_files import GivenKeys  # noqa: PLC0415 - loads signers

    return GivenKeys(keys, signature_kind)


def open_signer(private: str | Path, trusted: str | Path) -> FileSigner:
    """Signs with the private key at this path, whose public record must be trusted."""
    from baluarte.adapters.key_files import open_signer as open_key  # noqa: PLC0415 - likewise

    path = Path(private)
    return open_key(path.parent, Path(trusted), path.stem, signature_kind)


def create_key(
    private: Path,
    trusted: Path,
    *,
    algorithm: Algorithm = "ed25519",
    not_before: int,
    not_after: int,
) -> PublicKey:
    """Make a key pair: the private key at this path, the public one trusted under its name."""
    from baluarte.adapters.key_files import create_key as create  # noqa: PLC0415 - likewise

    return create(
        private.parent,
        trusted,
        private.stem,
        signature_kind(algorithm),
        not_before=not_before,
        not_after=not_after,
    )
