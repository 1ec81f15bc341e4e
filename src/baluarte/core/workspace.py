"""Read ``workspace.toml``: where a detector runs and with what. Nothing here is sealed.

A value comes from the first of: ``--set serve.workers=2``, the environment's
``BALUARTE_SERVE__WORKERS=2``, the file, the default. An empty file is a complete workspace.
Secrets stand here by reference only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, inspect

from baluarte.core.checkpoint import HEADS_ORIGIN
from baluarte.core.contract_surface import Name, Positive, Said
from baluarte.core.forecast import Prices
from baluarte.core.note_keys import read_vkey
from baluarte.core.reading import Reading
from baluarte.core.retention import Retention, require_floor
from baluarte.core.toml_lines import KeyPath
from baluarte.core.typed_tables import Report, editor_schema, parse_toml, shape_of, to_struct
from baluarte.core.workspace_doors import Console, Secret, Tls, provider_faults
from baluarte.errors import ContractError, TrustError

ENVIRONMENT_PREFIX = "BALUARTE_"
SECTION_MARK = "__"  #: between a section and a key in a variable's name

Count = Annotated[int, Meta(ge=1)]
Language = Literal["en", "es"]


class DetectorEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One detector of the workspace; addresses are relative to the workspace's folder."""

    path: Annotated[Said, Meta(description="its detector.toml, or the folder of it")]
    tenant: Annotated[Name, Meta(description="whose it is; grants are given in a tenant")] = (
        "default"
    )
    events: Annotated[Said, Meta(description="address of the labelled events")] | None = None
    holdout: Annotated[Said, Meta(description="address of proof events of their own")] | None = None
    labels: Annotated[Said, Meta(description="address of labels that came later")] | None = None
    reading: Annotated[
        Reading, Meta(description="how its files are read where they don't say it themselves")
    ] = Reading()
    password: (
        Annotated[Secret, Meta(description="of the database that its addresses name")] | None
    ) = None
    sealed: Annotated[
        tuple[Said, ...], Meta(description="fields that callers seal to the workers' key")
    ] = ()


class Stores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where state is kept."""

    registry: Annotated[
        Said,
        Meta(description="versions, champions, looks, labels: sqlite:PATH or postgresql://…"),
    ] = "sqlite:.baluarte/registry.sqlite"
    index: Annotated[
        Said,
        Meta(description="which decisions an event has, and when: sqlite:PATH or postgresql://…"),
    ] = "sqlite:.baluarte/index.sqlite"
    password: Annotated[Secret, Meta(description="of the database server")] | None = None
    bundles: Annotated[Said, Meta(description="sealed bundles by digest")] = ".baluarte/bundles"
    ledger: Annotated[Said, Meta(description="decisions and acts")] = ".baluarte/ledger"
    accounts: Annotated[
        Said,
        Meta(description="accounts, keys and sessions: sqlite:PATH or postgresql://…"),
    ] = "sqlite:.baluarte/accounts.sqlite"
    people: Annotated[Said, Meta(description="keys of personal values, for erasing them")] = (
        "sqlite:.baluarte/people.sqlite"
    )
    drafts: Annotated[Said, Meta(description="candidates not yet sealed")] = ".baluarte/drafts"
    quarantine: Annotated[Said, Meta(description="rows that can't be read")] = (
        ".baluarte/quarantine"
    )


class Keys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What signs, and whose signatures are believed."""

    signing: Annotated[Secret, Meta(description="the private key")] = Secret(
        file=".baluarte/keys/signing.key"
    )
    trusted: Annotated[Said, Meta(description="folder of the public keys believed")] = (
        ".baluarte/keys/trusted"
    )
    pepper: Annotated[
        Secret, Meta(description="what API keys and sessions are kept under, 32 bytes in hex")
    ] = Secret(file=".baluarte/keys/pepper")
    gap: (
        Annotated[
            Secret, Meta(description="the private key of gap records; else the one that signs")
        ]
        | None
    ) = None
    people: Annotated[
        Secret, Meta(description="the master key of personal values; a file is made if need be")
    ] = Secret(file=".baluarte/keys/people.key")
    pseudonyms: Annotated[
        Secret, Meta(description="the key of pseudonyms; a file is made if need be")
    ] = Secret(file=".baluarte/keys/pseudonyms.key")
    fields: Annotated[Said, Meta(description="folder of the keys that fields are sealed to")] = (
        ".baluarte/keys/fields"
    )
    second: (
        Annotated[Secret, Meta(description="a further private key that signs checkpoints")] | None
    ) = None


