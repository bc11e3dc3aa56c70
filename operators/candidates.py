"""Compiled loops of a user's candidate rows: absorbing an answer, and keeping the best.

See `accumulator` for what a candidate row is, `weighing` for their scores, `kernels` for why.
"""

from typing import Any

import numpy as np

from operators.id_list import ends_of, picked
from operators.kernels import NOWHERE, kernel
from operators.sorting import ascending, largest

MAIN, FAST, SHORT, SUPPORT, SEED, BEST, BEST_AT, EXPOSED = range(8)
LIKES, USERS, LIKES_1D, LIKES_30D, FIRST_H = range(8, 13)
FIRST_CODE, CODES_END = 26, 32
"""Category codes among the 16-bit halves of a row's words."""

CONTENT, INTEREST, COLUMNS = 16, 17, 18
"""Behind the figures: fading sum of what says the like, the slot of the interest."""

SLOTS = 128
"""More than there are slots of interests; the last is that of what only its content speaks for."""

SENT_CONTENT, SENT_FIGURES = 4, 5
"""Words of a `packing.PULLED` record: its part of content; the figures from the likes on."""


@kernel
def is_in(ordered: Any, key: Any) -> bool:
    """Whether the sorted array holds the key."""
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) >> 1
        if ordered[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low < len(ordered) and ordered[low] == key


@kernel
def index_of(keys: Any, count: int) -> Any:
    """Places of the first `count` keys by their last bits, with free ones between: see `find_in`.

    Keys are hashes, so their bits are as good as those of any function of them.
    """
    size = 16
    while size < 2 * count:
        size *= 2
    index = np.full(size, NOWHERE, np.int32)
    for place in range(count):
        at = np.int64(keys[place] & np.uint64(size - 1))
        while index[at] != NOWHERE:
            at = (at + 1) & (size - 1)
        index[at] = place
    return index


@kernel
def find_in(index: Any, keys: Any, key: Any) -> int:
    """As `kernels.place_of`, of the keys that an index was made of."""
    last = len(index) - 1
    at = np.int64(key & np.uint64(last))
    while index[at] != NOWHERE:
        if keys[index[at]] == key:
            return int(index[at])
        at = (at + 1) & last
    return NOWHERE


@kernel
def unproven(rows: Any, place: int) -> bool:
    """Whether its content alone speaks for a candidate."""
    return bool(rows[place, CONTENT] > 0 and not rows[place, MAIN] > 0)


@kernel
def absorb_rows(
    rows: Any, keys: Any, text: Any, ends: Any, sent: Any, told: Any, seen: Any, own: Any,
    shown: Any, grade: float, slow: float, fast: float, event: int, slot: int, limit: int,
    reserve: int,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """Fade the rows, add the neighbours sent, keep the `limit` largest by main and content.

    The `reserve` largest of each interest stay in any case. Those of `shown` were shown in vain.

    Args:
        rows: Shape (n, 18); written in place where as many are left.
        keys: That name them.
        text: Their ids, with the `ends` an `id_list.IdList`.
        ends: See `text`.
        sent: `packing.PULLED` records as words, shape (m, 13).
        told: Text of their ids.
        seen: Sorted keys of what the user knows.
        own: Key of the item just touched.
        shown: Keys.
        grade: Strength / 10 of the item.
        slow: What is left of most sums.
        fast: What is left of the fast ones.
        event: Number of the item among the user's.
        slot: Its interest.
        limit: Rows.
        reserve: Rows an interest.

    Returns:
        Rows, keys, text and ends.
    """
    whole, worth = np.float32(1), np.float32(grade)
    out, out_keys, origin = _room(len(rows) + len(sent))
    count = _fade(rows, keys, own, np.float32(slow), np.float32(fast), out, out_keys, origin)
    index = index_of(out_keys, count)
    for place in range(count):
        out[place, SEED] = 0
    for key in shown:
        place = find_in(index, out_keys, key)
        if place != NOWHERE:
            out[place, EXPOSED] += 1
    count = add_sent(
        out, out_keys, origin, index, count, len(rows), sent, seen, own,
        np.array([worth, worth, whole, whole]), np.float32(event), slot, True,
    )  # fmt: skip
    kept = best_places(out, count, limit, reserve if slot > 0 else 0)
    return _replace(rows, keys, text, ends, told, len(sent), out, out_keys, origin, kept)


@kernel
def recall_rows(
    rows: Any, keys: Any, text: Any, ends: Any, sent: Any, told: Any, seen: Any, own: Any,
    worth: Any, event: Any, slot: int, limit: int, reserve: int,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """As `absorb_rows`, but nothing fades; see `add_sent` for what the answer is worth."""
    whole = np.float32(1)
    out, out_keys, origin = _room(len(rows) + len(sent))
    count = _fade(rows, keys, own, whole, whole, out, out_keys, origin)
    count = add_sent(
        out, out_keys, origin, index_of(out_keys, count), count, len(rows), sent, seen, own,
        worth, event, slot, False,
    )  # fmt: skip
    kept = best_places(out, count, limit, reserve if slot > 0 else 0)
    return _replace(rows, keys, text, ends, told, len(sent), out, out_keys, origin, kept)


@kernel
def _room(count: int) -> tuple[Any, Any, Any]:
    """For so many rows, their keys, and where each comes from.

    That is a place among the known rows, or behind these a place among those sent.
    """
    rows = np.empty((count, COLUMNS), np.float32)
    return rows, np.empty(count, np.uint64), np.empty(count, np.int64)


@kernel
def _replace(
    rows: Any, keys: Any, text: Any, ends: Any, told: Any, sent: int, out: Any, out_keys: Any,
    origin: Any, kept: Any,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """Rows, keys and ids by those at some places of `out`; arrays of the right size stay."""
    count = len(kept)
    if count != len(rows):
        rows, keys = np.empty((count, COLUMNS), np.float32), np.empty(count, np.uint64)
    for number in range(count):
        place = kept[number]
        for column in range(COLUMNS):
            rows[number, column] = out[place, column]
        keys[number] = out_keys[place]
    text, ends = picked(text, ends, told, ends_of(told, sent), origin[kept])
    return rows, keys, text, ends


@kernel
def add_sent(
    out: Any, out_keys: Any, origin: Any, index: Any, count: int, known: int, sent: Any,
    seen: Any, own: Any, worth: Any, event: Any, slot: int, is_last: Any,
) -> int:  # fmt: skip
    """Add an answer to the first `count` of the rows that came from `known` ones; how many now.

    `index` is that of their keys.
    `worth` is what main, fast and short get of it, and support: shape (4,). Of the user's last item
    it gives the seed too.
    """
    halves = sent.view(np.uint32)
    for number in range(len(sent)):
        key = np.uint64(halves[number, 2]) | (np.uint64(halves[number, 3]) << np.uint64(32))
        if key == own or is_in(seen, key):
            continue
        place = find_in(index, out_keys, key)
        if place == NOWHERE:
            place = count
            for column in range(COLUMNS):
                out[place, column] = 0
            out_keys[place], origin[place] = key, known + number
            count += 1
        gain = worth[0] * sent[number, 0]
        out[place, MAIN] += gain
        out[place, FAST] += worth[1] * sent[number, 0]
        out[place, SHORT] += worth[2] * sent[number, 1]
        out[place, SUPPORT] += worth[3] if gain != 0 or not sent[number, SENT_CONTENT] > 0 else 0.0
        if is_last:
            out[place, SEED] = sent[number, 0]
        out[place, CONTENT] += worth[0] * sent[number, SENT_CONTENT]
        gain += worth[0] * sent[number, SENT_CONTENT]
        if gain >= out[place, BEST]:
            out[place, BEST], out[place, BEST_AT] = gain, event
            out[place, INTEREST] = slot
        for column in range(CONTENT - LIKES):
            out[place, LIKES + column] = sent[number, SENT_FIGURES + column]
    return count


@kernel
def _fade(
    rows: Any, keys: Any, own: Any, slow: Any, fast: Any, out: Any, out_keys: Any, origin: Any
) -> int:
    """Copy the rows but that of the own item, less what one more event takes; how many."""
    left, count = np.ones(LIKES, np.float32), 0
    left[MAIN], left[SUPPORT], left[BEST] = slow, slow, slow
    left[FAST], left[SHORT] = fast, fast
    for place in range(len(rows)):
        if keys[place] == own:
            continue
        # Column by column: compiled, a whole row at once goes through numpy's general copy.
        for column in range(LIKES):
            out[count, column] = rows[place, column] * left[column]
        for column in range(LIKES, COLUMNS):
            out[count, column] = rows[place, column]
        out[count, CONTENT] *= slow
        out_keys[count], origin[count] = keys[place], place
        count += 1
    return count


@kernel
def best_places(rows: Any, count: int, limit: int, reserve: int) -> Any:
    """Places of the `limit` best of the first rows, `reserve` of each interest among them."""
    if count <= limit:
        return np.arange(count)
    worth = rows[:count, MAIN] + rows[:count, CONTENT]
    if reserve > 0:
        return _with_shares(rows, worth, limit, reserve)
    return largest(worth, limit)


@kernel
def _with_shares(rows: Any, worth: Any, limit: int, reserve: int) -> Any:
    """As `largest`, but the `reserve` largest of each interest go before all others.

    So do as many that only their content speaks for: no cosine outweighs what many people do.
    """
    order = ascending(-worth)
    keep, taken, left = np.zeros(len(worth), np.bool_), np.zeros(SLOTS, np.int64), limit
    for place in order:
        slot = SLOTS - 1 if unproven(rows, place) else int(rows[place, INTEREST])
        if slot > 0 and taken[slot] < reserve and left > 0:
            keep[place] = True
            taken[slot] += 1
            left -= 1
    for place in order:
        if left > 0 and not keep[place]:
            keep[place] = True
            left -= 1
    return np.flatnonzero(keep)
