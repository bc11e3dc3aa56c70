"""From a user's candidates to the best ones.

Candidates are the user's rows, the shared lists and the list of the last category, minus what the
user has seen, what is unavailable and what lies in a blocked category. Equal scores keep the
order of the candidates, rows first, then shared lists best first: at the starting weights,
popular items fill up in the order of popularity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from msgspec import field
from numpy.typing import NDArray

from operators import features
from operators.accumulator import AccumulatorSettings, RankedUser
from operators.candidates import BEST_AT, INTEREST, MAIN, USERS, best_of, choose, features_of
from operators.candidates import CONTENT as CONTENT_SUM
from operators.composing import (
    CO_OCCURRENCE,
    CONTENT,
    FIRST,
    Offer,
    Places,
    Strategy,
    compose,
    give,
)
from operators.features import Floats, Reference
from operators.mood import MoodSettings
from operators.newcomers import PLACES_MAX
from operators.packing import EPOCH_MS, HOUR_MS, Keys, Words
from operators.shelves import Shelf


class RankingSettings(AccumulatorSettings, frozen=True, kw_only=True):
    """Parameters of the stage.

    Attributes:
        list_max: Items of a stored list: several times what is shown, so that what a reader
            excludes does not empty the page.
        surfaces: How the list of each surface is composed; by the first one outcomes are judged.
            Empty for one list, hybrid, for the surface of the sink's settings.
        mood: Of what a user feels.
        rows: Whether lists are written; a run that is read by its outcomes alone leaves that out.
    """

    list_max: int = 30
    rows: bool = True
    surfaces: Mapping[str, Strategy] = {}
    mood: MoodSettings = field(default_factory=MoodSettings)

    @property
    def strategies(self) -> Mapping[str, Strategy]:
        """By surface; the empty name is that of the sink's settings."""
        return self.surfaces or {"": Strategy()}


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
        scores, item_scores: Of each, in this order.
        features: Of the first of them, to learn from, shape (n, features).
    """

    candidates: Candidates
    rows: Words
    keys: Keys
    own: int
    places: NDArray[np.int64]
    scores: Floats
    item_scores: Floats
    features: Words

    @property
    def snapshot(self) -> Keys:
        """Keys of those with features."""
        return self.keys.take(self.places[: len(self.features)])


@dataclass
class Scored:
    """The list of one surface, best first; arrays of shape (k,).

    Attributes:
        keys: Of the items, unsigned.
        sources: Index into `messages.SOURCES`.
        seeds: Number of the user's event that says most for it, 0 for none.
        slots: Of the interest that a place was given to, 0 for none.
        lists: Name of the shared list that an item is from, empty for the user's own rows.
        propensities: Chance with which each got its place.
        ordinary: Keys of the first ten as they are without places for newcomers; empty where the
            user has none.
        untouched: Keys of these newcomers, likest first.
    """

    ids: list[str]
    keys: Keys
    scores: Floats
    item_scores: Floats
    sources: NDArray[np.int64]
    seeds: NDArray[np.int64]
    slots: NDArray[np.int64]
    lists: list[str]
    propensities: Floats
    ordinary: Keys
    untouched: Keys

    @property
    def personal(self) -> bool:
        """Whether anything in it comes from what the user did."""
        return bool((self.sources <= CONTENT).any())

    def digest(self, known: bytes) -> bytes:
        """Eight bytes that change when the list does, or the filter that is stored beside it.

        An item without neighbours lets all rows fade alike, which moves no score; a reader has
        to hear of it nevertheless, or would show it once it is popular.
        """
        told = (self.seeds, self.slots, self.sources, self.propensities)
        parts = ["\x00".join(self.ids).encode(), self.scores.astype("<f4").tobytes()]
        parts += [column.tobytes() for column in told]
        return blake2b(b"\x00".join([*parts, known]), digest_size=8).digest()


NO_KEYS: Keys = np.empty(0, np.uint64)
NOTHING = Scored(
    [], np.empty(0, np.uint64), np.empty(0), np.empty(0), np.empty(0, np.int64),
    np.empty(0, np.int64), np.empty(0, np.int64), [], np.empty(0), NO_KEYS, NO_KEYS,
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
        one.reference.numbers, (one.time_ms - EPOCH_MS) / HOUR_MS, (values != 0) | (snapshot > 0),
    )  # fmt: skip
    best, scores, parts = best_of(x, values, len(x))
    kept = x[best[:snapshot]].astype(np.float32)
    return Ranked(one, rows, keys, own, chosen[best], scores, parts, kept)


def listed(ranked: Ranked, strategy: Strategy, shares: Mapping[int, float], size: int) -> Scored:
    """The list of one surface.

    Args:
        ranked: The candidates.
        strategy: Of the surface.
        shares: Of the user's interests by slot; empty for none.
        size: Items at the most.
    """
    shelf, own, found = ranked.candidates.shelf, ranked.own, ranked.places
    rows = ranked.rows
    said = rows[:own, CONTENT_SUM] > rows[:own, MAIN]
    sources = np.concatenate([np.where(said, CONTENT, CO_OCCURRENCE), shelf.sources])
    contextual = np.concatenate([np.zeros(own, bool), shelf.contextual])
    slots = rows[found, INTEREST].astype(np.int64)
    offer = Offer(sources[found], slots, contextual[found])
    places = compose(offer, strategy, shares, _draw(ranked.candidates), size)
    ordinary, newcomers = places, _newcomers(ranked, said)
    if len(newcomers):
        places = _given(places, newcomers, strategy, ranked.candidates.earned, offer.sources)
    at = found[places.numbers]
    numbers, ids = at.tolist(), ranked.candidates.user.ids
    return Scored(
        [ids[n] if n < own else shelf.ids[n - own] for n in numbers],
        ranked.keys[at], _descending(ranked.scores, places), ranked.item_scores[places.numbers],
        sources[at], rows[at, BEST_AT].astype(np.int64), places.slots,
        ["" if n < own else shelf.lists[n - own] for n in numbers], places.propensities,
        ranked.keys[found[ordinary.numbers[:FIRST]]] if len(newcomers) else NO_KEYS,
        ranked.keys[found[newcomers[:PLACES_MAX]]],
    )  # fmt: skip


def _newcomers(ranked: Ranked, said: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers of the candidates that nobody has touched and only content names, likest first."""
    rows, own, found = ranked.rows, ranked.own, ranked.places
    new = said & (rows[:own, USERS] <= 0) & ~(rows[:own, MAIN] > 0)
    if not new.any():
        return np.empty(0, np.int64)
    numbers = np.flatnonzero(np.append(new, np.zeros(len(rows) - own, bool))[found])
    order = np.argsort(-rows[found[numbers], CONTENT_SUM], kind="stable")
    likest: NDArray[np.int64] = numbers[order][:FIRST]
    return likest


