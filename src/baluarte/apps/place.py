"""Where a command works: the workspace around it and the detector that is meant."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from baluarte import wiring
from baluarte.adapters.disk import open_new, outside, sync_folder, write_aside, write_at
from baluarte.core.accounts import SECRET_BYTES, read_pepper
from baluarte.core.contract import Contract, Param
from baluarte.core.workspace import Workspace, parse_overrides, parse_workspace
from baluarte.core.workspace_doors import Secret
from baluarte.errors import ContractError, Fault, OutsideError

WORKSPACE_FILE = "workspace.toml"
DETECTOR_FILE = "detector.toml"
#: a restore was stopped while it put files in their places
RESTORING = ".baluarte-restoring.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A workspace and the folder it stands in; addresses in it are relative to that folder."""

    root: Path
    workspace: Workspace

    def at(self, address: str) -> Path:
        """A path of the workspace, absolute."""
        return (self.root / address).resolve()

    @property
    def registry(self) -> str:
        """The registry's address with its path made absolute."""
        return self._database(self.workspace.stores.registry)

    @property
    def index(self) -> str:
        """The index's address, likewise."""
        return self._database(self.workspace.stores.index)

    def _database(self, address: str) -> str:
        scheme, _, path = address.partition(":")
        return f"{scheme}:{self.at(path)}" if scheme == "sqlite" else address

    def stores_password(self) -> str | None:
        """The password of the database server, if it has one.

        Raises:
            ContractError: it is given by a variable or file that is not there.
        """
        secret = self.workspace.stores.password
        return None if secret is None else self.secret(secret, where="stores.password")

    @property
    def people(self) -> str:
        """The address of the store of subjects' keys with its path made absolute."""
        return self._database(self.workspace.stores.people)

    @property
    def has_people(self) -> bool:
        """Whether personal values were ever sealed here."""
        scheme, _, path = self.people.partition(":")
        return scheme != "sqlite" or Path(path).exists()

    def people_master(self) -> str:
        """The master key of personal values; a file of it is made where there never was a store.

        Raises:
            ContractError: it is not where it should be.
        """
        secret = self.workspace.keys.people
        if secret.file is not None and not self.has_people and not self.at(secret.file).exists():
            from baluarte.adapters.sealing import new_master  # noqa: PLC0415 - loads cryptography

            make_private(self.at(secret.file), new_master() + "\n")
        return self.known_master()

    @property
    def people_master_file(self) -> str | None:
        """The file of the master key of personal values; None where it is in a variable."""
        file = self.workspace.keys.people.file
        return None if file is None else str(self.at(file))

    def known_master(self) -> str:
        """The master key of personal values, as it is.

        Raises:
            ContractError: it is not where it should be.
        """
        return self.secret(self.workspace.keys.people, where="keys.people")

    def pseudonym_key(self) -> str:
        """The key of pseudonyms; a file of it is made where there is none.

        A version says by which key its pseudonyms were made: a new key can't pass for a lost one.

        Raises:
            ContractError: it is not where it should be.
        """
        secret = self.workspace.keys.pseudonyms
        if secret.file is not None and not self.at(secret.file).exists():
            from secrets import token_urlsafe  # noqa: PLC0415 - once in a workspace's life

            make_private(self.at(secret.file), token_urlsafe(32) + "\n")
        return self.secret(secret, where="keys.pseudonyms")

    def known_pseudonym_key(self) -> str:
        """The same, and nothing where there is none yet."""
        secret = self.workspace.keys.pseudonyms
        known = secret.file is None or self.at(secret.file).exists()
        return self.pseudonym_key() if known else ""

    @property
    def bundles(self) -> Path:
        """Folder of sealed bundles."""
        return self.at(self.workspace.stores.bundles)

    @property
    def drafts(self) -> Path:
        """Folder of candidates."""
        return self.at(self.workspace.stores.drafts)

    @property
    def ledger(self) -> Path:
        """Folder of the ledger's shards."""
        return self.at(self.workspace.stores.ledger)

    @property
    def quarantine(self) -> Path:
        """Folder of the rows that could not be read."""
        return self.at(self.workspace.stores.quarantine)

    @property
    def state_folder(self) -> Path:
        """Folder of the snapshots of window state."""
        return self.at(self.workspace.state.folder)

    def state_password(self) -> str | None:
        """The password of the shared window state, if it has one.

        Raises:
            ContractError: it is given by a variable or file that is not there.
        """
        secret = self.workspace.state.password
        return None if secret is None else self.secret(secret, where="state.password")

    @property
    def accounts(self) -> str:
        """The address of the store of accounts, its path made absolute."""
        address = self.workspace.stores.accounts
        scheme, _, path = address.partition(":")
        return f"{scheme}:{self.at(path)}" if scheme == "sqlite" else address

    @property
    def has_accounts(self) -> bool:
        """Whether anybody made an account here."""
        scheme, _, path = self.accounts.partition(":")
        return scheme != "sqlite" or Path(path).exists()

    def pepper(self) -> bytes:
        """What keys and sessions are kept under.

        Raises:
            ContractError: there is none, or it is too short.
        """
        where = "keys.pepper"
        text = self.secret(self.workspace.keys.pepper, where=where)
        return read_pepper(text, where=f"{WORKSPACE_FILE}: {where}")

    def make_pepper(self) -> None:
        """Make the pepper's file where it is to be a file and there is none."""
        named = self.workspace.keys.pepper.file
        if named is None or self.at(named).exists():
            return
        path = self.at(named)
        with outside("the pepper can't be written", path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_aside(path, secrets.token_hex(SECRET_BYTES).encode() + b"\n")

    @property
    def trusted(self) -> Path:
        """Folder of the public keys that are believed."""
        return self.at(self.workspace.keys.trusted)

    @property
    def field_keys(self) -> Path:
        """Folder of the keys that fields are sealed to."""
        return self.at(self.workspace.keys.fields)

    @property
    def signing(self) -> Path:
        """The private key that seals are signed with.

        Raises:
            ContractError: it is given by an environment variable that is not set.
        """
        return self._private_key(self.workspace.keys.signing, "keys.signing")

    @property
    def gap_key(self) -> Path:
        """The private key that gap records are signed with.

        Raises:
            ContractError: it is given by an environment variable that is not set.
        """
        secret = self.workspace.keys.gap
        return self.signing if secret is None else self._private_key(secret, "keys.gap")

    @property
    def second_key(self) -> Path | None:
        """The further private key that signs checkpoints, if there is one.

        Raises:
            ContractError: it is given by an environment variable that is not set.
        """
        secret = self.workspace.keys.second
        return None if secret is None else self._private_key(secret, "keys.second")

    def _private_key(self, secret: Secret, name: str) -> Path:
        if secret.file is not None:
            return self.at(secret.file)
        named = os.environ.get(secret.env or "")
        if not named:
            raise ContractError(
                f"expected the path of the private key in {secret.env}; it is not set",
                where=f"{WORKSPACE_FILE}: {name}",
            )
        return Path(named)

    def detector(self, name: str | None) -> Detector:
        """The detector of that name; without a name the one of this folder, or the only one.

        Raises:
            ContractError: there is no such detector, or several and none was named.
        """
        entries = self.workspace.detectors
        if name is None:
            here = Path.cwd()
            near = [
                n for n, e in entries.items() if self.at(e.path) in {here, here / DETECTOR_FILE}
            ]
            name = near[0] if near else (next(iter(entries)) if len(entries) == 1 else None)
        if name is None or name not in entries:
            known = ", ".join(sorted(entries)) or "none"
            said = "no detector was named" if name is None else f"there is no detector {name!r}"
            raise ContractError(
                f"{said}; workspace.toml has: {known}",
                where=str(self.root / WORKSPACE_FILE),
                hint="Name one, or run the command in its folder; baluarte init makes one.",
            )
        entry = entries[name]
        path = self.at(entry.path)
        path = path / DETECTOR_FILE if path.is_dir() else path
        return Detector(
            name=name,
            path=path,
            events=self.address(entry.events),
            holdout=self.address(entry.holdout),
            labels=self.address(entry.labels),
        )

    def address(self, said: str | None) -> str | None:
        """An address of the workspace, a file's made absolute."""
        if said is None or "://" in said:
            return said
        scheme, mark, path = said.partition(":")
        if mark and scheme == "sqlite":
            return f"{scheme}:{self.at(path)}"
        return str(self.at(said))

    def secret(self, secret: Secret, *, where: str) -> str:
        """A secret's text.

        Raises:
            ContractError: the variable is not set, or there is no such file.
        """
        found = os.environ.get(secret.env or "")
        if secret.file is not None:
            path = self.at(secret.file)
            found = path.read_text("utf-8").strip() if path.is_file() else None
        if not found:
            raise ContractError(
                f"expected a secret in {secret.env or secret.file}, found none",
                where=f"{WORKSPACE_FILE}: {where}",
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One detector of a workspace: its contract's file and where its events are."""

    name: str
    path: Path
    events: str | None
    holdout: str | None = None
    labels: str | None = None
    draft: str | None = None  #: what the contract's file is about to say, where it is edited

    def text(self) -> str:
        """The contract's file as it stands, or as it is about to.

        Raises:
            ContractError: there is no such file, or it is not UTF-8.
        """
        if self.draft is not None:
            return self.draft
        try:
            return self.path.read_text("utf-8")
        except FileNotFoundError:
            raise ContractError(
                "there is no such file", where=str(self.path), hint="baluarte init writes one."
            ) from None
        except UnicodeDecodeError as error:
            raise ContractError(
                f"expected UTF-8; found byte 0x{error.object[error.start]:02x} at {error.start}",
                where=str(self.path),
            ) from None

    def contract(self) -> Contract:
        """The contract.

        Raises:
            ContractError: everything that is wrong with it, at once.
        """
        from baluarte.core.contract_toml import parse_contract  # noqa: PLC0415 - loads numpy

        try:
            where = str(self.path.relative_to(Path.cwd()))
        except ValueError:
            where = str(self.path)
        contract = parse_contract(
            self.text(),
            where=where,
            known_families=wiring.plugin_names("models"),
            known_gates=wiring.plugin_names("gates"),
            known_searches=wiring.plugin_names("searches"),
            param_faults=_param_faults,
            beside=text_beside(self.path),
        )
        if contract.name != self.name:
            raise ContractError(
                f"expected name = {self.name!r}, as workspace.toml calls it; "
                f"found {contract.name!r}",
                where=where,
                hint="Give both the same name.",
            )
        return contract

    def events_address(self) -> str:
        """Where the labelled events are.

        Raises:
            ContractError: workspace.toml does not say.
        """
        if self.events is None:
            raise ContractError(
                "expected the address of the events; found none",
                where=f"workspace.toml: detectors.{self.name}.events",
                hint='Write events = "FILE" there, or pass --events FILE.',
            )
        return self.events


def _param_faults(
    family: str, said: Mapping[str, Param | tuple[Param, ...]]
) -> Sequence[tuple[str, Fault]]:
    from baluarte.stages.told import param_faults  # noqa: PLC0415 - only where something is told

    return param_faults(wiring.plugin("models", family, where="learner.families"), said)


def make_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, unless another process just did.

    Raises:
        OutsideError: it can't be written.
    """
    with outside("the key can't be written", path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.unlink(missing_ok=True)
        descriptor = open_new(aside)
        try:
            write_at(descriptor, text.encode(), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
        sync_folder(path.parent)


def text_beside(path: Path) -> Callable[[str], str]:
    """Reads the files that a contract's file names, relative to it."""

    def read(name: str) -> str:
        try:
            return (path.parent / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ContractError(
                f"expected a readable file in UTF-8: {error}", where=f"{path.name}: {name}"
            ) from None

    return read


def find_workspace(args: argparse.Namespace) -> Place:
    """The workspace that the command line names, or the nearest one upwards.

    Raises:
        ContractError: there is none, or it is faulty.
        OutsideError: a restore of it was stopped halfway.
    """
    return open_place(workspace_path(args), overrides=args.set)


def workspace_path(args: argparse.Namespace) -> Path:
    """Where the workspace's file is, or would be."""
    if args.workspace:
        return Path(args.workspace).resolve()
    here = Path.cwd()
    return next(
        (p / WORKSPACE_FILE for p in (here, *here.parents) if (p / WORKSPACE_FILE).exists()),
        here / WORKSPACE_FILE,
    )


def open_place(path: Path, *, overrides: list[str]) -> Place:
    """The workspace of one file.

    Raises:
        ContractError: there is none, or it is faulty.
        OutsideError: a restore of it was stopped halfway.
    """
    if (path.parent / RESTORING).exists():
        raise OutsideError(
            "a restore was stopped while it put files in their places",
            where=str(path.parent),
            hint="Run baluarte restore again: it finishes what was begun.",
        )
    try:
        text = path.read_text("utf-8")
    except OSError:
        raise ContractError(
            "there is no workspace.toml here or above",
            where=str(path.parent),
            hint="baluarte init FOLDER --events FILE writes one.",
        ) from None
    workspace = parse_workspace(
        text, where=path.name, overrides=parse_overrides(overrides), environment=os.environ
    )
    return Place(root=path.parent, workspace=workspace)
