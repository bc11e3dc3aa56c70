"""From a user's candidates to the best ones.

Candidates are the user's rows, the shared lists and the list of the last category, minus what the
user has seen, what is unavailable and what lies in a blocked category. Equal scores keep the
order of the candidates, rows first, then shared lists best first: at the starting weights,
popular items fill up in the order of popularity.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from operators import features
from operators.accumulator import AccumulatorSettings, RankedUser
from operators.candidates import BEST_AT, best_of, choose, features_of
from operators.features import Floats, Reference
from operators.packing import EPOCH_MS, HOUR_MS, Keys
from operators.shelves import Shelf


class RankingSettings(AccumulatorSettings, frozen=True, kw_only=True):
    """Parameters of the stage.

    Attributes:
        list_max: Items of a stored list: several times what is shown, so that what a reader
            excludes does not empty the page.
    """

    list_max: int = 30


@dataclass
class Candidates:
    """One user's candidates and what they are measured against."""

    user: RankedUser
    seen: Keys
    shelf: Shelf
    unavailable: Keys
    reference: Reference
    time_ms: int


@dataclass
class Scored:
    """The best candidates of one user, best first; arrays of shape (k,).

    Attributes:
        keys: Of the items, unsigned.
        inside: Whether a neighbour answer named the item (else a shared list did).
        seeds: Number of the user's event that says most for it, 0 for none.
    """

    ids: list[str]
    keys: Keys
    scores: Floats
    item_scores: Floats
    inside: list[bool]
    seeds: list[int]

    def digest(self, known: bytes) -> bytes:
        """Eight bytes that change when the list does, or the filter that is stored beside it.

        An item without neighbours lets all rows fade alike, which moves no score; a reader has
        to hear of it nevertheless, or would show it once it is popular.
        """
        ids, scores = "\x00".join(self.ids).encode(), self.scores.astype("<f4").tobytes()
        parts = ids, scores, str(self.seeds).encode(), known
        return blake2b(b"\x00".join(parts), digest_size=8).digest()


def score(one: Candidates, values: Floats, settings: RankingSettings) -> Scored:
    """Score the candidates of a user and keep the best `list_max`.

    Args:
        one: The candidates.
        values: Weights by `features.FEATURES`.
        settings: Of the stage.
    """
    user, own = one.user, len(one.user.keys)
    rows, keys = one.shelf.rows, one.shelf.keys
    if own:
        rows, keys = np.concatenate([user.rows, rows]), np.concatenate([user.keys, keys])
    chosen = np.empty(len(rows), np.int64)
    blocked = np.array(user.blocked, np.uint16)
    chosen = chosen[: choose(rows, keys, own, one.seen, one.unavailable, blocked, chosen)]
    x = features_of(
        rows, chosen, own, np.array(list(user.taste), np.int64),
        np.array(list(user.taste.values()), np.float32), user.code, outside(settings),
        one.reference.numbers, (one.time_ms - EPOCH_MS) / HOUR_MS, values != 0,
    )  # fmt: skip
    best, scores, parts = best_of(x, values, settings.list_max)
    places = chosen[best].tolist()
    return Scored(
        [user.ids[place] if place < own else one.shelf.ids[place - own] for place in places],
        keys[places], scores, parts, [place < own for place in places],
        rows[places, BEST_AT].astype(np.int64).tolist(),
    )  # fmt: skip


def outside(settings: RankingSettings) -> Floats:
    """c0log and rank of a candidate that no neighbour answer named."""
    known = features.outside(settings.candidates_max)
    return np.array([known["c0log"], known["rank"]])
