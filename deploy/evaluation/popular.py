"""What popularity alone foresees: the line below which no recommender has learned anything.

Before each row the items are ranked by how many users have touched them so far, of equal ones the
longer known first, without what the user knows; nothing else is looked at.
"""

import numpy as np

from deploy.evaluation.judged import Flags, Ints, Judged

COMPARED_MAX = 20_000_000_000
"""Comparisons of counts, items times rows; beyond that the line is left out."""


def ranks(judged: Judged, rows: Flags) -> Ints | None:
    """Place of each chosen item by popularity, 0 where the item is new; None if too large."""
    if len(judged.items) * int(rows.sum()) > COMPARED_MAX:
        return None
    counts, codes = _by_first_touch(judged)
    touched: dict[int, list[int]] = {}
    found = np.zeros(len(judged), np.int64)
    columns = zip(
        judged.user.tolist(), codes.tolist(), judged.first.tolist(), rows.tolist(), strict=True
    )
    for row, (user, item, first, wanted) in enumerate(columns):
        known = touched.setdefault(user, [])
        own = counts[item]
        if wanted and own:
            better = int((counts > own).sum()) + int((counts[:item] == own).sum())
            mine = counts[known]
            places = np.array(known, np.int64)
            better -= int((mine > own).sum()) + int((places[mine == own] < item).sum())
            found[row] = better + 1
        if first:
            counts[item] += 1
            known.append(item)
    return found


def _by_first_touch(judged: Judged) -> tuple[Ints, Ints]:
    """Zeroed counts, and codes of the rows' items that grow in the order of first touch."""
    _, first, inverse = np.unique(judged.item, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)
    place[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.zeros(len(first), np.int64), place[inverse]