class Witness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who cosigns checkpoints: `baluarte witness` is one."""

    key: Annotated[Said, Meta(description="verifier key: NAME+ID+KEY, as the witness shows it")]
    url: Annotated[Said, Meta(description="where it answers; without one, by files")] | None = None


class Checkpoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log of heads: its name, and who must have seen it."""

    origin: Annotated[
        str,
        Meta(
            pattern=r"^[^\s+]{1,200}$",
            description="the log's name, best an address of yours; it stays as it is for good",
        ),
    ] = HEADS_ORIGIN
    quorum: Annotated[
        int, Meta(ge=0, le=32, description="witnesses whose cosignatures a checkpoint needs")
    ] = 0
    witnesses: tuple[Witness, ...] = ()


class Tenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who shares this workspace with others."""

    events_per_day: (
        Annotated[Count, Meta(description="more are refused until midnight UTC")] | None
    ) = None


class Telemetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Traces and metrics for a collector of OpenTelemetry on the same machine."""

    collector: Annotated[Said, Meta(description="OTLP over gRPC, such as http://127.0.0.1:4317")]
    trace_ratio: Annotated[
        float, Meta(ge=0, le=1, description="share of requests without a caller's trace")
    ] = 0.01
    every_s: Annotated[float, Meta(gt=0, description="between two deliveries of metrics")] = 15.0