def _given(
    places: Places, newcomers: NDArray[np.int64], strategy: Strategy, earned: int,
    sources: NDArray[np.int64],
) -> Places:  # fmt: skip
    """The places of a list with those given to newcomers."""
    fixed = strategy.content_places
    earned = earned if strategy.kind == "hybrid" else 0
    count = min(earned if fixed == "earned" else fixed, FIRST - strategy.explore_places)
    if "content" in strategy.most:
        first = sources[places.numbers[:FIRST]]
        count = min(count, max(0, strategy.most["content"] - int((first == CONTENT).sum())))
    return give(places, newcomers.tolist(), count, strategy) if count else places


def _descending(scores: Floats, places: Places) -> Floats:
    """Scores as a reader sorts by them: what was given its place has that of the one before."""
    if not len(places.numbers):
        return np.empty(0)
    own = np.where(places.given, np.inf, scores[places.numbers])
    found: Floats = np.minimum(np.minimum.accumulate(own), scores.max())
    return found


def _draw(one: Candidates) -> int:
    """A number for explored places: as good as random, the same in every replay."""
    told = f"{one.user.events}\x00{one.time_ms}".encode()
    return int.from_bytes(
        blake2b(told, digest_size=8, key=one.name.encode()[:64]).digest(), "little"
    )


def outside(settings: RankingSettings) -> Floats:
    """c0log and rank of a candidate that no neighbour answer named."""
    known = features.outside(settings.candidates_max)
    return np.array([known["c0log"], known["rank"]])
