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


@kernel
def place_of(keys: Any, count: int, key: Any) -> int:
    """Place of `key` among the first `count` of `keys`, or `NOWHERE`."""
    for place in range(count):
        if keys[place] == key:
            return place
    return NOWHERE


@kernel
def key_in(figures: Any) -> Any:
    """Item key of a `packing.FIGURES` record given as unsigned words."""
    return np.uint64(figures[0]) | (np.uint64(figures[1]) << np.uint64(32))


@kernel
def similarity(sums: Any, ratio: float, total: float, phi: float, damping: float) -> float:
    """(phi * forward + (1 - phi) * backward) / 100 / (total * sqrt(ratio) + damping)."""
    weight = phi * sums[0] + (1.0 - phi) * sums[1]
    return float(weight / (100.0 * (total * np.sqrt(float(ratio)) + damping)))


@kernel
def worst_row(
    keys: Any, sums: Any, ratios: Any, count: int, total: float, phi: float, damping: float
) -> int:
    """Place of the row of the smallest similarity; of equal ones that of the smallest key."""
    worst, smallest = 0, similarity(sums[0], ratios[0], total, phi, damping)
    for place in range(1, count):
        sim = similarity(sums[place], ratios[place], total, phi, damping)
        if sim < smallest or (sim == smallest and keys[place] < keys[worst]):
            worst, smallest = place, sim
    return worst


@kernel
def leave_out(keys: Any, sums: Any, ratios: Any, figures: Any, count: int, gone: int) -> None:
    """Close the gap of a row that leaves the cache; the others keep their order."""
    for place in range(gone, count - 1):
        keys[place] = keys[place + 1]
        sums[place] = sums[place + 1]
        ratios[place] = ratios[place + 1]
        figures[place] = figures[place + 1]


@kernel
def see_pair(
    pair_keys: Any, pair_sums: Any, pairs: int,
    keys: Any, sums: Any, ratios: Any, figures: Any, rows: int, rows_max: int,
    seen: Any, forward: int, backward: int, short: int, ratio: float,
    total: float, phi: float, damping: float,
) -> tuple[int, int, bool]:  # fmt: skip
    """Add to a pair's truth and keep the cache of the best rows right.

    `pair_keys` and `pair_sums` (shape (room, 3)) are a segment of the truth that holds `pairs`
    pairs and has room for one more. `keys`, `sums`, `ratios` and `figures` are the cache with
    `rows` rows and room for one more, unless `rows_max` is reached. `seen` are the figures of the
    other item, as 11 unsigned words; `total` is the sum of strengths of this one.

    Returns:
        `KNOWN`, `NEW`, or `EMPTY` where an erasure had come first and its changes and these are
        nothing together; the place of the row that left the cache, or `NOWHERE`; whether
        the pair has entered the cache, at its end.
    """
    key = key_in(seen)
    at = place_of(pair_keys, pairs, key)
    is_new = at == NOWHERE
    if is_new:
        at = pairs
        pair_keys[at] = key
        pair_sums[at, :] = 0
    pair_sums[at, 0] += forward
    pair_sums[at, 1] += backward
    pair_sums[at, 2] += short
    found = NEW if is_new else KNOWN
    if pair_sums[at, 0] == 0 and pair_sums[at, 1] == 0 and pair_sums[at, 2] == 0:
        return EMPTY, NOWHERE, False
    place, gone, enters = place_of(keys, rows, key), NOWHERE, False
    if place == NOWHERE:
        if rows >= rows_max:
            gone = worst_row(keys, sums, ratios, rows, total, phi, damping)
            smallest = similarity(sums[gone], ratios[gone], total, phi, damping)
            if similarity(pair_sums[at], float(np.float32(ratio)), total, phi, damping) <= smallest:
                return found, NOWHERE, False
            leave_out(keys, sums, ratios, figures, rows, gone)
            rows -= 1
        place, enters = rows, True
        keys[place] = key
    sums[place] = pair_sums[at]
    ratios[place] = ratio
    figures[place] = seen
    return found, gone, enters


@kernel
def see_pairs(
    pair_keys: Any, pair_sums: Any, pairs: int,
    keys: Any, sums: Any, ratios: Any, figures: Any, rows: int, rows_max: int,
    seen: Any, weights: Any, raw: float, total: float, phi: float, damping: float, told: Any,
) -> int:  # fmt: skip
    """`see_pair` for each of the items that came before this one, of one and the same segment.

    `seen` are their figures, shape (n, 11), `weights` what is added to the backward sum of each;
    `raw` is this item's sum of strengths as it travelled. Segment and cache have room for all.
    `told` gets what `see_pair` says of each, shape (n, 3).

    Returns:
        How many were added: the last of them may be `EMPTY`, and then some may be left.
    """
    values = seen.view(np.float32)
    for number in range(len(seen)):
        own = np.float64(values[number, RAW])
        ratio = float(own / raw) if own > 0 and raw > 0 else 1.0
        found, gone, enters = see_pair(
            pair_keys, pair_sums, pairs, keys, sums, ratios, figures, rows, rows_max,
            seen[number], 0, weights[number], 0, ratio, total, phi, damping,
        )  # fmt: skip
        told[number, 0], told[number, 1], told[number, 2] = found, gone, enters
        pairs += found == NEW
        rows += enters - (gone != NOWHERE)
        if found == EMPTY:
            return number + 1
    return len(seen)


@kernel
def answer_rows(
    sums: Any, ratios: Any, figures: Any, rows: int,
    total: float, phi: float, damping: float, out: Any,
) -> None:  # fmt: skip
    """Fill the first rows of `out`, `packing.PULLED` records as words; nothing is of content."""
    copied = out.view(np.uint32)
    for place in range(rows):
        below = 100.0 * (total * np.sqrt(float(ratios[place])) + damping)
        out[place, 0] = (phi * sums[place, 0] + (1.0 - phi) * sums[place, 1]) / below
        out[place, 1] = sums[place, 2] / below
        copied[place, 2:] = figures[place]
        out[place, 4] = 0.0


@kernel
def add_alike(
    keys: Any, rows: int, near_keys: Any, near_sims: Any, near_figures: Any, worth: float,
    out: Any, origin: Any,
) -> int:  # fmt: skip
    """Say beside the answer's first `rows` rows, named by `keys`, what says the like; add the rest.

    `near_*` are the rows of `alike.ItemContent`; `worth` is what a cosine of 1 counts for. `out`
    has room for all of both; `origin` gets the place among the near ones of each row added.

    Returns:
        Number of rows of the answer.
    """
    copied, count = out.view(np.uint32), rows
    for near in range(len(near_keys)):
        place = place_of(keys, rows, near_keys[near])
        if place == NOWHERE:
            place = count
            out[place, :2] = 0.0
            copied[place, 2:] = near_figures[near]
            origin[place - rows] = near
            count += 1
        out[place, 4] = worth * max(near_sims[near, 0], near_sims[near, 1])
    return count
