"""A simulator of card payments with named frauds, for demos and tests without data.

Simulated, and never called real. Later payments bring a shopping season (dearer, more of it online,
new shops) and frauds that training never saw, so that a budget set on early payments is broken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]

SHOPS = ("grocery", "fuel", "restaurant", "clothing", "electronics", "travel", "games", "jewellery")
SEASON_SHOPS = ("gift_cards", "ticket_resale")
KNOWN_FRAUDS = ("stolen_card", "card_testing", "account_takeover")
LATER_FRAUDS = ("mule_transfer", "refund_ring")


def _harmless(n: int, rng: np.random.Generator, *, season: bool) -> Columns:
    usual = np.exp(rng.normal(3.2, 0.6, n))  # what this card usually pays
    mood = 0.8 if season else 0.25
    shop_share = np.array([0.3, 0.14, 0.2, 0.12, 0.08, 0.06, 0.06, 0.04])
    shop = rng.choice(np.array(SHOPS, dtype=object), n, p=shop_share)
    if season:
        newcomer = rng.random(n) < 0.08
        shop[newcomer] = rng.choice(np.array(SEASON_SHOPS, dtype=object), int(newcomer.sum()))
    online = rng.random(n) < (0.6 if season else 0.3)
    return {
        "amount": np.round(usual * np.exp(rng.normal(mood, 0.7, n)), 2),
        "usual_amount": np.round(usual, 2),
        "shop": shop,
        "online": online,
        "km_from_home": np.round(np.where(online, 0, rng.exponential(12, n)), 1),
        "payments_24h": rng.poisson(3.4 if season else 1.6, n).astype(np.float64),
        "minutes_since_last": np.round(rng.exponential(700, n), 1),
        "device_age_days": np.round(rng.exponential(300, n), 1),
        "wrong_pins": rng.poisson(0.02, n).astype(np.float64),
        "hour": np.floor(np.clip(rng.normal(14.5, 4.2, n), 0, 23.99)),
    }


def _overwrite(
    columns: Columns, rows: NDArray[np.bool_], fraud: str, rng: np.random.Generator
) -> None:
    """Give the rows the marks of one fraud; what a fraud leaves alone stays as it was."""
    n = int(rows.sum())
    usual = columns["usual_amount"][rows]

    def put(name: str, values: NDArray[Any]) -> None:
        columns[name][rows] = values

    if fraud == "stolen_card":
        put("amount", np.round(usual * np.exp(rng.normal(1.6, 0.6, n)), 2))
        put("km_from_home", np.round(rng.exponential(160, n), 1))
        put("wrong_pins", rng.poisson(0.8, n).astype(np.float64))
        put("shop", rng.choice(np.array(["electronics", "jewellery", "fuel"], dtype=object), n))
    elif fraud == "card_testing":
        put("amount", np.round(rng.uniform(0.5, 3, n), 2))
        put("payments_24h", 6.0 + rng.poisson(9, n))
        put("minutes_since_last", np.round(rng.exponential(2, n), 1))
        put("online", np.ones(n, dtype=bool))
    elif fraud == "account_takeover":
        put("amount", np.round(usual * np.exp(rng.normal(1.3, 0.5, n)), 2))
        put("device_age_days", np.round(rng.exponential(0.4, n), 1))
        put("hour", rng.integers(0, 6, n).astype(np.float64))
        put("online", np.ones(n, dtype=bool))
    elif fraud == "mule_transfer":
        put("amount", np.round(rng.choice([490.0, 495.0, 499.0], n) + rng.uniform(0, 1, n), 2))
        put("shop", np.full(n, "gift_cards", dtype=object))
        put("payments_24h", 3.0 + rng.poisson(3, n))
        put("online", np.ones(n, dtype=bool))
    else:  # refund_ring: ordinary amounts at the new resale shops, in quick succession
        put("shop", np.full(n, "ticket_resale", dtype=object))
        put("minutes_since_last", np.round(rng.exponential(6, n), 1))
        put("device_age_days", np.round(rng.exponential(5, n), 1))
        put("online", np.ones(n, dtype=bool))


def payments(n: int, *, later: bool, seed: int, fraud_share: float = 0.02) -> Columns:
    """``n`` card payments in time order with the fraud's name in ``label`` (``honest`` otherwise).

    Args:
        later: whether the season and the later frauds take part.
        fraud_share: share of payments that are fraud, in (0, 1).
    """
    rng = np.random.default_rng([seed, int(later), 7])
    columns = _harmless(n, rng, season=later)
    frauds = (*KNOWN_FRAUDS, *LATER_FRAUDS) if later else KNOWN_FRAUDS
    label = np.full(n, "honest", dtype=object)
    is_fraud = rng.random(n) < fraud_share
    label[is_fraud] = rng.choice(np.array(frauds, dtype=object), int(is_fraud.sum()))
    for fraud in frauds:
        rows = label == fraud
        _overwrite(columns, rows, fraud, rng)
    at = np.sort(rng.uniform(0, 86_400.0 * 30, n)) + (86_400.0 * 90 if later else 0.0)
    return {
        "ts": np.round(1_767_225_600 + at, 3),
        "card_id": np.array(
            [f"c{i:05d}" for i in rng.integers(0, max(2, n // 8), n)], dtype=object
        ),
        **columns,
        "label": label,
    }
