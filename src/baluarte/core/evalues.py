"""E-values for a challenger against the champion: valid at every moment they are looked at.

Under the hypothesis that the challenger is no better, an e-value passes ``1/α`` at any time with
probability at most α (Ville's inequality), so it may be read after every label.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from baluarte.core.binomial import log_binomial_cdf, log_binomial_pmf

BETS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  #: shares of the largest bet that are averaged over
LARGEST_BET = 0.9  #: of the audit floor: every factor stays positive


def log_e_discordant(wins: int, losses: int) -> float:
    """Log e-value of "the challenger wins fewer than it loses" on fully labelled discordant pairs.

    ``e = 2^(s+f) · 2 ∫_{1/2}^{1} p^s (1-p)^f dp``: the likelihood ratio of a uniform win rate above
    one half against one half. The integral is a binomial tail, so it is summed exactly.

    Args:
        wins: pairs where the challenger was right and the champion wrong.
        losses: the reverse.

    >>> log_e_discordant(0, 0)
    0.0
    >>> round(math.exp(log_e_discordant(104, 64)), 1)
    22.9

    Source: the mixture martingale of Robbins, Annals of Mathematical Statistics 41(5), 1970.
    """
    n = wins + losses
    if n == 0:
        return 0.0
    return (
        math.log(2)
        - math.log(n + 1)
        - log_binomial_pmf(wins, n, 0.5)
        + log_binomial_cdf(wins, n + 1, 0.5)
    )


def log_e_audited(
    audited: NDArray[np.bool_],
    outcome: NDArray[np.int8],
    probability: NDArray[np.float64],
    *,
    floor: float,
) -> NDArray[np.float64]:
    """Running log e-value of the same hypothesis where labels are audited with known probability.

    ``e = Π (1 + λ·A·d/π)``, averaged over a fixed grid of λ up to ``.9·π_min``. Weighted counts
    must not go into :func:`log_e_discordant`.

    Args:
        audited: (n,) whether each event's label was audited.
        outcome: (n,) -1, 0 or +1 for the challenger worse, equal, better; unread where not audited.
        probability: (n,) the probability of the audit, recorded before the outcome was known.
        floor: the smallest probability that the audit ever uses, in (0, 1].

    Returns:
        (n,) the log e-value after each event.

    Raises:
        ValueError: a probability below the floor.

    Source: Waudby-Smith & Ramdas, arXiv 2010.09686; inverse-probability weighting.
    """
    if len(probability) and not floor <= float(probability.min()):
        raise ValueError(f"an audit probability is below its floor {floor}")
    d = np.where(audited, outcome / probability, 0.0)
    bets = LARGEST_BET * floor * np.array(BETS)
    log_each = np.cumsum(np.log1p(bets[:, None] * d), axis=1)
    highest = log_each.max(axis=0)
    shifted: NDArray[np.float64] = highest + np.log(np.exp(log_each - highest).mean(axis=0))
    return shifted
