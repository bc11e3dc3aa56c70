"""Which texts go through the model together: alike in length, bounded in tokens and padding.

A transformer computes a rectangle: texts times the longest of them. Sorted by length, neighbours
differ little, and a batch is closed before its padding or its size gets out of hand. The plan
depends on the lengths alone.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from udfs.handler import Limits

Indices = NDArray[np.intp]


def plan(lengths: Sequence[int], limits: Limits) -> list[Indices]:
    """Batches of indices, longest texts first; every index is in exactly one of them.

    >>> [list(map(int, batch)) for batch in plan([3, 9, 8, 3], Limits(tokens=20, padding=0.2))]
    [[1, 2], [0, 3]]
    """
    if not len(lengths):
        return []
    size = np.maximum(np.asarray(lengths, np.int64), 1)
    order = np.argsort(-size, kind="stable")
    batches, start, held = [], 0, 0
    for at, length in enumerate(size[order].tolist()):
        count, longest = at - start + 1, int(size[order[start]])
        area = count * longest
        full = count > limits.texts or area > limits.tokens
        if at > start and (full or area - held - length > limits.padding * area):
            batches.append(order[start:at])
            start, held = at, 0
        held += length
    return [*batches, order[start:]]


def padding(lengths: Sequence[int], batches: Sequence[Indices]) -> float:
    """Share of all computed tokens that are padding, 0 to 1."""
    size = np.maximum(np.asarray(lengths, np.int64), 1)
    area = sum(int(size[batch].max()) * len(batch) for batch in batches)
    return 1.0 - float(size.sum()) / area if area else 0.0
