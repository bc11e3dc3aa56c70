"""Inner loops over numpy arrays, compiled to machine code when a worker first needs them.

Each is a plain function of arrays and numbers, without Python objects, so that it can be read and
tested as it stands; compiled code is kept beside the module for the next start. A pair or a
candidate row is a handful of numbers: numpy's price of a microsecond a call is more than the work.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])
kernel = cast(Callable[[F], F], njit(cache=True, nogil=False))

NOWHERE = -1
KNOWN, NEW, EMPTY = range(3)

RAW = 2
"""Word of a `packing.FIGURES` record that holds the sum of strengths."""

LOW, HIGH, SUMS, RATIO = 0, 1, 2, 5
"""Rows of a matrix of pairs, a column a pair: the two words of the other item's key, three sums,
and in a cache the ratio. A key is looked for in a row, so that few lines of memory are read."""

CHANGES, CHANGED_RATIO, RUN_WORDS = 11, 14, 15
"""A run of pairs has a record each: the figures of the other item, which begin with its key, three
changes, and the ratio."""

FOUND, ENTERS, GONE, AT, SEGMENT, LEFT, TOLD_ROWS = 0, 1, 2, 3, 4, 5, 8
"""What is told of the pairs of a run, a column a pair: `KNOWN`, `NEW`, or `EMPTY` where an erasure
had come first and its changes and these are nothing together; whether the pair has entered the
cache, at its end; the place of the row that left the cache, or `NOWHERE`; its place in the segment,
or of one that is empty the place that the last pair has taken, or `NOWHERE`; number of its segment;
its three sums."""


@kernel
def place_of(keys: Any, count: int, key: Any) -> int:
    """Place of `key` among the first `count` of `keys`, or `NOWHERE`."""
    for place in range(count):
        if keys[place] == key:
            return place
    return NOWHERE


@kernel
def column_of(pairs: Any, count: int, low: Any, high: Any) -> int:
    """Place of a key, given in two words, among the first `count` pairs, or `NOWHERE`."""
    for place in range(count):
        if pairs[LOW, place] == low and pairs[HIGH, place] == high:
            return place
    return NOWHERE


@kernel
def similarity(
    forward: int, backward: int, ratio: float, total: float, phi: float, damping: float
) -> float:
    """(phi * forward + (1 - phi) * backward) / 100 / (total * sqrt(ratio) + damping)."""
    weight = phi * forward + (1.0 - phi) * backward
    return float(weight / (100.0 * (total * np.sqrt(float(ratio)) + damping)))


@kernel
def ratio_of(own: Any, raw: Any) -> float:
    """How much larger the sum of strengths `own` is than `raw`; 1 where either is 0."""
    return float(own / raw) if own > 0 and raw > 0 else 1.0


@kernel
def segment_of(low: int, segments: int) -> int:
    """Number of the segment that a key with this low word lies in, see `pairs`."""
    level = 1
    while 2 * level <= segments:
        level *= 2
    number = low & (2 * level - 1)
    return number if number < segments else low & (level - 1)


@kernel
def number_run(run: Any, segments: int, told: Any) -> None:
    """Tell of each pair of a run in which of so many segments it is."""
    for one in range(len(run)):
        told[SEGMENT, one] = segment_of(int(run[one, LOW]), segments)


@kernel
def add_run(segment: Any, pairs: int, run: Any, number: int, told: Any) -> None:
    """Add to the truth what a run says of the pairs of segment `number`.

    `segment` holds `pairs` pairs and has room for those of the run. A pair of which nothing is
    left goes, and the last one takes its place.
    """
    sums, changes = segment.view(np.int32), run.view(np.int32)
    for one in range(len(run)):
        if told[SEGMENT, one] != number:
            continue
        at, found, left = column_of(segment, pairs, run[one, LOW], run[one, HIGH]), KNOWN, False
        if at == NOWHERE:
            at, found = pairs, NEW
            segment[LOW, at], segment[HIGH, at] = run[one, LOW], run[one, HIGH]
            segment[SUMS : SUMS + 3, at] = 0
        for part in range(3):
            sums[SUMS + part, at] += changes[one, CHANGES + part]
            told[LEFT + part, one] = sums[SUMS + part, at]
            left = left or told[LEFT + part, one] != 0
        told[FOUND, one], told[AT, one] = found, at
        if left:
            pairs += found == NEW
            continue
        pairs -= found == KNOWN
        for row in range(len(segment)):
            segment[row, at] = segment[row, pairs]
        told[FOUND, one], told[AT, one] = EMPTY, at if found == KNOWN else NOWHERE


@kernel
def row_below(cache: Any, sims: Any, rows: int, sim: float) -> int:
    """Place of the row of the smallest similarity if that is below `sim`, else `NOWHERE`.

    Of equal ones it is the row of the smallest key.
    """
    worst = 0
    for place in range(1, rows):
        if sims[place] > sims[worst]:
            continue
        high, low = cache[HIGH, place], cache[LOW, place]
        smaller = high < cache[HIGH, worst] or (
            high == cache[HIGH, worst] and low < cache[LOW, worst]
        )
        if sims[place] < sims[worst] or smaller:
            worst = place
    return NOWHERE if sim <= sims[worst] else worst


@kernel
def leave_out(cache: Any, figures: Any, sims: Any, rows: int, gone: int) -> None:
    """Close the gap of a row that leaves the cache; the others keep their order."""
    for row in range(len(cache)):
        for place in range(gone, rows - 1):
            cache[row, place] = cache[row, place + 1]
    for place in range(gone, rows - 1):
        for word in range(figures.shape[1]):
            figures[place, word] = figures[place + 1, word]
    if len(sims):
        for place in range(gone, rows - 1):
            sims[place] = sims[place + 1]


@kernel
def similarities(cache: Any, rows: int, total: float, phi: float, damping: float) -> Any:
    """`similarity` of each row, with room for as many as the cache has."""
    sums, ratios = cache.view(np.int32), cache.view(np.float32)
    sims = np.empty(cache.shape[1], np.float64)
    for place in range(rows):
        sims[place] = similarity(
            sums[SUMS, place], sums[SUMS + 1, place], ratios[RATIO, place], total, phi, damping
        )
    return sims


@kernel
def keep_best(
    cache: Any, figures: Any, rows: int, rows_max: int, run: Any, told: Any,
    early: int, before: float, total: float, phi: float, damping: float,
) -> int:  # fmt: skip
    """Let the cache of the best rows follow what a run has done to the truth.

    `cache` and `figures` hold `rows` rows and have room for those of the run, up to `rows_max`;
    `total` is the item's sum of strengths, and was `before` for the first `early` pairs.

    Returns:
        Number of pairs of the run that have come or gone, in the truth or in the cache.
    """
    rows, moved = keep_part(
        cache, figures, rows, rows_max, run[:early], told[:, :early], before, phi, damping
    )
    rows, more = keep_part(
        cache, figures, rows, rows_max, run[early:], told[:, early:], total, phi, damping
    )
    return int(moved + more)


@kernel
def keep_part(
    cache: Any, figures: Any, rows: int, rows_max: int, run: Any, told: Any,
    total: float, phi: float, damping: float,
) -> tuple[int, int]:  # fmt: skip
    """`keep_best` of pairs that share the item's sum of strengths; rows now, and pairs moved."""
    ratios, moved, sims = run.view(np.float32), 0, np.empty(0, np.float64)
    for one in range(len(run)):
        found, gone, enters = told[FOUND, one], NOWHERE, False
        place = column_of(cache, rows, run[one, LOW], run[one, HIGH])
        sim = similarity(
            told[LEFT, one], told[LEFT + 1, one], ratios[one, CHANGED_RATIO], total, phi, damping
        )
        if found == EMPTY:
            gone, place = place, NOWHERE
        elif place == NOWHERE:
            if rows >= rows_max:
                if not len(sims):
                    sims = similarities(cache, rows, total, phi, damping)
                gone = row_below(cache, sims, rows, sim)
            enters = rows < rows_max or gone != NOWHERE
        if gone != NOWHERE:
            leave_out(cache, figures, sims, rows, gone)
            rows -= 1
        if enters:
            place = rows
            rows += 1
        if place != NOWHERE:
            put_row(cache, figures, place, run[one], told[LEFT:, one])
            if len(sims):
                sims[place] = sim
        told[GONE, one], told[ENTERS, one] = gone, enters
        moved += found != KNOWN or enters or gone != NOWHERE
    return rows, moved


