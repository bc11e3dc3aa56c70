"""What the ranking keeps of one user: candidate rows that fade, seen items, taste, last list."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from operators import seen
from operators.messages import Pulled
from operators.packing import CATEGORY_CODES, PULLED, figures_array
from operators.stage import StructCodec, Table, pair_key

SEEN_CHUNK = 128
SEEDS_KEPT = 64
RECENT_KEPT = 20
TASTE_KEPT = 64

Keys = NDArray[np.uint64]

ROW = np.dtype(
    [
        ("key", "<u8"),
        ("main", "<f4"),
        ("fast", "<f4"),
        ("short", "<f4"),
        ("support", "<f4"),
        ("seed", "<f4"),
        ("best", "<f4"),
        ("best_at", "<u4"),
        ("exposed", "<u4"),
        ("likes", "<i4"),
        ("users", "<i4"),
        ("likes_1d", "<f4"),
        ("likes_30d", "<f4"),
        ("first_h", "<f4"),
        ("codes", "<u2", (CATEGORY_CODES,)),
    ]
)
"""A candidate: four fading sums (see `absorb`), similarity to the last item, the largest fading
contribution with the number of the event that made it, times shown, and the item's figures."""

FIGURE_COLUMNS = ("likes", "users", "likes_1d", "likes_30d", "first_h", "codes")


class AccumulatorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the candidate rows.

    Attributes:
        candidates_max: Rows kept a user.
        decay: What is left of a row after one more event of the user.
        decay_fast: The same for the fast and the short sum.
        taste_decay: The same for the taste.
    """

    candidates_max: int = 200
    decay: float = 0.9
    decay_fast: float = 0.6
    taste_decay: float = 0.95


@dataclass
class RankedUser:
    """One user.

    Attributes:
        events: Own item events so far; numbers the seeds.
        rows: `ROW` records, with `ids` beside them.
        seeds: (item, title) by event number, of the last events.
        taste: Worth of category codes.
        shown: Keys of the first ten of the last list.
        seen_count: Keys in the seen chunks; `seen` holds them sorted once they are needed.
        known: The same as a filter for readers, see `operators.seen`.
        digest: Of the last written list.
        clock_us: Write time of the last rows, see `stage.tick`.
    """

    events: int = 0
    erased_seq: int = 0
    rows: NDArray[Any] = field(default_factory=lambda: np.empty(0, ROW))
    ids: list[str] = field(default_factory=list)
    seeds: dict[int, tuple[str, str]] = field(default_factory=dict)
    taste: dict[int, float] = field(default_factory=dict)
    category: str = ""
    code: int = 0
    shown: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)
    personalise: bool = True
    blocked: list[int] = field(default_factory=list)
    seen_count: int = 0
    generation: int = 0
    digest: bytes = b""
    clock_us: int = 0
    known: bytearray = field(default_factory=lambda: bytearray(seen.BYTES_MIN))
    seen: Keys | None = None

    @property
    def seen_chunks(self) -> int:
        """Number of chunks the seen keys take."""
        return -(-self.seen_count // SEEN_CHUNK)


class _Stored(Struct, array_like=True):
    events: int
    erased_seq: int
    rows: bytes
    ids: list[str]
    seeds: dict[int, tuple[str, str]]
    taste: dict[int, float]
    category: str
    code: int
    shown: list[int]
    counts: dict[str, int]
    recent: list[str]
    personalise: bool
    blocked: list[int]
    seen_count: int
    generation: int
    digest: bytes
    clock_us: int
    known: bytes


class UserCodec:
    """`RankedUser` as MessagePack; seen keys have a table of their own."""

    version = 1
    _inner: StructCodec[_Stored] = StructCodec(_Stored)

    def encode(self, value: RankedUser) -> bytes:
        return self._inner.encode(
            _Stored(
                value.events, value.erased_seq, value.rows.tobytes(), value.ids, value.seeds,
                value.taste, value.category, value.code, value.shown, value.counts, value.recent,
                value.personalise, value.blocked, value.seen_count, value.generation,
                value.digest, value.clock_us, bytes(value.known),
            )
        )  # fmt: skip

    def decode(self, data: bytes) -> RankedUser:
        stored = self._inner.decode(data)
        values = {name: getattr(stored, name) for name in _Stored.__struct_fields__}
        values["rows"] = np.frombuffer(stored.rows, ROW).copy()
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
    place = int(np.searchsorted(keys, np.uint64(item_key)))
    if place < len(keys) and keys[place] == item_key:
        return
    user.seen = np.insert(keys, place, np.uint64(item_key))
    chunk = pair_key(key, str(user.seen_count // SEEN_CHUNK))
    table.put(chunk, (table.get(chunk) or b"") + item_key.to_bytes(8, "little"))
    user.seen_count += 1
    if seen.size_for(user.seen_count) > len(user.known):
        user.known = seen.build(user.seen.tolist(), user.seen_count)
    else:
        seen.add(user.known, item_key)


def contained(keys: Keys, within: Keys) -> NDArray[np.bool_]:
    """Which of `keys` are in the sorted array `within`."""
    if not len(within):
        return np.zeros(len(keys), bool)
    places = np.minimum(np.searchsorted(within, keys), len(within) - 1)
    found: NDArray[np.bool_] = within[places] == keys
    return found


def absorb(user: RankedUser, pulled: Pulled, keys: Keys, settings: AccumulatorSettings) -> None:
    """Fade the rows, add the neighbours of the item just touched, keep the largest.

    With w = strength / 10, every row fades (main and support by `decay`, fast and short by
    `decay_fast`), then each neighbour that the user has not seen adds w*sim to main and fast, its
    short-term similarity to short, and 1 to support.
    """
    counted = pulled.counted
    own = figures_array(counted.figures)[0]
    _start_event(user, pulled, own, settings)
    sent = np.frombuffer(pulled.rows, PULLED)
    new = ~contained(sent["key"], keys) & (sent["key"] != own["key"])
    sent, ids = sent[new], [one for one, is_new in zip(pulled.ids, new.tolist(), strict=True)
                            if is_new]  # fmt: skip
    keep = user.rows["key"] != own["key"]
    if not keep.all():
        user.rows = user.rows[keep]
        user.ids = [one for one, kept in zip(user.ids, keep.tolist(), strict=True) if kept]
    _fade(user.rows, settings)
    _add(user, sent, ids, counted.signal.strength / 10)
    if len(user.rows) > settings.candidates_max:
        largest = np.argsort(-user.rows["main"], kind="stable")[: settings.candidates_max]
        largest.sort()
        user.rows = user.rows[largest]
        user.ids = [user.ids[place] for place in largest.tolist()]


def _start_event(user: RankedUser, pulled: Pulled, own: Any, settings: AccumulatorSettings) -> None:
    """Number the event, and let the user's taste lean to (or from) the item's categories."""
    counted, codes = pulled.counted, [int(code) for code in own["codes"] if code]
    user.events += 1
    user.seeds[user.events] = (counted.signal.item, counted.title)
    user.seeds.pop(user.events - SEEDS_KEPT, None)
    user.category, user.code = counted.category, codes[0] if codes else 0
    for code in user.taste:
        user.taste[code] *= settings.taste_decay
    for code in codes:
        user.taste[code] = user.taste.get(code, 0.0) + counted.signal.strength - 5
    if len(user.taste) > TASTE_KEPT:
        del user.taste[min(user.taste, key=lambda code: (abs(user.taste[code]), code))]


def _fade(rows: NDArray[Any], settings: AccumulatorSettings) -> None:
    rows["main"] *= settings.decay
    rows["support"] *= settings.decay
    rows["best"] *= settings.decay
    rows["fast"] *= settings.decay_fast
    rows["short"] *= settings.decay_fast
    rows["seed"] = 0


def _add(user: RankedUser, sent: NDArray[Any], ids: list[str], weight: float) -> None:
    order = np.argsort(user.rows["key"])
    ordered = user.rows["key"][order]
    known = contained(sent["key"], ordered)
    fresh = np.zeros(int((~known).sum()), ROW)
    fresh["key"] = sent["key"][~known]
    places = np.empty(len(sent), np.int64)
    if len(ordered):
        places[known] = order[np.searchsorted(ordered, sent["key"][known])]
    places[~known] = len(user.rows) + np.arange(len(fresh))
    rows = np.concatenate([user.rows, fresh])
    user.ids = user.ids + [one for one, is_known in zip(ids, known.tolist(), strict=True)
                           if not is_known]  # fmt: skip
    gain = (weight * sent["sim"]).astype(np.float32)
    rows["main"][places] += gain
    rows["fast"][places] += gain
    rows["short"][places] += sent["short"]
    rows["support"][places] += 1
    rows["seed"][places] = sent["sim"]
    better = places[gain >= rows["best"][places]]
    rows["best"][places] = np.maximum(rows["best"][places], gain)
    rows["best_at"][better] = user.events
    for name in FIGURE_COLUMNS:
        rows[name][places] = sent[name]
    user.rows = rows


def note_exposure(user: RankedUser) -> None:
    """The user liked something new: what stood in the list's first places was shown in vain."""
    shown = np.isin(user.rows["key"], np.array(user.shown, "<u8"))
    user.rows["exposed"] += shown.astype(np.uint32)


def remember(user: RankedUser, action: str, item: str | None) -> None:
    """Count the action; put the item in front of the recent ones."""
    user.counts[action] = user.counts.get(action, 0) + 1
    if item is not None:
        user.recent = [item, *(one for one in user.recent if one != item)][:RECENT_KEPT]
