"""How sure a number is: intervals over users, and whether one model is better than another.

Events of one user hang together, so users are drawn and not events (Owen and Eckles, 2012, on why
events give intervals that are too narrow). McNemar's test takes events for independent; it is told
beside the paired interval, which does not.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from deploy.evaluation.judged import Flags, Ints
from deploy.evaluation.metrics import Floats

DRAWS_MAX, DRAWS_MIN = 1000, 200
DRAWN_USERS = 20_000_000
"""Of all draws together, where the bounds above allow: a million users are drawn 200 times."""
LEVEL = 0.95


class Estimate(Struct, frozen=True):
    """A mean over rows with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(Struct, frozen=True):
    """Model a against model b on the same rows.

    Attributes:
        difference: Mean of a minus mean of b.
        only_a: Rows that a hit and b missed; `only_b` the other way round.
        p_value: McNemar's, two-sided and exact: that such a split is chance.
    """

    difference: Estimate
    only_a: int
    only_b: int
    p_value: float


class Bootstrap:
    """Draws users with replacement, the same draws for every number: differences stay paired.

    Args:
        users: Code of the user of each row, shape (n,).
        seed: Of the draws.
    """

    def __init__(self, users: Ints, seed: int) -> None:
        self._seed = seed
        self._users, self._code = np.unique(users, return_inverse=True)
        size = len(self._users)
        self._rows = np.bincount(self._code, minlength=size).astype(np.float64)
        self._draws = min(DRAWS_MAX, max(DRAWS_MIN, DRAWN_USERS // max(size, 1)))

    def mean(self, values: Floats) -> Estimate:
        """Mean of a column of shape (n,) with its percentile interval (Efron, 1979)."""
        return self.means([values])[0]

    def means(self, columns: Sequence[Floats]) -> list[Estimate]:
        """Means of several columns, by the same draws."""
        if not len(self._users):
            return [Estimate(0.0, 0.0, 0.0)] * len(columns)
        size = len(self._users)
        sums = np.column_stack([np.bincount(self._code, one, size) for one in columns])
        rng = np.random.default_rng(self._seed)
        means = np.empty((self._draws, len(columns)))
        for draw in range(self._draws):
            times = np.bincount(rng.integers(0, size, size), minlength=size).astype(np.float64)
            means[draw] = times @ sums / (times @ self._rows)
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return [
            Estimate(float(one.mean()), float(low[place]), float(high[place]))
            for place, one in enumerate(columns)
        ]

    def compare(self, a: Flags, b: Flags) -> Comparison:
        """Hits of a against hits of b, shape (n,) each."""
        difference = self.mean(a.astype(np.float64) - b.astype(np.float64))
        only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
        return Comparison(difference, only_a, only_b, mcnemar(only_a, only_b))


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of McNemar's test (1947): a binomial one on the rows that differ.

    >>> mcnemar(5, 5), mcnemar(0, 0), round(mcnemar(9, 1), 6)
    (1.0, 1.0, 0.021484)
    """
    from scipy.stats import binomtest

    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b).pvalue)
