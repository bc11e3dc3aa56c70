"""Compiled loops from one user's candidates to their scores.

See `features` for the formulas, `candidates` for the rows, `kernels` for why. Columns of a matrix
of features are in the order of `features.FEATURES`.
"""

from typing import Any

import numpy as np

from operators.candidates import (
    BEST_AT,
    CODES_END,
    COLUMNS,
    CONTENT,
    EXPOSED,
    FAST,
    FIRST_CODE,
    FIRST_H,
    LIKES,
    LIKES_1D,
    LIKES_30D,
    MAIN,
    SEED,
    SHORT,
    SUPPORT,
    USERS,
    find_in,
    index_of,
    is_in,
    unproven,
)
from operators.kernels import NOWHERE, kernel
from operators.sorting import ascending

TASTE_CODES = 4096
"""Codes are folded to twelve bits for the taste: its table then stays in the nearest cache, and an
item passes for one of a user's 64 categories by accident in one of 64 cases."""

C0, C1, SHORTEST, C0LOG, RANK, SUPPORTED, GENRE, SHOWN, IN_CF, CAT_LAST, SEEDED, SAID, UNPROVEN = (
    range(13)
)
POP, POP1D, POP30D, QUALITY, AGE, FEATURES = range(13, 19)

OUT_C0LOG, OUT_RANK, REF_LIKES, REF_1D, REF_30D, NOW_H = range(6)
"""Of the numbers of the moment: c0log and rank of what no answer named, the reference (most likes,
best log2 of a day and of a month), and the hours from 2000 until now."""


@kernel
def weigh(
    own_rows: Any, own_keys: Any, shelf_rows: Any, shelf_keys: Any, seen: Any, unavailable: Any,
    blocked: Any, codes: Any, worth: Any, last: int, moment: Any, weights: Any, snapshot: int,
) -> tuple[Any, Any, Any, Any, Any, Any, Any]:  # fmt: skip
    """Score a user's candidates: the own rows, then those of the shelf.

    Features of weight 0 are measured for the snapshot alone.

    Args:
        own_rows: Of the user.
        own_keys: Their keys.
        shelf_rows: Of shared lists.
        shelf_keys: Their keys.
        seen: Sorted keys that may not be listed from the shelf.
        unavailable: Sorted keys that may not be listed at all.
        blocked: Codes of categories that may not be.
        codes: Categories of the user's taste.
        worth: Of each of them.
        last: Category code of the user's last item.
        moment: See `NOW_H`.
        weights: By feature.
        snapshot: Candidates whose features are all measured.

    Returns:
        All rows; places of the candidates in them, best first, of equal ones the first; their
        keys; their scores, and the parts of these that are the items'; the features of the first
        of them; and the numbers of those that nobody has touched and only content names.
    """
    own = len(own_keys)
    rows, keys = _joined(own_rows, shelf_rows), np.empty(own + len(shelf_keys), np.uint64)
    keys[:own], keys[own:] = own_keys, shelf_keys
    chosen = np.empty(len(rows), np.int64)
    chosen = chosen[: choose(rows, keys, own, seen, unavailable, blocked, chosen)]
    x, wanted, kept = np.empty((FEATURES, len(chosen))), weights != 0, min(snapshot, len(chosen))
    taste = _table(codes, worth)
    everyone = np.arange(len(chosen))
    _measure(rows, chosen, everyone, own, taste, last, moment, wanted, x)
    best, scores, parts = best_of(x, weights)
    if kept:
        _measure(rows, chosen, best[:kept], own, taste, last, moment, ~wanted, x)
    features = np.empty((kept, FEATURES), np.float32)
    for place in range(kept):
        for feature in range(FEATURES):
            features[place, feature] = x[feature, best[place]]
    places = chosen[best]
    return rows, places, keys[places], scores, parts, features, _untouched(rows, places, own)


@kernel
def _joined(own_rows: Any, shelf_rows: Any) -> Any:
    """All rows in one matrix, copied column by column, see `candidates`."""
    own = len(own_rows)
    rows = np.empty((own + len(shelf_rows), COLUMNS), np.float32)
    for place in range(own):
        for column in range(COLUMNS):
            rows[place, column] = own_rows[place, column]
    for place in range(len(shelf_rows)):
        for column in range(COLUMNS):
            rows[own + place, column] = shelf_rows[place, column]
    return rows


