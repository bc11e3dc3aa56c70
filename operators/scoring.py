"""From candidates to the best ones: all users of a batch in one pass of numpy.

Candidates are the user's rows, the shared lists and the list of the last category, minus what the
user has seen, what is unavailable and what lies in a blocked category. Equal scores keep the
order rows by main, then shared lists best first: at the starting weights, popular items fill up
in the order of popularity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.accumulator import (
    FIGURE_COLUMNS,
    ROW,
    AccumulatorSettings,
    Keys,
    RankedUser,
    contained,
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
from operators.messages import PopularList
from operators.packing import figures_array

SHOWN = 10
CODES = 65_536


class RankingSettings(AccumulatorSettings, frozen=True, kw_only=True):
    """Parameters of the stage.

    Attributes:
        list_max: Items of a stored list: several times what is shown, so that what a reader
            excludes does not empty the page.
    """

    list_max: int = 50


@dataclass
class Shelf:
    """Items of shared lists as `ROW` records without sums, each item once."""

    rows: NDArray[Any]
    ids: list[str]


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

    def digest(self) -> bytes:
        """Eight bytes that change when the list does."""
        parts = "\x00".join(self.ids).encode(), self.scores.astype("<f4").tobytes()
        return blake2b(b"\x00".join(parts), digest_size=8).digest()


def make_shelf(lists: Sequence[PopularList]) -> Shelf:
    """Join shared lists; an item keeps its first place."""
    figures = figures_array(b"".join(one.rows for one in lists))
    ids = [item for one in lists for item in one.ids]
    first = np.sort(np.unique(figures["key"], return_index=True)[1])
    rows = np.zeros(len(first), ROW)
    for name in ("key", *FIGURE_COLUMNS):
        rows[name] = figures[name][first]
    return Shelf(rows, [ids[place] for place in first.tolist()])


def score(batch: Sequence[Candidates], weights: Weights, settings: RankingSettings) -> list[Scored]:
    """Score the candidates of each user and keep the best `list_max`."""
    gathered = [_gather(one) for one in batch]
    rows = np.concatenate([each for each, _, _ in gathered])
    lengths = np.array([len(each) for each, _, _ in gathered])
    inside = np.concatenate([flags for _, _, flags in gathered])
    whose = np.repeat(np.arange(len(batch)), lengths)
    times = np.repeat(np.array([one.time_ms for one in batch], np.float64), lengths)
    item_part = _item_part(batch, rows, lengths, times, weights)
    user_part = _user_features(batch, rows, whose, inside, settings) @ weights.of(USER_FEATURES)
    scores = item_part + user_part
    order = np.lexsort((-rows["main"], -scores, whose))
    ends = np.cumsum(lengths)
    results = []
    for index, one in enumerate(batch):
        start = int(ends[index] - lengths[index])
        best = order[start : int(ends[index])][: settings.list_max]
        ids = gathered[index][1]
        one.user.shown = rows["key"][best[:SHOWN]].tolist()
        results.append(
            Scored(
                [ids[place] for place in (best - start).tolist()], scores[best],
                item_part[best], inside[best].tolist(), rows["best_at"][best].tolist(),
            )
        )  # fmt: skip
    return results


def _gather(one: Candidates) -> tuple[NDArray[Any], list[str], NDArray[np.bool_]]:
    """Rows, ids and "in CF" of a user's candidates."""
    user, shelf = one.user, one.shelf
    shelf_keep = ~contained(shelf.rows["key"], one.seen)
    shelf_keep &= ~contained(shelf.rows["key"], np.sort(user.rows["key"]))
    rows = np.concatenate([user.rows, shelf.rows])
    keep = np.concatenate([np.ones(len(user.rows), bool), shelf_keep])
    if len(one.unavailable):
        keep &= ~contained(rows["key"], one.unavailable)
    if user.blocked:
        keep &= ~np.isin(rows["codes"], np.array(user.blocked, np.uint16)).any(axis=1)
    places = np.flatnonzero(keep)
    ids = user.ids + shelf.ids
    return rows[places], [ids[place] for place in places.tolist()], places < len(user.rows)


