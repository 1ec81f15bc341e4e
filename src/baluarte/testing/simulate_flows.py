"""A simulator of network flows with named attack campaigns, for demos and tests without data.

Not real traffic and never called so. What it keeps of the real thing is what breaks detectors in
production: later traffic holds campaigns that training never saw, and harmless newcomers (pollers,
video, a backup job) that look a little like attacks, so a budget set on early traffic is broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one kind of traffic looks: medians of skewed sizes, means of rates, vocabulary."""

    duration_s: float
    bytes_out: float
    bytes_in: float
    spread: float  #: sigma of the log-normal sizes
    flows_2s: float  #: flows to the same host in the last two seconds
    ports_100: float  #: distinct ports among the host's last 100 flows
    syn_error_rate: float
    reject_rate: float
    failed_logins: float
    service: Mapping[str, float]
    protocol: str = "tcp"


_WEB = {"http": 0.5, "https": 0.32, "smtp": 0.08, "ftp": 0.05, "ssh": 0.05}

HARMLESS: dict[str, Profile] = {
    "office": Profile(
        duration_s=2, bytes_out=350, bytes_in=2600, spread=1.3, flows_2s=4, ports_100=2.5,
        syn_error_rate=0.02, reject_rate=0.03, failed_logins=0.02, service=_WEB,
    ),
    "names": Profile(
        duration_s=0.05, bytes_out=45, bytes_in=120, spread=0.4, flows_2s=14, ports_100=1.2,
        syn_error_rate=0.0, reject_rate=0.01, failed_logins=0.0, service={"dns": 1.0},
        protocol="udp",
    ),
    "bulk": Profile(
        duration_s=40, bytes_out=9000, bytes_in=180_000, spread=1.6, flows_2s=2, ports_100=1.5,
        syn_error_rate=0.01, reject_rate=0.01, failed_logins=0.01,
        service={"https": 0.6, "ftp": 0.3, "ssh": 0.1},
    ),
}  # fmt: skip

NEWCOMERS: dict[str, Profile] = {
    "poller": Profile(
        duration_s=0.1, bytes_out=60, bytes_in=40, spread=0.6, flows_2s=30, ports_100=22,
        syn_error_rate=0.12, reject_rate=0.3, failed_logins=0.0,
        service={"snmp": 0.6, "other": 0.3, "https": 0.1},
    ),
    "video": Profile(
        duration_s=300, bytes_out=90_000, bytes_in=4_000_000, spread=0.8, flows_2s=3, ports_100=2,
        syn_error_rate=0.01, reject_rate=0.01, failed_logins=0.0, service={"rtmp_8443": 1.0},
        protocol="udp",
    ),
}  # fmt: skip

KNOWN_CAMPAIGNS: dict[str, Profile] = {
    "port_sweep": Profile(
        duration_s=0.02, bytes_out=30, bytes_in=10, spread=0.8, flows_2s=60, ports_100=60,
        syn_error_rate=0.25, reject_rate=0.6, failed_logins=0.0,
        service={"other": 0.7, "http": 0.1, "ssh": 0.1, "ftp": 0.1},
    ),
    "syn_flood": Profile(
        duration_s=0.01, bytes_out=8, bytes_in=4, spread=0.5, flows_2s=220, ports_100=3,
        syn_error_rate=0.93, reject_rate=0.03, failed_logins=0.0,
        service={"http": 0.6, "https": 0.2, "other": 0.2},
    ),
    "ssh_guessing": Profile(
        duration_s=3, bytes_out=1500, bytes_in=1900, spread=0.5, flows_2s=12, ports_100=1.3,
        syn_error_rate=0.03, reject_rate=0.1, failed_logins=3.0, service={"ssh": 0.95, "ftp": 0.05},
    ),
    "web_injection": Profile(
        duration_s=1.2, bytes_out=2600, bytes_in=5200, spread=0.9, flows_2s=18, ports_100=1.5,
        syn_error_rate=0.02, reject_rate=0.12, failed_logins=0.15,
        service={"http": 0.8, "https": 0.2},
    ),
}  # fmt: skip