@kernel
def _untouched(rows: Any, places: Any, own: int) -> Any:
    """Numbers of the own rows among these that nobody has touched and only content names."""
    numbers, count = np.empty(len(places), np.int64), 0
    for number in range(len(places)):
        place = places[number]
        if place < own and unproven(rows, place) and not rows[place, USERS] > 0:
            numbers[count] = number
            count += 1
    return numbers[:count].copy()


@kernel
def choose(
    rows: Any, keys: Any, own: int, seen: Any, unavailable: Any, blocked: Any, chosen: Any
) -> int:
    """Places of the candidates that may be listed: the first `own` rows, then shared ones.

    A shared row that the user knows or has among the own ones is left out, and all that is
    unavailable or in a blocked category.
    """
    halves, index, count = rows.view(np.uint16), index_of(keys, own), 0
    for place in range(len(rows)):
        key = keys[place]
        if place >= own and (is_in(seen, key) or find_in(index, keys, key) != NOWHERE):
            continue
        if is_in(unavailable, key):
            continue
        barred = False
        for code in blocked:
            for half in range(FIRST_CODE, CODES_END):
                barred |= halves[place, half] == code
        if not barred:
            chosen[count] = place
            count += 1
    return count


@kernel
def _largest(rows: Any, chosen: Any, column: int) -> float:
    """Largest value of a column among the chosen rows, or 1 where none is above 0."""
    top = 0.0
    for place in chosen:
        top = max(top, float(rows[place, column]))
    return top if top > 0 else 1.0


@kernel
def _measure(
    rows: Any, chosen: Any, numbers: Any, own: int, taste: Any, last: int, moment: Any,
    wanted: Any, x: Any,
) -> None:  # fmt: skip
    """The wanted features, shape (FEATURES, n), of those of the n chosen that have these numbers.

    The others stay as they are. Largest values and ranks are among all of the chosen.
    """
    for feature, column in ((C0, MAIN), (C1, FAST), (SHORTEST, SHORT), (SEEDED, SEED)):
        if wanted[feature]:
            _shares(rows, chosen, numbers, column, x[feature])
    for feature, column in ((SUPPORTED, SUPPORT), (SHOWN, EXPOSED)):
        if wanted[feature]:
            _logs(rows, chosen, numbers, column, x[feature])
    if wanted[GENRE] or wanted[CAT_LAST]:
        _taste(rows.view(np.uint16), chosen, numbers, taste, last, x[GENRE], x[CAT_LAST])
    if wanted[SAID] or wanted[UNPROVEN]:
        _content(rows, chosen, numbers, x[SAID], x[UNPROVEN])
    _named(rows, chosen, numbers, own, moment, wanted, x)
    if wanted[POP:].any():
        _of_items(rows, chosen, numbers, moment, wanted, x)


@kernel
def _shares(rows: Any, chosen: Any, numbers: Any, column: int, x: Any) -> None:
    """sqrt(value / largest value) of a column."""
    top = _largest(rows, chosen, column)
    for number in numbers:
        x[number] = np.sqrt(rows[chosen[number], column] / top)


@kernel
def _logs(rows: Any, chosen: Any, numbers: Any, column: int, x: Any) -> None:
    """ln(1 + value) of a column; most values are 0."""
    for number in numbers:
        value = rows[chosen[number], column]
        x[number] = np.log1p(float(value)) if value != 0 else 0.0


@kernel
def _named(
    rows: Any, chosen: Any, numbers: Any, own: int, moment: Any, wanted: Any, x: Any
) -> None:
    """Whether answers named it, how strongly and at which place; constants where none did."""
    top = _largest(rows, chosen, MAIN)
    if wanted[RANK]:
        _ranks(rows, chosen, numbers, x[RANK])
    for number in numbers:
        place = chosen[number]
        inside = place < own and not unproven(rows, place)
        x[IN_CF, number] = 1.0 if inside else 0.0
        if wanted[RANK] and not inside:
            x[RANK, number] = moment[OUT_RANK]
        if wanted[C0LOG]:
            small = moment[OUT_C0LOG]
            if inside:
                small = np.log(max(1e-6, float(rows[place, MAIN])) / top) / 3
            x[C0LOG, number] = small


@kernel
def _ranks(rows: Any, chosen: Any, numbers: Any, x: Any) -> None:
    """-log2(1 + rank by main) / 4, from 0; of equal ones the first stands before."""
    main = rows[chosen, MAIN]
    ranks = np.empty(len(main), np.int64)
    ranks[ascending(-main)] = np.arange(len(main))
    for number in numbers:
        x[number] = -np.log2(1.0 + ranks[number]) / 4


