"""Measures of ranked lists, on columns: each row is one item that a list was asked to foresee.

Ranks count from 1, 0 means not in the list. One item is relevant in each row, so that the ideal
DCG is 1. Definitions and their sources:

| measure | of the rows | source |
| --- | --- | --- |
| HR@k | share with rank <= k | Deshpande and Karypis, TOIS 2004 |
| NDCG@k | mean of 1/log2(1 + rank) where rank <= k | Järvelin and Kekäläinen, TOIS 2002 |
| MRR@k | mean of 1/rank where rank <= k | Voorhees, TREC-8 1999 |
| recall@k | hits / relevant items = HR@k | Sarwar et al., EC 2000, top-N of a withheld item |
| precision@k | hits / (k * rows) | the same |
| F1@k | harmonic mean of the two | the same |
| accuracy@k | (TP + TN) / (rows * candidates) | Gunawardana and Shani, JMLR 2009 |

Accuracy counts every candidate that is neither shown nor chosen as a right decision: with more
than a few hundred items it is close to 1 for any recommender, random ones included. It is told
because it is asked for; nothing should be chosen by it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deploy.evaluation.judged import NO_ITEM, Ints

Floats = NDArray[np.float64]


def hits(ranks: Ints, k: int) -> Floats:
    """1 where the item was among the first k, shape (n,)."""
    return ((ranks > 0) & (ranks <= k)).astype(np.float64)


def gains(ranks: Ints, k: int) -> Floats:
    """Discounted gain of each row, the summands of NDCG@k.

    >>> gains(np.array([1, 3, 0, 11]), 10).tolist()
    [1.0, 0.5, 0.0, 0.0]
    """
    discounts: Floats = np.log2(1.0 + np.maximum(ranks, 1))
    return hits(ranks, k) / discounts


def reciprocals(ranks: Ints, k: int) -> Floats:
    """Reciprocal rank of each row, the summands of MRR@k."""
    places: Floats = np.maximum(ranks, 1).astype(np.float64)
    return hits(ranks, k) / places


def mean(values: Floats) -> float:
    """Mean, 0 of nothing."""
    return float(values.mean()) if len(values) else 0.0


def ranking(ranks: Ints, k: int, candidates: float) -> dict[str, float]:
    """All measures of the table above.

    Args:
        ranks: Of the rows, shape (n,).
        k: Length of the list.
        candidates: Items that could have been listed, the mean over the rows.
    """
    recall = mean(hits(ranks, k))
    precision = recall / k
    both = precision + recall
    wrong = (k - recall) + (1 - recall)
    return {
        "hr": recall,
        "ndcg": mean(gains(ranks, k)),
        "mrr": mean(reciprocals(ranks, k)),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / both if both else 0.0,
        "accuracy": max(0.0, 1 - wrong / candidates) if candidates else 0.0,
    }


def coverage(shown: Ints, catalogue: int) -> float:
    """Share of the catalogue that was shown to anybody (Ge et al., RecSys 2010)."""
    listed = np.unique(shown)
    return len(listed[listed != NO_ITEM]) / catalogue if catalogue else 0.0


def gini(shown: Ints, catalogue: int) -> float:
    """Gini coefficient of how often items were shown, items never shown included.

    0: all equally often; near 1: a few items take all places (Fleder and Hosanagar, 2009).

    >>> gini(np.array([[0, 1], [0, 1]]), 2), gini(np.array([[0], [0]]), 4)
    (0.0, 0.75)
    """
    listed = shown[shown != NO_ITEM]
    if not len(listed):
        return 0.0
    counts = np.zeros(max(catalogue, int(listed.max()) + 1))
    counts[: int(listed.max()) + 1] = np.bincount(listed)
    counts.sort()
    places = np.arange(1, len(counts) + 1)
    return float((2 * places - len(counts) - 1) @ counts / (len(counts) * counts.sum()))


def popularity(users: Ints, items: Ints, first: NDArray[np.bool_], shown: Ints) -> Floats:
    """Share of the users so far who had touched each shown item, at the time it was shown.

    Args:
        users: Of all rows in order, shape (n,).
        items: Of all rows.
        first: Whether the user had not touched the item before.
        shown: Items of the list before each row, shape (n, k), -1 for none.

    Returns:
        Shape (n, k), NaN where no item is.
    """
    counts = np.zeros(1 + max(int(items.max(initial=0)), int(shown.max(initial=0))), np.int64)
    taken = np.empty(shown.shape, np.int64)
    for row, (item, new) in enumerate(zip(items.tolist(), first.tolist(), strict=True)):
        taken[row] = counts[shown[row]]
        if new:
            counts[item] += 1
    known = so_far(users)
    return np.where(shown == NO_ITEM, np.nan, taken / np.maximum(known, 1)[:, None])


def so_far(codes: Ints) -> Ints:
    """How many different codes came before each row; codes are given in order of appearance.

    >>> so_far(np.array([0, 0, 1, 0, 2])).tolist()
    [0, 1, 1, 2, 2]
    """
    if not len(codes):
        return codes
    latest = np.maximum.accumulate(codes) + 1
    return np.asarray(np.r_[0, latest[:-1]], np.int64)


def novelty(shares: Floats, users: int) -> float:
    """Mean self-information of the shown items, -log2 of their share of users, in bits.

    Zhou et al., PNAS 2010; Vargas and Castells, RecSys 2011. An item nobody has touched counts as
    one that half a user has.
    """
    told = shares[~np.isnan(shares)]
    if not len(told):
        return 0.0
    return float(-np.log2(np.maximum(told, 0.5 / max(users, 1))).mean())


def popularity_lift(shown: Floats, chosen: Floats) -> float:
    """By how much the shown items are more popular than the chosen ones: mean / mean - 1.

    Abdollahpouri et al., RMSE workshop 2019, with all users as one group.
    """
    told = shown[~np.isnan(shown)]
    base = float(chosen.mean()) if len(chosen) else 0.0
    return float(told.mean()) / base - 1 if len(told) and base else 0.0


def intra_list_distance(shown: Ints, categories: Sequence[Sequence[str]]) -> float | None:
    """Mean over the lists of the mean of 1 - cosine of categories over the pairs of a list.

    Ziegler et al., WWW 2005; items without a category are left out, and None is returned where
    no list holds two others.

    Args:
        shown: Item codes, shape (n, k), -1 for none.
        categories: Of the items by code.
    """
    units = _units(categories)
    if units is None:
        return None
    inside = np.r_[units, np.zeros((1, units.shape[1]))]
    known = np.r_[(units != 0).any(axis=1), False]
    total, lists = 0.0, 0
    for start in range(0, len(shown), 4096):
        rows = shown[start : start + 4096]
        count = known[rows].sum(axis=1)
        length = np.square(inside[rows].sum(axis=1)).sum(axis=1)
        several = count > 1
        pairs = (count * (count - 1.0))[several]
        total += float((1 - (length - count)[several] / pairs).sum())
        lists += int(several.sum())
    return total / lists if lists else None


def _units(categories: Sequence[Sequence[str]]) -> Floats | None:
    """A row of unit length an item, shape (items, categories)."""
    names = {name: place for place, name in enumerate(dict.fromkeys(
        name for own in categories for name in own))}  # fmt: skip
    if not names:
        return None
    units = np.zeros((len(categories), len(names)))
    for item, own in enumerate(categories):
        for name in own:
            units[item, names[name]] = 1.0
    lengths = np.sqrt(units.sum(axis=1, keepdims=True))
    return np.asarray(np.divide(units, lengths, out=units, where=lengths > 0), np.float64)
