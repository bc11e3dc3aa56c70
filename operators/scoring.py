"""From a user's candidates to the best ones.

Candidates are the user's rows, the shared lists and the list of the last category, minus what the
user has seen, what is unavailable and what lies in a blocked category. Equal scores keep the
order of the candidates, rows first, then shared lists best first: at the starting weights,
popular items fill up in the order of popularity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators import features
from operators.accumulator import RankedUser
from operators.candidates import CONTENT as CONTENT_SUM
from operators.candidates import INTEREST, MAIN
from operators.composing import (
    CO_OCCURRENCE,
    CONTENT,
    FIRST,
    Offer,
    Places,
    Strategy,
    compose,
    give,
    goes_by_score,
    in_order,
)
from operators.features import Floats, Reference
from operators.id_list import pick
from operators.newcomers import PLACES_MAX
from operators.packing import EPOCH_MS, HOUR_MS, Keys, Words
from operators.parameters import RankingSettings
from operators.shelves import Shelf
from operators.weighing import behind, weigh


@dataclass
class Candidates:
    """One user's candidates and what they are measured against.

    Attributes:
        earned: Places of a hybrid list for what nobody has touched, where they are to be earned.
    """

    user: RankedUser
    seen: Keys
    shelf: Shelf
    unavailable: Keys
    reference: Reference
    time_ms: int
    name: str
    earned: int


@dataclass
class Ranked:
    """All candidates of one user that may be shown, best first; places are those of `rows`.

    Attributes:
        own: Number of the user's own rows; those behind are of shared lists.
        places: Of the candidates, best first.
        keys: Of each, in this order.
        scores, item_scores: Of each, in this order.
        features: Of the first of them, to learn from, shape (n, features).
        untouched: Numbers of those that nobody has touched and only content names.
    """

    candidates: Candidates
    rows: Words
    own: int
    places: NDArray[np.int64]
    keys: Keys
    scores: Floats
    item_scores: Floats
    features: Words
    untouched: NDArray[np.int64]

    @property
    def snapshot(self) -> Keys:
        """Keys of those with features."""
        return self.keys[: len(self.features)].copy()


@dataclass
class Scored:
    """The list of one surface, best first; arrays of shape (k,).

    Attributes:
        keys: Of the items, unsigned.
        scores, item_scores: As they are stored.
        sources: Index into `messages.SOURCES`; `source_bytes` the same, a byte an item.
        seeds: Number of the user's event that says most for it, 0 for none.
        slots: Of the interest that a place was given to, 0 for none.
        behind: The different sets of source, slot, seed and number of the shared list, which is -1
            for the user's own rows; `names` are those of the lists.
        which: Of these is behind each item.
        propensities: Chance with which each got its place.
        ordinary: Keys of the first ten as they are without places for newcomers; empty where the
            user has none.
        untouched: Keys of these newcomers, likest first.
    """

    ids: list[str]
    keys: Keys
    scores: Words
    item_scores: Words
    sources: NDArray[np.int64]
    source_bytes: bytes
    seeds: NDArray[np.int64]
    slots: NDArray[np.int64]
    behind: list[list[int]]
    which: list[int]
    names: list[str]
    propensities: Floats
    ordinary: Keys
    untouched: Keys

    @property
    def personal(self) -> bool:
        """Whether anything in it comes from what the user did."""
        return bool(self.behind) and min(self.behind)[0] <= CONTENT

    @property
    def is_sure(self) -> bool:
        """Whether each has its place for certain."""
        return self.propensities.tobytes() == len(self.ids) * SURE

    def digest(self, known: bytes | bytearray) -> bytes:
        """Eight bytes that change when the list does, or the filter that is stored beside it.

        An item without neighbours lets all rows fade alike, which moves no score; a reader has
        to hear of it nevertheless, or would show it once it is popular.
        """
        parts: tuple[Any, ...] = (
            "\x00".join(self.ids).encode(), self.scores, self.seeds, self.slots, self.sources,
            self.propensities, known,
        )  # fmt: skip
        return blake2b(b"\x00".join(parts), digest_size=8).digest()


SURE = np.float64(1).tobytes()
STORED, BYTE = np.dtype("<f4"), np.dtype(np.uint8)
NO_KEYS: Keys = np.empty(0, np.uint64)
NO_CODES = np.empty(0, np.uint16)
NOTHING = Scored(
    [], NO_KEYS, np.empty(0, np.float32), np.empty(0, np.float32), np.empty(0, np.int64), b"",
    np.empty(0, np.int64), np.empty(0, np.int64), [], [], [], np.empty(0), NO_KEYS, NO_KEYS,
)  # fmt: skip
"""In place of a list of a user who wants none of the user's own: no profile is read for it."""


