"""Groups of unit vectors by cosine: greedy k-means++ and Lloyd's steps."""

import numpy as np
from numpy.typing import NDArray

from operators.whitening import Vectors, unit

Rows = NDArray[np.intp]

_LLOYD_STEPS = 10
_DRAWS = 5
_MEMBERS_MIN = 3


def lloyd(towards: Vectors, centres: Vectors, count: int, seed: int) -> Rows:
    """Cluster of each unit vector: those there are and new ones for the rest; Lloyd's steps.

    What has hardly any items goes to the others: it is no topic.
    """
    moved = _seeded(towards, centres, min(count, len(towards)), np.random.default_rng(seed))
    for _ in range(_LLOYD_STEPS):
        groups = (towards @ moved.T).argmax(axis=1)
        for place in np.unique(groups):
            moved[place] = unit(towards[groups == place].mean(axis=0)[None])[0]
    near = towards @ moved.T
    sizes = np.bincount(near.argmax(axis=1), minlength=len(moved))
    if (sizes >= _MEMBERS_MIN).any():
        near[:, sizes < _MEMBERS_MIN] = -2.0
    return np.asarray(near.argmax(axis=1), np.intp)


def _seeded(towards: Vectors, centres: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """Centres that others join by greedy k-means++: the best of some draws (Arthur, 2007)."""
    chosen = list(centres) or [towards[int(random.integers(len(towards)))]]
    distance = np.maximum(1 - (towards @ np.stack(chosen).T).max(axis=1), 0)
    while len(chosen) < count and distance.sum() > 1e-6:  # else what is left are copies
        chances = distance.astype(np.float64)
        draws = random.choice(len(towards), _DRAWS, p=chances / chances.sum())
        left = np.minimum(distance[:, None], np.maximum(1 - towards @ towards[draws].T, 0))
        best = int(left.sum(axis=0).argmin())
        chosen.append(towards[draws[best]])
        distance = left[:, best]
    return np.stack(chosen)
