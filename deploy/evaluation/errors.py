"""Where the misses come from, and the users and items that are served worst, with the reason."""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct

from deploy.evaluation.judged import Flags, Ints, Judged
from deploy.evaluation.metrics import Floats, hits, mean

REASONS = ("hit", "below", "new_item", "rare_item", "absent")
"""hit: among the first k. below: in the list, further down. new_item: nobody had touched it, no
list that learns from behaviour can hold it. rare_item: fewer than five users had. absent: known to
many, and not in the list."""

RARE_USERS = 5
ROWS_MIN = 10
WORST = 12


class Worst(Struct, frozen=True):
    """A user or item whose choices were foreseen least.

    Attributes:
        name: Id; `title` says more where the catalogue does.
        rows: Rows that were judged.
        hr: Share of them that was a hit.
        reason: What most of the misses have in common, one of `REASONS`.
        share: How many of the misses do.
        median_users: Median of the users the chosen items had at the time.
    """

    name: str
    title: str
    rows: int
    hr: float
    reason: str
    share: float
    median_users: float


def reasons(judged: Judged, k: int) -> Ints:
    """Place in `REASONS` of each row, shape (n,)."""
    found = np.full(len(judged), REASONS.index("absent"), np.int64)
    found[judged.item_users < RARE_USERS] = REASONS.index("rare_item")
    found[judged.item_users == 0] = REASONS.index("new_item")
    found[judged.rank > k] = REASONS.index("below")
    found[hits(judged.rank, k) > 0] = REASONS.index("hit")
    return found


def shares(judged: Judged, rows: Flags, k: int) -> dict[str, float]:
    """Share of the rows by reason."""
    counts = np.bincount(reasons(judged, k)[rows], minlength=len(REASONS))
    total = max(1, int(rows.sum()))
    return {name: int(count) / total for name, count in zip(REASONS, counts, strict=True)}


def worst_users(judged: Judged, rows: Flags, k: int) -> list[Worst]:
    """Users with at least ten judged rows, the least foreseen first."""
    return _worst(judged, rows, k, judged.user, judged.users, {})


def worst_items(judged: Judged, rows: Flags, k: int, titles: Mapping[str, str]) -> list[Worst]:
    """Items that were chosen at least ten times, the least foreseen first."""
    return _worst(judged, rows, k, judged.item, judged.items, titles)


def _worst(
    judged: Judged, rows: Flags, k: int, codes: Ints, names: Sequence[str],
    titles: Mapping[str, str],
) -> list[Worst]:  # fmt: skip
    """Ordered by the lower end of what chance allows: many rows without a hit come first."""
    own, hit = codes[rows], hits(judged.rank[rows], k)
    count = np.bincount(own, minlength=len(names))
    share = np.bincount(own, hit, len(names)) / np.maximum(count, 1)
    expected = mean(hit)
    gap = (expected - share) * np.sqrt(count)
    many = np.flatnonzero((count >= ROWS_MIN) & (gap > 0))
    order = many[np.lexsort((many, -gap[many]))][:WORST]
    why, users = reasons(judged, k)[rows], judged.item_users[rows]
    return [_one(code, own == code, why, users, hit, names, titles) for code in order.tolist()]


def _one(
    code: int, mine: Flags, why: Ints, users: Ints, hit: Floats, names: Sequence[str],
    titles: Mapping[str, str],
) -> Worst:  # fmt: skip
    counts = np.bincount(why[mine], minlength=len(REASONS))
    counts[0] = 0
    most = int(counts.argmax())
    return Worst(
        names[code], titles.get(names[code], names[code]), int(mine.sum()), mean(hit[mine]),
        REASONS[most], float(counts[most] / max(1, counts.sum())), float(np.median(users[mine])),
    )  # fmt: skip
