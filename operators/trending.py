"""Rows of the shared lists: what a reader merges, with the part of each score that is the item's.

    item part = item features . weights        score = item part + what any unknown item gets

They are made where the weights are known, in the ranking. The row `all` is kept, to know what a
reader would have served.
"""

from typing import Any

import numpy as np

from operators.features import ITEM_FEATURES, Floats, Reference, item_features, outside_part
from operators.messages import PopularList
from operators.packing import FIGURES, POPULARITY, keys_in, words
from operators.results import ALL, TrendingRow
from operators.served import SharedRow

MADE_MAX = 256
REASONS = {
    ALL: "Popular right now",
    "all_time": "One of the most popular of all time",
    "1h": "Popular in the last hour",
    "1d": "Popular today",
    "30d": "Popular this month",
    "fresh": "New here",
}


def shared_row(
    shared: PopularList, reference: Reference, values: Floats, outside: float, model: str
) -> SharedRow:
    """Score a shared list.

    Args:
        shared: The list.
        reference: Of the tenant.
        values: Weights by `features.FEATURES`.
        outside: User part of the score of an item that no neighbour answer named.
        model: Name of the weights.
    """
    figures = words(shared.rows, FIGURES)
    popularity = figures[:, POPULARITY].astype(np.float64)
    columns = item_features(popularity, reference, np.array(shared.time_ms, np.float64))
    parts = columns @ values[-len(ITEM_FEATURES) :]
    return SharedRow(
        shared.ids, keys_in(figures[:, :2]), (parts + outside).astype(np.float32),
        parts.astype(np.float32), shared.time_ms, model,
    )  # fmt: skip


class SharedRows:
    """Shared lists scored, each once for all buckets that it comes to; a memo and no state.

    Args:
        rows_max: Candidate rows kept a user.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._made: dict[tuple[str, str, bytes], tuple[Any, SharedRow]] = {}

    def of(
        self, tenant: str, shared: PopularList, reference: Reference, values: Floats, model: str
    ) -> SharedRow:
        """`shared_row` of these."""
        key, given = (tenant, shared.name, values.tobytes()), (shared, reference, model)
        made = self._made.get(key)
        if made is None or made[0] != given:
            if len(self._made) >= MADE_MAX:
                self._made.clear()
            outside = outside_part(values, self._rows_max)
            made = self._made[key] = given, shared_row(shared, reference, values, outside, model)
        return made[1]


def trending_row(tenant: str, name: str, written_us: int, row: SharedRow) -> TrendingRow:
    """The row as it is stored."""
    return TrendingRow(
        written_us, tenant, name, list(row.ids), row.scores.astype("<f4").tobytes(),
        row.item_scores.astype("<f4").tobytes(), reason_of(name),
    )  # fmt: skip


def reason_of(name: str) -> str:
    """The reason of an item of a shared list."""
    kind, _, value = name.partition(":")
    if kind == "category":
        return f"Popular in {value}"
    return f"Popular in your region ({value})" if kind == "segment" else REASONS[name]
