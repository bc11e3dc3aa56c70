"""How many of a list's first places go to what nobody has touched and only its content speaks for.

Scores know nothing of such items that could outweigh what people do, and where they do not stand
in a list they stay unknown. So places are given to them, as many as pay: of each first like it is
known whether the item stood, at that moment, among the first of the user's list as scores had it,
and among the user's likest untouched items. Had k places been given, the like would have been a
hit if

    place in the list as scores had it <= 10 - k    or    place among the untouched <= k

The decayed counts of these hits, one for each k, say by themselves what the next list shall have:
the k of most hits, of equal ones the smallest. A shop whose users like what is new gets places for
it, one whose new items are not found by what they say gets none. Counts are kept by tenant and
bucket, and are sums that name nobody.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, field

from operators.composing import FIRST
from operators.kernels import NOWHERE, place_of
from operators.packing import Keys

PLACES_MAX = 5
DECAY = 0.5 ** (1 / 500)
"""Of the counts at each first like: half of them are of the last 500."""


class Newcomers(Struct, array_like=True):
    """Decayed first likes that were hits, had so many places been given."""

    hits: list[float] = field(default_factory=lambda: [0.0] * (PLACES_MAX + 1))


def places(known: Newcomers | None) -> int:
    """Of how many places the most hits were."""
    return max(range(PLACES_MAX + 1), key=lambda k: (known.hits[k], -k)) if known else 0


def count(known: Newcomers, ordinary: Keys, untouched: Keys, liked: int) -> Newcomers:
    """Count a first like in.

    Args:
        known: The counts; left as they are.
        ordinary: Keys of the first places as scores had them, best first.
        untouched: Keys of the likest untouched ones, likest first.
        liked: Key of the item.
    """
    key = np.uint64(liked)
    place = _place(ordinary, key)
    new = _place(untouched, key)
    added = [place < FIRST - k or new < k for k in range(PLACES_MAX + 1)]
    return Newcomers(_faded(known.hits, added))


def _place(keys: Keys, key: np.uint64) -> int:
    found = int(place_of(keys, len(keys), key))
    return FIRST if found == NOWHERE else found


def _faded(hits: Sequence[float], added: Sequence[bool]) -> list[float]:
    return [DECAY * old + new for old, new in zip(hits, added, strict=True)]
