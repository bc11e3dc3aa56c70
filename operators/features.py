"""The eighteen numbers a candidate is scored by, and what they are worth.

All lie about between -3 and 2. The score is linear, so it splits into the part of the item, which
a reader can refresh from the shared lists, and the part of the user:

    score = weights . features = user part + item part

`mx` is the user's largest value among the candidate rows; a candidate that no neighbour answer
named (not "in CF") takes the constants of `outside`, and so does one that is known by its content
alone.

| feature | formula | says |
| --- | --- | --- |
| c0, c1 | sqrt(main/mx), sqrt(fast/mx) | co-occurrence with the user's items, slow and fast |
| short | sqrt(short/mx) | the same, only for what comes right after |
| c0log | ln(max(1e-6, main)/mx)/3 | c0 where it is small |
| rank | -log2(1 + rank by main)/4 | place by co-occurrence |
| support | ln(1 + support) | how many of the user's items name it |
| pop | ln((1 + likes)/(1 + most likes))/2 | popularity of all time |
| pop1d, pop30d | max(-12, log2 of decayed likes - best)/4 | popularity of a day, of a month |
| quality | 4((likes + 2.5)/(users + 5) - 0.5) | share of likes |
| age | ln(1 + hours since first seen)/4 | |
| genre | 2 cos(taste, categories) | the user's taste |
| exposed | ln(1 + times shown without effect) | |
| in_cf | 1 or 0 | named by a neighbour answer |
| cat_last | 1 or 0 | in the category of the user's last item |
| seed | sqrt(seed/mx) | similarity to the user's last item |
| content | content/mx | how much it says the like of what the user's items say |
| unproven | 1 or 0 | nothing but its content speaks for it |

At the starting weights content orders what goes together, and of what nobody has confirmed only
what is nearly as like as the likest of all goes before what is popular, the rest behind.
"""

import math
from collections.abc import Mapping

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from operators.packing import EPOCH_MS, HOUR_MS, NEVER_LOG2

USER_FEATURES = (
    "c0", "c1", "short", "c0log", "rank", "support", "genre", "exposed", "in_cf", "cat_last",
    "seed", "content", "unproven",
)  # fmt: skip
ITEM_FEATURES = ("pop", "pop1d", "pop30d", "quality", "age")
FEATURES = USER_FEATURES + ITEM_FEATURES

STARTING = {"c0": 4.0, "content": 1.0, "unproven": -0.9}
"""What features are worth before anything is learned."""

Floats = NDArray[np.float64]


class Weights(Struct, frozen=True, forbid_unknown_fields=True):
    """Worth of each feature.

    Attributes:
        model: Name of this set of weights, written with each list.
        values: By feature; a feature that is not named is worth nothing.
    """

    model: str = "itemcf-1"
    values: Mapping[str, float] = field(default_factory=lambda: dict(STARTING))

    def __post_init__(self) -> None:
        unknown = set(self.values) - set(FEATURES)
        if unknown:
            msg = f"no such features: {sorted(unknown)}; legal are {', '.join(FEATURES)}"
            raise ValueError(msg)

    def of(self, names: tuple[str, ...]) -> Floats:
        """Weights of these features in this order."""
        return np.array([self.values.get(name, 0.0) for name in names])


class Reference(Struct, frozen=True):
    """What popularity is measured against: the most liked item, and the best decayed sums."""

    likes: int = 0
    likes_1d: float = NEVER_LOG2
    likes_30d: float = NEVER_LOG2

    @property
    def numbers(self) -> tuple[float, float, float]:
        """The three in this order."""
        return float(self.likes), self.likes_1d, self.likes_30d


def item_features(popularity: Floats, reference: Reference, now_ms: Floats) -> Floats:
    """`ITEM_FEATURES`, shape (n, 5).

    Args:
        popularity: Words `packing.POPULARITY` of the items, shape (n, 5).
        reference: Of the tenant.
        now_ms: Event time of the list, shape (n,) or a scalar array.
    """
    _, _, day, month, first_h = popularity.T
    # An erasure that overtook an event leaves a count below nothing until the event comes.
    likes, users = np.maximum(popularity.T[:2], 0.0)
    hours = np.maximum(0.0, (now_ms - EPOCH_MS) / HOUR_MS - first_h)
    columns = np.empty((len(likes), len(ITEM_FEATURES)))
    columns[:, 0] = np.log((1 + likes) / (1 + max(reference.likes, 0))) / 2
    columns[:, 1] = np.maximum(-12.0, day - reference.likes_1d) / 4
    columns[:, 2] = np.maximum(-12.0, month - reference.likes_30d) / 4
    columns[:, 3] = 4 * ((likes + 2.5) / (users + 5.0) - 0.5)
    columns[:, 4] = np.log1p(hours) / 4
    return columns


def outside(rows_max: int) -> dict[str, float]:
    """User features of a candidate that no neighbour answer named; the others are 0."""
    return {"c0log": math.log(0.001) / 3, "rank": -math.log2(1 + rows_max) / 4}


def outside_part(values: Floats, rows_max: int) -> float:
    """User part of the score of such a candidate: what a reader adds to an item part.

    Args:
        values: Weights by `FEATURES`.
        rows_max: Candidate rows kept a user.
    """
    known = outside(rows_max)
    return sum(float(values[FEATURES.index(name)]) * value for name, value in known.items())
