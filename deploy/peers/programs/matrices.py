"""What libraries of matrix factorisation are trained on: users by items, all pairs so far."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from .past import Past


class Touched(NamedTuple):
    """Users and their items.

    Attributes:
        users: Codes, one for each pair: those that a training will know.
        matrix: float32, shape (users of the whole stream, items so far).
    """

    users: NDArray[np.intp]
    matrix: csr_matrix


def touched(past: Past, least: float, *, graded: bool) -> Touched | None:
    """All pairs of a strength of `least` (0 to 10) and more; None where there is none.

    Args:
        past: What has happened.
        least: Strength.
        graded: Whether a pair holds its strength (0 to 1) and not 1.
    """
    users, items, strengths = past.strengths(least)
    if not len(users):
        return None
    values = strengths if graded else np.ones(len(users), np.float32)
    shape = (past.stream.user_count, past.items)
    return Touched(users, csr_matrix((values, (users, items)), shape))
