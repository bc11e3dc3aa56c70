"""What the ranking keeps of one user: candidate rows that fade, seen items, taste, last list."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from operators import seen as seen_filter
from operators.candidates import COLUMNS, FIRST_H, INTEREST, LIKES_1D, absorb_rows
from operators.id_list import NOTHING, IdList, as_text, id_list, take, text_of
from operators.interests import LOST, Interests, touch
from operators.messages import Pulled, Recalled
from operators.packing import (
    EPOCH_MS,
    HOUR_MS,
    PULLED,
    Keys,
    Words,
    codes_of,
    key_of,
    words,
)
from operators.parameters import AccumulatorSettings, InterestSettings
from operators.served import PackedRow, StoredRow, meet, pack_row, unpack_row
from operators.stage import StructCodec, Table, pair_key

SEEN_CHUNK = 128
SEEDS_KEPT = 64
RECENT_KEPT = 20
TASTE_KEPT = 64

POPULARITY = slice(8, 13)
"""Of the columns of a candidate row: four fading sums (see `absorb`), similarity to the last item,
the largest fading contribution with the number of the event that made it, times shown in vain, the
item's figures as in `packing.FIGURES` from the likes on, the fading sum of what says the like, and
the slot of the interest that the largest contribution belongs to."""


@dataclass
class RankedUser:
    """One user.

    Attributes:
        events: Own item events so far; numbers the seeds.
        rows: Candidates, shape (n, COLUMNS), see `COLUMNS`; `keys` and `ids` name them.
        seeds: (item, title) by event number, of the last events.
        taste: Worth of category codes.
        listed: The row as it is stored for readers.
        features: Of the best candidates of that moment, to learn from, shape (n, features); their
            keys are `snapshot`.
        seen_count: Keys in the seen chunks; `seen` holds them sorted once they are needed.
        known: The same as a filter for readers, see `operators.seen`.
        digest: Of the last written list.
        clock_us: Write time of the last rows, see `stage.tick`.
        interests: Clusters of items, tags and mood.
        topics: Categories that the user asked for.
        segment: Of the popular lists.
        ordinary, untouched: Of the last list, see `scoring.Scored`.
        recalled_seq: Of the message with which the user last came back, see `operators.recall`;
            `recalled_at` counts the events before it.
    """

    events: int = 0
    erased_seq: int = 0
    rows: Words = field(default_factory=lambda: np.empty((0, COLUMNS), np.float32))
    keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    ids: IdList = NOTHING
    seeds: dict[int, tuple[str, str]] = field(default_factory=dict)
    taste: dict[int, float] = field(default_factory=dict)
    category: str = ""
    code: int = 0
    listed: StoredRow = field(default_factory=StoredRow)
    snapshot: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    features: Words = field(default_factory=lambda: np.empty((1, 0), np.float32))
    counts: dict[str, int] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)
    personalise: bool = True
    blocked: list[int] = field(default_factory=list)
    settings_ms: int = -1
    seen_count: int = 0
    generation: int = 0
    digest: bytes = b""
    clock_us: int = 0
    known: bytearray = field(default_factory=lambda: bytearray(seen_filter.BYTES_MIN))
    interests: Interests = field(default_factory=Interests)
    topics: list[str] = field(default_factory=list)
    segment: str = ""
    recalled_seq: int = 0
    recalled_at: int = 0
    ordinary: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    untouched: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    seen: Keys | None = None

    @property
    def seen_chunks(self) -> int:
        """Number of chunks the seen keys take."""
        return -(-self.seen_count // SEEN_CHUNK)


class _Stored(Struct, array_like=True):
    events: int
    erased_seq: int
    rows: bytes
    keys: bytes
    ids: str | list[str]
    seeds: dict[int, tuple[str, str]]
    taste: dict[int, float]
    category: str
    code: int
    listed: PackedRow
    snapshot: bytes
    features: bytes
    counts: dict[str, int]
    recent: list[str]
    personalise: bool
    blocked: list[int]
    settings_ms: int
    seen_count: int
    generation: int
    digest: bytes
    clock_us: int
    known: bytes
    interests: Interests
    topics: list[str]
    segment: str
    recalled_seq: int = 0
    recalled_at: int = 0
    ordinary: bytes = b""
    untouched: bytes = b""


class UserCodec:
    """`RankedUser` as MessagePack; seen keys have a table of their own."""

    version = 4
    weight = 50
    _inner: StructCodec[_Stored] = StructCodec(_Stored)

    def encode(self, value: RankedUser) -> bytes:
        return self._inner.encode(
            _Stored(
                value.events, value.erased_seq, value.rows.tobytes(),
                value.keys.tobytes(), as_text(value.ids), value.seeds,
                value.taste, value.category, value.code, pack_row(value.listed),
                value.snapshot.tobytes(), value.features.tobytes(), value.counts,
                value.recent, value.personalise, value.blocked, value.settings_ms,
                value.seen_count, value.generation, value.digest, value.clock_us,
                bytes(value.known), value.interests, value.topics, value.segment,
                value.recalled_seq, value.recalled_at, value.ordinary.tobytes(),
                value.untouched.tobytes(),
            )
        )  # fmt: skip

    def decode(self, data: bytes) -> RankedUser:
        stored = self._inner.decode(data)
        values = {name: getattr(stored, name) for name in _Stored.__struct_fields__}
        values["rows"] = np.frombuffer(stored.rows, "<f4").reshape(-1, COLUMNS).copy()
        values["keys"] = np.frombuffer(stored.keys, "<u8").copy()
        values["ids"] = id_list(stored.ids)
        values["listed"] = unpack_row(stored.listed)
        values |= {name: np.frombuffer(values[name], "<u8")
                   for name in ("snapshot", "ordinary", "untouched")}  # fmt: skip
        features = np.frombuffer(stored.features, "<f4")
        values["features"] = features.reshape(max(1, len(values["snapshot"])), -1)
        values["known"] = bytearray(stored.known)
        return RankedUser(**values)


def seen_keys(table: Table[bytes], key: str, user: RankedUser) -> Keys:
    """Sorted keys of all items the user has touched or refused."""
    if user.seen is None:
        chunks = (table.get(pair_key(key, str(n))) or b"" for n in range(user.seen_chunks))
        user.seen = np.unique(np.frombuffer(b"".join(chunks), "<u8"))
    return user.seen


def add_seen(table: Table[bytes], key: str, user: RankedUser, item_key: int) -> None:
    """Add one key; the chunks are only appended to, so an event writes at most one of them."""
    keys = seen_keys(table, key, user)
    grown = meet(keys, np.uint64(item_key), np.frombuffer(user.known, np.uint8))
    if len(grown) == len(keys):
        return
    user.seen = grown
    chunk = pair_key(key, str(user.seen_count // SEEN_CHUNK))
    table.put(chunk, (table.get(chunk) or b"") + item_key.to_bytes(8, "little"))
    user.seen_count += 1
    if seen_filter.size_for(user.seen_count) > len(user.known):
        user.known = seen_filter.build(user.seen.tolist(), user.seen_count)


def absorb(
    user: RankedUser, pulled: Pulled, seen: Keys, shown: Keys, settings: AccumulatorSettings
) -> None:
    """Fade the rows, add the neighbours of the item just touched, keep the largest.

    With w = strength / 10, every row fades (main, content, support and best by `decay`, fast and
    short by `decay_fast`), then each neighbour that the user has not seen adds w*sim to main and
    fast, w*content to content, its short-term similarity to short, and 1 to support.
    Those of the keys `shown` were shown in vain.
    """
    own = np.uint64(key_of(pulled.counted.figures))
    _start_event(user, pulled, codes_of(pulled.counted.figures), settings)
    slot = _interest(user, pulled, settings.interests)
    grade = pulled.counted.signal.strength / 10
    write_rows(
        user, pulled, absorb_rows, seen, own, shown, grade, settings.decay, settings.decay_fast,
        user.events, slot, settings.candidates_max, settings.interest_rows,
    )  # fmt: skip


def write_rows(
    user: RankedUser, told: Pulled | Recalled, write: Callable[..., Any], *more: Any
) -> None:
    """Replace a user's rows by those that `write` makes of them and of an answer.

    It gets rows, keys and ids, the records sent and the text of their ids, and more; see
    `candidates.absorb_rows`.
    """
    sent, ids = words(told.rows, PULLED), np.frombuffer(text_of(told.ids).encode(), np.uint8)
    user.rows, user.keys, *named = write(user.rows, user.keys, *user.ids, sent, ids, *more)
    user.ids = IdList(*named)


def _interest(user: RankedUser, pulled: Pulled, settings: InterestSettings) -> int:
    """Let the item join an interest; its slot. Rows of interests that moved move along."""
    about, signal = pulled.about, pulled.counted.signal
    if about is None:
        return LOST
    mine, item = user.interests, (signal.item, pulled.counted.title)
    slot, moves = touch(mine, about, item, signal.strength, signal.time_ms, settings)
    for old, new in moves.items():
        user.rows[user.rows[:, INTEREST] == old, INTEREST] = new
    mine.slots[user.events] = slot
    mine.slots.pop(user.events - SEEDS_KEPT, None)
    return slot


def drop(user: RankedUser, item_key: int | np.uint64) -> None:
    """Take one item off the candidates."""
    keep = user.keys != np.uint64(item_key)
    if not keep.all():
        _keep(user, np.flatnonzero(keep))


def drop_stale(user: RankedUser, stale_ms: int) -> None:
    """Take candidates off that were not there, or were not liked, after a time; 0 keeps all.

    What was there is told by the first time of the figures, what was liked by the decayed likes:
    with a half-life of a day their logarithm is at least the days from 2000 to the last like.
    """
    if not stale_ms or not len(user.rows):
        return
    since_h = (stale_ms - EPOCH_MS) / HOUR_MS
    keep = (user.rows[:, FIRST_H] > since_h) | (24 * user.rows[:, LIKES_1D] > since_h)
    if not keep.all():
        _keep(user, np.flatnonzero(keep))


def _keep(user: RankedUser, places: NDArray[np.int64]) -> None:
    user.rows, user.keys, user.ids = user.rows[places], user.keys[places], take(user.ids, places)


def _start_event(
    user: RankedUser, pulled: Pulled, codes: list[int], settings: AccumulatorSettings
) -> None:
    """Number the event, and let the user's taste lean to (or from) the item's categories."""
    counted = pulled.counted
    user.events += 1
    user.seeds[user.events] = (counted.signal.item, counted.title)
    user.seeds.pop(user.events - SEEDS_KEPT, None)
    user.segment = counted.signal.segment or user.segment
    user.category, user.code = counted.category, codes[0] if codes else 0
    left = settings.taste_decay
    user.taste = taste = {code: worth * left for code, worth in user.taste.items()}
    for code in codes:
        taste[code] = taste.get(code, 0.0) + counted.signal.strength - 5
    if len(taste) > TASTE_KEPT:
        del taste[min(taste, key=lambda code: (abs(taste[code]), code))]


def remember(user: RankedUser, action: str, item: str | None) -> None:
    """Count the action; put the item in front of the recent ones."""
    user.counts[action] = user.counts.get(action, 0) + 1
    if item is not None:
        if item in user.recent:
            user.recent.remove(item)
        user.recent.insert(0, item)
        del user.recent[RECENT_KEPT:]
