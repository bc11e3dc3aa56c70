"""The items that most people like, of all time or of late."""

from typing import NamedTuple

import numpy as np

from .past import Event, Past
from .prequential import Scores, Streaming

_RESCALE_AT = 500.0
_DAY_MS = 86_400_000.0


class PopularityParameters(NamedTuple):
    """Parameters.

    Attributes:
        half_life_days: Age at which a like counts half; 0 for never.
    """

    half_life_days: float = 0.0


class Popularity(Streaming):
    """Counts likes; with a half-life, a like of age t counts 2^(-t / half-life)."""

    def __init__(self, past: Past, parameters: PopularityParameters) -> None:
        self._past = past
        self._half_life_ms = parameters.half_life_days * _DAY_MS
        self._sums = np.zeros(past.stream.item_count)
        self._since_ms = 0

    def scores(self, user: int) -> Scores | None:
        return self._sums[: self._past.items]

    def learn(self, event: Event) -> None:
        """Forward decay: newer likes weigh more, older ones need no visit."""
        if not event.is_like:
            return
        if not self._half_life_ms:
            self._sums[event.item] += 1.0
            return
        age = (event.time_ms - self._since_ms) / self._half_life_ms
        if age > _RESCALE_AT:
            self._sums *= 2.0 ** -min(age, 2 * _RESCALE_AT)
            self._since_ms, age = event.time_ms, 0.0
        self._sums[event.item] += 2.0**age