@kernel
def put_row(cache: Any, figures: Any, place: int, seen: Any, left: Any) -> None:
    """Write a row of the cache: what was seen of a pair, and what is left of its sums."""
    sums = cache.view(np.int32)
    cache[LOW, place], cache[HIGH, place] = seen[LOW], seen[HIGH]
    cache[RATIO, place] = seen[CHANGED_RATIO]
    for part in range(3):
        sums[SUMS + part, place] = left[part]
    for word in range(CHANGES):
        figures[place, word] = seen[word]


@kernel
def see_run(
    segment: Any, pairs: int, cache: Any, figures: Any, rows: int, rows_max: int,
    run: Any, told: Any, early: int, before: float, total: float, phi: float, damping: float,
) -> int:  # fmt: skip
    """`add_run` and `keep_best` at once, of a run whose pairs are all of one segment."""
    add_run(segment, pairs, run, told[SEGMENT, 0], told)
    best = cache, figures, rows, rows_max
    return int(keep_best(*best, run, told, early, before, total, phi, damping))


@kernel
def answer_rows(
    cache: Any, figures: Any, rows: int, total: float, phi: float, damping: float, out: Any
) -> None:
    """Fill the first rows of `out`, `packing.PULLED` records as words; nothing is of content."""
    copied, sums, ratios = out.view(np.uint32), cache.view(np.int32), cache.view(np.float32)
    for place in range(rows):
        below = 100.0 * (total * np.sqrt(float(ratios[RATIO, place])) + damping)
        forward, backward = sums[SUMS, place], sums[SUMS + 1, place]
        out[place, 0] = (phi * forward + (1.0 - phi) * backward) / below
        out[place, 1] = sums[SUMS + 2, place] / below
        for word in range(figures.shape[1]):
            copied[place, 2 + word] = figures[place, word]
        out[place, 4] = 0.0


@kernel
def add_alike(
    cache: Any, rows: int, near_sims: Any, near_figures: Any, worth: float, out: Any, origin: Any
) -> int:
    """Say beside the first `rows` rows, those of `cache`, what says the like; add the rest.

    `near_*` are the rows of `alike.ItemContent`; `worth` is what a cosine of 1 counts for. `out`
    has room for all of both; `origin` gets the place among the near ones of each row added.

    Returns:
        Number of rows of the answer.
    """
    copied, count = out.view(np.uint32), rows
    for near in range(len(near_figures)):
        place = column_of(cache, rows, near_figures[near, LOW], near_figures[near, HIGH])
        if place == NOWHERE:
            place = count
            out[place, :2] = 0.0
            copied[place, 2:] = near_figures[near]
            origin[place - rows] = near
            count += 1
        out[place, 4] = worth * max(near_sims[near, 0], near_sims[near, 1])
    return count