def score(one: Candidates, values: Floats, settings: RankingSettings, snapshot: int = 0) -> Ranked:
    """Score the candidates of a user.

    Args:
        one: The candidates.
        values: Weights by `features.FEATURES`.
        settings: Of the stage.
        snapshot: Candidates whose features are all kept.
    """
    user, taste = one.user, one.user.taste
    blocked = np.array(user.blocked, np.uint16) if user.blocked else NO_CODES
    moment = np.array([*outside(settings.candidates_max), *one.reference.numbers,
                       (one.time_ms - EPOCH_MS) / HOUR_MS])  # fmt: skip
    found = weigh(
        user.rows, user.keys, one.shelf.rows, one.shelf.keys, one.seen, one.unavailable,
        blocked, np.fromiter(taste, np.int64, len(taste)),
        np.fromiter(taste.values(), np.float32, len(taste)), user.code, moment, values, snapshot,
    )  # fmt: skip
    rows, *of_each = found
    return Ranked(one, rows, len(user.keys), *of_each)


def listed(ranked: Ranked, strategy: Strategy, shares: Mapping[int, float], size: int) -> Scored:
    """The list of one surface.

    Args:
        ranked: The candidates.
        strategy: Of the surface.
        shares: Of the user's interests by slot; empty for none.
        size: Items at the most.
    """
    shelf, own, found = ranked.candidates.shelf, ranked.own, ranked.places
    slots = ranked.rows[found[:FIRST], INTEREST].tolist() if shares else []
    if goes_by_score(strategy, shares, slots) and not shelf.fresh:
        places = in_order(min(size, len(found)))
    else:
        places = compose(_offer(ranked), strategy, shares, _draw(ranked.candidates), size)
    ordinary, newcomers = places, _newcomers(ranked)
    if len(newcomers):
        places = _given(ranked, places, newcomers, strategy)
    at = found[places.numbers]
    sources, seeds, different, which = behind(
        ranked.rows, at, own, shelf.sources, shelf.lists, places.slots, CONTENT
    )
    return Scored(
        pick(ranked.candidates.user.ids, shelf.ids, at),
        ranked.keys[places.numbers], _descending(ranked.scores, places).astype(STORED),
        ranked.item_scores[places.numbers].astype(STORED), sources, sources.astype(BYTE).tobytes(),
        seeds, places.slots, different.tolist(), which.tolist(), shelf.names, places.propensities,
        ranked.keys[ordinary.numbers[:FIRST]] if len(newcomers) else NO_KEYS,
        ranked.keys[newcomers[:PLACES_MAX]] if len(newcomers) else NO_KEYS,
    )  # fmt: skip


def _offer(ranked: Ranked) -> Offer:
    """The candidates as a strategy sees them."""
    shelf, rows, own, found = ranked.candidates.shelf, ranked.rows, ranked.own, ranked.places
    said = rows[:own, CONTENT_SUM] > rows[:own, MAIN]
    sources = np.concatenate([np.where(said, CONTENT, CO_OCCURRENCE), shelf.sources])
    contextual = np.concatenate([np.zeros(own, bool), shelf.contextual])
    return Offer(sources[found], rows[found, INTEREST].astype(np.int64), contextual[found])


def _newcomers(ranked: Ranked) -> NDArray[np.int64]:
    """Numbers of the candidates that nobody has touched and only content names, likest first."""
    numbers = ranked.untouched
    if len(numbers) < 2:
        return numbers
    order = np.argsort(-ranked.rows[ranked.places[numbers], CONTENT_SUM], kind="stable")
    likest: NDArray[np.int64] = numbers[order][:FIRST]
    return likest


def _given(
    ranked: Ranked, places: Places, newcomers: NDArray[np.int64], strategy: Strategy
) -> Places:
    """The places of a list with those given to newcomers."""
    fixed, earned = strategy.content_places, ranked.candidates.earned
    earned = earned if strategy.kind == "hybrid" else 0
    count = min(earned if fixed == "earned" else fixed, FIRST - strategy.explore_places)
    if "content" in strategy.most:
        first = _offer(ranked).sources[places.numbers[:FIRST]]
        count = min(count, max(0, strategy.most["content"] - int((first == CONTENT).sum())))
    return give(places, newcomers.tolist(), count, strategy) if count else places


def _descending(scores: Floats, places: Places) -> Floats:
    """Scores as a reader sorts by them: what was given its place has that of the one before."""
    count = len(places.numbers)
    if not count or places is in_order(count):
        return scores[:count]
    own = np.where(places.given, np.inf, scores[places.numbers])
    found: Floats = np.minimum(np.minimum.accumulate(own), scores.max())
    return found


def _draw(one: Candidates) -> int:
    """A number for explored places: as good as random, the same in every replay."""
    told = f"{one.user.events}\x00{one.time_ms}".encode()
    return int.from_bytes(
        blake2b(told, digest_size=8, key=one.name.encode()[:64]).digest(), "little"
    )


@cache
def outside(candidates_max: int) -> tuple[float, float]:
    """c0log and rank of a candidate that no neighbour answer named."""
    known = features.outside(candidates_max)
    return known["c0log"], known["rank"]
