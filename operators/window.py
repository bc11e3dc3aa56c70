"""A user's last items as columns, and the pairs that one more item makes with them.

A pair counts min(strength, strength) of its two ends, times the weight of the number of items
between them; a rise of a strength adds the difference, so that all of it telescopes.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import Struct

from operators.kernels import (
    CHANGED_RATIO,
    CHANGES,
    NOWHERE,
    RAW,
    RUN_WORDS,
    kernel,
    ratio_of,
)
from operators.pairs import Numbers
from operators.stage import StructCodec

STRENGTH, BUCKET, PAST_WORDS = CHANGES, CHANGES + 1, CHANGES + 2
"""Words of an item of the past, behind its figures: its strength for the user, and the bucket of
its neighbours."""

TARGET, EVENT, TOLD_WORDS = RUN_WORDS, RUN_WORDS + 1, RUN_WORDS + 2
"""Words of what an earlier item is told of a pair, behind its record: the bucket of the item, and
the number of the event."""


@dataclass
class UserHistory:
    """A user's last items, oldest first.

    Attributes:
        past: A row an item, its figures then and more, see `PAST_WORDS`, with room for others.
        logged: Length of the log.
        erased_seq: Of the last erased message.
        last_ms: Newest event time, 0 where none was noted yet.
        keys: Of the items, with the tenant; empty, and so is `BUCKET`, until they are asked for.
    """

    items: list[str] = field(default_factory=list)
    past: Numbers = field(default_factory=lambda: np.empty((0, PAST_WORDS), np.uint32))
    logged: int = 0
    erased_seq: int = 0
    last_ms: int = 0
    keys: list[str] = field(default_factory=list)

    @property
    def strengths(self) -> dict[str, int]:
        """Of the items for the user, oldest first."""
        return dict(zip(self.items, self.past[:, STRENGTH].tolist(), strict=False))

    def leaves(self, at: int) -> int:
        """Place of the row that an item takes the place of, or `NOWHERE`.

        It is the item's own, `at`. Where it has none and there is no room, the oldest goes.
        """
        return 0 if at == NOWHERE and len(self.items) == len(self.past) else at

    def put(self, item: str, key: str, gone: int) -> None:
        """Make an item the newest, in place of one or none, as `take_in` does with its row."""
        if gone != NOWHERE:
            del self.items[gone], self.keys[gone]
        self.items.append(item)
        self.keys.append(key)


class _Past(Struct, array_like=True, gc=False):
    item: str
    strength: int
    figures: bytes


class _Stored(Struct, array_like=True, gc=False):
    items: list[_Past]
    logged: int = 0
    erased_seq: int = 0
    last_ms: int = 0


class HistoryCodec:
    """`UserHistory` as MessagePack."""

    version = 1
    weight = 1
    _inner: StructCodec[_Stored] = StructCodec(_Stored)

    def encode(self, value: UserHistory) -> bytes:
        past = value.past[: len(value.items)]
        strengths = past[:, STRENGTH].tolist()
        items = [
            _Past(item, strength, row.tobytes())
            for item, strength, row in zip(value.items, strengths, past[:, :CHANGES], strict=True)
        ]
        return self._inner.encode(_Stored(items, value.logged, value.erased_seq, value.last_ms))

    def decode(self, data: bytes) -> UserHistory:
        stored = self._inner.decode(data)
        past = np.zeros((len(stored.items), PAST_WORDS), np.uint32)
        figures = b"".join([one.figures for one in stored.items])
        past[:, :CHANGES] = np.frombuffer(figures, "<u4").reshape(-1, CHANGES)
        past[:, STRENGTH] = [one.strength for one in stored.items]
        items = [one.item for one in stored.items]
        return UserHistory(items, past, stored.logged, stored.erased_seq, stored.last_ms)


@kernel
def rise(strength: int, old: int, other: int) -> int:
    """What is new of min(strength, other) when a strength rises from `old`."""
    return int(min(strength, other) - min(old, other))


@kernel
def pair_up(
    past: Any, count: int, at: int, now: Any, old: int, weights: Any, event: int, told: Any,
    earlier: Any, places: Any,
) -> int:  # fmt: skip
    """Pair an item with those of the past, the nearest first.

    Args:
        past: Rows of `PAST_WORDS`, oldest first.
        count: Number of them.
        at: Place of the item itself among them, or `NOWHERE`.
        now: The item, as such a row, with its strength of now.
        old: Its strength before.
        weights: (weight, short weight) by the number of items between, shape (window, 2).
        event: Number of the event.
        told: Gets what each of the others learns of its pair, `TOLD_WORDS` a pair.
        earlier: Gets what the item learns of it, `kernels.RUN_WORDS` a pair.
        places: Get the place of the other.

    Returns:
        Number of pairs.
    """
    strength, pairs, raw = int(now[STRENGTH]), 0, np.float64(now.view(np.float32)[RAW])
    raws, ratios, inverse = past.view(np.float32), told.view(np.float32), earlier.view(np.float32)
    for between in range(min(count, len(weights))):
        place = count - 1 - between
        shared = rise(strength, old, int(past[place, STRENGTH]))
        if place == at or shared <= 0:
            continue
        for word in range(CHANGES):
            told[pairs, word], earlier[pairs, word] = now[word], past[place, word]
        weight, other = shared * weights[between, 0], np.float64(raws[place, RAW])
        told[pairs, CHANGES], told[pairs, CHANGES + 1] = weight, 0
        told[pairs, CHANGES + 2] = shared * weights[between, 1]
        earlier[pairs, CHANGES], earlier[pairs, CHANGES + 1] = 0, weight
        earlier[pairs, CHANGES + 2] = 0
        ratios[pairs, CHANGED_RATIO] = ratio_of(raw, other)
        inverse[pairs, CHANGED_RATIO] = ratio_of(other, raw)
        told[pairs, TARGET], told[pairs, EVENT] = past[place, BUCKET], event
        places[pairs] = place
        pairs += 1
    return pairs


@kernel
def take_in(
    past: Any, count: int, at: int, gone: int, figures: Any, strength: int, bucket: int, old: int,
    weights: Any, event: int, told: Any, first: int, earlier: Any, places: Any,
) -> int:  # fmt: skip
    """Pair an item as `pair_up` does, and make its row the newest in place of row `gone`, if any.

    `figures` and `strength` are those of the item now, `bucket` is that of its neighbours; `told`
    has `first` rows in use, and its pairs go behind them.

    Returns:
        Number of pairs.
    """
    now = np.empty(PAST_WORDS, np.uint32)
    now[:STRENGTH] = figures
    now[STRENGTH], now[BUCKET] = max(old, strength), bucket
    pairs = pair_up(past, count, at, now, old, weights, event, told[first:], earlier, places)
    if gone != NOWHERE:
        count -= 1
        for place in range(gone, count):
            past[place] = past[place + 1]
    past[count] = now
    return int(pairs)