class Serve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The data plane."""

    address: Annotated[
        str,
        Meta(
            pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$",
            extra={"expected": 'host and port, such as "127.0.0.1:8317"'},
        ),
    ] = "127.0.0.1:8317"
    hosts: Annotated[
        tuple[Said, ...], Meta(description="names that clients call it by, beside loopback's")
    ] = ()
    detector: (
        Annotated[
            Said, Meta(description="the one that SageMaker's and Azure's routes mean, of several")
        ]
        | None
    ) = None
    platform: Annotated[
        Literal["none", "sagemaker", "azureml"],
        Meta(
            description="it runs as this platform's container, which ends TLS and lets callers in: "
            "its own routes need no key"
        ),
    ] = "none"
    tls: Annotated[Tls, Meta(description="needed on an address that others reach")] | None = None
    telemetry: Annotated[Telemetry, Meta(description="needs the extra otel")] | None = None
    grpc: (
        Annotated[
            Said,
            Meta(description="a loopback address of the Open Inference Protocol over gRPC"),
        ]
        | None
    ) = None
    workers: Annotated[int, Meta(ge=1, le=1024)] = 1
    max_workers: (
        Annotated[
            int,
            Meta(ge=1, le=1024, description="up to which more workers come as the load asks"),
        ]
        | None
    ) = None
    spare: Annotated[
        bool,
        Meta(description="a further worker waits, loaded, to take the place of one that dies"),
    ] = True
    token: (
        Annotated[Secret, Meta(description="the bearer token; else one for a day is printed")]
        | None
    ) = None
    durability: Annotated[
        Literal["commit", "interval"],
        Meta(description="answer after the record is on disk, or up to interval_ms before"),
    ] = "commit"
    interval_ms: Annotated[float, Meta(gt=0, le=10_000)] = 20.0
    on_ledger_failure: Annotated[
        Literal["refuse", "decide-and-mark-gap"],
        Meta(description="when nothing can be recorded: no decisions, or a signed gap"),
    ] = "refuse"
    repeat_window_s: Annotated[
        int,
        Meta(
            ge=0,
            le=31_536_000,
            description="for which an event that is sent again gets its first decision; 0: never",
        ),
    ] = 3_600
    repeat_events: Annotated[
        int,
        Meta(
            ge=1_000,
            le=1_000_000_000,
            description="of how many events the first decision is known; 40 bytes of disk each",
        ),
    ] = 1_000_000
    reasons_above: Annotated[
        int,
        Meta(ge=0, description="events that wait in a worker above which reasons are deferred"),
    ] = 20_000
    require_kernel: Annotated[
        bool,
        Meta(description="not ready without the compiled kernel: NumPy's same bits come slower"),
    ] = False
    log: Annotated[
        Literal["text", "json"], Meta(description="what a line of the log is; never personal data")
    ] = "text"


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long records are kept, and when their segments are compressed."""

    retention: Annotated[
        Retention, Meta(description="days by class of record; without a number for ever")
    ] = Retention()
    accept: Annotated[
        dict[str, Said],
        Meta(description="retention below six months, accepted by name, each with its reason"),
    ] = {}
    shed_below_mb: Annotated[
        int, Meta(ge=0, description="room on its disk below which no decision is recorded")
    ] = 256
    cold_after_days: Annotated[
        int, Meta(ge=0, description="age at which a sweep compresses a segment")
    ] = 7


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request or a file may cost."""

    max_body_bytes: Count = 8 * 2**20
    max_rows: Annotated[Count, Meta(description="events of one request")] = 10_000
    max_inflight: Annotated[
        Count, Meta(description="requests at a time and worker; more is 503")
    ] = 1_024
    batch_rows: Annotated[Count, Meta(description="rows of a file in memory at a time")] = 65_536
    max_bad_rows: Annotated[
        int, Meta(ge=0, description="rows of a file that may be left out; one more stops the run")
    ] = 10_000
    max_bad_share: Annotated[
        float, Meta(ge=0, le=1, description="share of a file's rows that may be left out")
    ] = 0.01


class Watch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The drift alarm."""

    arl: Annotated[Positive, Meta(description="events between false alarms, at least")] = (
        1_000_000.0
    )
    batch: Annotated[Count, Meta(description="events of one step")] = 250


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the memory of window features is kept."""

    url: Annotated[
        Said, Meta(description="memory: for one worker, redis://HOST:PORT/DB for many")
    ] = "memory:"
    folder: Annotated[Said, Meta(description="snapshots of state in memory")] = ".baluarte/state"
    snapshot_s: Annotated[Positive, Meta(description="seconds between two snapshots")] = 300.0
    password: Annotated[Secret, Meta(description="of Redis")] | None = None


class Workspace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about where and with what; any number of detectors."""

    detectors: dict[Name, DetectorEntry] = {}
    tenants: dict[Name, Tenant] = {}
    stores: Stores = Stores()
    keys: Keys = Keys()
    checkpoints: Checkpoints = Checkpoints()
    serve: Serve = Serve()
    console: Console = Console()
    ledger: Ledger = Ledger()
    limits: Limits = Limits()
    watch: Watch = Watch()
    prices: Prices = Prices()
    state: State = State()
    approvals: Annotated[
        int, Meta(ge=0, le=2, description="approvals that a promotion needs beside its author's")
    ] = 0
    language: Language = "en"


