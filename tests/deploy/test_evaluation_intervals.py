"""Intervals over users, and comparisons of two models."""

import numpy as np
import pytest
from scipy.stats import binomtest

from deploy.evaluation.intervals import Bootstrap, mcnemar


def rows(users: int, each: int) -> np.ndarray:
    return np.repeat(np.arange(users), each)


def test_an_interval_holds_the_mean_and_comes_again_with_its_seed():
    users = rows(200, 5)
    values = np.random.default_rng(1).random(1000)
    one, again = Bootstrap(users, 7).mean(values), Bootstrap(users, 7).mean(values)
    assert one == again != Bootstrap(users, 8).mean(values)
    assert one.low < values.mean() < one.high
    assert one.value == values.mean()


def test_an_interval_is_as_wide_as_theory_says_for_independent_rows():
    values = np.random.default_rng(2).normal(size=4000)
    one = Bootstrap(np.arange(4000), 1).mean(values)
    assert (one.high - one.low) / 2 == pytest.approx(1.96 / np.sqrt(4000), rel=0.1)


def test_rows_of_one_user_hang_together():
    users = rows(100, 40)
    of_user = np.random.default_rng(3).random(100)[users]
    alone = Bootstrap(np.arange(4000), 1).mean(of_user)
    together = Bootstrap(users, 1).mean(of_user)
    assert together.high - together.low > 4 * (alone.high - alone.low)


def test_nothing_has_no_interval():
    one = Bootstrap(np.zeros(0, np.int64), 1).mean(np.zeros(0))
    assert (one.value, one.low, one.high) == (0.0, 0.0, 0.0)


def test_a_model_against_itself_and_against_a_worse_one():
    users = rows(300, 3)
    better = np.random.default_rng(4).random(900) < 0.5
    worse = better & (np.random.default_rng(5).random(900) < 0.8)
    draws = Bootstrap(users, 1)
    same = draws.compare(better, better)
    assert (same.difference.low, same.difference.high, same.p_value) == (0.0, 0.0, 1.0)
    gap = draws.compare(better, worse)
    assert gap.difference.low > 0
    assert (gap.only_a, gap.only_b) == (int((better & ~worse).sum()), 0)
    assert gap.p_value == pytest.approx(2 * 0.5**gap.only_a)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (12, 5), (700, 640)])
def test_mcnemar_is_the_exact_binomial_test(a, b):
    expected = binomtest(min(a, b), a + b).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(expected)