@kernel
def _table(codes: Any, worth: Any) -> Any:
    """The user's taste at unit length, by folded code."""
    table = np.zeros(TASTE_CODES, np.float32)
    length = max(1e-12, np.sqrt(float((worth * worth).sum())))
    for number, code in enumerate(codes):
        table[code % TASTE_CODES] = worth[number] / length
    return table


@kernel
def _taste(
    halves: Any, chosen: Any, numbers: Any, taste: Any, last: int, genre: Any, same: Any
) -> None:
    """Twice the cosine of the user's taste and an item's categories; whether the last one is in."""
    for number in numbers:
        total, named = 0.0, 0
        same[number] = 0.0
        for half in range(FIRST_CODE, CODES_END):
            code = halves[chosen[number], half]
            if code:
                total += taste[code % TASTE_CODES]
                named += 1
                if code == last:
                    same[number] = 1.0
        genre[number] = 2.0 * total / np.sqrt(float(max(1, named)))


@kernel
def _content(rows: Any, chosen: Any, numbers: Any, said: Any, alone: Any) -> None:
    """How much of what says the like a candidate has, and whether nothing else speaks for it."""
    likest = _largest(rows, chosen, CONTENT)
    for number in numbers:
        place = chosen[number]
        known = rows[place, CONTENT] > 0
        said[number] = rows[place, CONTENT] / likest if known else 0.0
        alone[number] = 1.0 if unproven(rows, place) else 0.0


@kernel
def _of_items(rows: Any, chosen: Any, numbers: Any, moment: Any, wanted: Any, x: Any) -> None:
    """The columns of the item."""
    for number in numbers:
        place = chosen[number]
        likes, users = max(0.0, float(rows[place, LIKES])), max(0.0, float(rows[place, USERS]))
        if wanted[POP]:
            x[POP, number] = np.log((1 + likes) / (1 + max(moment[REF_LIKES], 0.0))) / 2
        x[POP1D, number] = max(-12.0, rows[place, LIKES_1D] - moment[REF_1D]) / 4
        x[POP30D, number] = max(-12.0, rows[place, LIKES_30D] - moment[REF_30D]) / 4
        x[QUALITY, number] = 4 * ((likes + 2.5) / (users + 5.0) - 0.5)
        if wanted[AGE]:
            x[AGE, number] = np.log1p(max(0.0, moment[NOW_H] - rows[place, FIRST_H])) / 4


@kernel
def best_of(x: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Numbers, scores and item parts of the candidates, best first; equal ones in order."""
    count = x.shape[1]
    users, items = np.zeros(count), np.zeros(count)
    for feature in range(FEATURES):
        weight = weights[feature]
        if weight != 0:
            sums = users if feature < POP else items
            for number in range(count):
                sums[number] += weight * x[feature, number]
    scores = items + users
    best = ascending(-scores)
    return best, scores[best], items[best]


@kernel
def behind(
    rows: Any, places: Any, own: int, shelf_sources: Any, shelf_lists: Any, slots: Any,
    of_content: int,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """What is behind the items of a list.

    Args:
        rows: Of all candidates.
        places: Of the items among them.
        own: Number of the user's own rows.
        shelf_sources: Of the others.
        shelf_lists: Of the others.
        slots: That the places were given to.
        of_content: Source of what content says more for than people do; of the rest it is 0.

    Returns:
        Source of each, and number of the user's event that says most for it; the different sets
        of source, slot, such a number and number of the shared list (-1: none), in order of their
        first item, shape (m, 4); and which of these is behind each.
    """
    count, differing = len(places), 0
    sources, seeds = np.empty(count, np.int64), np.empty(count, np.int64)
    different, which = np.empty((count, 4), np.int64), np.empty(count, np.int64)
    for number in range(count):
        place = places[number]
        seeds[number] = np.int64(rows[place, BEST_AT])
        if place < own:
            list_ = NOWHERE
            sources[number] = of_content if rows[place, CONTENT] > rows[place, MAIN] else 0
        else:
            list_ = shelf_lists[place - own]
            sources[number] = shelf_sources[place - own]
        at = 0
        while at < differing and not (
            different[at, 0] == sources[number]
            and different[at, 1] == slots[number]
            and different[at, 2] == seeds[number]
            and different[at, 3] == list_
        ):
            at += 1
        if at == differing:
            different[at, 0], different[at, 1] = sources[number], slots[number]
            different[at, 2], different[at, 3] = seeds[number], list_
            differing += 1
        which[number] = at
    return sources, seeds, different[:differing], which