def _item_part(
    batch: Sequence[Candidates],
    rows: NDArray[Any],
    lengths: NDArray[np.int64],
    times: Floats,
    weights: Weights,
) -> Floats:
    """Item part of the scores; one pass where all users share a reference, as in one tenant."""
    item_weights = weights.of(ITEM_FEATURES)
    if all(one.reference == batch[0].reference for one in batch):
        return item_features(rows, batch[0].reference, times) @ item_weights
    parts = np.empty(len(rows))
    ends = np.cumsum(lengths)
    for one, end, length in zip(batch, ends, lengths, strict=True):
        span = slice(end - length, end)
        parts[span] = item_features(rows[span], one.reference, times[span]) @ item_weights
    return parts


def _user_features(
    batch: Sequence[Candidates],
    rows: NDArray[Any],
    whose: NDArray[np.int64],
    inside: NDArray[np.bool_],
    settings: RankingSettings,
) -> Floats:
    """`USER_FEATURES`, shape (n, 11)."""
    columns: dict[str, NDArray[Any]] = {}
    main = rows["main"].astype(np.float64)
    top = _per_user_max(main, whose, len(batch))
    columns["c0"] = np.sqrt(main / top)
    for name, column in (("c1", "fast"), ("short", "short"), ("seed", "seed")):
        values = rows[column].astype(np.float64)
        columns[name] = np.sqrt(values / _per_user_max(values, whose, len(batch)))
    constants = outside(settings.candidates_max)
    small = np.log(np.maximum(1e-6, main) / top) / 3
    columns["c0log"] = np.where(inside, small, constants["c0log"])
    place = -np.log2(1 + _rank_by_main(main, whose)) / 4
    columns["rank"] = np.where(inside, place, constants["rank"])
    columns["support"] = np.log1p(rows["support"])
    columns["exposed"] = np.log1p(rows["exposed"])
    columns["in_cf"] = inside
    columns["genre"] = _taste_cosines(batch, rows, whose)
    last = np.array([one.user.code for one in batch], np.uint16)[whose]
    columns["cat_last"] = ((rows["codes"] == last[:, None]) & (last[:, None] > 0)).any(axis=1)
    return np.stack([columns[name].astype(np.float64) for name in USER_FEATURES], axis=1)


def _per_user_max(values: Floats, whose: NDArray[np.int64], users: int) -> Floats:
    """Each user's largest value, spread over the user's rows; 1 where there is none above 0."""
    top = np.zeros(users)
    np.maximum.at(top, whose, values)
    top[top <= 0] = 1.0
    return top[whose]


def _rank_by_main(main: Floats, whose: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each row among its user's rows by main, from 0."""
    order = np.lexsort((-main, whose))
    starts = np.searchsorted(whose, whose)
    ranks = np.empty(len(main), np.int64)
    ranks[order] = np.arange(len(main)) - starts
    return ranks


def _taste_cosines(
    batch: Sequence[Candidates], rows: NDArray[Any], whose: NDArray[np.int64]
) -> Floats:
    """Twice the cosine of each user's taste and each row's categories."""
    codes = rows["codes"]
    sums = np.zeros(len(rows))
    worth = np.zeros(CODES)
    bounds = np.searchsorted(whose, np.arange(len(batch) + 1))
    for index, one in enumerate(batch):
        taste = one.user.taste
        if not taste:
            continue
        span = slice(bounds[index], bounds[index + 1])
        places, values = list(taste), np.array(list(taste.values()))
        worth[places] = values
        sums[span] = worth[codes[span]].sum(axis=1) / max(1e-12, float(np.linalg.norm(values)))
        worth[places] = 0.0
    lengths = np.sqrt(np.maximum(1, (codes > 0).sum(axis=1)))
    result: Floats = 2 * sums / lengths
    return result