LATER_CAMPAIGNS: dict[str, Profile] = {
    "dns_tunnel": Profile(
        duration_s=0.4, bytes_out=260, bytes_in=900, spread=0.5, flows_2s=25, ports_100=1.2,
        syn_error_rate=0.0, reject_rate=0.0, failed_logins=0.0, service={"dns": 1.0},
        protocol="udp",
    ),
    "slow_scan": Profile(
        duration_s=0.1, bytes_out=40, bytes_in=20, spread=0.7, flows_2s=2, ports_100=24,
        syn_error_rate=0.15, reject_rate=0.5, failed_logins=0.0,
        service={"other": 0.6, "http": 0.2, "ssh": 0.2},
    ),
    "worm": Profile(
        duration_s=0.8, bytes_out=4200, bytes_in=300, spread=0.6, flows_2s=35, ports_100=4,
        syn_error_rate=0.3, reject_rate=0.3, failed_logins=0.2,
        service={"smb": 0.8, "other": 0.2},
    ),
    "amplification": Profile(
        duration_s=0.05, bytes_out=60, bytes_in=3900, spread=0.3, flows_2s=90, ports_100=1.2,
        syn_error_rate=0.0, reject_rate=0.0, failed_logins=0.0,
        service={"ntp": 0.6, "dns": 0.4}, protocol="udp",
    ),
}  # fmt: skip


def _draw(profile: Profile, n: int, rng: np.random.Generator) -> Columns:
    """``n`` flows of one profile as raw columns."""

    def skewed(median: float) -> NDArray[np.float64]:
        return median * np.exp(rng.normal(0, profile.spread, n))

    def rate(mean: float) -> NDArray[np.float64]:
        a = max(mean, 1e-3) * 12
        return np.round(rng.beta(a, 12 - min(a, 11.9), n), 2)

    return {
        "protocol": np.full(n, profile.protocol, dtype=object),
        "service": rng.choice(
            np.array(list(profile.service), dtype=object), n, p=list(profile.service.values())
        ),
        "duration_s": np.round(skewed(profile.duration_s), 3),
        "bytes_out": np.floor(skewed(profile.bytes_out)),
        "bytes_in": np.floor(skewed(profile.bytes_in)),
        "packets": np.floor(2 + skewed((profile.bytes_out + profile.bytes_in) / 600)),
        "flows_2s": rng.poisson(profile.flows_2s, n).astype(np.float64),
        "ports_100": np.minimum(100, 1 + rng.poisson(profile.ports_100 - 1 + 1e-9, n)).astype(
            float
        ),
        "syn_error_rate": rate(profile.syn_error_rate),
        "reject_rate": rate(profile.reject_rate),
        "failed_logins": rng.poisson(profile.failed_logins, n).astype(np.float64),
    }


def flows(n: int, *, later: bool, seed: int, attack_share: float = 0.3) -> Columns:
    """``n`` flows in time order with their campaign in ``label`` (``normal`` where there is none).

    Args:
        later: whether new campaigns and harmless newcomers take part, as months after training.
        attack_share: share of flows that belong to a campaign, in (0, 1).
    """
    rng = np.random.default_rng([seed, int(later)])
    attacks = {**KNOWN_CAMPAIGNS, **LATER_CAMPAIGNS} if later else KNOWN_CAMPAIGNS
    quiet = {**HARMLESS, **NEWCOMERS} if later else HARMLESS
    weights = {"office": 0.6, "names": 0.25, "bulk": 0.15, "poller": 0.07, "video": 0.05}
    share = np.array([weights[name] for name in quiet])
    is_attack = rng.random(n) < attack_share
    kind = np.where(
        is_attack,
        rng.choice(np.array(list(attacks), dtype=object), n),
        rng.choice(np.array(list(quiet), dtype=object), n, p=share / share.sum()),
    )
    columns: Columns = {}
    for name, profile in {**attacks, **quiet}.items():
        rows = np.flatnonzero(kind == name)
        for column, values in _draw(profile, len(rows), rng).items():
            columns.setdefault(column, np.empty(n, dtype=values.dtype))[rows] = values
    at = np.sort(rng.uniform(0, 86_400.0 * 30, n)) + (86_400.0 * 90 if later else 0.0)
    return {
        "ts": np.round(1_767_225_600 + at, 3),  # 2026-01-01T00:00:00Z and the month that follows
        **columns,
        "label": np.where(is_attack, kind, "normal").astype(object),
    }
