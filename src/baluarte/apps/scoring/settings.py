"""What a data plane is started with: plain values, so that they travel to the worker processes."""

from __future__ import annotations

from typing import Literal

import msgspec

from baluarte.apps.logs import Form
from baluarte.apps.numerals import Language

Durability = Literal["commit", "interval"]
OnLedgerFailure = Literal["refuse", "decide-and-mark-gap"]
Kernel = Literal["auto", "c", "numpy"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one request, and all that is waiting, may ask for."""

    max_body_bytes: int = 8 << 20
    body_s: float = 30.0  #: in which a body must have come
    max_body_parts: int = 2_048  #: of a body in chunks: tiny ones cost more than they carry
    max_rows: int = 10_000  #: events of one request
    reasons_above: int = 20_000  #: waiting events above which a batch leaves reasons to replay
    max_waiting_rows: int = 40_000  #: events of one worker that wait for their record
    max_inflight: int = 1_024  #: requests of one worker that are being answered
    max_depth: int = 16  #: objects and arrays within one another
    max_faults: int = 20  #: told in one answer


class Listens(msgspec.Struct, frozen=True, kw_only=True):
    """Where a plane listens, under which names and by what certificate."""

    host: str = "127.0.0.1"
    port: int = 8317  #: 0 takes a free one
    hosts: tuple[str, ...] = ()  #: names that clients call the server by, beside loopback's
    tls_cert: str = ""  #: file of the certificate and its chain; empty: no TLS
    tls_key: str = ""
    tls_client_ca: str = ""  #: file of the authority whose clients are let in; empty: any client
    collector: str = ""  #: address of OpenTelemetry's collector; empty: none
    trace_ratio: float = 0.01  #: share of requests that get a span of their own
    telemetry_s: float = 15.0  #: between two deliveries of metrics
    grpc: str = ""  #: address of the Open Inference Protocol's door over gRPC; empty: none
    announced: bool = True  #: whether the process is one of the workers that the parent waits for
    workers: int = 2
    metrics_dir: str = ""  #: a private folder that the workers share; the server makes it


class ServeSettings(Listens, frozen=True, kw_only=True):
    """Where a data plane finds its stores and how it answers; wiring opens what is named here.

    ``durability``: with ``commit`` an answer leaves after its record is durable on disk; with
    ``interval`` when its record is queued, and records are made durable every ``interval_ms``: a
    crash, a power cut or a full disk may take the last of them. ``on_ledger_failure``: a decision
    that can't be recorded is not made, or it is answered and a signed act says how many were.
    """

    spare: bool = True  #: a worker that is loaded waits to take the place of one that dies
    max_workers: int = 0  #: up to which more come as the load asks; 0: as many as ``workers``
    registry: str  #: address of the registry
    bundles: str  #: address of the bundle store
    ledger: str  #: folder of the ledger
    trusted: str  #: folder of the trusted public keys
    token_hash: bytes  #: HMAC-SHA-256 of the server's own token under ``token_pepper``
    token_pepper: bytes
    token_until_us: int  #: microseconds of UTC until which the token holds
    accounts: str = ""  #: address of the store of accounts; empty: only the token opens
    pepper: bytes = b""  #: under which the store keeps keys
    tenants: dict[str, str] = {}  #: of detectors that are not in the tenant ``default``
    quotas: dict[str, int] = {}  #: events a day, of tenants that have a limit
    sole: str = ""  #: the detector that is meant where a protocol names none; empty: the only one
    platform: bool = False  #: whether a platform runs this as its container, and guards it
    durability: Durability = "commit"
    interval_ms: int = 50
    on_ledger_failure: OnLedgerFailure = "refuse"
    gap_key: str = ""  #: private key that signs gap records; needed to mark gaps
    repeat_window_s: int = 3_600  #: for which an event that is sent again gets its first decision
    repeat_events: int = 1_000_000  #: whose first decision is known; 40 bytes of disk each
    shed_below_bytes: int = 0  #: room on the ledger's disk below which decisions are not recorded
    settle_s: float = 60.0  #: between two looks for shards without an owner
    registry_password: str | None = None
    state: str = "memory:"  #: address of the state of window features
    state_folder: str = ""  #: of snapshots of state in memory; nothing keeps none
    state_password: str | None = None
    snapshot_s: float = 300.0
    people: str = ""  #: address of the store of subjects' keys
    people_master: str = ""  #: the master key's text
    people_master_file: str = ""  #: where it is read again; nothing where it is in no file
    field_keys: str = ""  #: folder of the keys that fields are sealed to
    sealed: dict[str, tuple[str, ...]] = {}  #: fields that come sealed, by detector
    pseudonym_key: str = ""  #: the key's text
    poll_ms: int = 150  #: how often a worker asks the registry for its champions
    kernel: Kernel = "auto"
    require_kernel: bool = False  #: not ready while the NumPy evaluator scores
    language: Language = "en"  #: of the texts in answers
    log: Form = "text"  #: of the log's lines
    limits: Limits = Limits()
