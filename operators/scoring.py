"""From candidates to the best ones: all users of a batch in one pass of numpy.

Candidates are the user's rows, the shared lists and the list of the last category, minus what the
user has seen, what is unavailable and what lies in a blocked category. Equal scores keep the
order of the candidates, rows first, then shared lists best first: at the starting weights,
popular items fill up in the order of popularity.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from operators.accumulator import (
    BEST_AT,
    CODES,
    EXPOSED,
    FAST,
    MAIN,
    POPULARITY,
    SEED,
    SHORT,
    SUPPORT,
    AccumulatorSettings,
    Ids,
    RankedUser,
)
from operators.features import (
    ITEM_FEATURES,
    USER_FEATURES,
    Floats,
    Reference,
    Weights,
    item_features,
    outside,
)
from operators.packing import Keys, Words, codes_in, contained
from operators.shelves import Shelf

SHOWN = 10
TASTE_CODES = 4096
"""Codes are folded to twelve bits for the taste: its table then stays in the nearest cache, and an
item passes for one of a user's 64 categories by accident in one of 64 cases."""


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
        inside: Whether a neighbour answer named the item (else a shared list did).
        seeds: Number of the user's event that says most for it, 0 for none.
    """

    ids: list[str]
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


@dataclass
class _Gathered:
    """One user's candidates: rows, keys and ids beside each other, the first `own` the user's."""

    rows: Words
    keys: Keys
    ids: Ids
    own: int


def score(batch: Sequence[Candidates], weights: Weights, settings: RankingSettings) -> list[Scored]:
    """Score the candidates of each user and keep the best `list_max`."""
    gathered = [_gather(one) for one in batch]
    lengths = np.array([len(one.rows) for one in gathered])
    rows = np.concatenate([one.rows for one in gathered])
    whose = np.repeat(np.arange(len(batch)), lengths)
    ends = np.cumsum(lengths)
    inside = np.arange(len(rows)) < (ends - lengths + [one.own for one in gathered])[whose]
    item_part = _item_part(batch, rows, lengths, weights)
    view = _View(batch, rows, lengths, whose, inside, settings)
    user_part = np.zeros(len(rows))
    for name, compute in _USER_COLUMNS.items():
        if weight := weights.values.get(name, 0.0):  # most are worth nothing before learning
            user_part += weight * compute(view)
    scores = item_part + user_part
    results = []
    for one, found, end, length in zip(batch, gathered, ends, lengths, strict=True):
        start = end - length
        best = np.argsort(-scores[start:end], kind="stable")[: settings.list_max]
        one.user.shown = found.keys[best[:SHOWN]].tolist()
        results.append(
            Scored(
                found.ids[best].tolist(), scores[start + best], item_part[start + best],
                (best < found.own).tolist(), found.rows[best, BEST_AT].astype(np.int64).tolist(),
            )
        )  # fmt: skip
    return results


def _gather(one: Candidates) -> _Gathered:
    user, shelf = one.user, one.shelf
    others = np.flatnonzero(
        ~(contained(shelf.keys, one.seen) | contained(shelf.keys, np.sort(user.keys)))
    )
    rows = np.concatenate([user.rows, shelf.rows[others]])
    keys = np.concatenate([user.keys, shelf.keys[others]])
    ids = np.concatenate([user.ids, shelf.ids[others]])
    own = len(user.keys)
    if len(one.unavailable) or user.blocked:
        keep = ~contained(keys, one.unavailable)
        if user.blocked:
            blocked = np.array(user.blocked, np.uint16)
            keep &= ~np.isin(codes_in(rows[:, CODES]), blocked).any(axis=1)
        rows, keys, ids, own = rows[keep], keys[keep], ids[keep], int(keep[:own].sum())
    return _Gathered(rows, keys, ids, own)


def _item_part(
    batch: Sequence[Candidates], rows: Words, lengths: NDArray[np.int64], weights: Weights
) -> Floats:
    """Item part of the scores; one pass where all users share a reference, as in one tenant."""
    item_weights = weights.of(ITEM_FEATURES)
    if not item_weights.any():
        return np.zeros(len(rows))
    popularity = rows[:, POPULARITY].astype(np.float64)
    times = np.repeat(np.array([one.time_ms for one in batch], np.float64), lengths)
    if all(one.reference == batch[0].reference for one in batch):
        return item_features(popularity, batch[0].reference, times) @ item_weights
    parts = np.empty(len(rows))
    ends = np.cumsum(lengths)
    for one, end, length in zip(batch, ends, lengths, strict=True):
        span = slice(end - length, end)
        part = item_features(popularity[span], one.reference, times[span])
        parts[span] = part @ item_weights
    return parts


@dataclass
class _View:
    """All candidates of a batch below each other, and what the user features are made of."""

    batch: Sequence[Candidates]
    rows: Words
    lengths: NDArray[np.int64]
    whose: NDArray[np.int64]
    inside: NDArray[np.bool_]
    settings: RankingSettings

    def top(self, column: int) -> Floats:
        """Each user's largest value of a column, a row each; 1 where there is none above 0."""
        tops = np.zeros(len(self.batch))
        filled = np.flatnonzero(self.lengths)
        starts = (np.cumsum(self.lengths) - self.lengths)[filled]
        if len(starts):
            tops[filled] = np.maximum.reduceat(self.rows[:, column], starts)
        tops[tops <= 0] = 1.0
        return tops[self.whose]

    def root(self, column: int) -> Floats:
        """Square root of a column's share of the user's largest value."""
        roots: Floats = np.sqrt(self.rows[:, column] / self.top(column))
        return roots

    def constant(self, name: str) -> float:
        """Value of a feature where no neighbour answer named the item."""
        return outside(self.settings.candidates_max)[name]


