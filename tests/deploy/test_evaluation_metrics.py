"""Measures by hand, and against a library that others trust."""

import doctest
import importlib
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from deploy.evaluation import metrics
from deploy.evaluation.metrics import hits, ranking

RANKS = np.array([1, 3, 0, 10, 11, 2, 0, 7])


def test_all_measures_by_hand():
    found = ranking(np.array([1, 3, 0, 11]), 10, candidates=100.0)
    assert found["hr"] == found["recall"] == 0.5
    assert found["ndcg"] == pytest.approx((1 + 1 / math.log2(4)) / 4)
    assert found["mrr"] == pytest.approx((1 + 1 / 3) / 4)
    assert found["precision"] == pytest.approx(0.05)
    assert found["f1"] == pytest.approx(2 * 0.05 * 0.5 / 0.55)
    # Of 100 candidates a hit decides 9 wrongly, a miss the 10 shown and the one sought.
    assert found["accuracy"] == pytest.approx((2 * (91 / 100) + 2 * (89 / 100)) / 4)


def test_no_rows_measure_nothing():
    assert set(ranking(np.zeros(0, np.int64), 10, 100.0).values()) <= {0.0, 1 - 11 / 100}


RANX = """
import json, sys, ranx
ranks = json.loads(sys.argv[1])
truth, listed = {}, {}
for row, rank in enumerate(ranks):
    names = [f"other{place}" for place in range(1, 13)]
    if rank:
        names[rank - 1] = "wanted"
    truth[f"q{row}"] = {"wanted": 1}
    listed[f"q{row}"] = {name: 1.0 / place for place, name in enumerate(names, 1)}
names = [f"{name}@{k}" for k in (1, 5, 10)
         for name in ("hit_rate", "ndcg", "mrr", "precision", "recall")]
found = ranx.evaluate(ranx.Qrels(truth), ranx.Run(listed), names)
print(json.dumps({name: float(value) for name, value in found.items()}))
"""
"""Run apart from this process: compiled it takes half a minute to begin, interpreted a second."""


def test_measures_agree_with_ranx():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RANX, json.dumps(RANKS.tolist())],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    for k in (1, 5, 10):
        ours = ranking(RANKS, k, 100.0)
        for name in ("ndcg", "mrr", "precision", "recall"):
            assert ours[name] == pytest.approx(theirs[f"{name}@{k}"]), name
        assert ours["hr"] == pytest.approx(theirs[f"hit_rate@{k}"])


def test_coverage_counts_items_once_and_no_empty_place():
    assert metrics.coverage(np.array([[0, 1], [1, -1]]), 4) == 0.5
    assert metrics.coverage(np.zeros((0, 2), np.int64), 0) == 0.0


def test_gini_of_three_items_by_hand():
    # Shown 0, 1 and 3 times: sum of |x_i - x_j| over all pairs is 12, over 2 * n * n * mean = 24.
    assert metrics.gini(np.array([[1, 2], [2, 2]]), 3) == pytest.approx(12 / 24)


def test_popularity_is_of_the_users_before():
    users, items = np.array([0, 1, 0]), np.array([0, 0, 1])
    first = np.array([True, True, True])
    shown = np.array([[0, -1], [0, 1], [0, 1]])
    shares = metrics.popularity(users, items, first, shown)
    assert np.isnan(shares[0, 1])
    assert shares[0, 0] == 0.0
    assert shares[1].tolist() == [1.0, 0.0]
    assert shares[2].tolist() == [1.0, 0.0]


def test_novelty_is_self_information_in_bits():
    assert metrics.novelty(np.array([[0.5, 0.25, np.nan]]), 8) == pytest.approx(1.5)
    assert metrics.novelty(np.array([[0.0]]), 8) == pytest.approx(4.0), "as if half a user had it"
    assert metrics.novelty(np.array([[np.nan]]), 8) == 0.0


def test_popularity_lift_is_relative_to_what_was_chosen():
    assert metrics.popularity_lift(np.array([[0.3, 0.5, np.nan]]), np.array([0.2])) == 1.0
    assert metrics.popularity_lift(np.zeros((0, 2)), np.zeros(0)) == 0.0


def test_intra_list_distance_by_hand():
    categories = [["a"], ["a"], ["b"], ["a", "b"], []]
    one = metrics.intra_list_distance(np.array([[0, 1, 2]]), categories)
    assert one == pytest.approx((0 + 1 + 1) / 3)
    two = metrics.intra_list_distance(np.array([[0, 3], [4, 0]]), categories)
    assert two == pytest.approx(1 - 1 / math.sqrt(2)), "the list with one known item has no pair"
    assert metrics.intra_list_distance(np.array([[0, 1]]), [[], []]) is None


def test_hits_need_a_rank():
    assert hits(np.array([0, 1, 10, 11]), 10).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("name", ["charts", "history", "intervals", "judged", "metrics", "stream"])
def test_the_examples_in_the_docstrings_hold(name):
    module = importlib.import_module(f"deploy.evaluation.{name}")
    done = doctest.testmod(module)
    assert done.attempted
    assert not done.failed