def parse_workspace(
    text: str,
    *,
    where: str,
    overrides: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Workspace:
    """The workspace that a ``workspace.toml`` declares, with everything else by default.

    Args:
        where: the file's name, as faults name it.
        overrides: dotted keys to values as text, from ``--set``.
        environment: variables; those named ``BALUARTE_SECTION__KEY`` count.

    Raises:
        ContractError: everything that is wrong, in the order of the lines.
    """
    data, report = parse_toml(text, where=where)
    for path, value, origin in _settings(overrides or {}, environment or {}):
        _set(data, path, value, origin, report)
    workspace = to_struct(data, Workspace, report)
    for place, secret in _secrets(workspace):
        if (secret.env is None) == (secret.file is None) and not report.touches(*place):
            report.fault(place, 'expected one of {env = "NAME"} and {file = "PATH"}')
    _check_witnesses(workspace.checkpoints, report)
    for place, message in provider_faults(workspace.console):
        report.fault(("console", "providers", *place), message)
    report.stop_if_faulty()
    require_floor(workspace.ledger.retention, workspace.ledger.accept, where=where)
    return workspace


def parse_overrides(arguments: Sequence[str]) -> dict[str, str]:
    """Dotted keys to values from the arguments of ``--set``.

    >>> parse_overrides(["serve.workers=2", "language=es"])
    {'serve.workers': '2', 'language': 'es'}

    Raises:
        ContractError: an argument is not ``key=value``.
    """
    settings = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not (equals and key.strip()):
            message = f'expected key=value, such as serve.workers=2; found "{argument}"'
            raise ContractError(message, where="--set")
        settings[key.strip()] = value.strip()
    return settings


def workspace_json_schema() -> dict[str, Any]:
    """The JSON Schema of ``workspace.toml``, for editors."""
    return editor_schema(Workspace)


def _settings(
    overrides: Mapping[str, str], environment: Mapping[str, str]
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Path, value and origin of each setting, the strongest last."""
    top = {field.name for field in msgspec.structs.fields(Workspace)}
    for variable, value in sorted(environment.items()):
        if variable.startswith(ENVIRONMENT_PREFIX):
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            if SECTION_MARK in name or name in top:
                yield tuple(name.split(SECTION_MARK)), value, variable
    for key, value in overrides.items():
        yield tuple(key.split(".")), value, f"--set {key}"


def _set(
    data: dict[str, object], path: tuple[str, ...], value: str, origin: str, report: Report
) -> None:
    report.origins[path] = origin
    table: Any = data
    for key in path[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            report.fault(path, "there is no table of that name to set it in")
            return
    table[path[-1]] = _typed(value, path)


def _typed(value: str, path: tuple[str, ...]) -> object:
    """The text as the type that its key has; text that does not read so stays text."""
    if _is_text(path):
        return value
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _is_text(path: tuple[str, ...]) -> bool:
    """Whether a key holds text; unknown keys do."""
    shape = shape_of(Workspace)
    for key in path:
        shape = _plain(shape)
        if isinstance(shape, inspect.StructType):
            fields = {field.name: field.type for field in shape.fields}
            if key not in fields:
                return True
            shape = fields[key]
        elif isinstance(shape, inspect.DictType):
            shape = shape.value_type
        else:
            return True
    return isinstance(_plain(shape), inspect.StrType | inspect.LiteralType)


def _plain(shape: inspect.Type) -> inspect.Type:
    while isinstance(shape, inspect.Metadata):
        shape = shape.type
    if isinstance(shape, inspect.UnionType):
        return _plain(next(t for t in shape.types if not isinstance(t, inspect.NoneType)))
    return shape


def _check_witnesses(checkpoints: Checkpoints, report: Report) -> None:
    keys: list[str] = []
    for number, witness in enumerate(checkpoints.witnesses):
        place: KeyPath = ("checkpoints", "witnesses", number, "key")
        try:
            key = read_vkey(witness.key, where="checkpoints.witnesses")
        except TrustError as error:
            report.fault(place, error.faults[0].message)
            continue
        if not key.timed:
            report.fault(place, "expected a witness's key (type 4 or 6), found a log's (type 1)")
        if key.name in keys:
            report.fault(place, f"there are two witnesses named {key.name}")
        keys.append(key.name)
    if checkpoints.quorum > len(checkpoints.witnesses):
        said = f"expected at most the number of witnesses, {len(checkpoints.witnesses)}"
        report.fault(("checkpoints", "quorum"), f"{said}; found {checkpoints.quorum}")


def _secrets(workspace: Workspace) -> Iterator[tuple[KeyPath, Secret]]:
    yield ("keys", "signing"), workspace.keys.signing
    if workspace.keys.gap is not None:
        yield ("keys", "gap"), workspace.keys.gap
    yield ("keys", "people"), workspace.keys.people
    yield ("keys", "pseudonyms"), workspace.keys.pseudonyms
    yield ("keys", "pepper"), workspace.keys.pepper
    if workspace.keys.second is not None:
        yield ("keys", "second"), workspace.keys.second
    if workspace.serve.token is not None:
        yield ("serve", "token"), workspace.serve.token
    if workspace.stores.password is not None:
        yield ("stores", "password"), workspace.stores.password
    if workspace.state.password is not None:
        yield ("state", "password"), workspace.state.password
    for name, provider in workspace.console.providers.items():
        if provider.client_secret is not None:
            yield ("console", "providers", name, "client_secret"), provider.client_secret
    for name, entry in workspace.detectors.items():
        if entry.password is not None:
            yield ("detectors", name, "password"), entry.password