def _c0log(view: _View) -> Floats:
    small: Floats = np.log(np.maximum(1e-6, view.rows[:, MAIN]) / view.top(MAIN)) / 3
    return np.where(view.inside, small, view.constant("c0log"))


def _rank(view: _View) -> Floats:
    place: Floats = -np.log2(1.0 + _rank_by_main(view.rows[:, MAIN], view.lengths)) / 4
    return np.where(view.inside, place, view.constant("rank"))


def _genre(view: _View) -> Floats:
    return _taste_cosines(view.batch, codes_in(view.rows[:, CODES]), view.lengths)


def _cat_last(view: _View) -> Floats:
    last = np.array([one.user.code for one in view.batch], np.uint16)[view.whose, None]
    same = (codes_in(view.rows[:, CODES]) == last) & (last > 0)
    flags: Floats = same.any(axis=1).astype(np.float64)
    return flags


_USER_COLUMNS: Mapping[str, Callable[[_View], Floats]] = {
    "c0": lambda view: view.root(MAIN),
    "c1": lambda view: view.root(FAST),
    "short": lambda view: view.root(SHORT),
    "c0log": _c0log,
    "rank": _rank,
    "support": lambda view: np.log1p(view.rows[:, SUPPORT].astype(np.float64)),
    "genre": _genre,
    "exposed": lambda view: np.log1p(view.rows[:, EXPOSED].astype(np.float64)),
    "in_cf": lambda view: view.inside.astype(np.float64),
    "cat_last": _cat_last,
    "seed": lambda view: view.root(SEED),
}
assert tuple(_USER_COLUMNS) == USER_FEATURES


def _rank_by_main(main: Words, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each row among its user's rows by main, from 0."""
    ranks = np.empty(len(main), np.int64)
    start = 0
    for length in lengths.tolist():
        order = start + np.argsort(-main[start : start + length], kind="stable")
        ranks[order] = np.arange(length)
        start += length
    return ranks


def _taste_cosines(
    batch: Sequence[Candidates], codes: NDArray[np.uint16], lengths: NDArray[np.int64]
) -> Floats:
    """Twice the cosine of each user's taste and each row's categories."""
    sums = np.zeros(len(codes))
    worth, folded = np.zeros(TASTE_CODES, np.float32), codes % TASTE_CODES
    start = 0
    for one, length in zip(batch, lengths.tolist(), strict=True):
        if taste := one.user.taste:
            places = np.array(list(taste)) % TASTE_CODES
            values = np.array(list(taste.values()), np.float32)
            worth[places] = values / max(1e-12, math.sqrt(float(values @ values)))
            sums[start : start + length] = worth[folded[start : start + length]].sum(axis=1)
            worth[places] = 0.0
        start += length
    result: Floats = 2 * sums / np.sqrt(np.maximum(1, (codes > 0).sum(axis=1)))
    return result
